//! One member of a consumer group.

use std::collections::BTreeSet;

use super::{Assignment, Owned};
use crate::classic::Protocol;

/// How far a member is on its way to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It has all that the target of its epoch gives it.
    Stable,
    /// It has been asked to let go of partitions and has not yet.
    UnrevokedPartitions,
    /// Others have yet to let go of partitions that it is to have.
    UnreleasedPartitions,
}

impl MemberState {
    /// Kafka's number.
    pub fn number(self) -> i32 {
        match self {
            MemberState::Stable => 0,
            MemberState::UnrevokedPartitions => 1,
            MemberState::UnreleasedPartitions => 2,
        }
    }

    /// The state of a number; any other is that of a member that has something to wait for.
    pub fn from_number(number: i32) -> Self {
        match number {
            0 => MemberState::Stable,
            1 => MemberState::UnrevokedPartitions,
            _ => MemberState::UnreleasedPartitions,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub subscription: Subscription,
    /// 0 before the first assignment; -2 for a static member that is away.
    pub epoch: i32,
    /// The epoch it is still let in with, should the answer that raised it have been lost.
    pub previous_epoch: i32,
    pub state: MemberState,
    /// What it has, or may take.
    pub assigned: Owned,
    /// What it has to let go of.
    pub revoking: Owned,
    /// When it is given up unless heard of.
    pub session_deadline_ms: i64,
    /// When it is given up unless it has let go; of a classic member, unless it has joined or synced.
    pub rebalance_deadline_ms: Option<i64>,
}

/// What a member says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subscription {
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub subscribed_names: BTreeSet<String>,
    pub subscribed_regex: Option<String>,
    pub server_assignor: Option<String>,
    /// Of a member of the classic protocol.
    pub classic: Option<ClassicMembership>,
}

/// What a member of the classic protocol says that others do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassicMembership {
    pub session_timeout_ms: i32,
    /// In order of preference.
    pub protocols: Vec<Protocol>,
}

impl std::ops::Deref for Member {
    type Target = Subscription;

    fn deref(&self) -> &Subscription {
        &self.subscription
    }
}

impl Member {
    pub fn new() -> Self {
        Member {
            subscription: Subscription::default(),
            epoch: 0,
            previous_epoch: 0,
            state: MemberState::Stable,
            assigned: Owned::new(),
            revoking: Owned::new(),
            session_deadline_ms: 0,
            rebalance_deadline_ms: None,
        }
    }

    pub fn has_reached(&self, target_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == target_epoch
    }

    /// Its pattern; `None` also for an empty one, which subscribes to nothing.
    pub fn pattern(&self) -> Option<&str> {
        self.subscription.pattern()
    }

    /// The epoch in which it was given a partition that it has, or has yet to let go of.
    pub fn given_in(&self, topic_id: super::TopicId, partition: super::PartitionId) -> Option<i32> {
        let of = |owned: &Owned| owned.get(&topic_id)?.get(&partition).copied();
        of(&self.assigned).or_else(|| of(&self.revoking))
    }
}

impl Subscription {
    pub fn pattern(&self) -> Option<&str> {
        self.subscribed_regex.as_deref().filter(|pattern| !pattern.is_empty())
    }
}

/// Without the epochs.
pub(super) fn partitions(owned: &Owned) -> Assignment {
    owned.iter().map(|(topic_id, partitions)| (*topic_id, partitions.keys().copied().collect())).collect()
}
