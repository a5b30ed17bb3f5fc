//! One partition of which this broker is the leader: its log, its replication state, and who waits for either.
//!
//! Writers take the state's lock, which no await crosses; readers use the log's snapshot and the published offsets without it.
//! An append asks for a sync once; what is appended while the sync runs shares the next one (group commit).

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::sync::{Arc, Weak};

use chronik_config::{FlushMode, TopicConfig};
use chronik_env::fs::is_shortage;
use chronik_protocol::batch::BatchHeader;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::types::{LeaderEpoch, Offset, PartitionId, TopicId, TopicName};
use chronik_protocol::validate::Validated;
use chronik_replication::{Acks, Leader};
use chronik_storage::{AppendError, Log, LogOptions, LogReader, ProducerStates, SequenceError, SyncTicket, Verdict};
use parking_lot::{Condvar, Mutex};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tracing::{debug, error, warn};

use crate::append_times::AppendTimes;
use crate::data_dir::DataDir;
use crate::metrics::{LogMetrics, TopicTraffic};

/// Which partition of which incarnation of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PartitionKey {
    pub(crate) topic_id: TopicId,
    pub(crate) index: PartitionId,
}

/// Why records were not appended, or not acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ProduceError {
    #[error("the topic was deleted")]
    Deleted,
    #[error("the broker is stopping")]
    Closed,
    #[error("the data directory has failed; see the log")]
    DirectoryFailed,
    #[error("free disk space is below log.dirs.min.free.bytes")]
    LowSpace,
    #[error("the disk is full, or too many files are open")]
    NoRoom,
    #[error("the batch is larger than segment.bytes")]
    LargerThanSegment,
    #[error("{0}")]
    Sequence(SequenceError),
    #[error("a topic with min.insync.replicas={0} has too few in-sync replicas")]
    NotEnoughReplicas(i32),
}

impl ProduceError {
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            ProduceError::Deleted => ErrorCode::UnknownTopicOrPartition,
            ProduceError::Closed => ErrorCode::NotLeaderOrFollower,
            ProduceError::DirectoryFailed | ProduceError::LowSpace | ProduceError::NoRoom => {
                ErrorCode::KafkaStorageError
            }
            ProduceError::LargerThanSegment => ErrorCode::RecordListTooLarge,
            ProduceError::Sequence(SequenceError::OutOfOrder { .. }) => ErrorCode::OutOfOrderSequenceNumber,
            ProduceError::Sequence(SequenceError::StaleEpoch { .. }) => ErrorCode::InvalidProducerEpoch,
            ProduceError::NotEnoughReplicas(_) => ErrorCode::NotEnoughReplicas,
        }
    }
}

/// Records that are in the log.
pub(crate) struct Appended {
    pub(crate) base_offset: Offset,
    /// -1 under CreateTime.
    pub(crate) log_append_time_ms: i64,
    pub(crate) log_start_offset: Offset,
    /// Resolves when the records are held as widely as was asked for; `None` when they already are.
    pub(crate) ack: Option<oneshot::Receiver<Result<(), ProduceError>>>,
}

/// What a reader is told beside the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offsets {
    pub(crate) high_watermark: Offset,
    pub(crate) log_start: Offset,
    pub(crate) log_end: Offset,
    pub(crate) leader_epoch: LeaderEpoch,
}

pub(crate) struct Partition {
    pub(crate) key: PartitionKey,
    pub(crate) topic: TopicName,
    dir: Arc<DataDir>,
    reader: LogReader,
    state: Mutex<State>,
    high_watermark: AtomicI64,
    log_start: AtomicI64,
    log_end: AtomicI64,
    leader_epoch: AtomicI32,
    waiters: Mutex<Waiters>,
    /// Signalled when a sync ends.
    sync_ended: Condvar,
    metrics: Arc<LogMetrics>,
    traffic: Arc<TopicTraffic>,
    /// Whether a request asked for this partition since [`Partition::was_used`] was last called.
    used: AtomicBool,
}

