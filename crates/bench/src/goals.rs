//! The goals: ratios and bounds that a run's medians are held against.

use crate::figures::{Figures, Metric, Row};
use crate::plan::{
    CEILING_100B, CLOSED_1K, CLOSED_100B, COMMITS_RAW, CONSUME, CONSUME_1K, IDLE, LATENCY_ONE, MANY_CREATE,
    MANY_CREATE_FEW, MANY_METADATA, METADATA, PING_PONG, PRODUCE, PRODUCE_1K, PRODUCE_100B, PRODUCE_100B_6P_IDEMPOTENT,
    PRODUCE_100B_IDEMPOTENT, START_CLEAN, START_EMPTY, START_KILLED, START_TOPICS, SYNC_RATE, WINDOW_1K,
};
use crate::subject::Subject;

/// What our figure is divided by.
#[derive(Clone, Copy, Debug)]
enum Base {
    /// The same row and metric of a peer.
    Peer(Subject),
    /// Another row of a fixed subject.
    Of(Subject, Row, Metric),
    /// Another row of our own, in the same configuration.
    Own(Row, Metric),
    /// Nothing: the figure itself is bounded.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// One goal, held against each configuration of ours (or against one of them only).
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    row: Row,
    metric: Metric,
    base: Base,
    bound: Bound,
    only: Option<Subject>,
}

/// A goal's outcome for one configuration: the ratio or figure, and whether it keeps the bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verdict {
    pub value: f64,
    pub kept: bool,
}

impl Goal {
    const fn new(row: Row, metric: Metric, base: Base, bound: Bound) -> Self {
        Self { row, metric, base, bound, only: None }
    }

    const fn only(self, subject: Subject) -> Self {
        Self { only: Some(subject), ..self }
    }

    /// What is measured.
    pub fn what(&self) -> String {
        format!("{}: {}", self.row, self.metric.heading())
    }

    /// The bound, with what it is relative to.
    pub fn bound(&self) -> String {
        let (sign, limit) = match self.bound {
            Bound::AtLeast(limit) => ("≥", limit),
            Bound::AtMost(limit) => ("≤", limit),
        };
        match self.base {
            Base::Peer(peer) => format!("{sign} {limit}x {peer}"),
            Base::Of(subject, row, _) => format!("{sign} {limit}x {subject}, {row}"),
            Base::Own(row, _) => format!("{sign} {limit}x own, {row}"),
            Base::Nothing => format!("{sign} {limit}"),
        }
    }

    /// The outcome for `ours`; none if a figure is missing or the goal is not for this configuration.
    pub fn verdict(&self, figures: &Figures, ours: Subject) -> Option<Verdict> {
        if self.only.is_some_and(|only| only != ours) {
            return None;
        }
        let figure = figures.median(self.row, ours, self.metric)?;
        let value = match self.base {
            Base::Peer(peer) => figure / figures.median(self.row, peer, self.metric)?,
            Base::Of(subject, row, metric) => figure / figures.median(row, subject, metric)?,
            Base::Own(row, metric) => figure / figures.median(row, ours, metric)?,
            Base::Nothing => figure,
        };
        let kept = match self.bound {
            Bound::AtLeast(limit) => value >= limit,
            Bound::AtMost(limit) => value <= limit,
        };
        Some(Verdict { value, kept })
    }
}

/// All goals this run can decide.
pub fn goals() -> Vec<Goal> {
    let mut goals = against_tansu();
    goals.extend(against_kafka());
    goals.extend(of_our_own());
    goals
}

fn against_tansu() -> Vec<Goal> {
    let tansu = Base::Peer(Subject::Tansu);
    let at_least = |row, metric, limit| Goal::new(row, metric, tansu, Bound::AtLeast(limit));
    let at_most = |row, metric, limit| Goal::new(row, metric, tansu, Bound::AtMost(limit));
    vec![
        at_least(PRODUCE_100B, Metric::Rate, 1.0),
        at_least(PRODUCE_100B_IDEMPOTENT, Metric::Rate, 1.1),
        at_least(PRODUCE_100B_6P_IDEMPOTENT, Metric::Rate, 1.1),
        at_least(PRODUCE_1K, Metric::Rate, 1.5),
        at_most(PRODUCE_1K, Metric::BrokerCpu, 0.35),
        at_most(PRODUCE_100B, Metric::BrokerCpu, 0.5),
        at_least(CONSUME_1K, Metric::Rate, 1.8),
        at_most(CONSUME_1K, Metric::BrokerCpu, 0.4),
        at_most(LATENCY_ONE, Metric::E2eP50, 0.02),
        at_most(LATENCY_ONE, Metric::E2eP99, 0.03),
        at_most(LATENCY_ONE, Metric::P99, 0.05),
        at_most(LATENCY_ONE, Metric::BrokerSeconds, 0.15),
        at_least(CLOSED_100B, Metric::Rate, 2.0),
        at_most(CLOSED_100B, Metric::P99, 0.5),
        at_most(METADATA, Metric::P50, 0.4),
        at_most(METADATA, Metric::P99, 0.4),
        at_most(METADATA, Metric::RssEach, 0.7),
        at_most(START_EMPTY, Metric::Rss, 1.5),
        at_most(START_EMPTY, Metric::FirstAck, 1.0),
    ]
}

