//! What the passing of time does.

use super::{ConsumerGroup, View};

impl ConsumerGroup {
    /// When [`ConsumerGroup::tick`] next has something to do, unless something else happens before.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        if self.dead {
            return None;
        }
        let of = |member: &super::Member| {
            let session_ms = member.session_deadline_ms;
            member.rebalance_deadline_ms.map_or(session_ms, |rebalance_ms| rebalance_ms.min(session_ms))
        };
        self.members.values().map(of).min()
    }

    /// Gives up the members that were not heard of, or have not let go, in time. Their ids.
    pub fn tick(&mut self, view: &View) -> Vec<String> {
        let due = |deadline_ms: i64| deadline_ms <= view.now_ms;
        let is_due =
            |member: &super::Member| due(member.session_deadline_ms) || member.rebalance_deadline_ms.is_some_and(due);
        let gone: Vec<_> = self.members.iter().filter(|(_, member)| is_due(member)).map(|(id, _)| id.clone()).collect();
        if !gone.is_empty() && !self.dead {
            self.remove(view, &gone);
        }
        gone
    }
}