struct State {
    log: Log,
    leader: Leader,
    config: Arc<TopicConfig>,
    /// Ascending by end.
    unacknowledged: VecDeque<Unacknowledged>,
    /// Whether the partition is marked as one whose log is being written to.
    marked: bool,
    /// A sync runs. At most one at a time: a failed sync is reported to one of two callers only.
    syncing: bool,
    /// Set when the partition is deleted or closed: what every later append is refused with.
    refusal: Option<ProduceError>,
    append_times: AppendTimes,
}

impl State {
    /// Whether records that end at `end` may be acknowledged. Where an acknowledgement means the disk, what was only in the page
    /// cache when the mode changed counts as little as what came since.
    fn acknowledges(&self, acks: Acks, end: Offset) -> bool {
        let durable =
            acks == Acks::None || self.config.flush_mode == FlushMode::Async || self.log.synced_offset() >= end;
        durable && self.leader.acknowledges(acks, end)
    }

    /// Whether records wait for the disk that no sync covers yet, unless one is running.
    fn awaits_sync(&self) -> bool {
        self.config.flush_mode == FlushMode::Sync && self.log.synced_offset() < self.log.log_end_offset()
    }
}

/// Fetches to wake when the high watermark moves.
#[derive(Default)]
struct Waiters {
    fetches: Vec<Weak<Notify>>,
    /// How often they were woken.
    wakes: u64,
}

/// That a fetch is to be woken by a partition, unless it was since.
pub(crate) struct Registration {
    partition: Weak<Partition>,
    wakes: u64,
}

struct Unacknowledged {
    end: Offset,
    acks: Acks,
    done: oneshot::Sender<Result<(), ProduceError>>,
}

impl Partition {
    pub(crate) fn new(
        key: PartitionKey,
        topic: TopicName,
        dir: Arc<DataDir>,
        log: Log,
        leader: Leader,
        config: Arc<TopicConfig>,
        metrics: Arc<LogMetrics>,
    ) -> Self {
        Partition {
            key,
            traffic: metrics.of(key.topic_id),
            metrics,
            topic,
            dir,
            reader: log.reader(),
            high_watermark: AtomicI64::new(leader.high_watermark()),
            log_start: AtomicI64::new(log.log_start_offset()),
            log_end: AtomicI64::new(log.log_end_offset()),
            leader_epoch: AtomicI32::new(leader.epoch()),
            state: Mutex::new(State {
                log,
                leader,
                config,
                unacknowledged: VecDeque::new(),
                marked: false,
                syncing: false,
                refusal: None,
                append_times: AppendTimes::default(),
            }),
            waiters: Mutex::default(),
            sync_ended: Condvar::new(),
            used: AtomicBool::new(true),
        }
    }

    pub(crate) fn config(&self) -> Arc<TopicConfig> {
        self.state.lock().config.clone()
    }

    /// Goes by other settings from now on.
    pub(crate) fn set_config(self: &Arc<Self>, config: Arc<TopicConfig>, options: LogOptions) {
        let mut state = self.state.lock();
        if *state.log.options() != options {
            state.log.set_options(options);
        }
        if *state.config == *config {
            return;
        }
        state.config = config;
        if self.dir.has_failed() {
            // Nothing more is held, whatever the mode.
            self.refuse_all(&mut state, &ProduceError::DirectoryFailed);
        } else if state.config.flush_mode == FlushMode::Async {
            // Nobody waits any more for what is in the page cache.
            let end = state.log.log_end_offset();
            self.held(&mut state, end);
        } else {
            // Nobody waited for what is in the page cache, and whoever reads this setting counts on the disk. A sync that
            // runs now may not cover it all: it looks again when it ends.
            self.sync_soon(&mut state);
        }
    }

