//! The classic group protocol: members join, a leader among them assigns, all sync, and heartbeats keep them in
//! (KIP-62, KIP-345 static members, KIP-394 member-id handshake, KIP-429 cooperative rebalancing, KIP-814).
//!
//! What the broker carries is opaque: subscriptions and assignments are bytes to it, the protocol type is a word.

mod join;
mod leave;
mod member;
mod moving;
mod rebalance;
mod stored;
mod subscription;
mod sync;
mod timers;

use std::collections::BTreeMap;

use bytes::Bytes;
use chronik_protocol::error::ErrorCode;

pub use join::{Join, Joined, JoinedMember};
pub use leave::Leaver;
pub use member::{MemberSummary, Protocol};
pub use moving::MovingMember;
pub use stored::{StoredGroup, StoredMember};
pub use sync::{Sync, Synced};

use member::Member;

/// The protocol type of consumers; only its subscriptions are ever looked into.
pub const CONSUMER: &str = "consumer";

/// Who waits for an answer: chosen by the caller, never used twice.
pub type Waiter = u64;

/// What the operator allows. Times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `group.min.session.timeout.ms`
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`
    pub max_session_timeout_ms: i32,
    /// `group.max.size`
    pub max_size: usize,
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: i64,
}

/// Kafka's group states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No members; there may be offsets.
    Empty,
    /// Members are asked to join again; those that do wait.
    PreparingRebalance,
    /// All joined; they wait for the leader's assignment.
    CompletingRebalance,
    /// All have their assignments.
    Stable,
    /// Deleted; a request that still finds it must look for the coordinator again.
    Dead,
}

impl State {
    /// As Kafka spells it.
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
            State::Dead => "Dead",
        }
    }
}

/// An answer to a request that had to wait, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Join(Joined),
    Sync(Result<Synced, ErrorCode>),
}

/// What follows from one step.
#[derive(Debug, Default)]
pub struct Effects {
    /// To be given now.
    pub answers: Vec<(Waiter, Answer)>,
    /// To be made durable; the outcome goes to [`ClassicGroup::stored`]. A later one replaces an earlier one that is
    /// not yet on its way.
    pub store: Option<StoredGroup>,
}

impl Effects {
    fn answer(&mut self, waiter: Option<Waiter>, answer: Answer) {
        self.answers.extend(waiter.map(|waiter| (waiter, answer)));
    }
}

/// One group. Times are milliseconds of the caller's monotonic clock.
#[derive(Debug)]
pub struct ClassicGroup {
    settings: Settings,
    state: State,
    protocol_type: Option<String>,
    /// Raised at each rebalance.
    generation: i32,
    /// Chosen at each rebalance among what all members support.
    protocol: Option<String>,
    leader: Option<String>,
    members: BTreeMap<String, Member>,
    /// Member ids by `group.instance.id`.
    static_members: BTreeMap<String, String>,
    /// Member ids that were given out and have not come back with, and until when they may.
    pending: BTreeMap<String, i64>,
    /// When a rebalance ends without those that have not joined again.
    join_deadline: Option<JoinDeadline>,
    /// When members that have not synced are removed.
    sync_deadline: Option<i64>,
    /// What is on its way to the disk, and whom it will let go on.
    storing: Option<Storing>,
    /// Members are numbered as they come.
    joined: u64,
}

/// When a rebalance ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JoinDeadline {
    /// At this time, or when all members have joined.
    Rebalance(i64),
    /// At this time and not before, to gather the first members of a group; put off while more come, for
    /// `remaining_ms` in all.
    Initial { at_ms: i64, remaining_ms: i64, new_members: bool },
}

impl JoinDeadline {
    fn at_ms(self) -> i64 {
        match self {
            JoinDeadline::Rebalance(at_ms) | JoinDeadline::Initial { at_ms, .. } => at_ms,
        }
    }
}

/// What waits for the disk.
#[derive(Debug)]
enum Storing {
    /// The leader's assignment.
    Assignment { generation: i32, assignments: BTreeMap<String, Bytes> },
    /// A static member that took the place of its former self without a rebalance.
    Replacement { generation: i32, member_id: String, waiter: Waiter, joined: Box<Joined>, before: Box<Replaced> },
}

/// A static member as it was before it came back.
#[derive(Debug)]
struct Replaced {
    member_id: String,
    member: Member,
    was_leader: bool,
}

impl ClassicGroup {
    /// A group that nobody has joined.
    pub fn new(settings: Settings) -> Self {
        ClassicGroup {
            settings,
            state: State::Empty,
            protocol_type: None,
            generation: 0,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending: BTreeMap::new(),
            join_deadline: None,
            sync_deadline: None,
            storing: None,
            joined: 0,
        }
    }

    pub fn settings(&self) -> Settings {
        self.settings
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// `None` before the first member, and for a group that only has offsets.
    pub fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// The protocol in force, e.g. `range`; `None` while there is none.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// The member id of the leader.
    pub fn leader(&self) -> Option<&str> {
        self.leader.as_deref()
    }

    /// Whether it has no members, and nothing is on its way to the disk; members may be expected.
    pub fn may_be_deleted(&self) -> bool {
        self.members.is_empty() && self.storing.is_none()
    }

    /// Whether nothing would be lost with it but its offsets: no members, none expected, and nothing on its way to the
    /// disk.
    pub fn is_idle(&self) -> bool {
        self.may_be_deleted() && self.pending.is_empty()
    }

    /// All members, in the order in which they came.
    pub fn members(&self) -> Vec<MemberSummary> {
        let stable = self.state == State::Stable;
        let protocol = self.protocol.as_deref();
        let summary = |(id, member): (&String, &Member)| member.summary(id, protocol, stable);
        self.in_order().map(summary).collect()
    }

    fn in_order(&self) -> impl Iterator<Item = (&String, &Member)> {
        let mut all: Vec<_> = self.members.iter().collect();
        all.sort_unstable_by_key(|(_, member)| member.number);
        all.into_iter()
    }

    /// The group ends here, since it is deleted or its coordinator stops. Whoever waits is told `error`.
    pub fn end(&mut self, error: ErrorCode, out: &mut Effects) {
        self.state = State::Dead;
        self.pending.clear();
        for (id, member) in &mut self.members {
            out.answer(member.awaiting_join.take(), Answer::Join(Joined::refused(id.clone(), error)));
            out.answer(member.awaiting_sync.take(), Answer::Sync(Err(error)));
        }
        if let Some(Storing::Replacement { waiter, member_id, .. }) = self.storing.take() {
            out.answer(Some(waiter), Answer::Join(Joined::refused(member_id, error)));
        }
    }

    /// Whether the member may act for this generation, as a heartbeat or a commit does.
    fn check_member(&self, member_id: &str, instance_id: Option<&str>, generation: i32) -> Result<(), ErrorCode> {
        self.check_identity(member_id, instance_id)?;
        if generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        Ok(())
    }

    /// Whether there is such a member, and its static id is still its own.
    fn check_identity(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(known) if known != member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    /// Keeps a member in. What it is told: whether it has to join again.
    pub fn heartbeat(
        &mut self,
        now_ms: i64,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        match self.state {
            State::Dead => return Err(ErrorCode::CoordinatorNotAvailable),
            State::Empty => return Err(ErrorCode::UnknownMemberId),
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {}
        }
        self.check_member(member_id, instance_id, generation)?;
        self.heard_of(now_ms, member_id);
        if self.state == State::PreparingRebalance { Err(ErrorCode::RebalanceInProgress) } else { Ok(()) }
    }

    /// Whether offsets may be committed. A consumer outside any generation (-1, no member id) may while the group has no
    /// members; a member may in its generation, and is kept in by it.
    pub fn check_commit(
        &mut self,
        now_ms: i64,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        match self.state {
            State::Dead => return Err(ErrorCode::CoordinatorNotAvailable),
            State::Empty if generation < 0 => return Ok(()),
            _ => {}
        }
        if generation < 0 && member_id.is_empty() && instance_id.is_none() {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.check_member(member_id, instance_id, generation)?;
        match self.state {
            State::CompletingRebalance => Err(ErrorCode::RebalanceInProgress),
            _ => {
                self.heard_of(now_ms, member_id);
                Ok(())
            }
        }
    }

    fn heard_of(&mut self, now_ms: i64, member_id: &str) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.heard_of(now_ms);
        }
    }
}
