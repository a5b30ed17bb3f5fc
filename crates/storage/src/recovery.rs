//! Opening a directory: what is there, what of it can be trusted, and making the rest good.
//!
//! A log has three parts. Below the *proven* offset (the recovery point, or the newest producer snapshot, which is
//! written only once all before it is durable) a bad batch is damage: it stays, is never served, and is remembered.
//! From there on it is a torn tail: the log ends before it. What a torn tail still holds that could have been meant is
//! saved beside the log before it is cut off. Everything is redone alike if recovery is interrupted.

use std::path::PathBuf;
use std::sync::Arc;

use chronik_env::fs::{Disk, File, OpenMode, read_file};
use chronik_protocol::types::TopicId;

use crate::checkpoint::CheckpointError;
use crate::cut;
use crate::damage::{self, DamagedRange, Known};
use crate::epochs::EpochCache;
use crate::error::OpenError;
use crate::listing::{Found, Listing};
use crate::options::{Checkpointed, LogOptions, Start};
use crate::partition_metadata;
use crate::producer_snapshot;
use crate::producers::ProducerStates;
use crate::repair;
use crate::segment::Segment;
use crate::shared::Shared;
use crate::walk::Walk;

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

pub(crate) struct Recoverer<'a> {
    pub shared: &'a Shared,
    pub options: &'a LogOptions,
    pub known: Checkpointed,
    pub start: Start,
    pub now_ms: i64,
    pub listing: Listing,
    pub damage: Vec<DamagedRange>,
    /// All below was durable once.
    pub proven: i64,
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
    pub fn disk(&self) -> &dyn Disk {
        self.shared.files.disk()
    }

    fn run(&mut self) -> Result<Opened, OpenError> {
        let recorded = match self.listing.has_damage.then(|| damage::read(self.disk(), &self.shared.dir)).transpose()? {
            None => Some(Vec::new()),
            Some(Known::Ranges(ranges)) => Some(ranges),
            Some(Known::Unreadable) => None,
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
        self.clip_damage(walk.end);
        self.report.damaged = self.damage.clone();
        if recorded.as_ref() != Some(&self.damage) {
            let dir = &self.shared.dir;
            damage::write(self.disk(), dir, &self.damage).map_err(OpenError::io(dir))?;
        }
        repair::make_durable(self, &walk, went_wrong, epochs.as_ref())?;
        Ok(self.opened(walk, log_start))
    }

    /// No range reaches past the end of the log: it would hide the batches that are appended there.
    fn clip_damage(&mut self, end: i64) {
        self.damage.retain(|range| range.from_offset < end);
        self.damage.iter_mut().for_each(|range| range.to_offset = range.to_offset.min(end));
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

    pub fn open(&self, found: Found) -> Result<(Arc<dyn File>, PathBuf), OpenError> {
        let path = self.shared.dir.join(crate::names::log(found.base_offset));
        let file = self.disk().open(&path, OpenMode::ReadWrite).map_err(OpenError::io(&path))?;
        Ok((file, path))
    }
}