    pub(crate) fn traffic(&self) -> &Arc<TopicTraffic> {
        &self.traffic
    }

    /// About when the record at `offset` was appended, in milliseconds: as seen by this broker since its start, else as its
    /// batch says. `None` when there is no such record.
    pub(crate) fn appended_ms(&self, offset: Offset) -> Option<i64> {
        if let Some(seen) = self.state.lock().append_times.at(offset) {
            return Some(seen);
        }
        let batch = self.reader.read(offset, 1, true, self.offsets().high_watermark).ok()?;
        BatchHeader::parse(&batch).map(|header| header.max_timestamp)
    }

    pub(crate) fn offsets(&self) -> Offsets {
        // The high watermark is read first: it never passes a log end read later.
        let high_watermark = self.high_watermark.load(Ordering::Acquire);
        Offsets {
            high_watermark,
            log_start: self.log_start.load(Ordering::Acquire),
            log_end: self.log_end.load(Ordering::Acquire),
            leader_epoch: self.leader_epoch.load(Ordering::Acquire),
        }
    }

    pub(crate) fn reader(&self) -> &LogReader {
        &self.reader
    }

    /// Appends one validated batch. Returns at once; durability is awaited through [`Appended::ack`].
    pub(crate) fn append(
        self: &Arc<Self>,
        batch: Validated,
        acks: Acks,
        now_ms: i64,
    ) -> Result<Appended, ProduceError> {
        self.dir.check_writable()?;
        let mut state = self.state.lock();
        if let Some(refusal) = &state.refusal {
            return Err(refusal.clone());
        }
        // As Kafka: a topic with fewer replicas than that needs all it has.
        let min_in_sync = state.config.min_insync_replicas.min(state.leader.replica_count() as i32);
        if acks == Acks::All && (state.leader.in_sync().len() as i32) < min_in_sync {
            return Err(ProduceError::NotEnoughReplicas(min_in_sync));
        }
        if let Verdict::Duplicate { base_offset, timestamp } =
            state.log.producers().check(&batch.header, now_ms).map_err(ProduceError::Sequence)?
        {
            return Ok(self.duplicate(&mut state, base_offset, timestamp, &batch, acks));
        }
        self.mark_unclean(&mut state)?;
        let mut header = batch.header;
        header.base_offset = state.log.log_end_offset();
        header.partition_leader_epoch = state.leader.epoch();
        if let Err(e) = state.log.append(&header, &batch.body, now_ms) {
            return Err(self.append_failed(&mut state, e));
        }
        state.append_times.note(header.base_offset, now_ms);
        let end = state.log.log_end_offset();
        state.leader.appended(end);
        self.log_end.store(end, Ordering::Release);
        let ack = self.acknowledge_later(&mut state, end, acks);
        Ok(Appended {
            base_offset: header.base_offset,
            log_append_time_ms: batch.log_append_time_ms,
            log_start_offset: state.log.log_start_offset(),
            ack,
        })
    }

    /// A retry of a batch that is already in the log is answered as the first try would have been, once that is as durable.
    fn duplicate(
        self: &Arc<Self>,
        state: &mut State,
        base_offset: Offset,
        timestamp: i64,
        batch: &Validated,
        acks: Acks,
    ) -> Appended {
        let end = base_offset + i64::from(batch.header.last_offset_delta) + 1;
        let log_append_time_ms = if batch.log_append_time_ms < 0 { -1 } else { timestamp };
        let ack = self.acknowledge_later(state, end, acks);
        Appended { base_offset, log_append_time_ms, log_start_offset: state.log.log_start_offset(), ack }
    }

