//! Opening a directory: what is there, what of it can be trusted, and making the rest good.
//!
//! A log has three parts. Below the *proven* offset (the recovery point, or the newest producer snapshot, which is written only once
//! all before it is durable) a bad batch is damage: it stays, is never served, and is remembered. From there on it is a torn tail: the
//! log ends before it. What a torn tail still holds that could have been meant is saved beside the log before it is cut off.
//! Everything is redone alike if recovery is interrupted.

use std::path::PathBuf;
use std::sync::Arc;

use chronik_env::fs::{Disk, File, OpenMode, read_exact_at, read_file};
use chronik_protocol::batch::BatchHeader;
use chronik_protocol::types::TopicId;

use crate::checkpoint::CheckpointError;
use crate::cut;
use crate::damage::{self, DamagedRange, Known};
use crate::epochs::EpochCache;
use crate::error::OpenError;
use crate::index::Indexes;
use crate::listing::{Found, Listing};
use crate::options::{Checkpointed, LogOptions, Start};
use crate::partition_metadata;
use crate::producer_snapshot;
use crate::producers::ProducerStates;
use crate::repair;
use crate::scan::{Scan, Step};
use crate::segment::Segment;
use crate::shared::Shared;

/// What opening a log found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Bytes of log read and checked.
    pub scanned_bytes: u64,
    /// Bytes cut off the end of the log, and the log end offset since; saved ones included.
    pub truncated_bytes: u64,
    pub truncated_at: Option<i64>,
    /// Files that keep what was cut off, where valid batches followed the first bad one.
    pub cut_files: Vec<PathBuf>,
    /// All damaged ranges of the log, old ones included.
    pub damaged: Vec<DamagedRange>,
    /// How many of them were not known before.
    pub newly_damaged: usize,
}

/// A log as recovered.
pub(crate) struct Opened {
    pub segments: Vec<Arc<Segment>>,
    /// Whether the last segment may be appended to; the next batch begins a new one otherwise.
    pub appendable: bool,
    pub log_start: i64,
    pub end: i64,
    pub producers: ProducerStates,
    pub epochs: EpochCache,
    pub damage: Vec<DamagedRange>,
    /// Offsets of the producer snapshots on disk, ascending.
    pub snapshots: Vec<i64>,
    /// Whether the partition's directory, with its metadata, exists.
    pub dir_exists: bool,
}

/// What a walk over the last segments found.
pub(crate) struct Walk {
    /// Position of the first walked segment in the listing.
    pub first: usize,
    /// Indexes of the walked segments, sealed; empty where only the tail of the last one was walked.
    pub indexes: Vec<Indexes>,
    pub producers: ProducerStates,
    pub epochs: EpochCache,
    pub end: i64,
    pub appendable: bool,
    pub found: Vec<DamagedRange>,
    pub torn: Option<Torn>,
    /// Positions in the listing of segments that end before their files do, and where.
    trimmed: Vec<(usize, u64)>,
    /// The epoch checkpoint contradicts the log.
    conflict: bool,
}

/// Where the log must be cut off.
#[derive(Clone, Copy)]
pub(crate) struct Torn {
    /// Position of the segment in the listing.
    pub segment: usize,
    pub position: u64,
    /// Whether a valid batch follows within the same segment.
    pub followed: bool,
}

pub(crate) struct Recoverer<'a> {
    pub shared: &'a Shared,
    options: &'a LogOptions,
    pub known: Checkpointed,
    pub start: Start,
    now_ms: i64,
    pub listing: Listing,
    pub damage: Vec<DamagedRange>,
    /// All below was durable once.
    proven: i64,
    pub report: Recovery,
}

