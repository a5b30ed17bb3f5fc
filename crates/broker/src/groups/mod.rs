//! The groups this broker coordinates: each behind a lock of its own, with its waiting members, its timer, and its way to
//! the metadata log.
//!
//! What is stored of a group is in the image; a group is here only while it has members, or somebody deals with it. What
//! happens in a group happens in the order in which its lock is taken, and what follows from that reaches the controller
//! in the same order.

mod classic;
mod consumer;
mod offsets;
mod store;
mod stored;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chronik_coordinator::{Answer, ClassicGroup, ConsumerGroup, Effects, Settings, State, StoredGroup, Waiter};
use chronik_env::Env;
use chronik_protocol::error::ErrorCode;
use chronik_quorum::ControllerHandle;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, oneshot};
use tracing::info;

use crate::broker::Stop;
use crate::live_settings::LiveSettings;

pub(crate) use classic::{Description, Undescribed};
pub(crate) use offsets::Committer;

/// Groups with members, or with ids given out to some, of which nothing is stored yet. It is stored with their first
/// assignment; more of them at once are told to come again.
const MAX_UNSTORED: usize = 10_000;

pub(crate) struct Groups {
    env: Env,
    controller: ControllerHandle,
    settings: Arc<LiveSettings>,
    live: Mutex<HashMap<String, Arc<Live>>>,
    /// How many of them are not stored.
    unstored: AtomicUsize,
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
    group: AnyGroup,
    waiting: HashMap<Waiter, oneshot::Sender<Answer>>,
    waiters: Waiter,
    /// When the timer of this group is set.
    timer_ms: Option<i64>,
    /// The generation that is to be stored next.
    to_store: Option<StoredGroup>,
    /// Who waits until the consumer group as it is now is durable.
    until_durable: Vec<oneshot::Sender<Result<(), ErrorCode>>>,
    /// A task stores what there is to store.
    storing: bool,
    /// Counted among those of which nothing is stored yet.
    unstored: bool,
    /// No longer in the map: whoever still has it looks again.
    gone: bool,
}

/// What a list of groups says of one, in Kafka's words.
pub(crate) struct Listed {
    pub(crate) group_type: &'static str,
    pub(crate) protocol_type: String,
    pub(crate) state: &'static str,
}

/// A group of either protocol.
enum AnyGroup {
    Classic(Box<ClassicGroup>),
    Consumer(Box<ConsumerGroup>),
}

impl AnyGroup {
    /// Whether nothing would be lost with it but what is stored.
    fn is_idle(&self) -> bool {
        match self {
            AnyGroup::Classic(group) => group.is_idle(),
            AnyGroup::Consumer(group) => group.is_empty() && !group.has_changes(),
        }
    }

    /// Whether it has no members, and nothing on its way to the disk. The classic protocol may have given out ids.
    fn may_be_deleted(&self) -> bool {
        match self {
            AnyGroup::Classic(group) => group.may_be_deleted(),
            AnyGroup::Consumer(_) => self.is_idle(),
        }
    }

    fn is_dead(&self) -> bool {
        match self {
            AnyGroup::Classic(group) => group.state() == State::Dead,
            AnyGroup::Consumer(group) => group.is_dead(),
        }
    }

    fn next_deadline_ms(&self) -> Option<i64> {
        match self {
            AnyGroup::Classic(group) => group.next_deadline_ms(),
            AnyGroup::Consumer(group) => group.next_deadline_ms(),
        }
    }

    /// Whoever waits in it is told `error`.
    fn end(&mut self, error: ErrorCode, out: &mut Effects) {
        match self {
            AnyGroup::Classic(group) => group.end(error, out),
            AnyGroup::Consumer(group) => group.end(),
        }
    }
}

impl Groups {
    pub(crate) fn new(env: Env, controller: ControllerHandle, settings: Arc<LiveSettings>) -> Self {
        Groups {
            env,
            controller,
            settings,
            live: Mutex::default(),
            unstored: AtomicUsize::new(0),
            timers: Mutex::default(),
            sooner: Notify::new(),
        }
    }

    fn classic_settings(&self) -> Settings {
        let config = self.settings.config();
        Settings {
            min_session_timeout_ms: config.groups.min_session_timeout_ms,
            max_session_timeout_ms: config.groups.max_session_timeout_ms,
            max_size: config.groups.max_size,
            initial_rebalance_delay_ms: config.groups.initial_rebalance_delay_ms.into(),
        }
    }