    fn acknowledge_later(
        self: &Arc<Self>,
        state: &mut State,
        end: Offset,
        acks: Acks,
    ) -> Option<oneshot::Receiver<Result<(), ProduceError>>> {
        if state.config.flush_mode == FlushMode::Async {
            self.held(state, end);
            if state.log.should_sync() {
                self.sync_soon(state);
            }
        }
        let ack = (!state.acknowledges(acks, end)).then(|| {
            let (done, ack) = oneshot::channel();
            let at = state.unacknowledged.partition_point(|u| u.end <= end);
            state.unacknowledged.insert(at, Unacknowledged { end, acks, done });
            ack
        });
        if state.awaits_sync() {
            self.sync_soon(state);
        }
        ack
    }

    /// Before the log is written to: a crash from now on leaves it in need of recovery.
    fn mark_unclean(&self, state: &mut State) -> Result<(), ProduceError> {
        if state.marked {
            return Ok(());
        }
        match self.dir.unclean().mark(self.key) {
            Ok(()) => state.marked = true,
            Err(e) if is_shortage(&e) => return Err(ProduceError::NoRoom),
            Err(e) => {
                error!(topic = %self.topic, partition = self.key.index, "cannot mark the partition as written to: {e}");
                self.fail(state, &e.to_string());
                return Err(ProduceError::DirectoryFailed);
            }
        }
        Ok(())
    }

    fn append_failed(&self, state: &mut State, e: AppendError) -> ProduceError {
        match e {
            AppendError::LargerThanSegment { .. } => ProduceError::LargerThanSegment,
            AppendError::NoRoom(e) => {
                // Every produce may meet it until there is room: the health of the directory is told elsewhere.
                debug!(topic = %self.topic, partition = self.key.index, "refused: {e}");
                ProduceError::NoRoom
            }
            e => {
                error!(topic = %self.topic, partition = self.key.index, "append failed: {e}");
                self.fail(state, &e.to_string());
                ProduceError::DirectoryFailed
            }
        }
    }

    /// A write or a sync failed: neither this partition nor any other of the directory acknowledges anything from now on.
    fn fail(&self, state: &mut State, reason: &str) {
        state.log.fail();
        state.refusal = Some(ProduceError::DirectoryFailed);
        self.dir.fail(reason);
        self.refuse_all(state, &ProduceError::DirectoryFailed);
    }

    /// Starts a sync of what is appended unless one is running, which will look again when it ends. In a directory that has failed
    /// there is no sync to wait for.
    fn sync_soon(self: &Arc<Self>, state: &mut State) {
        if let Some(ticket) = self.begin_sync(state) {
            let partition = self.clone();
            self.dir.run_sync(Box::new(move || partition.run_sync(&ticket)));
        } else if self.dir.has_failed() {
            // Asked after, since it may fail at any time: who finds no sync is refused.
            self.refuse_all(state, &ProduceError::DirectoryFailed);
        }
    }

    fn begin_sync(&self, state: &mut State) -> Option<SyncTicket> {
        let deleted = matches!(state.refusal, Some(ProduceError::Deleted));
        if state.syncing || deleted || self.dir.has_failed() {
            return None;
        }
        let ticket = state.log.unsynced()?;
        state.syncing = true;
        Some(ticket)
    }

    fn run_sync(self: &Arc<Self>, ticket: &SyncTicket) {
        let began = Instant::now();
        // Even a panic must not leave the partition waiting for ever.
        let result = catch_unwind(AssertUnwindSafe(|| ticket.run()))
            .unwrap_or_else(|_| Err(std::io::Error::other("the sync panicked")));
        self.metrics.synced(began.elapsed());
        let mut state = self.state.lock();
        state.syncing = false;
        self.sync_ended.notify_all();
        match result {
            // Another log's failure is this directory's: nothing more is acknowledged.
            Ok(()) if self.dir.has_failed() => self.refuse_all(&mut state, &ProduceError::DirectoryFailed),
            Ok(()) => {
                state.log.synced(ticket);
                self.held(&mut state, ticket.end_offset());
                if state.awaits_sync() {
                    self.sync_soon(&mut state);
                }
            }
            // The files of a deleted topic may be gone already.
            Err(_) if matches!(state.refusal, Some(ProduceError::Deleted)) => {}
            Err(e) if is_shortage(&e) => {
                // Nothing was tried: the next append or checkpoint asks again. Whoever waits is told not to.
                warn!(topic = %self.topic, partition = self.key.index, "cannot sync now: {e}");
                self.refuse_all(&mut state, &ProduceError::NoRoom);
            }
            Err(e) => {
                error!(topic = %self.topic, partition = self.key.index, "sync failed: {e}");
                self.fail(&mut state, &e.to_string());
            }
        }
    }

