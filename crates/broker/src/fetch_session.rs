//! Fetch sessions (KIP-227): a client names its partitions once and then only what changes.
//!
//! The cache is bounded in sessions and in the partitions of all of them; those unused for longest make room for a new session.
//! Session id 0 means "no session".

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chronik_env::random::Random;
use chronik_protocol::Uuid;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::messages::TopicName as WireTopicName;
use chronik_protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};
use parking_lot::Mutex;

use crate::handlers::wire_name;

/// Session epochs of a request that belongs to no running session.
const INITIAL: i32 = 0;
const FINAL: i32 = -1;
/// A session used within this time is not evicted for another (KIP-227's `min.incremental.fetch.session.eviction.ms`).
const MIN_EVICTION_MS: u64 = 120_000;
/// Partitions one session may remember.
const MAX_PARTITIONS: usize = 100_000;
/// Partitions all sessions together may remember: some 150 MB, names aside.
const MAX_PARTITIONS_OF_ALL: usize = 500_000;

/// A partition as the client names it: by topic id (from Fetch version 13 on) or by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TargetKey {
    pub(crate) topic_id: Uuid,
    pub(crate) topic: WireTopicName,
    pub(crate) index: i32,
}

/// One partition to read.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) key: TargetKey,
    pub(crate) asked: FetchPartition,
}

/// What a session last told its client of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) high_watermark: i64,
    pub(crate) log_start: i64,
}

/// What the client was told before its first answer: differs from everything.
const NOTHING_TOLD: Told = Told { high_watermark: -1, log_start: -1 };

struct Cached {
    target: Target,
    told: Told,
}

struct Session {
    epoch: i32,
    by_topic_id: bool,
    /// By turn: partitions answered with data go to the end, so that no partition starves the others.
    partitions: BTreeMap<u64, Cached>,
    turns: BTreeMap<TargetKey, u64>,
    next_turn: u64,
    /// What its partitions have a place each of.
    places: Arc<Places>,
    /// When it was last used, in milliseconds of the monotonic clock.
    used_ms: u64,
}

type ById = BTreeMap<i32, Arc<Mutex<Session>>>;

/// The sessions of all clients of this broker.
pub(crate) struct FetchSessions {
    by_id: Mutex<ById>,
    places: Arc<Places>,
    slots: usize,
    random: Random,
}

/// How many partitions all sessions remember.
#[derive(Default)]
struct Places(AtomicUsize);

impl Places {
    /// Takes so many places, all or none. Whether they were left.
    fn take(&self, places: usize) -> bool {
        let more = |taken: usize| Some(taken + places).filter(|&taken| taken <= MAX_PARTITIONS_OF_ALL);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn left(&self) -> usize {
        MAX_PARTITIONS_OF_ALL.saturating_sub(self.0.load(Ordering::Relaxed))
    }

    fn give_back(&self, places: usize) {
        self.0.fetch_sub(places, Ordering::Relaxed);
    }
}

/// How one fetch request is to be answered.
pub(crate) enum FetchKind {
    /// Everything asked for is answered; no session.
    Sessionless(Vec<Target>),
    /// Everything asked for is answered, and remembered.
    New(Vec<Target>),
    /// Only what changed is answered.
    Incremental(OpenSession),
}

/// A running session within one request.
pub(crate) struct OpenSession {
    id: i32,
    session: Arc<Mutex<Session>>,
    pub(crate) targets: Vec<Target>,
}

impl FetchSessions {
    pub(crate) fn new(slots: usize, random: Random) -> Self {
        FetchSessions { by_id: Mutex::default(), places: Arc::default(), slots, random }
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.by_id.lock().len()
    }

    /// Reads the session part of a request, and updates the session by what the request adds, changes and forgets.
    pub(crate) fn begin(&self, request: FetchRequest, by_topic_id: bool, now_ms: u64) -> Result<FetchKind, ErrorCode> {
        match (request.session_id, request.session_epoch) {
            (id, INITIAL | FINAL) => {
                if id != 0 {
                    self.end(id);
                }
                let targets = targets(&request);
                Ok(if request.session_epoch == FINAL {
                    FetchKind::Sessionless(targets)
                } else {
                    FetchKind::New(targets)
                })
            }
            (id, epoch) => self.resume(id, epoch, &request, by_topic_id, now_ms).map(FetchKind::Incremental),
        }
    }