/// Recovers the log in `shared.dir`.
pub(crate) fn recover(
    shared: &Shared,
    topic_id: TopicId,
    options: &LogOptions,
    known: Checkpointed,
    start: Start,
    now_ms: i64,
) -> Result<(Opened, Recovery), OpenError> {
    let sane = |offset: i64| if (0..=Listing::MAX_OFFSET).contains(&offset) { offset } else { 0 };
    let known =
        Checkpointed { log_start_offset: sane(known.log_start_offset), recovery_point: sane(known.recovery_point) };
    let listing = Listing::read(shared)?;
    let dir_exists = match &listing {
        Some(listing) => check_owner(shared, topic_id, listing)?,
        None => false,
    };
    let Some(listing) = listing.filter(|listing| !listing.segments.is_empty()) else {
        return Ok((empty(options, known, dir_exists), Recovery::default()));
    };
    let mut recoverer = Recoverer {
        shared,
        options,
        known,
        start,
        now_ms,
        listing,
        damage: Vec::new(),
        proven: 0,
        report: Recovery::default(),
    };
    let opened = recoverer.run()?;
    Ok((opened, recoverer.report))
}

/// Refuses another topic's directory; whether the directory says whose it is.
fn check_owner(shared: &Shared, topic_id: TopicId, listing: &Listing) -> Result<bool, OpenError> {
    let (disk, dir) = (shared.files.disk(), &shared.dir);
    match partition_metadata::read(disk, dir)? {
        Some(found) if found != topic_id => Err(OpenError::OtherTopic { dir: dir.clone(), found, expected: topic_id }),
        Some(_) => Ok(true),
        // Kafka before 2.8 had no such file.
        None if !listing.segments.is_empty() => {
            partition_metadata::write(disk, dir, topic_id).map_err(OpenError::io(dir))?;
            Ok(true)
        }
        None => Ok(false),
    }
}

fn empty(options: &LogOptions, known: Checkpointed, dir_exists: bool) -> Opened {
    Opened {
        segments: Vec::new(),
        appendable: false,
        log_start: known.log_start_offset,
        end: known.log_start_offset,
        producers: ProducerStates::new(options.producer_id_expiration_ms),
        epochs: EpochCache::default(),
        damage: Vec::new(),
        snapshots: Vec::new(),
        dir_exists,
    }
}

