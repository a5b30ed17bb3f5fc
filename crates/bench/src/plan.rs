//! What is measured, and how much of it. The row names below are the ones of the tables and of the goals.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::figures::Row;

/// A produce row: one run of the client, then everything it had acknowledged is read back.
pub struct ProduceRow {
    pub name: Row,
    /// The consume row that reading this back fills, where it does.
    pub consume: Option<Row>,
    /// Bytes a message.
    pub size: u32,
    pub partitions: u32,
    /// 1, or -1 for all.
    pub acks: i8,
    pub idempotent: bool,
    pub lz4: bool,
}

pub const PRODUCE_100B: Row = "100 B, 1 p, acks=1";
pub const PRODUCE_100B_IDEMPOTENT: Row = "100 B, 1 p, acks=all, idempotent";
pub const PRODUCE_100B_6P_IDEMPOTENT: Row = "100 B, 6 p, acks=all, idempotent";
pub const PRODUCE_1K: Row = "1 KiB, 1 p, acks=1";
pub const CONSUME_100B: Row = "consume 100 B, 1 p";
pub const CONSUME_100B_6P: Row = "consume 100 B, 6 p";
pub const CONSUME_1K: Row = "consume 1 KiB, 1 p";
pub const CONSUME_1K_6P: Row = "consume 1 KiB, 6 p";
pub const LATENCY_ONE: Row = "1,000 msg/s, 100 B, acks=1";
pub const LATENCY_ALL: Row = "1,000 msg/s, 100 B, acks=all";
pub const CLOSED_100B: Row = "1 in flight, 100 B, acks=1";
pub const CLOSED_1K: Row = "1 in flight, 1 KiB, acks=all";
pub const WINDOW_1K: Row = "64 in flight, 1 KiB, acks=all";
pub const START_EMPTY: Row = "empty";
pub const START_TOPICS: Row = "with topics";
pub const START_CLEAN: Row = "many partitions, after a clean stop";
pub const START_KILLED: Row = "many partitions, after kill -9";
pub const IDLE: Row = "idle after the produce rows";
pub const CREATE_SINGLE: Row = "create topics, one a request";
pub const CREATE_BATCH: Row = "create topics, 100 a request";
pub const METADATA: Row = "metadata of all topics";
pub const MANY_CREATE_FEW: Row = "create topics, one a request, few exist";
pub const MANY_CREATE: Row = "create topics, one a request, many exist";
pub const MANY_METADATA: Row = "metadata of many topics";
pub const SYNC_RATE: Row = "append 4 KiB and fdatasync, 1 in flight";
pub const PING_PONG: Row = "ping-pong of 128 B on loopback";
pub const CEILING_100B: Row = "client against its own mock broker, 100 B";
pub const CEILING_IDEMPOTENT: Row = "client against its own mock broker, 100 B, idempotent";
pub const CEILING_1K: Row = "client against its own mock broker, 1 KiB";

const fn row(name: Row, consume: Option<Row>, size: u32, partitions: u32, acks: i8) -> ProduceRow {
    ProduceRow { name, consume, size, partitions, acks, idempotent: false, lz4: false }
}

pub const PRODUCE: [ProduceRow; 11] = [
    row(PRODUCE_100B, Some(CONSUME_100B), 100, 1, 1),
    row("100 B, 1 p, acks=all", None, 100, 1, -1),
    ProduceRow { idempotent: true, ..row(PRODUCE_100B_IDEMPOTENT, None, 100, 1, -1) },
    ProduceRow { lz4: true, ..row("100 B, 1 p, acks=1, lz4", None, 100, 1, 1) },
    row("100 B, 6 p, acks=1", Some(CONSUME_100B_6P), 100, 6, 1),
    ProduceRow { idempotent: true, ..row(PRODUCE_100B_6P_IDEMPOTENT, None, 100, 6, -1) },
    row(PRODUCE_1K, Some(CONSUME_1K), 1024, 1, 1),
    row("1 KiB, 1 p, acks=all", None, 1024, 1, -1),
    ProduceRow { idempotent: true, lz4: true, ..row("1 KiB, 1 p, acks=all, idempotent, lz4", None, 1024, 1, -1) },
    row("1 KiB, 6 p, acks=1", Some(CONSUME_1K_6P), 1024, 6, 1),
    row("1 KiB, 6 p, acks=all", None, 1024, 6, -1),
];

pub const CONSUME: [Row; 4] = [CONSUME_100B, CONSUME_100B_6P, CONSUME_1K, CONSUME_1K_6P];

/// A closed-loop row: `in_flight` single-record requests outstanding, the next sent when one is answered.
pub struct WindowRow {
    pub name: Row,
    pub size: u32,
    pub acks: i8,
    pub in_flight: u32,
}

