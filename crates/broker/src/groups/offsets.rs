//! Offsets of groups, and the end of groups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_coordinator::{Commits, State};
use chronik_metadata::record::TopicPartitions;
use chronik_metadata::request::{CommitOffsets, DeleteOffsets, RemoveGroups, Request, Response};
use chronik_protocol::error::ErrorCode;
use chronik_protocol::types::{PartitionId, TopicId};
use chronik_quorum::SubmitError;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::store::commit_error;
use super::{AnyGroup, Groups};
use crate::broker::submit_error_code;
use crate::offset_expiry::{self, Use};

/// Partitions that a member was not given, or not yet in the epoch it commits in, and what it is told of each.
pub(crate) type NotGiven = BTreeMap<(TopicId, PartitionId), ErrorCode>;

/// Who commits offsets.
#[derive(Clone, Copy)]
pub(crate) struct Committer<'a> {
    /// Empty for a consumer without a group membership.
    pub(crate) member_id: &'a str,
    pub(crate) instance_id: Option<&'a str>,
    /// The generation, or in a consumer group the member's epoch; -1 without a group membership.
    pub(crate) generation: i32,
    /// Whether the request is of a version that knows member epochs.
    pub(crate) knows_epochs: bool,
}

impl AnyGroup {
    /// How its offsets are in use.
    fn used(&self) -> Use {
        match self {
            AnyGroup::Classic(group) => match (group.state(), group.subscribed_topics()) {
                (State::Empty, _) => Use::Empty,
                (State::Stable, Some(topics)) => Use::Subscribed(topics),
                _ => Use::Unknown,
            },
            AnyGroup::Consumer(group) if group.is_dead() => Use::Unknown,
            AnyGroup::Consumer(group) if group.is_empty() => Use::Empty,
            AnyGroup::Consumer(group) => Use::Subscribed(group.subscribed_topics()),
        }
    }
}

/// Takes out of a commit what is not the member's to commit.
fn take_not_given(
    commit: &mut CommitOffsets,
    error: ErrorCode,
    is_given: impl Fn(TopicId, PartitionId) -> bool,
) -> NotGiven {
    let mut not_given = NotGiven::new();
    for (topic_id, offsets) in &mut commit.topics {
        offsets.retain(|offset| {
            let given = is_given(*topic_id, offset.partition);
            if !given {
                not_given.insert((*topic_id, offset.partition), error);
            }
            given
        });
    }
    commit.topics.retain(|(_, offsets)| !offsets.is_empty());
    not_given
}

impl Groups {
    /// Commits offsets for a member, or for a consumer without a group membership; waits until they are durable. The
    /// partitions that were not the member's to commit.
    pub(crate) async fn commit(
        self: &Arc<Self>,
        by: Committer<'_>,
        mut commit: CommitOffsets,
    ) -> Result<NotGiven, ErrorCode> {
        let group_id = commit.group_id.clone();
        let queued = self.step(&group_id, by.generation < 0, |state, now_ms, _| {
            let not_given = match &mut state.group {
                AnyGroup::Classic(group) => {
                    group.check_commit(now_ms, by.member_id, by.instance_id, by.generation)?;
                    NotGiven::new()
                }
                AnyGroup::Consumer(group) => match group.check_commit(by.member_id, by.generation, by.knows_epochs)? {
                    Commits::All => NotGiven::new(),
                    Commits::Given(error) => take_not_given(&mut commit, error, |topic_id, partition| {
                        group.gave(by.member_id, by.generation, topic_id, partition)
                    }),
                },
            };
            // Within the step: no commit of this generation comes after the next one has begun.
            Ok((not_given, self.controller.queue(Request::CommitOffsets(commit))))
        });
        let not_there = match by {
            Committer { generation: ..0, .. } => ErrorCode::CoordinatorNotAvailable,
            Committer { knows_epochs: true, .. } => ErrorCode::GroupIdNotFound,
            _ => ErrorCode::IllegalGeneration,
        };
        let (not_given, queued) = queued.ok_or(not_there)??;
        let outcome = tokio::select! {
            biased;
            outcome = queued => outcome,
            // Accepted, and carried out whoever waits for it.
            () = std::future::ready(()), if !self.settings.config().groups.durable_commits => return Ok(not_given),
        };
        match outcome {
            Ok(Response::CommitOffsets(Ok(()))) => Ok(not_given),
            Ok(Response::CommitOffsets(Err(e))) => {
                warn!(group = group_id, "offsets are not committed: {e}");
                Err(ErrorCode::from_code(e.code()).unwrap_or(ErrorCode::UnknownServerError))
            }
            Ok(other) => unreachable!("a request is answered in kind, not by {other:?}"),
            Err(e) => Err(commit_error(&e)),
        }
    }

    /// Whether offsets of a group may be read: in a consumer group, by a member that says it is one, in its epoch.
    pub(crate) fn check_fetch(
        self: &Arc<Self>,
        group_id: &str,
        member_id: Option<&str>,
        epoch: i32,
    ) -> Result<(), ErrorCode> {
        if member_id.is_none() && epoch < 0 {
            return Ok(());
        }
        let check = self.step(group_id, false, |state, _, _| match &state.group {
            AnyGroup::Classic(_) => Ok(()),
            AnyGroup::Consumer(group) => group.check_fetch(member_id, epoch),
        });
        check.unwrap_or(Ok(()))
    }

    /// Deletes a group without members, and its offsets.
    pub(crate) async fn delete(self: &Arc<Self>, group_id: &str) -> Result<(), ErrorCode> {
        self.remove(group_id, false).await
    }