    fn resume(
        &self,
        id: i32,
        epoch: i32,
        request: &FetchRequest,
        by_topic_id: bool,
        now_ms: u64,
    ) -> Result<OpenSession, ErrorCode> {
        let shared = self.by_id.lock().get(&id).cloned().ok_or(ErrorCode::FetchSessionIdNotFound)?;
        let mut session = shared.lock();
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.by_topic_id != by_topic_id {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        session.epoch = next_epoch(epoch);
        session.used_ms = now_ms;
        session.forget_all(request);
        if !targets(request).into_iter().all(|target| session.put(target)) {
            drop(session);
            self.end(id);
            // The client begins anew, and is served without a session unless others make room.
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        // As Kafka: what is both asked for and forgotten is forgotten.
        session.forget_all(request);
        let targets = session.partitions.values().map(|cached| cached.target.clone()).collect();
        drop(session);
        Ok(OpenSession { id, session: shared, targets })
    }

    fn end(&self, id: i32) {
        // Freed when the lock is given back: every fetch takes it.
        let _ended = self.by_id.lock().remove(&id);
    }

    /// Remembers a new session. Returns its id; 0 when sessions are switched off, the client wants too many partitions, or the
    /// room is taken by sessions in use.
    pub(crate) fn create(&self, answered: Vec<(Target, Told)>, by_topic_id: bool, now_ms: u64) -> i32 {
        if self.slots == 0 || answered.is_empty() || answered.len() > MAX_PARTITIONS {
            return 0;
        }
        let mut by_id = self.by_id.lock();
        let places = answered.len();
        if !self.make_room(&mut by_id, places, now_ms) {
            return 0;
        }
        let mut session = Session {
            epoch: next_epoch(INITIAL),
            by_topic_id,
            partitions: BTreeMap::new(),
            turns: BTreeMap::new(),
            next_turn: 0,
            places: self.places.clone(),
            used_ms: now_ms,
        };
        for (target, told) in answered {
            let key = target.key.clone();
            if !session.change(&target) {
                session.add(target);
            }
            session.tell(&key, told, false);
        }
        // A client may name a partition twice.
        self.places.give_back(places - session.partitions.len());
        let id = loop {
            let id = (self.random.next_u64() & 0x7fff_ffff) as i32;
            if id != 0 && !by_id.contains_key(&id) {
                break id;
            }
        };
        by_id.insert(id, Arc::new(Mutex::new(session)));
        id
    }

    /// Takes so many places for a new session, which has a slot as well. Sessions that neither are nor were in use of late end for
    /// it, those unused for longest first, and none where it is seen that all of them would not do.
    fn make_room(&self, by_id: &mut ById, places: usize, now_ms: u64) -> bool {
        if by_id.len() < self.slots && self.places.take(places) {
            return true;
        }
        // A session that a fetch waits with gives nothing back until that is over.
        let idle = by_id.iter().filter(|(_, session)| Arc::strong_count(session) == 1);
        let known = idle.map(|(&id, session)| {
            let session = session.lock();
            (session.used_ms, id, session.partitions.len())
        });
        let mut unused: Vec<_> = known.filter(|known| now_ms.saturating_sub(known.0) >= MIN_EVICTION_MS).collect();
        unused.sort_unstable();
        let would_be_left = self.places.left() + unused.iter().map(|known| known.2).sum::<usize>();
        if by_id.len() - unused.len() >= self.slots || would_be_left < places {
            return false;
        }
        unused.into_iter().any(|(_, id, _)| {
            by_id.remove(&id);
            by_id.len() < self.slots && self.places.take(places)
        })
    }
}

impl OpenSession {
    pub(crate) fn id(&self) -> i32 {
        self.id
    }

    /// Notes what a partition is about to be answered with. Whether the client has to be told: there are records, or an offset moved.
    pub(crate) fn tell(&self, key: &TargetKey, told: Told, has_records: bool) -> bool {
        self.session.lock().tell(key, told, has_records)
    }

    /// A partition was answered with an error: whatever comes next is news.
    pub(crate) fn failed(&self, key: &TargetKey) {
        self.session.lock().tell(key, NOTHING_TOLD, false);
    }
}

impl Session {
    /// Adds or changes a partition. False where there is no place for it.
    fn put(&mut self, target: Target) -> bool {
        if self.change(&target) {
            return true;
        }
        let has_place = self.partitions.len() < MAX_PARTITIONS && self.places.take(1);
        if has_place {
            self.add(target);
        }
        has_place
    }

    /// Asks otherwise of a partition. False where it is not of this session.
    fn change(&mut self, target: &Target) -> bool {
        let cached = self.turns.get(&target.key).and_then(|turn| self.partitions.get_mut(turn));
        cached.map(|cached| cached.target = target.clone()).is_some()
    }

    /// Adds a partition that has its place.
    fn add(&mut self, target: Target) {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.turns.insert(target.key.clone(), turn);
        self.partitions.insert(turn, Cached { target, told: NOTHING_TOLD });
    }

    /// Forgets what a request names.
    fn forget_all(&mut self, request: &FetchRequest) {
        for topic in &request.forgotten_topics_data {
            for &index in &topic.partitions {
                self.forget(&TargetKey { topic_id: topic.topic_id, topic: topic.topic.clone(), index });
            }
        }
    }

    fn forget(&mut self, key: &TargetKey) {
        if let Some(turn) = self.turns.remove(key) {
            self.partitions.remove(&turn);
            self.places.give_back(1);
        }
    }

    fn tell(&mut self, key: &TargetKey, told: Told, has_records: bool) -> bool {
        let Some(&turn) = self.turns.get(key) else { return true };
        let Some(cached) = self.partitions.get_mut(&turn) else { return true };
        let news = has_records || cached.told != told;
        cached.told = told;
        if has_records && let Some(cached) = self.partitions.remove(&turn) {
            self.turns.insert(key.clone(), self.next_turn);
            self.partitions.insert(self.next_turn, cached);
            self.next_turn += 1;
        }
        news
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.places.give_back(self.partitions.len());
    }
}

fn next_epoch(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}

fn targets(request: &FetchRequest) -> Vec<Target> {
    // Copies: a session must not keep the request's memory.
    let of_topic = |topic: &FetchTopic| {
        let (topic_id, name) = (topic.topic_id, wire_name(&topic.topic));
        let target = move |asked: &FetchPartition| Target {
            key: TargetKey { topic_id, topic: name.clone(), index: asked.partition },
            asked: asked.clone().with_unknown_tagged_fields(BTreeMap::new()),
        };
        topic.partitions.iter().map(target).collect::<Vec<_>>()
    };
    request.topics.iter().flat_map(of_topic).collect()
}

#[cfg(test)]
mod tests {
    use chronik_protocol::messages::fetch_request::ForgottenTopic;

    use super::*;

    fn request(id: i32, epoch: i32, partitions: &[i32], forgotten: &[i32]) -> FetchRequest {
        let asked = partitions.iter().map(|&p| FetchPartition::default().with_partition(p)).collect();
        let topics = if partitions.is_empty() {
            vec![]
        } else {
            vec![FetchTopic::default().with_topic(wire_name("t")).with_partitions(asked)]
        };
        let forgotten = vec![ForgottenTopic::default().with_topic(wire_name("t")).with_partitions(forgotten.to_vec())];
        FetchRequest::default()
            .with_session_id(id)
            .with_session_epoch(epoch)
            .with_topics(topics)
            .with_forgotten_topics_data(forgotten)
    }

    fn indexes(kind: &FetchKind) -> Vec<i32> {
        match kind {
            FetchKind::Sessionless(t) | FetchKind::New(t) => t.iter().map(|t| t.key.index).collect(),
            FetchKind::Incremental(s) => s.targets.iter().map(|t| t.key.index).collect(),
        }
    }

    fn told(high_watermark: i64) -> Told {
        Told { high_watermark, log_start: 0 }
    }

    fn create_at(sessions: &FetchSessions, partitions: &[i32], now_ms: u64) -> i32 {
        let Ok(FetchKind::New(targets)) = sessions.begin(request(0, 0, partitions, &[]), false, now_ms) else {
            panic!("a new session")
        };
        sessions.create(targets.into_iter().map(|t| (t, told(5))).collect(), false, now_ms)
    }

    fn create(sessions: &FetchSessions, partitions: &[i32]) -> i32 {
        create_at(sessions, partitions, 0)
    }

    impl FetchSessions {
        fn taken(&self) -> usize {
            self.places.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_session_remembers_adds_forgets_and_rotates() {
        let sessions = FetchSessions::new(10, Random::from_seed(1));
        let id = create(&sessions, &[0, 1, 2]);
        assert_ne!(id, 0);
        let kind = sessions.begin(request(id, 1, &[3], &[1]), false, 0).expect("epoch 1 is next");
        assert_eq!(indexes(&kind), [0, 2, 3]);
        let FetchKind::Incremental(open) = kind else { panic!("incremental") };
        let key = |index| open.targets.iter().find(|t| t.key.index == index).expect("a target").key.clone();
        assert!(!open.tell(&key(0), told(5), false), "nothing new");
        assert!(open.tell(&key(2), told(6), false), "the high watermark moved");
        assert!(open.tell(&key(3), told(5), false), "a partition just added is always told");
        assert!(open.tell(&key(0), told(5), true), "records are news");
        let kind = sessions.begin(request(id, 2, &[], &[]), false, 0).expect("epoch 2 is next");
        assert_eq!(indexes(&kind), [2, 3, 0], "a partition that had records goes to the end");
    }

    #[test]
    fn a_session_that_outgrows_its_bound_ends() {
        let sessions = FetchSessions::new(10, Random::from_seed(1));
        let id = create(&sessions, &[0]);
        let most: Vec<i32> = (1..MAX_PARTITIONS as i32).collect();
        assert!(sessions.begin(request(id, 1, &most, &[]), false, 0).is_ok());
        let again = request(id, 2, &[0, 7], &[]);
        assert!(sessions.begin(again, false, 0).is_ok(), "none is new");
        let one_more = request(id, 3, &[MAX_PARTITIONS as i32], &[]);
        assert_eq!(sessions.begin(one_more, false, 0).err(), Some(ErrorCode::FetchSessionIdNotFound));
        assert_eq!((sessions.len(), sessions.taken()), (0, 0));
    }

    #[test]
    fn all_sessions_together_are_bounded() {
        let sessions = FetchSessions::new(10, Random::from_seed(1));
        let most: Vec<i32> = (0..MAX_PARTITIONS as i32).collect();
        let mut ids: Vec<i32> = (0..6).map(|_| create(&sessions, &most)).collect();
        assert_eq!(ids.pop(), Some(0), "five take all there is");
        assert!(ids.iter().all(|id| *id != 0));
        let forget: Vec<i32> = (1..MAX_PARTITIONS as i32).collect();
        assert!(sessions.begin(request(ids[0], 1, &[], &forget), false, 0).is_ok());
        assert_ne!(create(&sessions, &[0, 1]), 0, "there is room again");
        assert!(sessions.begin(request(ids[1], FINAL, &[], &[]), false, 0).is_ok());
        assert_eq!(sessions.taken(), 3 * MAX_PARTITIONS + 1 + 2);
    }

    #[test]
    fn sessions_unused_for_long_make_room_for_the_partitions_of_a_new_one() {
        let sessions = FetchSessions::new(10, Random::from_seed(1));
        let most: Vec<i32> = (0..MAX_PARTITIONS as i32).collect();
        let ids: Vec<i32> = (0..5).map(|_| create(&sessions, &most)).collect();
        assert_eq!(create_at(&sessions, &[0], MIN_EVICTION_MS - 1), 0, "all are in use");
        for &id in &ids[1..] {
            assert!(
                sessions.begin(request(id, 1, &[], &[]), false, 1).is_ok(),
                "a full house does not disturb a session"
            );
        }
        assert_ne!(create_at(&sessions, &most, MIN_EVICTION_MS), 0, "in the place of the first");
        let gone = sessions.begin(request(ids[0], 1, &[], &[]), false, MIN_EVICTION_MS).err();
        assert_eq!(gone, Some(ErrorCode::FetchSessionIdNotFound));
        assert_eq!((sessions.len(), sessions.taken()), (5, MAX_PARTITIONS_OF_ALL));
    }

    #[test]
    fn no_session_ends_for_one_that_still_finds_no_room() {
        let sessions = FetchSessions::new(10, Random::from_seed(1));
        let most: Vec<i32> = (0..MAX_PARTITIONS as i32).collect();
        let unused = create(&sessions, &[0]);
        (0..4).for_each(|_| assert_ne!(create_at(&sessions, &most, 1), 0));
        assert_ne!(create_at(&sessions, &most[1..], 1), 0);
        assert_eq!(create_at(&sessions, &[0, 1], MIN_EVICTION_MS), 0);
        assert!(sessions.begin(request(unused, 1, &[], &[]), false, MIN_EVICTION_MS).is_ok());
    }

    #[test]
    fn a_session_with_which_a_fetch_waits_stays() {
        let sessions = FetchSessions::new(1, Random::from_seed(1));
        let id = create(&sessions, &[0]);
        let waiting = sessions.begin(request(id, 1, &[], &[]), false, 0).expect("epoch 1 is next");
        assert_eq!(create_at(&sessions, &[0], 2 * MIN_EVICTION_MS), 0);
        drop(waiting);
        assert_ne!(create_at(&sessions, &[0], 2 * MIN_EVICTION_MS), 0);
    }

    #[test]
    fn a_full_session_may_put_one_partition_in_the_place_of_another() {
        let sessions = FetchSessions::new(10, Random::from_seed(1));
        let most: Vec<i32> = (0..MAX_PARTITIONS as i32).collect();
        let id = create(&sessions, &most);
        let other = MAX_PARTITIONS as i32;
        let kind = sessions.begin(request(id, 1, &[other], &[0]), false, 0).expect("no more than before");
        assert_eq!((indexes(&kind).first(), indexes(&kind).last()), (Some(&1), Some(&other)));
        let kind = sessions.begin(request(id, 2, &[1], &[1]), false, 0).expect("fewer than before");
        assert_eq!(indexes(&kind).first(), Some(&2), "both asked for and forgotten");
    }

    #[test]
    fn a_session_that_finds_no_place_ends_and_no_other() {
        let sessions = FetchSessions::new(10, Random::from_seed(1));
        let most: Vec<i32> = (0..MAX_PARTITIONS as i32).collect();
        let ids: Vec<i32> = (0..4).map(|_| create(&sessions, &most)).collect();
        let (small, large) = (create(&sessions, &[0]), create(&sessions, &most[1..]));
        assert_eq!(sessions.taken(), MAX_PARTITIONS_OF_ALL);
        let refused = sessions.begin(request(small, 1, &[1], &[]), false, 0).err();
        assert_eq!(refused, Some(ErrorCode::FetchSessionIdNotFound));
        for id in [&ids[..], &[large]].concat() {
            assert!(sessions.begin(request(id, 1, &[], &[]), false, 0).is_ok());
        }
        assert_eq!(sessions.taken(), MAX_PARTITIONS_OF_ALL - 1);
    }

    #[test]
    fn sessions_begun_at_once_never_exceed_the_bound() {
        let sessions = FetchSessions::new(100, Random::from_seed(1));
        let most: Vec<i32> = (0..MAX_PARTITIONS as i32 - 1).collect();
        let ids: Vec<i32> = (0..5).map(|_| create(&sessions, &most)).collect();
        std::thread::scope(|scope| {
            for id in ids {
                let sessions = &sessions;
                scope.spawn(move || {
                    let added = sessions.begin(request(id, 1, &[MAX_PARTITIONS as i32], &[]), false, 0);
                    assert!(added.is_ok(), "a place is left for each");
                });
                scope.spawn(|| create(sessions, &most));
            }
        });
        assert_eq!(sessions.taken(), MAX_PARTITIONS_OF_ALL, "the five have all");
        assert_eq!(sessions.len(), 5);
    }

    #[test]
    fn wrong_ids_epochs_and_topic_kinds_are_refused() {
        let sessions = FetchSessions::new(10, Random::from_seed(1));
        let id = create(&sessions, &[0]);
        let error = |r, by_id| sessions.begin(r, by_id, 0).err();
        assert_eq!(error(request(id ^ 1, 1, &[], &[]), false), Some(ErrorCode::FetchSessionIdNotFound));
        assert_eq!(error(request(id, 2, &[], &[]), false), Some(ErrorCode::InvalidFetchSessionEpoch));
        assert_eq!(error(request(id, 1, &[], &[]), true), Some(ErrorCode::FetchSessionTopicIdError));
        assert_eq!(error(request(id, 1, &[], &[]), false), None, "refusals did not disturb it");
        assert_eq!(error(request(id, FINAL, &[], &[]), false), None);
        assert_eq!(error(request(id, 2, &[], &[]), false), Some(ErrorCode::FetchSessionIdNotFound), "closed");
    }

    #[test]
    fn the_cache_is_bounded_and_the_epoch_wraps() {
        let sessions = FetchSessions::new(2, Random::from_seed(1));
        let first = create(&sessions, &[0]);
        let second = create(&sessions, &[0]);
        assert_eq!(create(&sessions, &[0]), 0, "both are in use");
        sessions.begin(request(first, 1, &[], &[]), false, MIN_EVICTION_MS).expect("used");
        let Ok(FetchKind::New(targets)) = sessions.begin(request(0, 0, &[0], &[]), false, 0) else {
            panic!("a new session")
        };
        let answered = targets.into_iter().map(|t| (t, told(5))).collect();
        assert_ne!(sessions.create(answered, false, MIN_EVICTION_MS), 0);
        assert_eq!(sessions.len(), 2);
        assert_eq!(
            sessions.begin(request(second, 1, &[], &[]), false, 0).err(),
            Some(ErrorCode::FetchSessionIdNotFound)
        );
        assert_eq!(next_epoch(i32::MAX), 1);
        assert_eq!(create(&FetchSessions::new(0, Random::from_seed(1)), &[0]), 0, "switched off");
    }
}
