//! From one generation to the next.

use std::collections::BTreeMap;

use chronik_protocol::error::ErrorCode;

use super::member::Member;
use super::{Answer, ClassicGroup, Effects, JoinDeadline, Joined, State, Storing};

/// How long a group waits at least for static members, none of which has joined again.
const LEAST_PAUSE_MS: i64 = 1000;

impl ClassicGroup {
    /// Something changed: begins a rebalance, or ends the one that goes on if this was the last it waited for.
    pub(crate) fn rebalance_or_go_on(&mut self, now_ms: i64, out: &mut Effects) {
        match self.state {
            State::Empty | State::CompletingRebalance | State::Stable => self.begin_rebalance(now_ms, out),
            State::PreparingRebalance => {}
            State::Dead => return,
        }
        self.complete_join_if_all_are_there(now_ms, out);
        self.end_join_if_due(now_ms, out);
    }

    fn begin_rebalance(&mut self, now_ms: i64, out: &mut Effects) {
        if self.state == State::CompletingRebalance {
            self.drop_assignment(now_ms, ErrorCode::RebalanceInProgress, out);
        }
        if let Some(Storing::Replacement { waiter, member_id, .. }) = self.storing.take() {
            let refused = Joined::refused(member_id, ErrorCode::RebalanceInProgress);
            out.answer(Some(waiter), Answer::Join(refused));
        }
        self.sync_deadline = None;
        for member in self.members.values_mut() {
            member.must_sync = false;
        }
        let timeout_ms = self.rebalance_timeout_ms();
        let delay_ms = self.settings.initial_rebalance_delay_ms;
        self.join_deadline = Some(if self.state == State::Empty {
            let remaining_ms = (timeout_ms - delay_ms).max(0);
            JoinDeadline::Initial { at_ms: now_ms + delay_ms, remaining_ms, new_members: false }
        } else {
            JoinDeadline::Rebalance(now_ms + timeout_ms)
        });
        self.state = State::PreparingRebalance;
    }

    /// Nobody gets the assignment that was on its way. Who waited for it has its whole session timeout to join again.
    pub(super) fn drop_assignment(&mut self, now_ms: i64, error: ErrorCode, out: &mut Effects) {
        self.storing = None;
        for member in self.members.values_mut() {
            member.assignment = bytes::Bytes::new();
            if let Some(waiter) = member.awaiting_sync.take() {
                out.answer(Some(waiter), Answer::Sync(Err(error)));
                member.heard_of(now_ms);
            }
        }
    }

    /// The longest that any member asks for.
    fn rebalance_timeout_ms(&self) -> i64 {
        self.members.values().map(|member| i64::from(member.rebalance_timeout_ms)).max().unwrap_or(0)
    }

    pub(super) fn note_new_member(&mut self) {
        if let Some(JoinDeadline::Initial { new_members, .. }) = &mut self.join_deadline {
            *new_members = true;
        }
    }

    pub(super) fn complete_join_if_all_are_there(&mut self, now_ms: i64, out: &mut Effects) {
        if self.state != State::PreparingRebalance || !matches!(self.join_deadline, Some(JoinDeadline::Rebalance(_))) {
            return;
        }
        let all_joined = self.members.values().all(|member| member.awaiting_join.is_some());
        if all_joined && self.pending.is_empty() {
            self.complete_join(now_ms, out);
        }
    }

    /// The time for joining is over, or all are there: the next generation begins.
    pub(super) fn complete_join(&mut self, now_ms: i64, out: &mut Effects) {
        self.join_deadline = None;
        self.remove_absent();
        if !self.members.is_empty() && !self.elect_leader() {
            // Static members, none of which came back yet.
            let timeout_ms = self.rebalance_timeout_ms().max(LEAST_PAUSE_MS);
            self.join_deadline = Some(JoinDeadline::Rebalance(now_ms + timeout_ms));
            return;
        }
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        if self.members.is_empty() {
            self.become_empty(out);
            return;
        }
        self.protocol = self.chosen_protocol();
        self.state = State::CompletingRebalance;
        let leader = self.leader.clone();
        let answers: Vec<_> = self
            .members
            .iter()
            .filter(|(_, member)| member.awaiting_join.is_some())
            .map(|(id, member)| (member.awaiting_join, self.joined(id, Some(id) == leader.as_ref())))
            .collect();
        for (waiter, joined) in answers {
            out.answer(waiter, Answer::Join(joined));
        }
        for member in self.members.values_mut() {
            member.awaiting_join = None;
            member.heard_of(now_ms);
            member.is_new = false;
            member.must_sync = true;
        }
        self.sync_deadline = Some(now_ms + self.rebalance_timeout_ms());
    }

    /// Dynamic members that did not join again are out; static ones keep their place until their session ends.
    fn remove_absent(&mut self) {
        let absent = |member: &Member| member.awaiting_join.is_none() && member.instance_id.is_none();
        let leader_absent = self.leader.as_ref().and_then(|id| self.members.get(id)).is_none_or(absent);
        self.members.retain(|_, member| !absent(member));
        if leader_absent {
            self.leader = None;
        }
    }

    /// The leader stays if it joined again; else the first that did. Whether there is one.
    fn elect_leader(&mut self) -> bool {
        let joined = |member: &Member| member.awaiting_join.is_some();
        if self.leader.as_ref().and_then(|id| self.members.get(id)).is_some_and(joined) {
            return true;
        }
        let first = self.in_order().find(|(_, member)| joined(member)).map(|(id, _)| id.clone());
        match first {
            Some(id) => {
                self.leader = Some(id);
                true
            }
            None => false,
        }
    }

    pub(super) fn become_empty(&mut self, out: &mut Effects) {
        self.state = State::Empty;
        self.protocol = None;
        self.leader = None;
        self.sync_deadline = None;
        self.join_deadline = None;
        out.store = Some(self.to_store());
    }

    /// Each member votes for the first of its protocols that all support; most votes win, by name where they are equal.
    pub(super) fn chosen_protocol(&self) -> Option<String> {
        let common = |name: &str| self.members.values().all(|member| member.supports(name));
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some(protocol) = member.protocols.iter().find(|protocol| common(&protocol.name)) {
                *votes.entry(&protocol.name).or_default() += 1;
            }
        }
        let most = votes.iter().max_by_key(|(name, count)| (**count, std::cmp::Reverse(**name)));
        most.map(|(name, _)| (*name).to_owned())
    }
}
