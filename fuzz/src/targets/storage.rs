//! Each file of a partition's directory, and the checkpoints beside it, with bytes of the input in its place.
//!
//! Whatever a file holds, opening either names what is wrong or gives a log that serves what it has, takes new batches, and has them
//! again after the next start, clean or not.

mod baseline;

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use chronik_env::block::BlockPool;
use chronik_env::fs::{Disk, replace_file};
use chronik_env::sim_disk::{Cut, SimDisk};
use chronik_protocol::batch::{self, BatchHeader, HEADER_LEN};
use chronik_protocol::builder::BatchBuilder;
use chronik_storage::unclean::{self, UncleanPartitions};
use chronik_storage::{AppendError, Checkpointed, Log, LogReader, OpenError, ReadError, Start, checkpoint};

use super::steer;
use crate::budget;
use baseline::{Baseline, DATA_DIR, NOW_MS, TOPIC_ID, log_dir, options};

/// Copies of the file in the simulated disk's two trees and in what is written back, and what is read of it.
const PER_BYTE: usize = 8;
/// The rest of the directory, buffers of 256 KiB for scanning and copying, pooled blocks.
const FIXED: usize = 4 * 1024 * 1024;

/// Bits of the second byte.
const UNCLEAN: u8 = 1;
/// Checksums are put right, so that what lies behind them is reached.
const REPAIR: u8 = 2;
const TRUNCATE: u8 = 4;
const RETAIN: u8 = 8;
const ADVANCE: u8 = 16;

fn baseline() -> &'static Baseline {
    static BASELINE: OnceLock<Baseline> = OnceLock::new();
    BASELINE.get_or_init(Baseline::new)
}

pub(super) fn run(input: &[u8]) {
    let ([file, mode, recovery_point, log_start], contents) = steer(input);
    let baseline = baseline();
    let name = &baseline.files[usize::from(file) % baseline.files.len()].0;
    let contents = if mode & REPAIR == 0 { contents.to_vec() } else { repaired(name, contents) };
    let disk = baseline.disk.image(Cut::Everything, 1);
    let path = if baseline.is_checkpoint(name) { Path::new(DATA_DIR).join(name) } else { log_dir().join(name) };
    replace_file(&disk, &path, &contents).expect("a healthy disk");
    budget::proportional(contents.len(), PER_BYTE, FIXED, || {
        if name == unclean::FILE_NAME {
            return unclean_partitions(&disk);
        }
        if baseline.is_checkpoint(name) {
            return offsets(&disk, &path);
        }
        let known = Checkpointed { log_start_offset: log_start.into(), recovery_point: recovery_point.into() };
        let start = if mode & UNCLEAN == 0 { Start::Clean } else { Start::Unclean };
        // A list of damage with a right checksum is believed.
        let believed = name == "damaged-ranges";
        log(&disk, known, start, mode, believed);
    });
}

/// What is read is written and read again.
fn offsets(disk: &SimDisk, path: &Path) {
    match checkpoint::read_offsets(disk, path) {
        Ok(offsets) => {
            checkpoint::write_offsets(disk, path, &offsets).expect("a healthy disk");
            assert_eq!(checkpoint::read_offsets(disk, path).expect("what was written is readable"), offsets);
        }
        Err(error) => drop(error.to_string()),
    }
}

/// What is believed is named again by the file begun from it, along with what is marked since.
fn unclean_partitions(disk: &SimDisk) {
    let dir = Path::new(DATA_DIR);
    let read = || UncleanPartitions::read(disk, dir).expect("a healthy disk");
    let Some(mut believed) = read() else { return };
    let mut file = UncleanPartitions::create(Arc::new(disk.clone()), dir, believed.clone()).expect("a healthy disk");
    assert_eq!(read().as_ref(), Some(&believed));
    file.mark(TOPIC_ID, 3).expect("a healthy disk");
    believed.insert((TOPIC_ID, 3));
    assert_eq!(read(), Some(believed));
}

fn open(disk: &SimDisk, known: Checkpointed, start: Start) -> Option<Log> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    match Log::open(disk, log_dir(), TOPIC_ID, options(), known, start, NOW_MS, BlockPool::default()) {
        Ok((log, _)) => Some(log),
        // A healthy disk has no errors, but a file may be too long to be what it should be.
        Err(OpenError::Io { path, error }) if error.kind() != io::ErrorKind::FileTooLarge => {
            panic!("{}: {error}", path.display())
        }
        Err(error) => {
            drop(error.to_string());
            None
        }
    }
}