    /// Takes up the groups that have members: from now on their sessions run. Timers run until the broker stops.
    pub(crate) fn start(self: &Arc<Self>, mut stop: Stop) {
        let image = self.controller.image();
        for (group_id, stored) in image.groups() {
            let classic = stored.generation.as_ref().is_some_and(|generation| !generation.members.is_empty());
            if classic || stored.consumer.as_ref().is_some_and(|consumer| consumer.members().len() > 0) {
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
            if state.gone {
                continue;
            }
            state.timer_ms = None;
            let mut out = Effects::default();
            match &mut state.group {
                AnyGroup::Classic(group) => group.tick(now_ms, &mut out),
                AnyGroup::Consumer(group) => {
                    let scene = self.scene(&live.id);
                    for member_id in group.tick(&scene.view()) {
                        info!(group = live.id, member_id, "the member was not heard of, or has not let go, in time");
                    }
                    state.downgrade_if_due(&live.id, &scene.view(), self.classic_settings(), true, &mut out);
                }
            }
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
            state.fail(ErrorCode::NotCoordinator);
        }
    }

    /// The group as it lives here, taken up from what is stored of it. `None` if there is no such group and none is to
    /// be made, or too many were.
    fn live(&self, group_id: &str, make: bool) -> Option<Arc<Live>> {
        let mut all = self.live.lock();
        if let Some(live) = all.get(group_id) {
            return Some(live.clone());
        }
        let image = self.controller.image();
        let stored = image.group(group_id);
        let group = match stored {
            Some(known) => match (&known.generation, &known.consumer) {
                (_, Some(consumer)) => {
                    let scene = self.scene(group_id);
                    let group = ConsumerGroup::restore(&scene.view(), stored::consumer_group(consumer));
                    AnyGroup::Consumer(Box::new(group))
                }
                (Some(generation), None) => {
                    let stored = stored::classic_group(generation);
                    AnyGroup::Classic(Box::new(ClassicGroup::restore(self.classic_settings(), stored, self.now_ms())))
                }
                (None, None) => self.new_classic(),
            },
            None if make && self.unstored.load(Ordering::Relaxed) < MAX_UNSTORED => self.new_classic(),
            None => return None,
        };
        // Under the lock of the map, as the comparison above.
        if stored.is_none() {
            self.unstored.fetch_add(1, Ordering::Relaxed);
        }
        let state = LiveState {
            group,
            waiting: HashMap::new(),
            waiters: 0,
            timer_ms: None,
            to_store: None,
            until_durable: Vec::new(),
            storing: false,
            unstored: stored.is_none(),
            gone: false,
        };
        let live = Arc::new(Live { id: group_id.to_owned(), state: Mutex::new(state) });
        all.insert(group_id.to_owned(), live.clone());
        Some(live)
    }

    fn new_classic(&self) -> AnyGroup {
        AnyGroup::Classic(Box::new(ClassicGroup::new(self.classic_settings())))
    }

    /// Lets something happen in a group. `None` if there is no such group and none is to be made, or too many were.
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
        }
        if state.has_to_store() && !state.storing {
            state.storing = true;
            self.env.tasks.spawn_control(Box::pin(store::store(self.clone(), live.clone())));
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
            self.let_go(live, state);
        }
    }

    /// The group is taken up anew by whoever next deals with it.
    fn let_go(&self, live: &Arc<Live>, mut state: MutexGuard<'_, LiveState>) {
        state.gone = true;
        self.count_as_stored(&mut state);
        let timer_ms = state.timer_ms.take();
        drop(state);
        self.forget(live, timer_ms);
    }

    /// Something of the group is stored, or it is let go.
    fn count_as_stored(&self, state: &mut LiveState) {
        if std::mem::take(&mut state.unstored) {
            self.unstored.fetch_sub(1, Ordering::Relaxed);
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

    /// Ids of all groups, stored or not, ascending.
    pub(crate) fn ids(&self) -> BTreeSet<String> {
        let mut ids: BTreeSet<String> = self.live.lock().keys().cloned().collect();
        ids.extend(self.controller.image().groups().map(|(id, _)| id.to_owned()));
        ids
    }

    /// What a list of groups says of one; `None` if there is no such group.
    pub(crate) fn listed(self: &Arc<Self>, group_id: &str) -> Option<Listed> {
        let listed = self.step(group_id, false, |state, _, _| match &state.group {
            group if group.is_dead() => None,
            AnyGroup::Classic(group) => Some(Listed {
                group_type: "classic",
                protocol_type: group.protocol_type().unwrap_or_default().to_owned(),
                state: group.state().name(),
            }),
            AnyGroup::Consumer(group) => Some(Listed {
                group_type: "consumer",
                protocol_type: "consumer".to_owned(),
                state: group.state().name(),
            }),
        });
        listed.flatten()
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

    fn has_to_store(&self) -> bool {
        let changed = match &self.group {
            AnyGroup::Classic(_) => false,
            AnyGroup::Consumer(group) => group.has_changes(),
        };
        changed || self.to_store.is_some() || !self.until_durable.is_empty()
    }

    /// To be awaited before anybody is told how the consumer group is now, or the classic group that it has become in
    /// this step; `None` if that is durable already.
    fn durable(&mut self, out: &Effects) -> Option<oneshot::Receiver<Result<(), ErrorCode>>> {
        if !self.storing && !self.has_to_store() && out.store.is_none() {
            return None;
        }
        let (done, durable) = oneshot::channel();
        self.until_durable.push(done);
        Some(durable)
    }

    /// Whoever waits until the group is durable is told that it will not be.
    fn fail(&mut self, error: ErrorCode) {
        for done in self.until_durable.drain(..) {
            // A client that went away no longer waits.
            let _ = done.send(Err(error));
        }
    }
}
