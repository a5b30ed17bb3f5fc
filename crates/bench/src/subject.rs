//! Who is measured.

use std::fmt;
use std::str::FromStr;

/// A broker in one configuration: a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broker {
    /// Chronik as it comes: an acknowledgement means synced to disk.
    ChronikSync,
    /// Chronik with `flush.mode=async`: an acknowledgement means in the page cache.
    ChronikAsync,
    /// Tansu with its memory storage engine.
    Tansu,
    /// Apache Kafka with its default settings: an acknowledgement means in the page cache.
    Kafka,
}

impl Broker {
    pub const ALL: [Self; 4] = [Self::ChronikSync, Self::ChronikAsync, Self::Tansu, Self::Kafka];

    pub fn is_ours(self) -> bool {
        matches!(self, Self::ChronikSync | Self::ChronikAsync)
    }

    /// Whether data outlives the process.
    pub fn keeps_data(self) -> bool {
        self != Self::Tansu
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        Subject::from(*self).fmt(out)
    }
}

/// A name that is none of [`Broker::ALL`].
#[derive(Debug, thiserror::Error)]
#[error("unknown broker {0:?}: one of chronik-sync, chronik-async, tansu, kafka")]
pub struct UnknownBroker(String);

impl FromStr for Broker {
    type Err = UnknownBroker;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|broker| broker.to_string() == text);
        found.ok_or_else(|| UnknownBroker(text.to_owned()))
    }
}

/// Whose a figure is: a broker's, or something else's that no process of its own stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    ChronikSync,
    ChronikAsync,
    Tansu,
    Kafka,
    /// The Apache Kafka process, on topics with `flush.messages=1`: an acknowledgement means synced to disk.
    KafkaFlush,
    /// The machine and the client without a broker.
    Machine,
}

impl Subject {
    /// In the order of the tables.
    pub const ALL: [Self; 6] =
        [Self::ChronikSync, Self::ChronikAsync, Self::Tansu, Self::Kafka, Self::KafkaFlush, Self::Machine];
    /// The configurations of ours that the goals are held against.
    pub const OURS: [Self; 2] = [Self::ChronikSync, Self::ChronikAsync];
}

impl From<Broker> for Subject {
    fn from(broker: Broker) -> Self {
        match broker {
            Broker::ChronikSync => Self::ChronikSync,
            Broker::ChronikAsync => Self::ChronikAsync,
            Broker::Tansu => Self::Tansu,
            Broker::Kafka => Self::Kafka,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::ChronikSync => "chronik-sync",
            Self::ChronikAsync => "chronik-async",
            Self::Tansu => "tansu",
            Self::Kafka => "kafka",
            Self::KafkaFlush => "kafka-flush",
            Self::Machine => "machine",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_broker_is_found_by_its_name_and_nothing_else_is() {
        for broker in Broker::ALL {
            assert_eq!(broker.to_string().parse::<Broker>().expect("its own name"), broker);
        }
        for other in ["machine", "kafka-flush", "Kafka", ""] {
            let error = other.parse::<Broker>().expect_err("no broker");
            assert!(Broker::ALL.iter().all(|broker| error.to_string().contains(&broker.to_string())));
        }
    }
}
