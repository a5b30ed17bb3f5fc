//! JoinGroup.

use bytes::Bytes;
use chronik_protocol::error::ErrorCode;

use super::member::{Member, Protocol};
use super::{Answer, ClassicGroup, Effects, Replaced, State, Storing, Waiter};

/// Member ids that may be given out and not come back; one more, and the one that would expire first is forgotten.
const MAX_PENDING: usize = 1000;

/// A member wants to be in the next generation.
#[derive(Clone, Debug)]
pub struct Join {
    /// Empty for a member that has none yet.
    pub member_id: String,
    /// `group.instance.id` of a static member (KIP-345).
    pub instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocol_type: String,
    /// In order of preference.
    pub protocols: Vec<Protocol>,
    /// Whether a member without an id gets one first and has to come back with it (KIP-394, from version 4).
    pub requires_member_id: bool,
    /// Whether the member knows what it means that it need not assign (KIP-814, from version 9).
    pub can_skip_assignment: bool,
}

/// The answer to a JoinGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub error: ErrorCode,
    /// -1 with an error.
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    /// Empty with an error.
    pub leader: String,
    pub skip_assignment: bool,
    pub member_id: String,
    /// For the leader alone.
    pub members: Vec<JoinedMember>,
}

/// What the leader is told of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub metadata: Bytes,
}

impl Joined {
    pub fn refused(member_id: String, error: ErrorCode) -> Self {
        Joined {
            error,
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: String::new(),
            skip_assignment: false,
            member_id,
            members: Vec::new(),
        }
    }
}

impl ClassicGroup {
    /// A member joins. It is answered at once, or when the generation begins. `new_member_id` is used where the member
    /// has none.
    pub fn join(&mut self, now_ms: i64, join: Join, new_member_id: String, waiter: Waiter, out: &mut Effects) {
        let member_id = join.member_id.clone();
        let outcome = self.check_join(&join).and_then(|()| match join.member_id.is_empty() {
            true => self.join_unknown(now_ms, join, new_member_id, waiter, out),
            false => self.join_known(now_ms, join, waiter, out),
        });
        if let Err(error) = outcome {
            if error == ErrorCode::GroupMaxSizeReached && self.members.contains_key(&member_id) {
                self.remove_member(&member_id, out);
                self.after_removal(now_ms, out);
            }
            out.answer(Some(waiter), Answer::Join(Joined::refused(member_id, error)));
        }
    }

    fn check_join(&self, join: &Join) -> Result<(), ErrorCode> {
        let (least, most) = (self.settings.min_session_timeout_ms, self.settings.max_session_timeout_ms);
        if join.session_timeout_ms < least || join.session_timeout_ms > most {
            return Err(ErrorCode::InvalidSessionTimeout);
        }
        if self.state == State::Dead {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        if !self.has_room_for(&join.member_id) {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        if !self.takes_protocols(join) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        Ok(())
    }

    /// Whether the group would still have a protocol that all its members support.
    fn takes_protocols(&self, join: &Join) -> bool {
        if join.protocol_type.is_empty() || join.protocols.is_empty() {
            return false;
        }
        if self.state == State::Empty {
            return true;
        }
        self.protocol_type.as_deref() == Some(&join.protocol_type)
            && join.protocols.iter().any(|own| self.members.values().all(|member| member.supports(&own.name)))
    }

    /// `group.max.size` holds for new members, and for all of them while they join again.
    fn has_room_for(&self, member_id: &str) -> bool {
        let known = self.members.get(member_id);
        let max_size = self.settings.max_size;
        match self.state {
            State::Empty | State::Dead => true,
            State::PreparingRebalance => {
                let awaiting = self.members.values().filter(|member| member.awaiting_join.is_some()).count();
                known.is_some_and(|member| member.awaiting_join.is_some()) || awaiting < max_size
            }
            State::CompletingRebalance | State::Stable => known.is_some() || self.members.len() < max_size,
        }
    }

    fn join_unknown(
        &mut self,
        now_ms: i64,
        join: Join,
        member_id: String,
        waiter: Waiter,
        out: &mut Effects,
    ) -> Result<(), ErrorCode> {
        if let Some(former) = join.instance_id.as_ref().and_then(|instance| self.static_members.get(instance)) {
            let former = former.clone();
            self.replace_static(now_ms, join, former, member_id, waiter, out);
            return Ok(());
        }
        if join.requires_member_id && join.instance_id.is_none() {
            self.expect(member_id.clone(), now_ms + i64::from(join.session_timeout_ms));
            out.answer(Some(waiter), Answer::Join(Joined::refused(member_id, ErrorCode::MemberIdRequired)));
            return Ok(());
        }
        self.add_member(now_ms, join, member_id, waiter, out);
        Ok(())
    }

    /// Expects a member id that was given out to come back.
    fn expect(&mut self, member_id: String, deadline_ms: i64) {
        if self.pending.len() >= MAX_PENDING
            && let Some(first) =
                self.pending.iter().min_by_key(|(_, deadline_ms)| **deadline_ms).map(|(id, _)| id.clone())
        {
            self.pending.remove(&first);
        }
        self.pending.insert(member_id, deadline_ms);
    }

    fn join_known(&mut self, now_ms: i64, join: Join, waiter: Waiter, out: &mut Effects) -> Result<(), ErrorCode> {
        let member_id = join.member_id.clone();
        if join.instance_id.is_none() && self.pending.remove(&member_id).is_some() {
            self.add_member(now_ms, join, member_id, waiter, out);
            return Ok(());
        }
        self.check_identity(&member_id, join.instance_id.as_deref())?;
        let member = self.members.get(&member_id).ok_or(ErrorCode::UnknownMemberId)?;
        let unchanged = member.protocols == join.protocols;
        let is_leader = self.leader.as_deref() == Some(&member_id);
        match self.state {
            State::CompletingRebalance if unchanged => {
                // It did not hear the answer to its last try.
                let joined = self.joined(&member_id, is_leader);
                self.heard_of(now_ms, &member_id);
                out.answer(Some(waiter), Answer::Join(joined));
            }
            State::Stable if unchanged && !is_leader => {
                let joined = self.joined(&member_id, false);
                self.heard_of(now_ms, &member_id);
                out.answer(Some(waiter), Answer::Join(joined));
            }
            _ => {
                self.update_member(now_ms, join, waiter, out);
                self.rebalance_or_go_on(now_ms, out);
            }
        }
        Ok(())
    }

    fn add_member(&mut self, now_ms: i64, join: Join, member_id: String, waiter: Waiter, out: &mut Effects) {
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type);
        }
        if let Some(instance_id) = &join.instance_id {
            self.static_members.insert(instance_id.clone(), member_id.clone());
        }
        self.joined += 1;
        let mut member = Member {
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            session_timeout_ms: join.session_timeout_ms,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            protocols: join.protocols,
            assignment: Bytes::new(),
            number: self.joined,
            is_new: true,
            awaiting_join: None,
            awaiting_sync: None,
            must_sync: false,
            session_deadline_ms: 0,
        };
        member.joins(now_ms, waiter);
        self.leader.get_or_insert_with(|| member_id.clone());
        self.members.insert(member_id, member);
        self.note_new_member();
        self.rebalance_or_go_on(now_ms, out);
    }

