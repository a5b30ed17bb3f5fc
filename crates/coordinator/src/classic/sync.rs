//! SyncGroup.

use std::collections::BTreeMap;

use bytes::Bytes;
use chronik_protocol::error::ErrorCode;

use super::{Answer, ClassicGroup, Effects, Joined, State, Storing, Waiter};

/// A member asks for its assignment; the leader brings those of all.
#[derive(Clone, Debug)]
pub struct Sync {
    pub member_id: String,
    pub instance_id: Option<String>,
    pub generation: i32,
    /// Compared where given (KIP-559, from version 5).
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    /// By member id; looked at if it comes from the leader.
    pub assignments: BTreeMap<String, Bytes>,
}

/// The answer to a SyncGroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    pub protocol_type: Option<String>,
    pub protocol: Option<String>,
    pub assignment: Bytes,
}

impl ClassicGroup {
    /// A member syncs. It is answered at once, or once the leader's assignment is durable.
    pub fn sync(&mut self, now_ms: i64, sync: Sync, waiter: Waiter, out: &mut Effects) {
        if let Err(error) = self.try_sync(now_ms, sync, waiter, out) {
            out.answer(Some(waiter), Answer::Sync(Err(error)));
        }
    }

    fn try_sync(&mut self, now_ms: i64, sync: Sync, waiter: Waiter, out: &mut Effects) -> Result<(), ErrorCode> {
        if self.state == State::Dead {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        self.check_member(&sync.member_id, sync.instance_id.as_deref(), sync.generation)?;
        let differs = |asked: &Option<String>, ours: &Option<String>| asked.is_some() && asked != ours;
        if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol, &self.protocol) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match self.state {
            State::Empty | State::Dead => Err(ErrorCode::UnknownMemberId),
            State::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            State::CompletingRebalance => {
                self.await_assignment(&sync.member_id, waiter, out);
                if self.leader.as_ref() == Some(&sync.member_id) && self.storing.is_none() {
                    self.store_assignment(sync.assignments, out);
                }
                Ok(())
            }
            State::Stable => {
                let member = self.members.get_mut(&sync.member_id).ok_or(ErrorCode::UnknownMemberId)?;
                member.must_sync = false;
                member.heard_of(now_ms);
                let assignment = member.assignment.clone();
                out.answer(Some(waiter), Answer::Sync(Ok(self.synced(assignment))));
                Ok(())
            }
        }
    }

    fn await_assignment(&mut self, member_id: &str, waiter: Waiter, out: &mut Effects) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        member.must_sync = false;
        // A client that gave up on its last try waits for this one.
        out.answer(member.awaiting_sync.replace(waiter), Answer::Sync(Err(ErrorCode::RebalanceInProgress)));
    }

    fn synced(&self, assignment: Bytes) -> Synced {
        Synced { protocol_type: self.protocol_type.clone(), protocol: self.protocol.clone(), assignment }
    }

    /// Members that the leader leaves out are assigned nothing.
    fn store_assignment(&mut self, mut given: BTreeMap<String, Bytes>, out: &mut Effects) {
        let assignments: BTreeMap<_, _> =
            self.members.keys().map(|id| (id.clone(), given.remove(id).unwrap_or_default())).collect();
        let mut store = self.to_store();
        for member in &mut store.members {
            member.assignment = assignments.get(&member.member_id).cloned().unwrap_or_default();
        }
        self.storing = Some(Storing::Assignment { generation: self.generation, assignments });
        out.store = Some(store);
    }

    /// What [`Effects::store`] asked for is durable, or could not be made so. Changes nothing where the group has gone
    /// on to a rebalance meanwhile.
    pub fn stored(&mut self, now_ms: i64, generation: i32, outcome: Result<(), ErrorCode>, out: &mut Effects) {
        let current = match &self.storing {
            Some(Storing::Assignment { generation, .. } | Storing::Replacement { generation, .. }) => *generation,
            None => return,
        };
        if current != generation {
            return;
        }
        match (self.storing.take(), outcome) {
            (Some(Storing::Assignment { assignments, .. }), Ok(())) => self.assign(now_ms, assignments, out),
            (Some(Storing::Assignment { .. }), Err(error)) => {
                self.drop_assignment(now_ms, error, out);
                self.rebalance_or_go_on(now_ms, out);
            }
            (Some(Storing::Replacement { waiter, joined, .. }), Ok(())) => {
                out.answer(Some(waiter), Answer::Join(*joined));
            }
            (Some(Storing::Replacement { member_id, waiter, before, .. }), Err(error)) => {
                out.answer(Some(waiter), Answer::Join(Joined::refused(String::new(), error)));
                self.members.remove(&member_id);
                if before.was_leader {
                    self.leader = Some(before.member_id.clone());
                }
                if let Some(instance_id) = &before.member.instance_id {
                    self.static_members.insert(instance_id.clone(), before.member_id.clone());
                }
                let mut member = before.member;
                (member.awaiting_join, member.awaiting_sync) = (None, None);
                self.members.insert(before.member_id, member);
            }
            (None, _) => {}
        }
    }

    fn assign(&mut self, now_ms: i64, mut assignments: BTreeMap<String, Bytes>, out: &mut Effects) {
        self.state = State::Stable;
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(id).unwrap_or_default();
        }
        let answers: Vec<_> = self
            .members
            .values_mut()
            .filter_map(|member| {
                let waiter = member.awaiting_sync.take()?;
                member.heard_of(now_ms);
                Some((waiter, member.assignment.clone()))
            })
            .collect();
        for (waiter, assignment) in answers {
            out.answer(Some(waiter), Answer::Sync(Ok(self.synced(assignment))));
        }
    }
}