fn log(disk: &SimDisk, known: Checkpointed, start: Start, mode: u8, believed: bool) {
    let Some(mut log) = open(disk, known, start) else { return };
    assert!(log.log_start_offset() >= known.log_start_offset, "the log start goes back");
    // A start that trusts nothing serves nothing unchecked.
    let all_checked = start == Start::Unclean && known.recovery_point == 0 && !believed;
    read_all(&log, all_checked);
    look_up(&log);
    change(&mut log, mode);
    let (offset, appended) = append(&mut log);
    read_all(&log, false);
    log.close().expect("a healthy disk");
    let (log_start, end) = (log.log_start_offset(), log.log_end_offset());
    drop(log);
    for (start, recovery_point) in [(Start::Clean, end), (Start::Unclean, end), (Start::Unclean, 0)] {
        let known = Checkpointed { log_start_offset: log_start, recovery_point };
        let mut log = open(disk, known, start).expect("a log that was opened and closed opens again");
        if recovery_point == end {
            assert_eq!((log.log_start_offset(), log.log_end_offset()), (log_start, end), "after {start:?}");
            let found = log.reader().read(offset, appended.len(), true, end);
            assert_eq!(found.as_ref().ok(), Some(&appended), "after {start:?}: {found:?}");
        }
        read_all(&log, false);
        log.close().expect("a healthy disk");
    }
}

/// Reads from start to end as a consumer does, past what is damaged.
fn read_all(log: &Log, all_checked: bool) {
    let (reader, end) = (log.reader(), log.log_end_offset());
    let mut from = log.log_start_offset();
    assert!(from <= end && log.synced_offset() <= end);
    let most = 2 * (log.size_bytes() as usize / HEADER_LEN + log.damaged_ranges().len() + 2);
    for _ in 0..most {
        from = match reader.read(from, 512, true, end) {
            Ok(bytes) if bytes.is_empty() => {
                assert_eq!(from, end, "nothing to read, and not at the end");
                return;
            }
            Ok(bytes) => after(&bytes, from, end, all_checked),
            // What follows a gap may be damaged as well.
            Err(ReadError::Damaged { .. }) => match log.damaged_ranges().iter().find(|range| range.to_offset > from) {
                Some(damaged) => damaged.to_offset,
                // Found only now, in a file that was trusted.
                None if !all_checked => return,
                None => panic!("offset {from} is damaged and recovery did not see it"),
            },
            Err(error) => panic!("reading at {from} of {end}: {error}"),
        };
        if from >= end {
            return;
        }
    }
    panic!("{most} reads do not get to the end {end}, only to {from}");
}

/// The offset after the batches read at `from`.
fn after(bytes: &Bytes, from: i64, end: i64, checked: bool) -> i64 {
    let (mut rest, mut next) = (&bytes[..], None);
    while !rest.is_empty() {
        let header = BatchHeader::parse(rest).expect("whole batches are read");
        let size = header.size().filter(|size| *size <= rest.len()).expect("whole batches are read");
        assert!(next.map_or(header.last_offset() >= from, |next| header.base_offset >= next), "batches out of order");
        assert!(!checked || batch::crc_of(&rest[..size]) == header.crc, "a bad batch is served");
        assert!(header.base_offset < end, "a batch past the end is served");
        next = Some(header.next_offset());
        rest = &rest[size..];
    }
    let next = next.expect("some bytes were read");
    assert!(next > from, "from {from} reading goes to {next}");
    next
}

fn look_up(log: &Log) {
    let (reader, range) = (log.reader(), log.log_start_offset()..log.log_end_offset());
    for timestamp in [i64::MIN, -1, 0, NOW_MS, NOW_MS + 7, i64::MAX] {
        if let Ok(Some(found)) = healthy(reader.offset_for_timestamp(timestamp, range.end)) {
            assert!(
                range.contains(&found.offset) && found.timestamp >= timestamp,
                "{timestamp} found as {found:?} in {range:?}"
            );
        }
    }
    if let Ok(Some(found)) = healthy(reader.max_timestamp(range.end)) {
        assert!(range.contains(&found.offset), "the largest timestamp is {found:?}, outside {range:?}");
    }
    for epoch in [-1, 0, 1, 5, i32::MAX] {
        let (found, offset) = log.end_offset_for_epoch(epoch);
        assert!(found <= epoch.max(-1) && offset <= range.end);
    }
    outside(&reader, range.end);
}

