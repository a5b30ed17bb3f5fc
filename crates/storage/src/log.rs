//! One partition's log, as its single writer has it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use chronik_env::block::BlockPool;
use chronik_env::fs::{Disk, OpenMode, is_shortage, read_exact_at};
use chronik_protocol::batch::{BatchHeader, HEADER_LEN};
use chronik_protocol::types::TopicId;

use crate::damage::DamagedRange;
use crate::epochs::{self, EpochCache};
use crate::error::{AppendError, ChangeError, OpenError};
use crate::files::Files;
use crate::index::Indexes;
use crate::names;
use crate::options::{Checkpointed, LogOptions, Start};
use crate::partition_metadata;
use crate::producer_snapshot;
use crate::producers::ProducerStates;
use crate::reader::LogReader;
use crate::recovery::{Recovery, recover};
use crate::segment::Segment;
use crate::shared::Shared;
use crate::summary::{self, Summary};
use crate::sync::{SyncTicket, Unsynced};

/// Producer snapshots kept; older ones are removed.
const KEPT_SNAPSHOTS: usize = 2;

/// Up to this size in bytes the last segment is read rather than described: closing writes nothing beside it, and
/// opening looks at each header in it.
const SHORT_SEGMENT: u64 = 32 << 10;

/// The log of one partition. Single writer; readers work beside it ([`Log::reader`]).
///
/// Invariants: log start offset ≤ synced offset ≤ log end offset; all below the synced offset is durable; offsets are
/// dense at append and never given out twice, except after [`Log::truncate_to`].
pub struct Log {
    pub(crate) shared: Arc<Shared>,
    pub(crate) options: LogOptions,
    topic_id: TopicId,
    /// Whether the last segment may be appended to; a new one is begun otherwise.
    pub(crate) appendable: bool,
    /// Largest timestamp of the first batch of the last segment, once known.
    pub(crate) first_timestamp: Option<i64>,
    dir_exists: bool,
    pub(crate) failed: bool,
    /// Whether closing has anything to write.
    pub(crate) changed: bool,
    /// Whether nothing was appended since the last [`Log::roll_if_due`].
    quiet: bool,
    pub(crate) synced: i64,
    leader_epoch: i32,
    pub(crate) epochs: EpochCache,
    pub(crate) producers: ProducerStates,
    /// Offsets of the producer snapshots on disk or about to be, ascending.
    pub(crate) snapshots: Vec<i64>,
    pub(crate) unsynced: Unsynced,
}

/// An idle log with one segment takes at most 1 KiB, names and producers aside.
const _: () = assert!(size_of::<Log>() + size_of::<Shared>() + size_of::<Segment>() <= 900);