pub const WINDOWS: [WindowRow; 3] = [
    WindowRow { name: CLOSED_100B, size: 100, acks: 1, in_flight: 1 },
    WindowRow { name: CLOSED_1K, size: 1024, acks: -1, in_flight: 1 },
    WindowRow { name: WINDOW_1K, size: 1024, acks: -1, in_flight: 64 },
];

/// An offset-commit row: `groups` groups commit at once, each waiting for its answer, or with so many in flight on a
/// connection of its own.
pub struct CommitRow {
    pub name: Row,
    pub groups: u32,
    /// Bare requests; `None` is through librdkafka.
    pub in_flight: Option<u32>,
}

pub const COMMITS_RAW: Row = "commits, 1 group, bare, 64 in flight";

pub const COMMITS: [CommitRow; 4] = [
    CommitRow { name: "commits, 1 group, librdkafka", groups: 1, in_flight: None },
    CommitRow { name: "commits, 8 groups, librdkafka", groups: 8, in_flight: None },
    CommitRow { name: COMMITS_RAW, groups: 1, in_flight: Some(64) },
    CommitRow { name: "commits, 8 groups, bare, 64 in flight each", groups: 8, in_flight: Some(64) },
];

/// A part of a run that can be asked for alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Limits,
    Produce,
    Latency,
    Window,
    Commits,
    Start,
    Partitions,
    Topics,
    Many,
}

impl Section {
    pub const ALL: [Self; 9] = [
        Self::Limits,
        Self::Produce,
        Self::Latency,
        Self::Window,
        Self::Commits,
        Self::Start,
        Self::Partitions,
        Self::Topics,
        Self::Many,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Limits => "limits",
            Self::Produce => "produce",
            Self::Latency => "latency",
            Self::Window => "window",
            Self::Commits => "commits",
            Self::Start => "start",
            Self::Partitions => "partitions",
            Self::Topics => "topics",
            Self::Many => "many",
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// A name that is none of [`Section::ALL`].
#[derive(Debug, thiserror::Error)]
#[error("unknown section {0:?}: one of limits, produce, latency, window, commits, start, partitions, topics, many")]
pub struct UnknownSection(String);

impl FromStr for Section {
    type Err = UnknownSection;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|section| section.name() == text);
        found.ok_or_else(|| UnknownSection(text.to_owned()))
    }
}

/// How much of everything.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Rounds that count. Medians are over rounds.
    pub rounds: u32,
    /// Rounds before those whose figures are thrown away: peers on a virtual machine of their own compile meanwhile.
    pub warm_ups: u32,
    /// Messages a produce run, by message size.
    pub messages_100b: u64,
    pub messages_1k: u64,
    pub latency: Duration,
    /// Requests a closed-loop run with one in flight, and with more.
    pub closed: u32,
    pub window: u32,
    /// How long each commit row runs.
    pub commits: Duration,
    /// Topics of the `topics` and `start` sections: half created one a request, half 100 a request.
    pub topics: u32,
    /// Topics of the `many` section.
    pub many_topics: u32,
    /// Topics of the `partitions` section, and partitions of each, all with one record on disk.
    pub partition_topics: u32,
    pub partitions_each: u32,
}

impl Plan {
    /// Three counted rounds of the sizes the goals were set with.
    pub fn full() -> Self {
        Self {
            rounds: 3,
            warm_ups: 1,
            messages_100b: 1_000_000,
            messages_1k: 300_000,
            latency: Duration::from_secs(5),
            closed: 2_000,
            window: 20_000,
            commits: Duration::from_secs(4),
            topics: 1_000,
            many_topics: 10_000,
            partition_topics: 1_000,
            partitions_each: 100,
        }
    }

    /// One round of everything in a minute or two: shows that all works, proves no figure.
    pub fn quick() -> Self {
        Self {
            rounds: 1,
            warm_ups: 0,
            messages_100b: 50_000,
            messages_1k: 20_000,
            latency: Duration::from_secs(1),
            closed: 200,
            window: 1_000,
            commits: Duration::from_secs(1),
            topics: 100,
            many_topics: 500,
            partition_topics: 20,
            partitions_each: 50,
        }
    }

    pub fn messages(&self, size: u32) -> u64 {
        if size >= 1024 { self.messages_1k } else { self.messages_100b }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_is_found_by_its_name() {
        for section in Section::ALL {
            assert_eq!(section.name().parse::<Section>().expect("its own name"), section);
        }
        let error = "speed".parse::<Section>().expect_err("no section");
        assert!(Section::ALL.iter().all(|section| error.to_string().contains(section.name())));
    }
}