    async fn remove(self: &Arc<Self>, group_id: &str, only_without_offsets: bool) -> Result<(), ErrorCode> {
        let queued = self.step(group_id, false, |state, _, out| {
            if state.group.is_dead() {
                return Err(ErrorCode::GroupIdNotFound);
            }
            // As in Kafka, ids that were given out are no members; where nobody asked for its end, they keep it.
            let goes = if only_without_offsets { state.group.is_idle() } else { state.group.may_be_deleted() };
            if !goes || state.storing {
                return Err(ErrorCode::NonEmptyGroup);
            }
            // Kept as a dead group until it is gone from the image, so that nobody takes up what is being deleted.
            state.group.end(ErrorCode::CoordinatorNotAvailable, out);
            state.storing = true;
            let request = RemoveGroups { group_ids: vec![group_id.to_owned()], only_without_offsets };
            Ok(self.controller.queue(Request::RemoveGroups(request)))
        });
        let queued = queued.ok_or(ErrorCode::GroupIdNotFound)??;
        self.finish_delete(group_id, queued).await
    }

    /// On a task of its own: a client that goes away leaves no group half deleted.
    async fn finish_delete(
        self: &Arc<Self>,
        group_id: &str,
        queued: impl Future<Output = Result<Response, SubmitError>> + Send + 'static,
    ) -> Result<(), ErrorCode> {
        let (done, deleted) = oneshot::channel();
        let (groups, group_id) = (self.clone(), group_id.to_owned());
        self.env.tasks.spawn_control(Box::pin(async move {
            let outcome = match queued.await {
                Ok(Response::RemoveGroups(outcome)) => {
                    outcome.map_err(|e| ErrorCode::from_code(e.code()).unwrap_or(ErrorCode::UnknownServerError))
                }
                Ok(other) => unreachable!("a request is answered in kind, not by {other:?}"),
                Err(e) => Err(submit_error_code(&e)),
            };
            groups.step(&group_id, false, |state, _, _| state.storing = false);
            // Nobody may be waiting any more.
            let _ = done.send(outcome);
        }));
        deleted.await.unwrap_or(Err(ErrorCode::CoordinatorNotAvailable))
    }

    /// Deletes offsets of the topics that no member subscribes to; the others, whose offsets are in use, are named.
    ///
    /// # Errors
    /// There is no such group; or it has members whose subscriptions are not those of consumers.
    pub(crate) async fn delete_offsets(
        self: &Arc<Self>,
        group_id: &str,
        mut topics: BTreeMap<String, (TopicId, Vec<PartitionId>)>,
    ) -> Result<BTreeSet<String>, ErrorCode> {
        let queued = self.step(group_id, false, |state, _, _| {
            let subscribed = match &state.group {
                group if group.is_dead() => return Err(ErrorCode::GroupIdNotFound),
                AnyGroup::Classic(group) => group.subscribed_topics().ok_or(ErrorCode::NonEmptyGroup)?,
                AnyGroup::Consumer(group) => group.subscribed_topics(),
            };
            topics.retain(|name, (_, partitions)| !subscribed.contains(name) && !partitions.is_empty());
            let topic =
                |(topic_id, partitions): (TopicId, _)| TopicPartitions { topic_id: topic_id.into(), partitions };
            let topics = topics.into_values().map(topic).collect();
            // Within the step: no member subscribes between the check and the deletion.
            Ok((subscribed, self.queue_deletion(group_id, topics, i64::MAX)))
        });
        let (subscribed, queued) = queued.unwrap_or(Err(ErrorCode::GroupIdNotFound))?;
        queued.await.map(|()| subscribed)
    }

    fn queue_deletion(
        &self,
        group_id: &str,
        topics: Vec<TopicPartitions>,
        committed_until_ms: i64,
    ) -> impl Future<Output = Result<(), ErrorCode>> + Send + use<> {
        let request = DeleteOffsets { group_id: group_id.to_owned(), topics, committed_until_ms };
        let queued = self.controller.queue(Request::DeleteOffsets(request));
        async move {
            match queued.await {
                Ok(Response::DeleteOffsets(outcome)) => {
                    outcome.map_err(|e| ErrorCode::from_code(e.code()).unwrap_or(ErrorCode::UnknownServerError))
                }
                Ok(other) => unreachable!("a request is answered in kind, not by {other:?}"),
                Err(e) => Err(commit_error(&e)),
            }
        }
    }

    /// Removes offsets that have expired, and empty groups that have none left. `retention_ms` is how long offsets are
    /// kept.
    pub(crate) async fn expire_offsets(self: &Arc<Self>, retention_ms: i64) {
        for (group_id, _) in self.controller.image().groups() {
            let now_ms = self.env.clock.wall_ms();
            let queued = self.step(group_id, false, |state, _, _| {
                let image = self.controller.image();
                let stored = image.group(group_id)?;
                let used = state.group.used();
                let topics = offset_expiry::expired(&image, stored, &used, now_ms, retention_ms);
                if topics.is_empty() {
                    return (stored.offsets().is_empty() && used == Use::Empty).then_some(None);
                }
                let committed_until_ms = topics.iter().map(|(until_ms, _)| *until_ms).max().unwrap_or(0);
                let topics = topics.into_iter().map(|(_, topic)| topic).collect();
                // Within the step: nobody begins to use them in between.
                Some(Some(self.queue_deletion(group_id, topics, committed_until_ms)))
            });
            let outcome = match queued.flatten() {
                Some(Some(queued)) => queued.await,
                Some(None) => self.remove(group_id, true).await,
                None => continue,
            };
            match outcome {
                Ok(()) => info!(group = group_id, "removed expired offsets, or an empty group without any"),
                // Somebody uses the group again.
                Err(ErrorCode::NonEmptyGroup | ErrorCode::GroupIdNotFound) => {}
                Err(error) => warn!(group = group_id, ?error, "cannot remove expired offsets"),
            }
        }
    }
}
