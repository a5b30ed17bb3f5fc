//! The ways of assigning that the coordinator offers.

mod range;
mod uniform;

use std::collections::BTreeMap;

use chronik_protocol::types::TopicId;

use super::Assignment;

/// One of Kafka's assignors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// As evenly as possible, with as little change as possible.
    Uniform,
    /// Of each topic a range to each member, so that partitions of one number go together.
    Range,
}

impl Assignor {
    pub const ALL: [Assignor; 2] = [Assignor::Uniform, Assignor::Range];

    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    pub fn by_name(name: &str) -> Option<Assignor> {
        Assignor::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// Gives every partition of the topics subscribed to to one subscriber.
    pub(super) fn assign(self, subscribers: &[Subscriber]) -> BTreeMap<String, Assignment> {
        match self {
            Assignor::Uniform => uniform::assign(subscribers),
            Assignor::Range => range::assign(subscribers),
        }
    }
}

/// A member as an assignor sees it.
#[derive(Clone, Debug)]
pub(super) struct Subscriber<'a> {
    pub member_id: &'a str,
    pub instance_id: Option<&'a str>,
    /// Numbers of partitions by topic.
    pub topics: BTreeMap<TopicId, i32>,
    /// Its last target.
    pub former: &'a Assignment,
}
