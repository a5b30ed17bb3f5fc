//! The groups this broker coordinates: each behind a lock of its own, with its waiting members, its timer, and its way to
//! the metadata log.
//!
//! What is stored of a group is in the image; a group is here only while it has members, or somebody deals with it. What
//! happens in a group happens in the order in which its lock is taken, and what follows from that reaches the controller
//! in the same order.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chronik_config::GroupsConfig;
use chronik_coordinator::{
    Answer, ClassicGroup, Effects, Join, Joined, Leaver, Settings, State, StoredGroup, StoredMember, Sync, Synced,
    Waiter,
};
use chronik_env::Env;
use chronik_metadata::record::{GroupMember, GroupRecord, TopicPartitions};
use chronik_metadata::request::{CommitOffsets, DeleteOffsets, RemoveGroups, Request, Response, StoreGroup};
use chronik_protocol::error::ErrorCode;
use chronik_protocol::types::{PartitionId, TopicId};
use chronik_quorum::{ControllerHandle, SubmitError};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};
use tracing::{info, warn};

use crate::broker::{Stop, submit_error_code};
use crate::offset_expiry;

pub(crate) struct Groups {
    env: Env,
    controller: ControllerHandle,
    settings: Settings,
    live: Mutex<HashMap<String, Arc<Live>>>,
    /// When each group has to be looked at, soonest first.
    timers: Mutex<BTreeSet<(i64, String)>>,
    /// Signalled when a timer is set that comes before all others.
    sooner: Notify,
}

/// A group somebody deals with.
struct Live {
    id: String,
    state: Mutex<LiveState>,
}

struct LiveState {
    group: ClassicGroup,
    waiting: HashMap<Waiter, oneshot::Sender<Answer>>,
    waiters: Waiter,
    /// When the timer of this group is set.
    timer_ms: Option<i64>,
    /// What is to be stored next.
    to_store: Option<StoredGroup>,
    /// A task stores what there is to store.
    storing: bool,
    /// No longer in the map: whoever still has it looks again.
    gone: bool,
}

/// A group as others may see it.
pub(crate) struct Description {
    pub(crate) state: State,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) members: Vec<chronik_coordinator::MemberSummary>,
}

impl Groups {
    pub(crate) fn new(env: Env, controller: ControllerHandle, config: &GroupsConfig) -> Self {
        Groups {
            env,
            controller,
            settings: Settings {
                min_session_timeout_ms: config.min_session_timeout_ms,
                max_session_timeout_ms: config.max_session_timeout_ms,
                max_size: config.max_size,
                initial_rebalance_delay_ms: config.initial_rebalance_delay_ms.into(),
            },
            live: Mutex::default(),
            timers: Mutex::default(),
            sooner: Notify::new(),
        }
    }

    /// Takes up the groups that have members: from now on their sessions run. Timers run until the broker stops.
    pub(crate) fn start(self: &Arc<Self>, mut stop: Stop) {
        let image = self.controller.image();
        for (group_id, stored) in image.groups() {
            if stored.generation.as_ref().is_some_and(|generation| !generation.members.is_empty()) {
                self.step(group_id, false, |_, _, _| ());
            }
        }
        let groups = self.clone();
        self.env.tasks.spawn_control(Box::pin(async move {
            loop {
                let now_ms = groups.now_ms();
                let due_in = groups.fire_due(now_ms);
                tokio::select! {
                    biased;
                    () = stop.wait() => break,
                    () = groups.sooner.notified() => {}
                    () = tokio::time::sleep(due_in) => {}
                }
            }
            groups.end_all();
        }));
    }

    fn now_ms(&self) -> i64 {
        self.env.clock.monotonic_ms() as i64
    }

    /// Does what is due; how long until the next is.
    fn fire_due(self: &Arc<Self>, now_ms: i64) -> Duration {
        const LONGEST: Duration = Duration::from_secs(60);
        loop {
            let due = {
                let mut timers = self.timers.lock();
                match timers.first() {
                    None => return LONGEST,
                    Some((at_ms, _)) if *at_ms > now_ms => {
                        return Duration::from_millis((at_ms - now_ms) as u64).min(LONGEST);
                    }
                    Some(_) => timers.pop_first(),
                }
            };
            let Some((_, group_id)) = due else { return LONGEST };
            let Some(live) = self.live.lock().get(&group_id).cloned() else { continue };
            let mut state = live.state.lock();
            state.timer_ms = None;
            let mut out = Effects::default();
            state.group.tick(now_ms, &mut out);
            self.finish(&live, state, out);
        }
    }

    /// The broker stops: whoever waits is told to look for the coordinator again.
    fn end_all(&self) {
        let all: Vec<_> = self.live.lock().drain().map(|(_, live)| live).collect();
        for live in all {
            let mut state = live.state.lock();
            let mut out = Effects::default();
            state.group.end(ErrorCode::NotCoordinator, &mut out);
            state.gone = true;
            state.answer(out.answers);
        }
    }

