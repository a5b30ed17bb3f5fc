//! Opening: newest snapshot, then the log after it. Nothing that was acknowledged is passed over in silence.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use chronik_env::block::BlockPool;
use chronik_env::fs::{Disk, read_file};
use chronik_metadata::Image;
use chronik_protocol::batch::BatchHeader;
use chronik_protocol::types::{LeaderEpoch, Offset};
use chronik_storage::{Checkpointed, Log, LogOptions, LogReader, ReadError, Recovery};

use super::batch::{self, BatchError};
use super::snapshots;
use super::writer::Tail;
use super::{LocalOptions, META_TOPIC_ID, OpenError, Place};

/// Bytes read from the log at once.
const READ_BYTES: usize = 1 << 20;
/// The largest file of cut bytes that is looked into.
const MAX_CUT_BYTES: u64 = 1 << 30;

pub(super) struct Opened {
    pub log: Log,
    pub image: Image,
    /// The controller epoch from now on.
    pub epoch: LeaderEpoch,
    pub recovery: Recovery,
    pub tail: Tail,
    pub dir: PathBuf,
}

/// Blocks on the disk.
pub(super) fn open(
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: &LocalOptions,
    now_ms: i64,
) -> Result<Opened, OpenError> {
    let place = Place { disk, dir };
    let image = snapshots::load_newest(&place)?.unwrap_or_default();
    let snapshot_end = image.offset() + 1;
    let (mut log, recovery) = open_log(&place, options, snapshot_end, now_ms)?;
    check_recovery(&place, &log, &recovery, snapshot_end)?;
    let end = log.log_end_offset();
    if end < snapshot_end {
        return Err(OpenError::LogTooShort { dir: place.dir, log_end_offset: end, snapshot_end });
    }
    let mut replay = Replay { place: &place, tail: Tail::default(), image };
    replay.run(&log.reader(), snapshot_end, end)?;
    let Replay { tail, image, .. } = replay;
    let epoch = image.epoch().max(log.latest_epoch()).max(0).saturating_add(1);
    log.assign_epoch(epoch);
    Ok(Opened { log, image, epoch, recovery, tail, dir: place.dir })
}

fn open_log(
    place: &Place,
    options: &LocalOptions,
    snapshot_end: Offset,
    now_ms: i64,
) -> Result<(Log, Recovery), OpenError> {
    let log_options = LogOptions {
        segment_bytes: options.segment_bytes,
        segment_ms: i64::MAX,
        retention_ms: -1,
        retention_bytes: -1,
        ..LogOptions::default()
    };
    let recovery_point = options.recovery_point.max(snapshot_end);
    let known = Checkpointed { log_start_offset: snapshot_end, recovery_point };
    let (disk, dir) = (Arc::clone(&place.disk), place.dir.clone());
    Ok(Log::open(disk, dir, META_TOPIC_ID, log_options, known, options.start, now_ms, BlockPool::default())?)
}

/// Refuses damage to what was acknowledged. A torn tail, never acknowledged, is none.
fn check_recovery(place: &Place, log: &Log, recovery: &Recovery, snapshot_end: Offset) -> Result<(), OpenError> {
    if let Some(damaged) = recovery.damaged.iter().find(|damaged| damaged.to_offset > snapshot_end) {
        let file = place.dir.join(format!("{:020}.log", damaged.segment));
        return Err(OpenError::Damaged { file, position: damaged.from_position, offset: damaged.from_offset });
    }
    if !place.disk.exists(&place.dir).map_err(OpenError::io(&place.dir))? {
        return Ok(());
    }
    let end = log.log_end_offset();
    for name in place.disk.names(&place.dir).map_err(OpenError::io(&place.dir))? {
        if name.contains(".cut-") {
            let file = place.dir.join(name);
            let bytes = read_file(&*place.disk, &file, MAX_CUT_BYTES).map_err(OpenError::io(&file))?;
            if holds_acknowledged(&bytes.unwrap_or_default().into(), end) {
                return Err(OpenError::AcknowledgedCut { file, offset: end });
            }
        }
    }
    Ok(())
}

/// Whether bytes cut off the end of a log hold a batch that was written after something at or past the log's end was
/// durable.
fn holds_acknowledged(cut: &Bytes, log_end_offset: Offset) -> bool {
    // Most places fail at the magic number or at the offset, before anything is summed up.
    let plausible = |at: usize| {
        BatchHeader::parse(&cut[at..]).is_some_and(|header| header.magic == 2 && header.base_offset > log_end_offset)
    };
    (0..cut.len()).filter(|at| plausible(*at)).any(|at| {
        let synced = batch::frame(&cut.slice(at..)).ok().and_then(|batch| batch.synced_offset());
        synced.is_some_and(|synced| synced > log_end_offset)
    })
}

struct Replay<'a> {
    place: &'a Place,
    image: Image,
    tail: Tail,
}

impl Replay<'_> {
    fn run(&mut self, reader: &LogReader, from: Offset, end: Offset) -> Result<(), OpenError> {
        let mut next = from;
        while next < end {
            let mut bytes = reader.read(next, READ_BYTES, true, end).map_err(|error| self.read_error(next, error))?;
            if bytes.is_empty() {
                return Err(self.batch_error(next, BatchError::Header));
            }
            while !bytes.is_empty() {
                let batch = batch::frame(&bytes).map_err(|error| self.batch_error(next, error))?;
                self.apply(&batch, next).map_err(|error| self.batch_error(next, error))?;
                next = batch.header.next_offset();
                self.tail.bytes += batch.bytes.len() as u64;
                bytes = bytes.slice(batch.bytes.len()..);
            }
        }
        self.tail.records = (next - from) as u64;
        Ok(())
    }

    fn apply(&mut self, batch: &batch::Framed, expected: Offset) -> Result<(), BatchError> {
        let (found, epoch, latest) =
            (batch.header.base_offset, batch.header.partition_leader_epoch, self.image.epoch());
        if found != expected {
            return Err(BatchError::Offset { found, expected });
        }
        if epoch < latest {
            return Err(BatchError::Epoch { found: epoch, latest });
        }
        let records = batch.records()?;
        if records.last().map(|(offset, _)| *offset) != Some(batch.header.last_offset()) {
            return Err(BatchError::Header);
        }
        for (offset, record) in &records {
            self.image.apply(*offset, epoch, record);
        }
        Ok(())
    }

    fn read_error(&self, offset: Offset, error: ReadError) -> OpenError {
        match error {
            ReadError::Damaged { file, position } => OpenError::Damaged { file, position, offset },
            error => OpenError::Read { dir: self.place.dir.clone(), offset, error },
        }
    }

    fn batch_error(&self, offset: Offset, error: BatchError) -> OpenError {
        OpenError::Batch { file: segment_of(self.place, offset), offset, error }
    }
}

/// The segment file that should hold an offset; the directory when there is none.
fn segment_of(place: &Place, offset: Offset) -> PathBuf {
    let names = place.disk.names(&place.dir).unwrap_or_default();
    let base = |name: &String| name.strip_suffix(".log").and_then(|base| base.parse::<Offset>().ok());
    match names.iter().filter(|name| base(name).is_some_and(|base| base <= offset)).max() {
        Some(name) => place.dir.join(name),
        None => place.dir.clone(),
    }
}