impl Recoverer<'_> {
    fn disk(&self) -> &dyn Disk {
        self.shared.files.disk()
    }

    fn run(&mut self) -> Result<Opened, OpenError> {
        let recorded = match damage::read(self.disk(), &self.shared.dir)? {
            Known::Ranges(ranges) => Some(ranges),
            Known::Unreadable => None,
        };
        let trusted = recorded.is_some();
        self.damage = recorded.iter().flatten().filter(|range| self.listing.holds(range)).copied().collect();
        let epochs = self.read_epochs()?;
        let snapshot = self.read_snapshot()?;
        self.proven = self.known.recovery_point.max(snapshot.as_ref().map_or(0, |(offset, _)| *offset));
        let quick = match (&self.start, &epochs) {
            (Start::Clean, Some(epochs)) if trusted => self.walk_tail(snapshot.as_ref(), epochs)?,
            _ => None,
        };
        let went_wrong = quick.is_none();
        let mut walk = match quick {
            Some(walk) => walk,
            None => self.walk_all(trusted, snapshot.as_ref(), epochs.as_ref())?,
        };
        walk.producers.expire(self.now_ms);
        for &(at, len) in &walk.trimmed {
            self.listing.segments[at].len = len;
        }
        if let Some(torn) = walk.torn {
            cut::cut_off(self, torn, walk.end)?;
        }
        let log_start = self.known.log_start_offset.max(self.listing.segments[0].base_offset);
        self.settle_end(&mut walk, log_start);
        walk.epochs.truncate_start(log_start);
        if walk.torn.is_some() {
            self.damage.retain(|range| self.listing.holds(range) && range.from_offset < walk.end);
        }
        self.report.newly_damaged = walk.found.len();
        self.damage.append(&mut walk.found);
        self.damage.sort_unstable();
        self.report.damaged = self.damage.clone();
        if recorded.as_ref() != Some(&self.damage) {
            let dir = &self.shared.dir;
            damage::write(self.disk(), dir, &self.damage).map_err(OpenError::io(dir))?;
        }
        repair::make_durable(self, &walk, went_wrong, epochs.as_ref())?;
        Ok(self.opened(walk, log_start))
    }

    /// The log never ends below what was proven, nor below its start: offsets are not given out twice.
    fn settle_end(&mut self, walk: &mut Walk, log_start: i64) {
        let last = self.listing.segments[self.listing.segments.len() - 1];
        let lost_from = walk.end.max(log_start);
        if lost_from < self.proven {
            walk.found.push(DamagedRange {
                segment: last.base_offset,
                from_position: last.len,
                to_position: last.len,
                from_offset: lost_from,
                to_offset: self.proven,
            });
        }
        let end = walk.end.max(self.proven).max(log_start);
        walk.appendable &= end == walk.end;
        walk.end = end;
    }

    fn opened(&mut self, mut walk: Walk, log_start: i64) -> Opened {
        let segments: Vec<_> =
            self.listing.segments.iter().map(|found| Segment::new(found.base_offset, found.len, self.now_ms)).collect();
        for (segment, indexes) in segments[walk.first..].iter().zip(walk.indexes.drain(..)) {
            segment.keep_indexes(self.shared, Arc::new(indexes), segment.size());
        }
        Opened {
            segments,
            appendable: walk.appendable,
            log_start,
            end: walk.end,
            producers: walk.producers,
            epochs: walk.epochs,
            damage: std::mem::take(&mut self.damage),
            snapshots: std::mem::take(&mut self.listing.snapshots),
            dir_exists: true,
        }
    }

    /// `None` when the checkpoint is missing or makes no sense: the log knows better.
    fn read_epochs(&self) -> Result<Option<EpochCache>, OpenError> {
        match EpochCache::read(self.disk(), &self.shared.dir) {
            Ok(epochs) => Ok(epochs),
            Err(CheckpointError::Malformed { .. }) => Ok(None),
            Err(CheckpointError::UnknownVersion { file, version }) => Err(OpenError::UnknownVersion { file, version }),
            Err(CheckpointError::Io { file: path, error }) => Err(OpenError::Io { path, error }),
        }
    }

    /// The newest producer snapshot that is whole.
    fn read_snapshot(&mut self) -> Result<Option<(i64, ProducerStates)>, OpenError> {
        for &offset in self.listing.snapshots.iter().rev() {
            let path = self.shared.dir.join(crate::names::snapshot(offset));
            let bytes = read_file(self.disk(), &path, Listing::MAX_SNAPSHOT).map_err(OpenError::io(&path))?;
            if let Some(producers) =
                bytes.and_then(|bytes| producer_snapshot::decode(&bytes, self.options.producer_id_expiration_ms))
            {
                return Ok(Some((offset, producers)));
            }
        }
        Ok(None)
    }

    /// After a clean stop: only the headers after the last index entry of the last segment. `None` when anything is not as a clean
    /// stop leaves it.
    fn walk_tail(
        &mut self,
        snapshot: Option<&(i64, ProducerStates)>,
        epochs: &EpochCache,
    ) -> Result<Option<Walk>, OpenError> {
        let last = self.listing.segments.len() - 1;
        let found = self.listing.segments[last];
        if self.damage.iter().any(|range| range.segment == found.base_offset) {
            return Ok(None);
        }
        let (file, path) = self.open(found)?;
        let io = OpenError::io;
        let mut scan = Scan::new(file, found.len, found.base_offset, i64::MAX, 0, &[]);
        scan.follow_epoch(-1);
        let entry = self.last_index_entry(found)?;
        let mut first_offset = found.base_offset;
        let mut walk = self.walk_state(last, snapshot, epochs.clone());
        let replay_from = snapshot.map_or(self.listing.segments[0].base_offset, |(offset, _)| *offset);
        if let Some((position, last_offset)) = entry {
            scan.seek(position, found.base_offset);
            // Only a batch that is whole, and the one the entry speaks of, proves the entry.
            match scan.next().map_err(io(&path))? {
                Step::Batch { header, .. } if header.last_offset() == last_offset => {
                    first_offset = header.base_offset;
                    walk.note(&header, replay_from, self.now_ms);
                }
                _ => return Ok(None),
            }
        }
        scan.check_from(i64::MAX);
        if replay_from < first_offset {
            return Ok(None);
        }
        loop {
            match scan.next().map_err(io(&path))? {
                Step::Batch { header, .. } => walk.note(&header, replay_from, self.now_ms),
                Step::Bad { .. } => return Ok(None),
                Step::End => break,
            }
        }
        walk.end = scan.expected();
        let stale = walk.epochs.entries().last().is_some_and(|entry| entry.start_offset >= walk.end);
        Ok((walk.end >= self.proven && !walk.conflict && !stale).then_some(walk))
    }

    /// Position and last offset of the batch that the last entry of a segment's index file speaks of.
    fn last_index_entry(&self, found: Found) -> Result<Option<(u64, i64)>, OpenError> {
        let path = self.shared.dir.join(crate::names::offset_index(found.base_offset));
        let file = match self.disk().open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::Io { path, error }),
        };
        let len = file.len().map_err(OpenError::io(&path))?;
        if len < 8 || len % 8 != 0 {
            return Ok(None);
        }
        let mut entry = [0; 8];
        read_exact_at(&*file, &mut entry, len - 8).map_err(OpenError::io(&path))?;
        let (position, last_offset) = Indexes::last_of(found.base_offset, entry);
        Ok((position < found.len).then_some((position, last_offset)))
    }

    /// Walks every segment that anything unknown depends on, checking what may be torn.
    fn walk_all(
        &mut self,
        trusted: bool,
        snapshot: Option<&(i64, ProducerStates)>,
        epochs: Option<&EpochCache>,
    ) -> Result<Walk, OpenError> {
        let last = self.listing.segments.len() - 1;
        let from_snapshot = snapshot.map_or(0, |(offset, _)| self.listing.floor(*offset));
        let (dirty, check_from) = match self.start {
            _ if !trusted => (0, 0),
            Start::Unclean => (self.listing.floor(self.known.recovery_point), self.known.recovery_point),
            Start::Clean => (last, self.listing.segments[last].base_offset),
        };
        let first = dirty.min(from_snapshot).min(if epochs.is_some() { last } else { 0 });
        let mut walk = self.walk(first, check_from, snapshot, epochs.cloned().unwrap_or_default())?;
        if walk.conflict {
            walk = self.walk(0, check_from, snapshot, EpochCache::default())?;
        }
        Ok(walk)
    }

    fn walk_state(&self, first: usize, snapshot: Option<&(i64, ProducerStates)>, epochs: EpochCache) -> Walk {
        let fresh = || ProducerStates::new(self.options.producer_id_expiration_ms);
        Walk {
            first,
            indexes: Vec::new(),
            producers: snapshot.map_or_else(fresh, |(_, producers)| producers.clone()),
            epochs,
            end: self.listing.segments[first].base_offset,
            appendable: true,
            found: Vec::new(),
            torn: None,
            trimmed: Vec::new(),
            conflict: false,
        }
    }

    fn walk(
        &mut self,
        first: usize,
        check_from: i64,
        snapshot: Option<&(i64, ProducerStates)>,
        mut epochs: EpochCache,
    ) -> Result<Walk, OpenError> {
        epochs.truncate_end(self.listing.segments[first].base_offset);
        let mut walk = self.walk_state(first, snapshot, epochs);
        let replay_from = snapshot.map_or(0, |(offset, _)| *offset);
        let mut leader_epoch = -1;
        for at in first..self.listing.segments.len() {
            let found = self.listing.segments[at];
            let next_base = self.listing.segments.get(at + 1).map(|next| next.base_offset);
            let (file, path) = self.open(found)?;
            let upper = next_base.unwrap_or(i64::MAX);
            let mut scan = Scan::new(file, found.len, found.base_offset, upper, check_from, &self.damage);
            scan.follow_epoch(leader_epoch);
            self.walk_segment(at, next_base, &mut scan, replay_from, &mut walk).map_err(OpenError::io(&path))?;
            self.report.scanned_bytes += found.len;
            leader_epoch = scan.leader_epoch();
            if walk.torn.is_some() {
                break;
            }
        }
        Ok(walk)
    }

    fn walk_segment(
        &self,
        at: usize,
        next_base: Option<i64>,
        scan: &mut Scan,
        replay_from: i64,
        walk: &mut Walk,
    ) -> std::io::Result<()> {
        let found = self.listing.segments[at];
        let mut indexes = Indexes::new(found.base_offset);
        walk.appendable = true;
        loop {
            match scan.next()? {
                Step::Batch { header, position, size } => {
                    indexes.add(&header, position, size, self.options.index_interval_bytes);
                    walk.note(&header, replay_from, self.now_ms);
                }
                // What a refused append left behind the last batch of a segment: no offset is missing.
                Step::Bad { position, offset } if next_base.is_some_and(|next| offset >= next) => {
                    walk.trimmed.push((at, position));
                    self.finish_segment(at, next_base, offset, walk);
                    break;
                }
                Step::Bad { position, offset } if offset >= self.proven => {
                    let followed = scan.resync()?.is_some();
                    walk.torn = Some(Torn { segment: at, position, followed });
                    walk.end = offset;
                    break;
                }
                Step::Bad { position, offset } => {
                    let next = scan.resync()?;
                    let (to_position, to_offset) = next.unwrap_or((found.len, next_base.unwrap_or(self.proven)));
                    walk.found.push(DamagedRange {
                        segment: found.base_offset,
                        from_position: position,
                        to_position,
                        from_offset: offset,
                        to_offset,
                    });
                    if next.is_none() {
                        scan.seek(found.len, to_offset);
                    }
                }
                Step::End => {
                    self.finish_segment(at, next_base, scan.expected(), walk);
                    break;
                }
            }
        }
        indexes.seal();
        walk.indexes.push(indexes);
        Ok(())
    }

    /// The end of a segment's file was reached, with `expected` as the next offset.
    fn finish_segment(&self, at: usize, next_base: Option<i64>, expected: i64, walk: &mut Walk) {
        let found = self.listing.segments[at];
        let at_end = |range: &&DamagedRange| range.segment == found.base_offset && range.to_position >= found.len;
        let lost = self.damage.iter().chain(&walk.found).filter(at_end).map(|range| range.to_offset).max();
        walk.end = lost.unwrap_or(expected).max(expected);
        walk.appendable = lost.is_none();
        let Some(next_base) = next_base else { return };
        // Segments follow each other without a gap as far as they were written since the last sync; only compaction, or a start offset
        // moved past the end, leaves one.
        if walk.end < next_base && walk.end >= self.proven && next_base > self.known.log_start_offset {
            walk.torn = Some(Torn { segment: at, position: found.len, followed: false });
        } else {
            walk.end = next_base;
        }
    }

    pub fn open(&self, found: Found) -> Result<(Arc<dyn File>, PathBuf), OpenError> {
        let path = self.shared.dir.join(crate::names::log(found.base_offset));
        let file = self.disk().open(&path, OpenMode::ReadWrite).map_err(OpenError::io(&path))?;
        Ok((file, path))
    }
}

impl Walk {
    fn note(&mut self, header: &BatchHeader, replay_from: i64, now_ms: i64) {
        if header.base_offset >= replay_from {
            self.producers.replay(header, now_ms);
        }
        let epoch = header.partition_leader_epoch;
        self.conflict |= epoch >= 0 && epoch < self.epochs.latest();
        self.epochs.assign(epoch, header.base_offset);
    }
}