    /// The group as it lives here, taken up from what is stored of it. `None` if there is no such group and none is to
    /// be made.
    fn live(&self, group_id: &str, make: bool) -> Option<Arc<Live>> {
        let mut all = self.live.lock();
        if let Some(live) = all.get(group_id) {
            return Some(live.clone());
        }
        let image = self.controller.image();
        let group = match image.group(group_id).map(|stored| &stored.generation) {
            Some(Some(generation)) => ClassicGroup::restore(self.settings, restored(generation), self.now_ms()),
            Some(None) => ClassicGroup::new(self.settings),
            None if make => ClassicGroup::new(self.settings),
            None => return None,
        };
        let state = LiveState {
            group,
            waiting: HashMap::new(),
            waiters: 0,
            timer_ms: None,
            to_store: None,
            storing: false,
            gone: false,
        };
        let live = Arc::new(Live { id: group_id.to_owned(), state: Mutex::new(state) });
        all.insert(group_id.to_owned(), live.clone());
        Some(live)
    }

    /// Lets something happen in a group. `None` if there is no such group and none is to be made.
    fn step<R>(
        self: &Arc<Self>,
        group_id: &str,
        make: bool,
        act: impl FnOnce(&mut LiveState, i64, &mut Effects) -> R,
    ) -> Option<R> {
        loop {
            let live = self.live(group_id, make)?;
            let mut state = live.state.lock();
            if state.gone {
                continue;
            }
            let mut out = Effects::default();
            let result = act(&mut state, self.now_ms(), &mut out);
            self.finish(&live, state, out);
            return Some(result);
        }
    }

    /// What follows from a step: answers, something to store, another timer, or that the group is left alone.
    fn finish(self: &Arc<Self>, live: &Arc<Live>, mut state: MutexGuard<'_, LiveState>, out: Effects) {
        state.answer(out.answers);
        if out.store.is_some() {
            state.to_store = out.store;
            if !state.storing {
                state.storing = true;
                self.env.tasks.spawn_control(Box::pin(store(self.clone(), live.clone())));
            }
        }
        let next_ms = state.group.next_deadline_ms();
        if let Some(next_ms) = next_ms.filter(|next_ms| state.timer_ms.is_none_or(|set_ms| *next_ms < set_ms)) {
            let mut timers = self.timers.lock();
            if let Some(set_ms) = state.timer_ms.replace(next_ms) {
                timers.remove(&(set_ms, live.id.clone()));
            }
            let entry = (next_ms, live.id.clone());
            let is_first = timers.first().is_none_or(|first| entry < *first);
            timers.insert(entry);
            if is_first {
                self.sooner.notify_one();
            }
        }
        if state.group.is_idle() && !state.storing && state.waiting.is_empty() {
            state.gone = true;
            let timer_ms = state.timer_ms.take();
            drop(state);
            self.forget(live, timer_ms);
        }
    }

    fn forget(&self, live: &Arc<Live>, timer_ms: Option<i64>) {
        if let Some(timer_ms) = timer_ms {
            self.timers.lock().remove(&(timer_ms, live.id.clone()));
        }
        let mut all = self.live.lock();
        if all.get(&live.id).is_some_and(|known| Arc::ptr_eq(known, live)) {
            all.remove(&live.id);
        }
    }

    /// Joins; waits for the generation to begin.
    pub(crate) async fn join(self: &Arc<Self>, group_id: &str, join: Join) -> Joined {
        let member_id = join.member_id.clone();
        // As Kafka: a member that says it is known makes no group.
        let make = member_id.is_empty();
        let named = join.instance_id.as_deref().unwrap_or(&join.client_id);
        let new_member_id = format!("{named}-{}", self.env.random.uuid());
        let waiting = self.step(group_id, make, |state, now_ms, out| {
            let (waiter, answer) = state.wait();
            state.group.join(now_ms, join, new_member_id, waiter, out);
            answer
        });
        let Some(waiting) = waiting else { return Joined::refused(member_id, ErrorCode::UnknownMemberId) };
        match waiting.await {
            Ok(Answer::Join(joined)) => joined,
            _ => Joined::refused(member_id, ErrorCode::NotCoordinator),
        }
    }

