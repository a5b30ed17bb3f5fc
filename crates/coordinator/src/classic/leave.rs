//! LeaveGroup, and every other way out.

use chronik_protocol::error::ErrorCode;

use super::{Answer, ClassicGroup, Effects, Joined, State, Storing};

/// Who leaves: a member by its id, or a static one by its instance id alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaver {
    pub member_id: String,
    pub instance_id: Option<String>,
}

impl ClassicGroup {
    /// Members leave, each with an outcome of its own, and the others rebalance once.
    pub fn leave(&mut self, now_ms: i64, leavers: &[Leaver], out: &mut Effects) -> Vec<Result<(), ErrorCode>> {
        if self.state == State::Dead {
            return vec![Err(ErrorCode::CoordinatorNotAvailable); leavers.len()];
        }
        let mut removed = false;
        let outcomes = leavers
            .iter()
            .map(|leaver| {
                if leaver.instance_id.is_none() && self.pending.remove(&leaver.member_id).is_some() {
                    removed = true;
                    return Ok(());
                }
                let member_id = self.leaving(leaver)?;
                self.remove_member(&member_id, out);
                removed = true;
                Ok(())
            })
            .collect();
        if removed {
            self.after_removal(now_ms, out);
        }
        outcomes
    }

    fn leaving(&self, leaver: &Leaver) -> Result<String, ErrorCode> {
        match &leaver.instance_id {
            Some(instance_id) if leaver.member_id.is_empty() => {
                self.static_members.get(instance_id).cloned().ok_or(ErrorCode::UnknownMemberId)
            }
            instance_id => {
                self.check_identity(&leaver.member_id, instance_id.as_deref())?;
                Ok(leaver.member_id.clone())
            }
        }
    }

    /// Takes a member out; whoever waits in its name is told that it is unknown.
    pub(super) fn remove_member(&mut self, member_id: &str, out: &mut Effects) {
        let Some(mut member) = self.members.remove(member_id) else { return };
        let unknown = ErrorCode::UnknownMemberId;
        out.answer(member.awaiting_join.take(), Answer::Join(Joined::refused(member_id.to_owned(), unknown)));
        out.answer(member.awaiting_sync.take(), Answer::Sync(Err(unknown)));
        if let Some(instance_id) = &member.instance_id
            && self.static_members.get(instance_id).is_some_and(|known| known == member_id)
        {
            self.static_members.remove(instance_id);
        }
        if let Some(Storing::Replacement { member_id: replacing, waiter, .. }) = &self.storing
            && replacing == member_id
        {
            out.answer(Some(*waiter), Answer::Join(Joined::refused(member_id.to_owned(), unknown)));
            self.storing = None;
        }
        if self.leader.as_deref() == Some(member_id) {
            let first = self.in_order().next().map(|(id, _)| id.clone());
            self.leader = first;
        }
    }

    /// Members are gone: the others rebalance.
    pub(super) fn after_removal(&mut self, now_ms: i64, out: &mut Effects) {
        match self.state {
            State::Dead | State::Empty => {}
            State::CompletingRebalance | State::Stable => self.rebalance_or_go_on(now_ms, out),
            State::PreparingRebalance => self.complete_join_if_all_are_there(now_ms, out),
        }
    }
}