    /// The leader holds all below `end`: moves the high watermark, answers who waited, wakes the fetches.
    fn held(&self, state: &mut State, end: Offset) {
        let end = end.min(state.leader.log_end_offset());
        let moved = state.leader.held(end);
        if moved {
            // Before the answers: who is told that its record is there must find it.
            self.high_watermark.store(state.leader.high_watermark(), Ordering::Release);
        }
        while let Some(first) = state.unacknowledged.front()
            && state.acknowledges(first.acks, first.end)
        {
            if let Some(acknowledged) = state.unacknowledged.pop_front() {
                // A client that went away no longer waits.
                let _ = acknowledged.done.send(Ok(()));
            }
        }
        if moved {
            self.wake();
        }
    }

    fn refuse_all(&self, state: &mut State, error: &ProduceError) {
        for waiting in state.unacknowledged.drain(..) {
            let _ = waiting.done.send(Err(error.clone()));
        }
    }

    /// Wakes every fetch that waits for this partition.
    fn wake(&self) {
        let mut waiters = self.waiters.lock();
        waiters.wakes += 1;
        for waiter in waiters.fetches.drain(..) {
            if let Some(waiter) = waiter.upgrade() {
                waiter.notify_one();
            }
        }
    }

    /// Registers a fetch to be woken, once, when the high watermark next moves or the partition goes away. `None` where it
    /// is registered already.
    pub(crate) fn wake_on_progress(
        self: &Arc<Self>,
        waiter: &Arc<Notify>,
        registered: Option<&Registration>,
    ) -> Option<Registration> {
        let mut waiters = self.waiters.lock();
        let wakes = waiters.wakes;
        if registered.is_some_and(|known| known.wakes == wakes && known.partition.as_ptr() == Arc::as_ptr(self)) {
            return None;
        }
        // Fetches that timed out leave dead entries; sweep them before the list doubles.
        if waiters.fetches.len() == waiters.fetches.capacity() {
            waiters.fetches.retain(|w| w.strong_count() > 0);
        }
        waiters.fetches.push(Arc::downgrade(waiter));
        Some(Registration { partition: Arc::downgrade(self), wakes })
    }

    /// The largest epoch not above `epoch` and its end offset (KIP-320); (-1, -1) when unknown. The current epoch is known before
    /// its first record.
    pub(crate) fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> (LeaderEpoch, Offset) {
        let state = self.state.lock();
        if epoch == state.leader.epoch() {
            return (epoch, state.leader.log_end_offset());
        }
        state.log.end_offset_for_epoch(epoch)
    }

    /// Raises the log start (DeleteRecords). The caller has made the new start durable.
    pub(crate) fn advance_log_start(&self, offset: Offset) {
        let mut state = self.state.lock();
        state.log.advance_log_start(offset);
        self.log_start.store(state.log.log_start_offset(), Ordering::Release);
    }

    /// Rolls and removes segments that are due. Returns bytes freed.
    pub(crate) fn apply_retention(&self, now_ms: i64) -> u64 {
        let mut state = self.state.lock();
        if state.refusal.is_some() {
            return 0;
        }
        let retained = self.retain(&mut state, now_ms).unwrap_or_else(|e| {
            error!(topic = %self.topic, partition = self.key.index, "retention failed: {e}");
            if state.log.is_failed() {
                self.fail(&mut state, &e);
            }
            0
        });
        self.log_start.store(state.log.log_start_offset(), Ordering::Release);
        retained
    }

