//! The consumer group protocol (KIP-848): the coordinator assigns, and each member is led to its part by heartbeats.
//!
//! Three epochs: the group's rises whenever there is reason to assign anew, the target's follows when that was done, and a
//! member's follows when it has let go of all that the target does not give it. A partition changes hands only after the
//! heartbeat of its former owner no longer lists it.

mod assignor;
mod classic_members;
mod commit;
mod describe;
mod embedded;
mod heartbeat;
mod leave;
mod member;
mod migration;
mod pattern;
mod reconcile;
mod stored;
mod target;
mod timers;
mod topics;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use chronik_protocol::error::ErrorCode;
use chronik_protocol::types::{PartitionId, TopicId};

pub use assignor::Assignor;
pub use commit::Commits;
pub use describe::{ConsumerMemberSummary, ConsumerSummary};
pub use heartbeat::{Heartbeat, Heartbeaten, JOIN_EPOCH, LEAVE_EPOCH, STATIC_LEAVE_EPOCH};
pub use member::ClassicMembership;
pub use member::MemberState;
pub use migration::Migration;
pub use stored::{StoredConsumerGroup, StoredConsumerMember};
pub use topics::{TopicInfo, Topics};

use member::Member;
use topics::Subscriptions;

/// Partitions by topic.
pub type Assignment = BTreeMap<TopicId, BTreeSet<PartitionId>>;

/// Partitions by topic, each with the member epoch in which it was given.
pub type Owned = BTreeMap<TopicId, BTreeMap<PartitionId, i32>>;

/// What the operator allows one group. Times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// `group.consumer.session.timeout.ms`
    pub session_timeout_ms: i32,
    /// `group.consumer.heartbeat.interval.ms`
    pub heartbeat_interval_ms: i32,
    /// `group.consumer.assignment.interval.ms`
    pub assignment_interval_ms: i32,
    /// `group.consumer.regex.refresh.interval.ms`
    pub regex_refresh_interval_ms: i32,
    /// `group.min.session.timeout.ms` and `group.max.session.timeout.ms`, for members of the classic protocol
    pub classic_session_timeouts_ms: RangeInclusive<i32>,
    /// `group.consumer.max.size`
    pub max_size: usize,
    /// `group.consumer.assignors`, the default first; never empty.
    pub assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy`
    pub migration: Migration,
}

/// What a step may know of the world.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Milliseconds of the caller's monotonic clock.
    pub now_ms: i64,
    pub settings: &'a ConsumerSettings,
    pub topics: &'a dyn Topics,
}

/// Kafka's states of such a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerState {
    /// No members; there may be offsets.
    Empty,
    /// The target is older than the group's epoch.
    Assigning,
    /// Some members have yet to reach the target.
    Reconciling,
    Stable,
    /// Deleted; a request that still finds it must look for the coordinator again.
    Dead,
}

impl ConsumerState {
    /// As Kafka spells it.
    pub fn name(self) -> &'static str {
        match self {
            ConsumerState::Empty => "Empty",
            ConsumerState::Assigning => "Assigning",
            ConsumerState::Reconciling => "Reconciling",
            ConsumerState::Stable => "Stable",
            ConsumerState::Dead => "Dead",
        }
    }
}

/// Why a request is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub error: ErrorCode,
    pub message: String,
}

impl Refusal {
    pub fn new(error: ErrorCode, message: impl Into<String>) -> Self {
        Refusal { error, message: message.into() }
    }
}

/// One group.
#[derive(Clone, Debug, Default)]
pub struct ConsumerGroup {
    /// Raised whenever there is reason to assign anew.
    epoch: i32,
    /// The group epoch of which `targets` is the outcome. Invariant: `target_epoch <= epoch`.
    target_epoch: i32,
    /// What each member is to have in the end. Nobody's target lists what another's does.
    targets: BTreeMap<String, Assignment>,
    /// When the targets were computed; `None` if that was before a restart.
    assigned_ms: Option<i64>,
    members: BTreeMap<String, Member>,
    /// Member ids by `group.instance.id`.
    static_members: BTreeMap<String, String>,
    /// The member that has each partition, or has yet to let go of it.
    owners: BTreeMap<(TopicId, PartitionId), String>,
    subscriptions: Subscriptions,
    touched: Touched,
    dead: bool,
}

/// What differs from what was last written down.
#[derive(Clone, Debug, Default)]
struct Touched {
    head: bool,
    members: BTreeSet<String>,
    targets: BTreeSet<String>,
}

impl ConsumerGroup {
    /// A group that nobody has joined.
    pub fn new() -> Self {
        ConsumerGroup::default()
    }

    pub fn state(&self) -> ConsumerState {
        if self.dead {
            ConsumerState::Dead
        } else if self.members.is_empty() {
            ConsumerState::Empty
        } else if self.epoch > self.target_epoch {
            ConsumerState::Assigning
        } else if self.members.values().all(|member| member.has_reached(self.target_epoch)) {
            ConsumerState::Stable
        } else {
            ConsumerState::Reconciling
        }
    }

    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    pub fn target_epoch(&self) -> i32 {
        self.target_epoch
    }

    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn is_dead(&self) -> bool {
        self.dead
    }

    /// The group is deleted.
    pub fn end(&mut self) {
        self.dead = true;
    }

    /// The topics that members subscribe to, by name or pattern.
    pub fn subscribed_topics(&self) -> BTreeSet<String> {
        let by_name = self.members.values().flat_map(|member| member.subscribed_names.iter());
        by_name.chain(self.subscriptions.matched()).cloned().collect()
    }

    fn raise_epoch(&mut self) {
        self.epoch += 1;
        self.touched.head = true;
    }
}