fn outside(reader: &LogReader, end: i64) {
    for offset in [-1, end + 1, i64::MAX] {
        assert!(
            matches!(reader.read(offset, 512, true, end), Err(ReadError::OutOfRange { .. })),
            "{offset} is outside"
        );
    }
}

fn healthy<T>(result: Result<T, ReadError>) -> Result<T, ReadError> {
    match result {
        Err(ReadError::Io(error)) => panic!("a healthy disk: {error}"),
        other => other,
    }
}

fn change(log: &mut Log, mode: u8) {
    let middle = |log: &Log| log.log_start_offset() + (log.log_end_offset() - log.log_start_offset()) / 2;
    if mode & ADVANCE != 0 {
        log.advance_log_start(middle(log));
    }
    if mode & TRUNCATE != 0 {
        log.truncate_to(middle(log)).expect("an offset within the log");
    }
    if mode & RETAIN != 0 {
        log.roll_if_due(NOW_MS).expect("a healthy disk");
        log.apply_retention(NOW_MS, log.log_end_offset()).expect("a healthy disk");
    }
    assert!(log.log_start_offset() <= log.log_end_offset());
}

/// Appends a batch of an idempotent producer as a leader would, durably, and reads it.
fn append(log: &mut Log) -> (i64, Bytes) {
    let offset = log.log_end_offset();
    let mut builder =
        BatchBuilder::new().base_offset(offset).leader_epoch(log.latest_epoch().max(0)).producer(4242, 0, 0);
    builder.push(NOW_MS, Some(b"key"), Some(b"value"), &[]);
    let bytes = builder.build().expect("one record fits a batch");
    let header = BatchHeader::parse(&bytes).expect("a batch has a header");
    // Either answer is right: the producer may be known.
    let _ = log.producers().check(&header, NOW_MS);
    match log.append(&header, &bytes[HEADER_LEN..], NOW_MS) {
        Ok(()) => {}
        Err(error @ (AppendError::Io(_) | AppendError::Failed)) => panic!("a healthy disk: {error}"),
        Err(error) => panic!("an open log takes batches: {error}"),
    }
    let ticket = log.unsynced().expect("what was appended is not yet synced");
    ticket.run().expect("a healthy disk");
    log.synced(&ticket);
    assert_eq!(log.synced_offset(), log.log_end_offset());
    let found = log.reader().read(offset, bytes.len(), true, log.log_end_offset());
    assert_eq!(found.as_ref().ok(), Some(&bytes), "{found:?}");
    (offset, bytes)
}

/// Puts checksums right by the kind of file.
fn repaired(name: &str, contents: &[u8]) -> Vec<u8> {
    let mut out = contents.to_vec();
    if name.ends_with(".log") {
        repair_batches(&mut out);
    } else if name.ends_with(".snapshot") || name == "index-summaries" {
        store_crc(&mut out, |bytes| crc32c::crc32c(&bytes[6..]));
    } else if name == "damaged-ranges" {
        store_crc(&mut out, |bytes| crc32c::crc32c_append(crc32c::crc32c(&bytes[..2]), &bytes[6..]));
    }
    out
}

fn store_crc(bytes: &mut [u8], crc: impl FnOnce(&[u8]) -> u32) {
    if bytes.len() >= 6 {
        let crc = crc(bytes);
        bytes[2..6].copy_from_slice(&crc.to_be_bytes());
    }
}

pub(super) fn repair_batches(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(size) = BatchHeader::parse(&bytes[at..]).and_then(|header| header.size()) {
        let Some(batch) = bytes.get_mut(at..at.saturating_add(size)) else { return };
        let crc = batch::crc_of(batch);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        at += size;
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (at, (_, contents)) in baseline().files.iter().enumerate() {
        let modes =
            [0, UNCLEAN, UNCLEAN | REPAIR, REPAIR, UNCLEAN | REPAIR | TRUNCATE, UNCLEAN | RETAIN | ADVANCE | REPAIR];
        for mode in modes {
            seeds.push([&[at as u8, mode, 0, 0], &contents[..]].concat());
        }
        // All below offset 20 was durable, and nothing below 3 can be read.
        seeds.push([&[at as u8, UNCLEAN, 20, 3], &contents[..]].concat());
    }
    seeds
}