/// At least 1.2 times the throughput, at most 0.3 times the processor time a message, at most 0.1 times the memory.
fn against_kafka() -> Vec<Goal> {
    let kafka = Base::Peer(Subject::Kafka);
    let rows = PRODUCE.iter().map(|row| row.name).chain(CONSUME);
    let mut goals: Vec<Goal> = rows
        .flat_map(|row| {
            [
                Goal::new(row, Metric::Rate, kafka, Bound::AtLeast(1.2)),
                Goal::new(row, Metric::BrokerCpu, kafka, Bound::AtMost(0.3)),
            ]
        })
        .collect();
    for row in [IDLE, START_EMPTY] {
        goals.push(Goal::new(row, Metric::Rss, kafka, Bound::AtMost(0.1)));
    }
    goals
}

fn of_our_own() -> Vec<Goal> {
    let ceiling = Base::Of(Subject::Machine, CEILING_100B, Metric::Rate);
    let unsynced = Base::Of(Subject::ChronikAsync, WINDOW_1K, Metric::Rate);
    let disk = Base::Of(Subject::Machine, SYNC_RATE, Metric::Rate);
    let loopback = Base::Of(Subject::Machine, PING_PONG, Metric::P50);
    vec![
        Goal::new(PRODUCE_100B, Metric::Rate, ceiling, Bound::AtLeast(0.6)),
        Goal::new(WINDOW_1K, Metric::Rate, unsynced, Bound::AtLeast(0.5)).only(Subject::ChronikSync),
        Goal::new(CLOSED_1K, Metric::Rate, disk, Bound::AtLeast(0.6)).only(Subject::ChronikSync),
        Goal::new(CLOSED_100B, Metric::P50, loopback, Bound::AtMost(8.0)),
        // A bound, not a ratio: with the leaders known most of a peer's figure is the client connecting.
        Goal::new(CONSUME_1K, Metric::First, Base::Nothing, Bound::AtMost(28.0)),
        Goal::new(MANY_CREATE, Metric::Rate, Base::Own(MANY_CREATE_FEW, Metric::Rate), Bound::AtLeast(0.8)),
        Goal::new(MANY_METADATA, Metric::P99, Base::Nothing, Bound::AtMost(10.0)),
        Goal::new(COMMITS_RAW, Metric::Rate, Base::Nothing, Bound::AtLeast(10_000.0)),
        Goal::new(COMMITS_RAW, Metric::P99, Base::Nothing, Bound::AtMost(10.0)),
        Goal::new(START_EMPTY, Metric::FirstAck, Base::Nothing, Bound::AtMost(100.0)),
        Goal::new(START_TOPICS, Metric::FirstAck, Base::Own(START_EMPTY, Metric::FirstAck), Bound::AtMost(1.5)),
        Goal::new(START_CLEAN, Metric::Ready, Base::Nothing, Bound::AtMost(2000.0)),
        Goal::new(START_KILLED, Metric::Ready, Base::Nothing, Bound::AtMost(2000.0)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(ours: f64, theirs: f64) -> Figures {
        let mut figures = Figures::default();
        figures.add(PRODUCE_1K, Subject::ChronikSync, Metric::Rate, ours);
        figures.add(PRODUCE_1K, Subject::Tansu, Metric::Rate, theirs);
        figures
    }

    #[test]
    fn a_ratio_on_the_bound_is_kept_and_one_under_it_is_not() {
        let goal = Goal::new(PRODUCE_1K, Metric::Rate, Base::Peer(Subject::Tansu), Bound::AtLeast(1.5));
        let kept = goal.verdict(&figures(150.0, 100.0), Subject::ChronikSync);
        assert_eq!(kept, Some(Verdict { value: 1.5, kept: true }));
        let missed = goal.verdict(&figures(149.0, 100.0), Subject::ChronikSync).expect("both figures are there");
        assert!(!missed.kept);
        assert_eq!(goal.bound(), "≥ 1.5x tansu");
    }

    #[test]
    fn a_missing_figure_decides_nothing() {
        let goal = Goal::new(PRODUCE_1K, Metric::Rate, Base::Peer(Subject::Kafka), Bound::AtLeast(1.2));
        assert_eq!(goal.verdict(&figures(1.0, 1.0), Subject::ChronikSync), None);
        assert_eq!(goal.verdict(&figures(1.0, 1.0), Subject::ChronikAsync), None);
    }

    #[test]
    fn a_goal_of_one_configuration_is_not_held_against_the_other() {
        let goal = Goal::new(PRODUCE_1K, Metric::Rate, Base::Nothing, Bound::AtMost(2.0));
        assert!(goal.verdict(&figures(1.0, 1.0), Subject::ChronikSync).is_some());
        assert_eq!(goal.only(Subject::ChronikAsync).verdict(&figures(1.0, 1.0), Subject::ChronikSync), None);
    }
}
