//! One whole run: which sections, in which order, and what becomes of a measurement that fails.

use crate::broker::LaunchError;
use crate::client::Client;
use crate::figures::{Figures, Metric, Row};
use crate::plan::{Plan, Section};
use crate::process::ToolError;
use crate::section;
use crate::subject::{Broker, Subject};
use crate::tools::Tools;

/// Why a measurement gave no figure.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("{failed} of {sent} messages were not acknowledged")]
    Undelivered { sent: u64, failed: u64 },
    #[error("{acked} acknowledged ({bytes} bytes), but read back: {read}")]
    NotReadBack { acked: u64, bytes: u64, read: String },
    #[error("incomplete: {line}")]
    Incomplete { line: String },
    #[error("the broker did not end when asked to")]
    NotStopped,
}

/// Everything a section needs.
pub struct Bench {
    pub tools: Tools,
    pub client: Client,
    pub plan: Plan,
    pub brokers: Vec<Broker>,
    pub sections: Vec<Section>,
    pub figures: Figures,
}

impl Bench {
    pub fn new(tools: Tools, plan: Plan, brokers: Vec<Broker>, sections: Vec<Section>) -> Self {
        let client = Client::new(&tools);
        Self { tools, client, plan, brokers, sections, figures: Figures::default() }
    }

    pub fn wants(&self, section: Section) -> bool {
        self.sections.contains(&section)
    }

    /// Runs every section asked for. What fails is noted and the rest goes on.
    pub fn run(&mut self) {
        let load = [Section::Limits, Section::Produce, Section::Latency, Section::Window, Section::Commits];
        if load.into_iter().any(|section| self.wants(section)) {
            section::load::run(self);
        }
        for (wanted, measure) in [
            (Section::Start, section::start::run as fn(&mut Self)),
            (Section::Partitions, section::partitions::run),
            (Section::Topics, section::topics::run),
            (Section::Many, section::topics::run_many),
        ] {
            if self.wants(wanted) {
                measure(self);
            }
        }
    }

    /// Keeps the figures of a measurement, or notes why there are none.
    pub fn keep(&mut self, row: Row, subject: impl Into<Subject>, outcome: Result<Vec<(Metric, f64)>, MeasureError>) {
        let subject = subject.into();
        match outcome {
            Ok(values) => {
                for (metric, value) in values {
                    self.figures.add(row, subject, metric, value);
                }
            }
            Err(why) => self.figures.fault(format!("{subject}, {row}: {why}")),
        }
    }

    /// The brokers asked for, beginning one further each round, so that none always follows the same other.
    pub fn in_turn(&self, round: u32) -> Vec<Broker> {
        let mut order = self.brokers.clone();
        let count = order.len().max(1);
        order.rotate_left(round as usize % count);
        order
    }
}
