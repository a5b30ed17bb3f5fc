//! What clients of the classic protocol ask of their groups.

use std::sync::Arc;

use chronik_coordinator::{Answer, ClassicGroup, Join, Joined, Leaver, Settings, State, Sync, Synced};
use chronik_protocol::error::ErrorCode;

use super::{AnyGroup, Groups, LiveState};

/// A group as others may see it.
pub(crate) struct Description {
    pub(crate) state: State,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) members: Vec<chronik_coordinator::MemberSummary>,
}

impl Groups {
    /// Joins; waits for the generation to begin.
    pub(crate) async fn join(self: &Arc<Self>, group_id: &str, join: Join) -> Joined {
        let member_id = join.member_id.clone();
        // As Kafka: a member that says it is known makes no group.
        let make = member_id.is_empty();
        let named = join.instance_id.as_deref().unwrap_or(&join.client_id);
        let new_member_id = format!("{named}-{}", self.env.random.uuid());
        let settings = self.classic_settings();
        let waiting = self.step(group_id, make, |state, now_ms, out| {
            state.classic_or_empty(settings)?;
            let (waiter, answer) = state.wait();
            state.classic()?.join(now_ms, join, new_member_id, waiter, out);
            Ok(answer)
        });
        let waiting = match waiting {
            Some(Ok(waiting)) => waiting,
            Some(Err(error)) => return Joined::refused(member_id, error),
            None => return Joined::refused(member_id, ErrorCode::UnknownMemberId),
        };
        match waiting.await {
            Ok(Answer::Join(joined)) => joined,
            _ => Joined::refused(member_id, ErrorCode::NotCoordinator),
        }
    }

    /// Syncs; waits for the leader's assignment.
    pub(crate) async fn sync(self: &Arc<Self>, group_id: &str, sync: Sync) -> Result<Synced, ErrorCode> {
        let waiting = self.step(group_id, false, |state, now_ms, out| {
            state.classic()?;
            let (waiter, answer) = state.wait();
            state.classic()?.sync(now_ms, sync, waiter, out);
            Ok(answer)
        });
        match waiting.ok_or(ErrorCode::UnknownMemberId)??.await {
            Ok(Answer::Sync(synced)) => synced,
            _ => Err(ErrorCode::NotCoordinator),
        }
    }

    pub(crate) fn heartbeat(
        self: &Arc<Self>,
        group_id: &str,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        let beat = self.step(group_id, false, |state, now_ms, _| {
            state.classic()?.heartbeat(now_ms, member_id, instance_id, generation)
        });
        beat.unwrap_or(Err(ErrorCode::UnknownMemberId))
    }

    pub(crate) fn leave(self: &Arc<Self>, group_id: &str, leavers: &[Leaver]) -> Vec<Result<(), ErrorCode>> {
        let left =
            self.step(group_id, false, |state, now_ms, out| Some(state.classic().ok()?.leave(now_ms, leavers, out)));
        left.flatten().unwrap_or_else(|| vec![Err(ErrorCode::UnknownMemberId); leavers.len()])
    }

    /// What there is to see of a classic group; `None` if there is no such group.
    pub(crate) fn describe(self: &Arc<Self>, group_id: &str) -> Option<Description> {
        let description = self.step(group_id, false, |state, _, _| match &state.group {
            AnyGroup::Consumer(_) => None,
            AnyGroup::Classic(group) => Some(Description {
                state: group.state(),
                protocol_type: group.protocol_type().unwrap_or_default().to_owned(),
                protocol: group.protocol().unwrap_or_default().to_owned(),
                members: group.members(),
            }),
        });
        description.flatten().filter(|description| description.state != State::Dead)
    }
}

impl LiveState {
    /// The group, if it is a classic one; otherwise nobody is a member of it by the classic protocol.
    fn classic(&mut self) -> Result<&mut ClassicGroup, ErrorCode> {
        match &mut self.group {
            AnyGroup::Classic(group) => Ok(group),
            AnyGroup::Consumer(_) => Err(ErrorCode::UnknownMemberId),
        }
    }

    /// The group, which becomes a classic one if it has no members.
    fn classic_or_empty(&mut self, settings: Settings) -> Result<&mut ClassicGroup, ErrorCode> {
        if let AnyGroup::Consumer(group) = &self.group {
            if group.is_dead() {
                return Err(ErrorCode::CoordinatorNotAvailable);
            }
            if !group.is_empty() {
                return Err(ErrorCode::InconsistentGroupProtocol);
            }
            if self.storing {
                return Err(ErrorCode::CoordinatorLoadInProgress);
            }
            self.group = AnyGroup::Classic(Box::new(ClassicGroup::new(settings)));
        }
        self.classic()
    }
}