impl Log {
    /// Opens the log in `dir` as [`Log::open_in`] does, with limits on open files of its own.
    #[allow(clippy::too_many_arguments)]
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        topic_id: TopicId,
        options: LogOptions,
        known: Checkpointed,
        start: Start,
        now_ms: i64,
        pool: BlockPool,
    ) -> Result<(Log, Recovery), OpenError> {
        Log::open_in(&Files::new(disk, pool), dir, topic_id, options, known, start, now_ms)
    }

    /// Opens and recovers the log in `dir`, the partition's own directory. A missing directory is an empty log that
    /// starts at `known.log_start_offset`; nothing is created before the first append. `now_ms` is the wall clock in
    /// milliseconds.
    ///
    /// # Errors
    /// The directory belongs to another topic id, a file is of an unknown version, or the disk fails. Damaged data is
    /// no error: see [`Recovery`].
    pub fn open_in(
        files: &Files,
        dir: PathBuf,
        topic_id: TopicId,
        options: LogOptions,
        known: Checkpointed,
        start: Start,
        now_ms: i64,
    ) -> Result<(Log, Recovery), OpenError> {
        let shared = Shared::new(files.clone(), dir, options.index_interval_bytes);
        let (opened, recovery) = recover(&shared, topic_id, &options, known, start, now_ms)?;
        shared.segments.store(Arc::new(opened.segments));
        shared.damage.store(Arc::new(opened.damage));
        shared.set_log_start(opened.log_start);
        shared.set_end(opened.end);
        let log = Log {
            shared: Arc::new(shared),
            options,
            topic_id,
            appendable: opened.appendable,
            first_timestamp: None,
            dir_exists: opened.dir_exists,
            failed: false,
            changed: start == Start::Unclean || recovery != Recovery::default(),
            quiet: true,
            synced: opened.end,
            leader_epoch: -1,
            epochs: opened.epochs,
            producers: opened.producers,
            snapshots: opened.snapshots,
            unsynced: Unsynced::default(),
        };
        Ok((log, recovery))
    }

    /// The first offset that can be read.
    pub fn log_start_offset(&self) -> i64 {
        self.shared.log_start()
    }

    /// The offset the next batch gets.
    pub fn log_end_offset(&self) -> i64 {
        self.shared.end()
    }

    /// All below is durable.
    pub fn synced_offset(&self) -> i64 {
        self.synced
    }

    /// Bytes of all segments' log files.
    pub fn size_bytes(&self) -> u64 {
        self.shared.segments.load().iter().map(|segment| segment.size()).sum()
    }

    /// Whether anything was ever appended and is not all deleted.
    pub fn has_files(&self) -> bool {
        !self.shared.segments.load().is_empty()
    }

    /// Whether a write or sync failed: nothing more is appended.
    pub fn is_failed(&self) -> bool {
        self.failed
    }

    pub fn options(&self) -> &LogOptions {
        &self.options
    }

    /// What cannot be read, ascending.
    pub fn damaged_ranges(&self) -> Arc<Vec<DamagedRange>> {
        self.shared.damage.load_full()
    }

    pub fn set_options(&mut self, options: LogOptions) {
        self.shared.set_index_interval(options.index_interval_bytes);
        self.producers.expiration_ms = options.producer_id_expiration_ms;
        self.options = options;
    }

    /// What is known of idempotent producers.
    pub fn producers(&self) -> &ProducerStates {
        &self.producers
    }

    /// A handle that reads this log beside its writer.
    pub fn reader(&self) -> LogReader {
        LogReader { shared: self.shared.clone() }
    }

    /// Appends a batch: its final header and `body`, all that follows the header. One vectored write; not durable until
    /// synced.
    ///
    /// # Panics
    /// When the header's base offset is not the log end offset, or its length is not that of the batch: the caller's
    /// bug.
    ///
    /// # Errors
    /// See [`AppendError`]. After an I/O error the log has failed.
    pub fn append(&mut self, header: &BatchHeader, body: &[u8], now_ms: i64) -> Result<(), AppendError> {
        assert_eq!(header.base_offset, self.shared.end(), "the base offset is the log end offset");
        assert_eq!(header.size(), Some(HEADER_LEN + body.len()), "the header's length is the batch's");
        assert!(header.last_offset_delta >= 0, "a batch has a last offset");
        if self.failed {
            return Err(AppendError::Failed);
        }
        let size = (HEADER_LEN + body.len()) as u64;
        if size > self.options.segment_limit() {
            return Err(AppendError::LargerThanSegment { size, segment_bytes: self.options.segment_limit() });
        }
        let (epoch, latest) = (header.partition_leader_epoch, self.epochs.latest());
        if epoch >= 0 && epoch < latest {
            return Err(AppendError::StaleLeaderEpoch { epoch, latest });
        }
        self.write(header, body, size, now_ms)?;
        self.note(header, now_ms);
        Ok(())
    }

    fn write(&mut self, header: &BatchHeader, body: &[u8], size: u64, now_ms: i64) -> Result<(), AppendError> {
        let segment = match self.segment_for(header, size, now_ms) {
            Ok(segment) => segment,
            // Nothing is there that the next try does not make anew.
            Err(error) if is_shortage(&error) && !self.failed => return Err(AppendError::NoRoom(error)),
            Err(error) => {
                self.failed = true;
                return Err(error.into());
            }
        };
        let file = match self.unsynced.file(segment.base_offset) {
            Some(file) => file.clone(),
            None => match segment.file(&self.shared) {
                Ok(file) => file,
                Err(error) if is_shortage(&error) => return Err(AppendError::NoRoom(error)),
                Err(error) => {
                    self.failed = true;
                    return Err(error.into());
                }
            },
        };
        let position = segment.size();
        match file.write_all_at(&[&header.to_bytes(), body], position) {
            Ok(()) => {}
            // What was written lies past the published size; shortening a file needs no room.
            Err(e) if is_shortage(&e) && file.set_len(position).is_ok() => return Err(AppendError::NoRoom(e)),
            Err(e) => {
                self.failed = true;
                return Err(e.into());
            }
        }
        self.unsynced.wrote(segment.base_offset, &file, &self.shared.files);
        segment.change_indexes(|indexes| indexes.add(header, position, size, self.options.index_interval_bytes));
        if position == 0 {
            self.first_timestamp = Some(header.max_timestamp);
        }
        // In this order: a reader never sees a batch beyond the log end offset.
        self.shared.set_end(header.next_offset());
        segment.publish(position + size);
        Ok(())
    }

    fn note(&mut self, header: &BatchHeader, now_ms: i64) {
        self.changed = true;
        self.quiet = false;
        self.producers.update(header, now_ms);
        if self.epochs.assign(header.partition_leader_epoch, header.base_offset) {
            self.write_epochs();
        }
    }

    pub(crate) fn write_epochs(&mut self) {
        self.unsynced.then_write(self.shared.dir.join(epochs::FILE_NAME), self.epochs.encode());
    }

    pub(crate) fn last_segment(&self) -> Option<Arc<Segment>> {
        self.shared.segments.load().last().cloned()
    }

    /// The segment a batch goes to, with its indexes ready.
    fn segment_for(&mut self, header: &BatchHeader, size: u64, now_ms: i64) -> io::Result<Arc<Segment>> {
        if let Some(segment) = self.last_segment().filter(|_| self.appendable) {
            segment.grow_indexes(&self.shared)?;
            if !self.must_roll(&segment, header, size, now_ms)? {
                return Ok(segment);
            }
            self.seal()?;
        }
        self.create_segment(now_ms)
    }

    /// Whether a batch must begin a new segment, by Kafka's rules.
    fn must_roll(&mut self, segment: &Arc<Segment>, header: &BatchHeader, size: u64, now_ms: i64) -> io::Result<bool> {
        if segment.size() == 0 {
            return Ok(false);
        }
        let full = segment.size() + size > self.options.segment_limit();
        let far = header.last_offset() - segment.base_offset > i64::from(i32::MAX);
        let indexed = segment.change_indexes(|indexes| indexes.is_full(self.options.segment_index_bytes));
        let age_ms = self.age_ms(segment, header.max_timestamp, now_ms)?;
        Ok(full || far || indexed.unwrap_or(false) || age_ms > self.age_limit_ms(segment))
    }

    /// How long after the segment's first batch a batch with this timestamp comes; where the first has none, how long
    /// ago the segment was opened. Milliseconds.
    fn age_ms(&mut self, segment: &Arc<Segment>, timestamp: i64, now_ms: i64) -> io::Result<i64> {
        let first = match self.first_timestamp {
            Some(first) => first,
            // Nothing but a damaged start is left of a segment that was cut there.
            None if segment.size() < HEADER_LEN as u64 => -1,
            None => {
                let mut bytes = [0; HEADER_LEN];
                read_exact_at(&*segment.file(&self.shared)?, &mut bytes, 0)?;
                BatchHeader::parse(&bytes).map_or(-1, |header| header.max_timestamp)
            }
        };
        self.first_timestamp = Some(first);
        Ok(if first >= 0 { timestamp.saturating_sub(first) } else { now_ms.saturating_sub(segment.created_ms) })
    }

    /// The age at which a segment is closed: the same at every look, and another for each partition and segment.
    fn age_limit_ms(&self, segment: &Segment) -> i64 {
        let partition = self.shared.dir.file_name().unwrap_or_default().as_encoded_bytes();
        let spread = crc32c::crc32c_append(crc32c::crc32c(partition), &segment.base_offset.to_be_bytes());
        self.options.segment_age_limit_ms(spread)
    }

    /// Whether the last segment needs no index files yet, nor a producer snapshot.
    fn is_short(&self) -> bool {
        self.appendable && self.last_segment().is_some_and(|last| last.size() <= SHORT_SEGMENT)
    }

    /// Whether the last segment is old enough to be closed to appends.
    pub(crate) fn is_roll_due(&mut self, now_ms: i64) -> io::Result<bool> {
        match self.last_segment().filter(|segment| self.appendable && segment.size() > 0) {
            Some(segment) => Ok(self.age_ms(&segment, now_ms, now_ms)? > self.age_limit_ms(&segment)),
            None => Ok(false),
        }
    }

    /// Closes the last segment to appends. Its index files, and a producer snapshot, are written by the next ticket. Changes
    /// nothing where that fails.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        self.write_indexes()?;
        self.appendable = false;
        self.first_timestamp = None;
        self.snapshot_producers();
        Ok(())
    }

    /// Has the next ticket write the last segment's index files.
    fn write_indexes(&mut self) -> io::Result<()> {
        let Some(segment) = self.last_segment() else { return Ok(()) };
        segment.grow_indexes(&self.shared)?;
        // Read before the indexes are given up: nothing fails from here on.
        self.shared.with_summaries(|_| ())?;
        let Some(indexes) = segment.seal_indexes(&self.shared) else { return Ok(()) };
        self.write_sealed(segment.base_offset, segment.size(), &indexes)
    }

    fn write_sealed(&mut self, base_offset: i64, log_size: u64, indexes: &Indexes) -> io::Result<()> {
        let (offsets, times) = (indexes.encode_offsets(), indexes.encode_times());
        let summary = Summary::new(indexes, log_size, &offsets, &times);
        let summaries = self.shared.with_summaries(|all| {
            all.insert(base_offset, summary);
            summary::encode(all)
        })?;
        let dir = &self.shared.dir;
        self.unsynced.then_write(dir.join(names::offset_index(base_offset)), offsets);
        self.unsynced.then_write(dir.join(names::time_index(base_offset)), times);
        self.unsynced.then_write(dir.join(summary::FILE_NAME), summaries);
        Ok(())
    }

    /// Begins a segment at the log end offset. Where there is no room for it, it may be tried again.
    pub(crate) fn create_segment(&mut self, now_ms: i64) -> io::Result<Arc<Segment>> {
        let shared = self.shared.clone();
        let disk = shared.files.disk();
        if !self.dir_exists {
            disk.create_dir_all(&shared.dir)?;
            partition_metadata::write(disk, &shared.dir, self.topic_id)?;
            if let Some(parent) = shared.dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                self.unsynced.entered(parent);
            }
            self.dir_exists = true;
        }
        // A crash may keep this segment's name and lose an earlier one's, unless that is durable first.
        if self.has_files() {
            // As every sync, this one is final, unless it was not begun.
            self.sync_dirs().inspect_err(|error| self.failed |= !is_shortage(error))?;
        }
        let segment = Segment::new(shared.end(), 0, now_ms);
        let file = disk.open(&segment.path(&shared), OpenMode::CreateNew)?;
        segment.hold(&shared, file.clone());
        segment.grow_indexes(&shared)?;
        self.unsynced.wrote(segment.base_offset, &file, &shared.files);
        self.unsynced.entered(&shared.dir);
        let mut segments = Vec::clone(&shared.segments.load());
        segments.push(segment.clone());
        shared.segments.store(Arc::new(segments));
        (self.appendable, self.first_timestamp, self.changed) = (true, None, true);
        Ok(segment)
    }

    /// Makes the names of all segments durable, whatever their contents. A lack of open files is met before any sync.
    pub(crate) fn sync_dirs(&mut self) -> io::Result<()> {
        let disk = self.shared.files.disk();
        let opened = self.unsynced.dirs().map(|dir| disk.open_dir(dir)).collect::<io::Result<Vec<_>>>()?;
        opened.iter().try_for_each(|dir| dir.sync())?;
        self.unsynced.clear_dirs();
        Ok(())
    }

    /// A ticket to make all below its end offset durable; `None` when all is. At most one ticket of a log runs at a
    /// time.
    pub fn unsynced(&self) -> Option<SyncTicket> {
        if self.failed {
            // A sync after a failed one may succeed without having written what the failed one dropped.
            return None;
        }
        self.unsynced.ticket(&self.shared, self.shared.end())
    }

    /// Whether the logs of this broker hold so many files open that wait for a sync that this one should be synced now,
    /// if there is something to sync.
    pub fn should_sync(&self) -> bool {
        self.shared.files.too_many_unsynced() && !self.unsynced.is_empty()
    }

    /// Whether [`Log::unsynced`] has a ticket to give.
    pub fn has_unsynced(&self) -> bool {
        !self.unsynced.is_empty()
    }

    /// Reports that a ticket has run with success. Tickets taken before [`Log::truncate_to`] are void.
    pub fn synced(&mut self, ticket: &SyncTicket) {
        if self.unsynced.synced(ticket) {
            self.synced = self.synced.max(ticket.end_offset());
        }
    }

    /// Reports that a ticket failed. A failed sync is final: nothing more is appended.
    pub fn fail(&mut self) {
        self.failed = true;
    }

    /// Takes the log out of service because its directory is about to go: from when this returns, no ticket writes a file
    /// and no reader answers, for what bears the directory's name may be another topic's. Waits for the files that a
    /// ticket is writing now.
    pub fn abandon(&mut self) {
        self.failed = true;
        self.shared.abandon();
    }

    /// Runs a ticket for everything, here and now.
    pub(crate) fn sync_now(&mut self) -> io::Result<()> {
        if let Some(ticket) = self.unsynced() {
            ticket.run()?;
            if ticket.has_postponed() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.unsynced.clear();
        }
        self.synced = self.shared.end();
        Ok(())
    }

    /// Closes the last segment to appends when it is older than `segment.ms`; whether it was. To be called now and
    /// then: it also lets go of what an idle log need not hold in memory.
    pub fn roll_if_due(&mut self, now_ms: i64) -> Result<bool, ChangeError> {
        if self.failed {
            return Err(ChangeError::Failed);
        }
        self.producers.expire(now_ms);
        let due = self.is_roll_due(now_ms)?;
        let idle = std::mem::replace(&mut self.quiet, true);
        if due {
            self.seal().inspect_err(|error| self.failed |= !is_shortage(error))?;
        } else if idle && self.unsynced.is_empty() {
            self.let_go_of_indexes()?;
        }
        Ok(due)
    }

    fn let_go_of_indexes(&mut self) -> io::Result<()> {
        let Some(segment) = self.last_segment().filter(|segment| segment.change_indexes(|_| ()).is_some()) else {
            return Ok(());
        };
        if self.is_short() {
            segment.seal_indexes(&self.shared);
            return Ok(());
        }
        self.write_indexes()
    }

    /// Makes later offsets the first that can be read (DeleteRecords), at most the log end offset; never goes back. The
    /// caller writes [`crate::checkpoint::LOG_START`]; [`Log::apply_retention`] removes segments that are wholly below.
    pub fn advance_log_start(&mut self, offset: i64) {
        let offset = offset.min(self.shared.end());
        if offset <= self.shared.log_start() {
            return;
        }
        self.shared.set_log_start(offset);
        if self.epochs.truncate_start(offset) {
            self.changed = true;
            self.write_epochs();
        }
    }

    /// The largest leader epoch not above `epoch` and the offset where it ended, `(-1, -1)` when that is not known
    /// (KIP-320).
    pub fn end_offset_for_epoch(&self, epoch: i32) -> (i32, i64) {
        self.epochs.end_offset_for(epoch, self.leader_epoch, self.shared.end())
    }

    /// The newest leader epoch of any batch, -1 = none.
    pub fn latest_epoch(&self) -> i32 {
        self.epochs.latest()
    }

    pub fn epochs(&self) -> &EpochCache {
        &self.epochs
    }

    /// Tells the epoch of the leader of now; it is entered with its first batch.
    pub fn assign_epoch(&mut self, epoch: i32) {
        self.leader_epoch = self.leader_epoch.max(epoch);
    }

    /// Has the next ticket write a producer snapshot as of the log end offset; nothing where nothing was ever appended.
    pub fn snapshot_producers(&mut self) {
        if !self.has_files() {
            return;
        }
        let offset = self.shared.end();
        let dir = &self.shared.dir;
        self.unsynced.then_write(dir.join(names::snapshot(offset)), producer_snapshot::encode(&self.producers));
        self.snapshots.retain(|&known| known != offset);
        self.snapshots.push(offset);
        while self.snapshots.len() > KEPT_SNAPSHOTS {
            self.unsynced.then_remove(dir.join(names::snapshot(self.snapshots.remove(0))));
        }
    }

    /// Makes everything durable and writes what a clean start needs. Idempotent; writes nothing where nothing changed.
    ///
    /// # Errors
    /// Where the disk is full, or no more files can be opened, the log goes on and may be closed later; after any other
    /// error it has failed.
    pub fn close(&mut self) -> Result<(), ChangeError> {
        if self.failed {
            return Err(ChangeError::Failed);
        }
        self.close_files().inspect_err(|error| self.failed |= !is_shortage(error))?;
        self.changed = false;
        Ok(())
    }

    fn close_files(&mut self) -> io::Result<()> {
        if self.changed && self.has_files() && !self.is_short() {
            if self.appendable {
                self.write_indexes()?;
            }
            self.snapshot_producers();
        }
        self.sync_now()
    }
}