    /// Syncs; waits for the leader's assignment.
    pub(crate) async fn sync(self: &Arc<Self>, group_id: &str, sync: Sync) -> Result<Synced, ErrorCode> {
        let waiting = self.step(group_id, false, |state, now_ms, out| {
            let (waiter, answer) = state.wait();
            state.group.sync(now_ms, sync, waiter, out);
            answer
        });
        match waiting.ok_or(ErrorCode::UnknownMemberId)?.await {
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
        self.step(group_id, false, |state, now_ms, _| state.group.heartbeat(now_ms, member_id, instance_id, generation))
            .unwrap_or(Err(ErrorCode::UnknownMemberId))
    }

    pub(crate) fn leave(self: &Arc<Self>, group_id: &str, leavers: &[Leaver]) -> Vec<Result<(), ErrorCode>> {
        self.step(group_id, false, |state, now_ms, out| state.group.leave(now_ms, leavers, out))
            .unwrap_or_else(|| vec![Err(ErrorCode::UnknownMemberId); leavers.len()])
    }

    /// Commits offsets for a member, or for a consumer without a group membership; waits until they are durable.
    pub(crate) async fn commit(
        self: &Arc<Self>,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
        commit: CommitOffsets,
    ) -> Result<(), ErrorCode> {
        let group_id = commit.group_id.clone();
        let queued = self.step(&group_id, generation < 0, |state, now_ms, _| {
            state.group.check_commit(now_ms, member_id, instance_id, generation)?;
            // Within the step: no commit of this generation comes after the next one has begun.
            Ok(self.controller.queue(Request::CommitOffsets(commit)))
        });
        match queued.ok_or(ErrorCode::IllegalGeneration)??.await {
            Ok(Response::CommitOffsets(Ok(()))) => Ok(()),
            Ok(Response::CommitOffsets(Err(e))) => {
                warn!(group = group_id, "offsets are not committed: {e}");
                Err(ErrorCode::from_code(e.code()).unwrap_or(ErrorCode::UnknownServerError))
            }
            Ok(other) => unreachable!("a request is answered in kind, not by {other:?}"),
            Err(e) => Err(commit_error(&e)),
        }
    }

    /// Deletes a group without members, and its offsets.
    pub(crate) async fn delete(self: &Arc<Self>, group_id: &str) -> Result<(), ErrorCode> {
        self.remove(group_id, false).await
    }

    async fn remove(self: &Arc<Self>, group_id: &str, only_without_offsets: bool) -> Result<(), ErrorCode> {
        let queued = self.step(group_id, false, |state, _, out| {
            if state.group.state() == State::Dead {
                return Err(ErrorCode::GroupIdNotFound);
            }
            if !state.group.is_idle() || state.storing {
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

    /// The topics that members of a group subscribe to, and whose offsets are therefore in use.
    ///
    /// # Errors
    /// There is no such group; or it has members whose subscriptions are not those of consumers.
    pub(crate) fn subscribed_topics(self: &Arc<Self>, group_id: &str) -> Result<BTreeSet<String>, ErrorCode> {
        let topics = self.step(group_id, false, |state, _, _| match state.group.state() {
            State::Dead => Err(ErrorCode::GroupIdNotFound),
            _ => state.group.subscribed_topics().ok_or(ErrorCode::NonEmptyGroup),
        });
        topics.unwrap_or(Err(ErrorCode::GroupIdNotFound))
    }

    pub(crate) async fn delete_offsets(
        &self,
        group_id: &str,
        topics: Vec<(TopicId, Vec<PartitionId>)>,
    ) -> Result<(), ErrorCode> {
        let topics = topics.into_iter().filter(|(_, partitions)| !partitions.is_empty());
        let topics = topics.map(|(topic_id, partitions)| TopicPartitions { topic_id: topic_id.into(), partitions });
        let (group_id, topics) = (group_id.to_owned(), topics.collect());
        let request = DeleteOffsets { group_id, topics, committed_until_ms: i64::MAX };
        match self.controller.delete_offsets(request).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(ErrorCode::from_code(e.code()).unwrap_or(ErrorCode::UnknownServerError)),
            Err(e) => Err(commit_error(&e)),
        }
    }

    /// Removes offsets that have expired, and empty groups that have none left. `retention_ms` is how long offsets are
    /// kept.
    pub(crate) async fn expire_offsets(self: &Arc<Self>, retention_ms: i64) {
        let image = self.controller.image();
        for (group_id, stored) in image.groups() {
            let now_ms = self.env.clock.wall_ms();
            let live = self.step(group_id, false, |state, _, _| (state.group.state(), state.group.subscribed_topics()));
            let Some((state, subscribed)) = live else { continue };
            let topics = offset_expiry::expired(&image, stored, state, subscribed.as_ref(), now_ms, retention_ms);
            let outcome = if !topics.is_empty() {
                let committed_until_ms = topics.iter().map(|(until_ms, _)| *until_ms).max().unwrap_or(0);
                let (group_id, topics) = (group_id.to_owned(), topics.into_iter().map(|(_, topic)| topic).collect());
                let request = DeleteOffsets { group_id, topics, committed_until_ms };
                self.controller.delete_offsets(request).await.map(drop).map_err(|e| commit_error(&e))
            } else if stored.offsets().is_empty() && state == State::Empty {
                self.remove(group_id, true).await
            } else {
                continue;
            };
            match outcome {
                Ok(()) => info!(group = group_id, "removed expired offsets, or an empty group without any"),
                // Somebody uses the group again.
                Err(ErrorCode::NonEmptyGroup | ErrorCode::GroupIdNotFound) => {}
                Err(error) => warn!(group = group_id, ?error, "cannot remove expired offsets"),
            }
        }
    }

    /// What there is to see of a group; `None` if there is no such group.
    pub(crate) fn describe(self: &Arc<Self>, group_id: &str) -> Option<Description> {
        let description = self.step(group_id, false, |state, _, _| {
            let group = &state.group;
            Description {
                state: group.state(),
                protocol_type: group.protocol_type().unwrap_or_default().to_owned(),
                protocol: group.protocol().unwrap_or_default().to_owned(),
                members: group.members(),
            }
        });
        description.filter(|description| description.state != State::Dead)
    }

    /// Ids of all groups, stored or not, ascending.
    pub(crate) fn ids(&self) -> BTreeSet<String> {
        let mut ids: BTreeSet<String> = self.live.lock().keys().cloned().collect();
        ids.extend(self.controller.image().groups().map(|(id, _)| id.to_owned()));
        ids
    }

    pub(crate) fn live_count(&self) -> usize {
        self.live.lock().len()
    }
}

impl LiveState {
    fn wait(&mut self) -> (Waiter, oneshot::Receiver<Answer>) {
        let (answer, waiting) = oneshot::channel();
        self.waiters += 1;
        self.waiting.insert(self.waiters, answer);
        (self.waiters, waiting)
    }

    fn answer(&mut self, answers: Vec<(Waiter, Answer)>) {
        for (waiter, answer) in answers {
            if let Some(waiting) = self.waiting.remove(&waiter) {
                // A client that went away no longer waits.
                let _ = waiting.send(answer);
            }
        }
    }
}

/// Stores what a group has to store, one after the other, and tells it.
async fn store(groups: Arc<Groups>, live: Arc<Live>) {
    loop {
        let (queued, generation) = {
            let mut state = live.state.lock();
            let Some(stored) = state.to_store.take() else {
                state.storing = false;
                groups.finish(&live, state, Effects::default());
                return;
            };
            let generation = stored.generation;
            let group = to_record(&live.id, stored);
            (groups.controller.queue(Request::StoreGroup(StoreGroup { group })), generation)
        };
        let outcome = match queued.await {
            Ok(Response::StoreGroup(Ok(()))) => Ok(()),
            Ok(Response::StoreGroup(Err(e))) => {
                warn!(group = live.id, generation, "the group is not stored: {e}");
                Err(ErrorCode::UnknownServerError)
            }
            Ok(other) => unreachable!("a request is answered in kind, not by {other:?}"),
            Err(e) => {
                warn!(group = live.id, generation, "the group is not stored: {e}");
                Err(commit_error(&e))
            }
        };
        let mut state = live.state.lock();
        let mut out = Effects::default();
        state.group.stored(groups.now_ms(), generation, outcome, &mut out);
        groups.finish(&live, state, out);
    }
}

/// What a client is told that could not be served now, so that it tries again.
fn commit_error(error: &SubmitError) -> ErrorCode {
    match error {
        SubmitError::Busy | SubmitError::OutcomeUnknown => ErrorCode::CoordinatorNotAvailable,
        SubmitError::NotController | SubmitError::Stopping => ErrorCode::NotCoordinator,
        SubmitError::Failed { .. } => ErrorCode::CoordinatorNotAvailable,
    }
}

fn to_record(group_id: &str, stored: StoredGroup) -> GroupRecord {
    let member = |member: StoredMember| GroupMember {
        member_id: member.member_id,
        instance_id: member.instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        session_timeout_ms: member.session_timeout_ms,
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        metadata: member.metadata,
        assignment: member.assignment,
    };
    GroupRecord {
        group_id: group_id.to_owned(),
        protocol_type: stored.protocol_type,
        generation: stored.generation,
        protocol: stored.protocol,
        leader: stored.leader,
        members: stored.members.into_iter().map(member).collect(),
        changed_ms: 0,
    }
}

fn restored(record: &GroupRecord) -> StoredGroup {
    let member = |member: &GroupMember| StoredMember {
        member_id: member.member_id.clone(),
        instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        session_timeout_ms: member.session_timeout_ms,
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        metadata: member.metadata.clone(),
        assignment: member.assignment.clone(),
    };
    StoredGroup {
        protocol_type: record.protocol_type.clone(),
        generation: record.generation,
        protocol: record.protocol.clone(),
        leader: record.leader.clone(),
        members: record.members.iter().map(member).collect(),
    }
}