    fn retain(&self, state: &mut State, now_ms: i64) -> Result<u64, String> {
        let high_watermark = state.leader.high_watermark();
        if state.log.is_retention_due(now_ms, high_watermark).map_err(|e| e.to_string())? {
            self.mark_unclean(state).map_err(|e| e.to_string())?;
        }
        state.log.roll_if_due(now_ms).map_err(|e| e.to_string())?;
        let retained = state.log.apply_retention(now_ms, high_watermark).map_err(|e| e.to_string())?;
        Ok(retained.removed_bytes)
    }

    /// When the oldest segment expires, as [`Log::oldest_expires_ms`] has it.
    pub(crate) fn oldest_expires_ms(&self) -> Option<i64> {
        // A log that cannot tell is looked at each time.
        self.state.lock().log.oldest_expires_ms().unwrap_or(Some(i64::MIN))
    }

    /// Notes that a request asked for this partition.
    pub(crate) fn set_used(&self) {
        // Mostly it is set already, and then the line stays shared between cores.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a request asked for this partition since this was last called.
    pub(crate) fn was_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Shows what is known of idempotent producers.
    pub(crate) fn with_producers<R>(&self, show: impl FnOnce(&ProducerStates) -> R) -> R {
        show(self.state.lock().log.producers())
    }

    /// Bytes on disk.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.state.lock().log.size_bytes()
    }

    /// The offset below which everything is durable.
    pub(crate) fn synced_offset(&self) -> Offset {
        self.state.lock().log.synced_offset()
    }

    /// Syncs what was appended, on this thread, unless a sync is running already.
    pub(crate) fn flush(self: &Arc<Self>) {
        let ticket = self.begin_sync(&mut self.state.lock());
        if let Some(ticket) = ticket {
            self.run_sync(&ticket);
        }
    }

    /// Whether there are files that a checkpoint could speak of.
    pub(crate) fn has_files(&self) -> bool {
        self.state.lock().log.has_files()
    }

    /// Whether a fetch waits for this partition.
    pub(crate) fn has_waiters(&self) -> bool {
        self.waiters.lock().fetches.iter().any(|w| w.strong_count() > 0)
    }

    /// Refuses everything from now on, waits for a running sync and writes everything out. Whether all of it is durable; a
    /// log for which there is no room now goes on, and may be closed later. Blocks.
    pub(crate) fn close(&self) -> bool {
        let mut state = self.state.lock();
        if matches!(state.refusal, Some(ProduceError::Deleted)) {
            return true;
        }
        if state.refusal.is_none() {
            state.refusal = Some(ProduceError::Closed);
        }
        while state.syncing {
            self.sync_ended.wait(&mut state);
        }
        if self.dir.has_failed() {
            state.refusal = Some(ProduceError::DirectoryFailed);
            return false;
        }
        match state.log.close() {
            Ok(()) => {
                let end = state.log.log_end_offset();
                self.held(&mut state, end);
                drop(state);
                self.wake();
                true
            }
            Err(e) if state.log.is_failed() => {
                error!(topic = %self.topic, partition = self.key.index, "cannot close the log: {e}");
                self.fail(&mut state, &e.to_string());
                false
            }
            Err(e) => {
                warn!(topic = %self.topic, partition = self.key.index, "cannot close the log now: {e}");
                state.refusal = None;
                false
            }
        }
    }

    /// The topic is gone: refuses everything from now on, and touches no file of the directory's any more. Blocks.
    pub(crate) fn delete(&self) {
        let mut state = self.state.lock();
        state.refusal = Some(ProduceError::Deleted);
        state.log.abandon();
        self.refuse_all(&mut state, &ProduceError::Deleted);
        drop(state);
        self.wake();
    }
}

#[cfg(test)]
mod tests;