    fn update_member(&mut self, now_ms: i64, join: Join, waiter: Waiter, out: &mut Effects) {
        let Some(member) = self.members.get_mut(&join.member_id) else { return };
        member.protocols = join.protocols;
        member.session_timeout_ms = join.session_timeout_ms;
        member.rebalance_timeout_ms = join.rebalance_timeout_ms;
        member.client_id = join.client_id;
        member.client_host = join.client_host;
        // A client that gave up on its last try waits for this one.
        let former = member.awaiting_join.take();
        out.answer(former, Answer::Join(Joined::refused(join.member_id, ErrorCode::RebalanceInProgress)));
        member.joins(now_ms, waiter);
    }

    /// A static member comes back under a new id. Its former self is fenced.
    fn replace_static(
        &mut self,
        now_ms: i64,
        join: Join,
        former_id: String,
        member_id: String,
        waiter: Waiter,
        out: &mut Effects,
    ) {
        let Some(mut member) = self.members.remove(&former_id) else { return };
        let before = member.clone();
        let fenced = ErrorCode::FencedInstanceId;
        out.answer(member.awaiting_join.take(), Answer::Join(Joined::refused(former_id.clone(), fenced)));
        out.answer(member.awaiting_sync.take(), Answer::Sync(Err(fenced)));
        let protocol_before = self.protocol.clone();
        member.client_id = join.client_id;
        member.client_host = join.client_host;
        member.session_timeout_ms = join.session_timeout_ms;
        member.rebalance_timeout_ms = join.rebalance_timeout_ms;
        member.protocols = join.protocols;
        member.heard_of(now_ms);
        self.members.insert(member_id.clone(), member);
        if let Some(instance_id) = join.instance_id {
            self.static_members.insert(instance_id, member_id.clone());
        }
        let was_leader = self.leader.as_deref() == Some(&former_id);
        if was_leader {
            self.leader = Some(member_id.clone());
        }
        let settled = self.state == State::Stable && self.storing.is_none();
        if settled && self.chosen_protocol() == protocol_before {
            let mut joined = self.joined(&member_id, false);
            if was_leader && join.can_skip_assignment {
                joined.members = self.joined_members();
                joined.skip_assignment = true;
            } else if was_leader {
                // A client that does not know how to skip the assignment must not take itself for the leader.
                joined.leader = former_id.clone();
            }
            let before = Box::new(Replaced { member_id: former_id, member: before, was_leader });
            let generation = self.generation;
            self.storing =
                Some(Storing::Replacement { generation, member_id, waiter, joined: Box::new(joined), before });
            out.store = Some(self.to_store());
            return;
        }
        if let Some(member) = self.members.get_mut(&member_id) {
            member.joins(now_ms, waiter);
        }
        self.rebalance_or_go_on(now_ms, out);
    }

    /// What a member is told of the generation it is in.
    pub(super) fn joined(&self, member_id: &str, with_members: bool) -> Joined {
        Joined {
            error: ErrorCode::None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: if with_members { self.joined_members() } else { Vec::new() },
        }
    }

    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let of = |(id, member): (&String, &Member)| JoinedMember {
            member_id: id.clone(),
            instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
        };
        self.in_order().map(of).collect()
    }
}
