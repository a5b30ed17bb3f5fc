//! What clients of the classic protocol ask of their groups.

use std::sync::Arc;

use chronik_coordinator::{Answer, ClassicGroup, Effects, Join, Joined, Leaver, Settings, State, Sync, Synced};
use chronik_protocol::error::ErrorCode;
use tokio::sync::oneshot;

use super::{AnyGroup, Groups, LiveState};

/// Why a group is not described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undescribed {
    NotThere,
    /// It is a group of the other protocol.
    OtherProtocol,
}

/// A group as others may see it.
pub(crate) struct Description {
    pub(crate) state: State,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) members: Vec<chronik_coordinator::MemberSummary>,
}

/// An answer that is there and may be given once the group is durable, or one that has to be waited for.
enum Step<T> {
    Durable(T, Option<oneshot::Receiver<Result<(), ErrorCode>>>),
    Waits(oneshot::Receiver<Answer>),
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
        let step = self.step(group_id, make, |state, now_ms, out| {
            if state.is_empty_consumer_group() {
                if !make {
                    return Err(ErrorCode::UnknownMemberId);
                }
                state.become_classic(settings, out);
            }
            if let AnyGroup::Consumer(group) = &mut state.group {
                let scene = self.scene(group_id);
                let joined = group.join_classic(&scene.view(), join, new_member_id)?;
                state.downgrade_if_due(group_id, &scene.view(), settings, false, out);
                return Ok(Step::Durable(joined, state.durable(out)));
            }
            let (waiter, answer) = state.wait();
            state.classic()?.join(now_ms, join, new_member_id, waiter, out);
            Ok(Step::Waits(answer))
        });
        let not_there = if make { ErrorCode::CoordinatorNotAvailable } else { ErrorCode::UnknownMemberId };
        let outcome = match step.unwrap_or(Err(not_there)) {
            Ok(Step::Durable(joined, durable)) => settled(durable).await.map(|()| joined),
            Ok(Step::Waits(waiting)) => match waiting.await {
                Ok(Answer::Join(joined)) => Ok(joined),
                _ => Err(ErrorCode::NotCoordinator),
            },
            Err(error) => Err(error),
        };
        outcome.unwrap_or_else(|error| Joined::refused(member_id, error))
    }

    /// Syncs; waits for the leader's assignment.
    pub(crate) async fn sync(self: &Arc<Self>, group_id: &str, sync: Sync) -> Result<Synced, ErrorCode> {
        let step = self.step(group_id, false, |state, now_ms, out| {
            if let AnyGroup::Consumer(group) = &mut state.group {
                let synced = group.sync_classic(&self.scene(group_id).view(), &sync)?;
                return Ok(Step::Durable(synced, state.durable(out)));
            }
            let (waiter, answer) = state.wait();
            state.classic()?.sync(now_ms, sync, waiter, out);
            Ok(Step::Waits(answer))
        });
        match step.unwrap_or(Err(ErrorCode::UnknownMemberId))? {
            Step::Durable(synced, durable) => settled(durable).await.map(|()| synced),
            Step::Waits(waiting) => match waiting.await {
                Ok(Answer::Sync(synced)) => synced,
                _ => Err(ErrorCode::NotCoordinator),
            },
        }
    }

    pub(crate) async fn heartbeat(
        self: &Arc<Self>,
        group_id: &str,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        let step = self.step(group_id, false, |state, now_ms, out| match &mut state.group {
            AnyGroup::Classic(group) => (group.heartbeat(now_ms, member_id, instance_id, generation), None),
            AnyGroup::Consumer(group) => {
                let view = self.scene(group_id);
                let outcome = group.heartbeat_classic(&view.view(), member_id, instance_id, generation);
                (outcome, state.durable(out))
            }
        });
        let (outcome, durable) = step.ok_or(ErrorCode::UnknownMemberId)?;
        settled(durable).await?;
        outcome
    }

    pub(crate) async fn leave(self: &Arc<Self>, group_id: &str, leavers: &[Leaver]) -> Vec<Result<(), ErrorCode>> {
        let settings = self.classic_settings();
        let step = self.step(group_id, false, |state, now_ms, out| match &mut state.group {
            AnyGroup::Classic(group) => (group.leave(now_ms, leavers, out), None),
            AnyGroup::Consumer(group) => {
                let scene = self.scene(group_id);
                let outcomes = group.leave_classic(&scene.view(), leavers);
                state.downgrade_if_due(group_id, &scene.view(), settings, true, out);
                (outcomes, state.durable(out))
            }
        });
        let Some((outcomes, durable)) = step else { return vec![Err(ErrorCode::UnknownMemberId); leavers.len()] };
        match settled(durable).await {
            Ok(()) => outcomes,
            Err(error) => vec![Err(error); leavers.len()],
        }
    }

    /// What there is to see of a classic group.
    pub(crate) fn describe(self: &Arc<Self>, group_id: &str) -> Result<Description, Undescribed> {
        let description = self.step(group_id, false, |state, _, _| match &state.group {
            group if group.is_dead() => Err(Undescribed::NotThere),
            AnyGroup::Consumer(_) => Err(Undescribed::OtherProtocol),
            AnyGroup::Classic(group) => Ok(Description {
                state: group.state(),
                protocol_type: group.protocol_type().unwrap_or_default().to_owned(),
                protocol: group.protocol().unwrap_or_default().to_owned(),
                members: group.members(),
            }),
        });
        description.unwrap_or(Err(Undescribed::NotThere))
    }
}

impl LiveState {
    /// The group, if it is a classic one.
    fn classic(&mut self) -> Result<&mut ClassicGroup, ErrorCode> {
        match &mut self.group {
            AnyGroup::Classic(group) => Ok(group),
            AnyGroup::Consumer(_) => Err(ErrorCode::UnknownMemberId),
        }
    }

    fn is_empty_consumer_group(&self) -> bool {
        matches!(&self.group, AnyGroup::Consumer(group) if group.is_empty() && !group.is_dead())
    }

    /// A consumer group without members becomes a classic one when one joins by that protocol.
    fn become_classic(&mut self, settings: Settings, out: &mut Effects) {
        self.group = AnyGroup::Classic(Box::new(ClassicGroup::new(settings)));
        out.store = Some(ClassicGroup::nothing_to_store());
    }
}

/// Waits until what an answer says is durable.
pub(super) async fn settled(durable: Option<oneshot::Receiver<Result<(), ErrorCode>>>) -> Result<(), ErrorCode> {
    match durable {
        None => Ok(()),
        Some(durable) => durable.await.unwrap_or(Err(ErrorCode::NotCoordinator)),
    }
}
