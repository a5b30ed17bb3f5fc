//! What the passing of time does.

use super::{ClassicGroup, Effects, JoinDeadline, State};

impl ClassicGroup {
    /// When [`ClassicGroup::tick`] next has something to do, unless something else happens before.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        if self.state == State::Dead {
            return None;
        }
        let sessions = self.members.values().filter_map(|member| member.deadline_ms());
        let pending = self.pending.values().copied();
        let join = self.join_deadline.map(JoinDeadline::at_ms);
        sessions.chain(pending).chain(join).chain(self.sync_deadline).min()
    }

    /// Does what is due.
    pub fn tick(&mut self, now_ms: i64, out: &mut Effects) {
        if self.state == State::Dead {
            return;
        }
        let before = self.members.len() + self.pending.len();
        self.pending.retain(|_, deadline_ms| *deadline_ms > now_ms);
        let silent = |deadline_ms: Option<i64>| deadline_ms.is_some_and(|deadline_ms| deadline_ms <= now_ms);
        let gone = self.members.iter().filter(|(_, member)| silent(member.deadline_ms()));
        let mut gone: Vec<_> = gone.map(|(id, _)| id.clone()).collect();
        if self.sync_deadline.is_some_and(|deadline_ms| deadline_ms <= now_ms) {
            self.sync_deadline = None;
            gone.extend(self.members.iter().filter(|(_, member)| member.must_sync).map(|(id, _)| id.clone()));
        }
        for member_id in gone {
            self.remove_member(&member_id, out);
        }
        if self.members.len() + self.pending.len() < before {
            self.after_removal(now_ms, out);
        }
        self.end_join_if_due(now_ms, out);
    }

    pub(super) fn end_join_if_due(&mut self, now_ms: i64, out: &mut Effects) {
        let Some(deadline) = self.join_deadline.filter(|deadline| deadline.at_ms() <= now_ms) else { return };
        match deadline {
            JoinDeadline::Initial { remaining_ms, new_members: true, .. } if remaining_ms > 0 => {
                let delay_ms = self.settings.initial_rebalance_delay_ms.min(remaining_ms);
                let remaining_ms = remaining_ms - delay_ms;
                self.join_deadline =
                    Some(JoinDeadline::Initial { at_ms: now_ms + delay_ms, remaining_ms, new_members: false });
            }
            _ => self.complete_join(now_ms, out),
        }
    }
}
