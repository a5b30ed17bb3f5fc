//! Whatever the files hold, opening, reading, appending and closing neither panic nor hang, and memory stays in
//! proportion: each file of a log is mutated, thousands of times, and the log opened and used.
//!
//! `CHRONIK_MUTATIONS` sets how many.

mod common;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chronik_env::block::BlockPool;
use chronik_env::fs::{Dir, DirEntry, DirLock, Disk, File, OpenMode, Space};
use chronik_env::sim_disk::{Cut, SimDisk};
use chronik_protocol::batch::Compression;
use chronik_storage::{Checkpointed, Files, Log, LogOptions, OpenError, Start, checkpoint};
use common::*;

/// A disk that notes the largest buffer it was asked to fill, in bytes: what a file says of itself must not size one.
struct Watched(SimDisk, Arc<AtomicUsize>);

struct WatchedFile(Arc<dyn File>, Arc<AtomicUsize>);

impl Disk for Watched {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(WatchedFile(self.0.open(path, mode)?, self.1.clone())))
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir_all(path)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.remove_dir_all(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.0.list(dir)
    }
    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.names(dir)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.0.exists(path)
    }
    fn open_dir(&self, dir: &Path) -> io::Result<Box<dyn Dir>> {
        self.0.open_dir(dir)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        self.0.space(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        self.0.lock(path)
    }
}

impl File for WatchedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.1.fetch_max(buf.len(), Ordering::Relaxed);
        self.0.read_at(buf, offset)
    }
    fn write_all_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        self.0.write_all_at(parts, offset)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

fn target() -> usize {
    let default = if cfg!(debug_assertions) { 1_500 } else { 20_000 };
    std::env::var("CHRONIK_MUTATIONS").map_or(default, |text| text.parse().expect("CHRONIK_MUTATIONS is a number"))
}

/// A log with every kind of file: three segments and more, producers, epochs, damage.
fn original() -> SimDisk {
    let disk = disk();
    let mut log = open_clean(&disk);
    for i in 0..40 {
        let base = log.log_end_offset();
        let batch = match i % 3 {
            0 => sequenced(base, 1 + i % 4, (i / 20) as i16, (i % 20) as i32, 2),
            1 => batch(base, Compression::Zstd, &[NOW + i, NOW - i], 300),
            _ => batch(base, Compression::None, &[NOW + i], 200),
        };
        let mut header = header_of(&batch);
        header.partition_leader_epoch = (i / 15) as i32;
        log.append(&header, &batch[61..], NOW).expect("appends");
    }
    log.close().expect("closes");
    let end = log.log_end_offset();
    disk.damage(&dir().join("00000000000000000000.log"), |bytes| bytes[1500] ^= 1).expect("there");
    let (mut log, recovery) = open(&disk, &options(), proven(1), Start::Unclean);
    assert_eq!((recovery.damaged.len(), log.log_end_offset()), (1, end));
    log.close().expect("closes");
    disk
}

/// Told when the test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with seed {}", self.0);
        }
    }
}

fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let at = dice.below(bytes.len() as u64 + 1) as usize;
    let inside = at.min(bytes.len().max(1) - 1);
    match dice.below(9) {
        _ if bytes.is_empty() => bytes.extend((0..dice.below(40)).map(|_| dice.next() as u8)),
        0 | 1 => bytes[inside] ^= 1 << dice.below(8),
        2 => bytes[inside] = dice.next() as u8,
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(at..(at + dice.below(100) as usize).min(bytes.len()))),
        5 => drop(bytes.splice(at..at, (0..dice.below(100)).map(|_| 0).collect::<Vec<_>>())),
        6 => {
            // A number of 4 or 8 bytes becomes a border case.
            let number =
                [0, -1, i64::MAX, i64::MIN, 1 << 31, (1 << 31) - 1, i64::from(u32::MAX)][dice.below(7) as usize];
            let width = if dice.below(2) == 0 { 4 } else { 8 };
            let number = &number.to_be_bytes()[8 - width..];
            bytes.iter_mut().skip(at).zip(number).for_each(|(byte, new)| *byte = *new);
        }
        7 => {
            let copy = bytes[at..(at + dice.below(500) as usize).min(bytes.len())].to_vec();
            let to = dice.below(bytes.len() as u64 + 1) as usize;
            drop(bytes.splice(to..to, copy));
        }
        _ => bytes.iter_mut().skip(at).take(dice.below(300) as usize).for_each(|byte| *byte = 0),
    }
}

/// Uses a log in all ways that read what the files hold.
fn exercise(log: &mut Log, dice: &mut Dice) {
    let reader = log.reader();
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    assert!(start <= end, "{start} <= {end}");
    let mut next = start;
    // Damaged offsets may be very many: pass over a range at once.
    for _ in 0..300 {
        match reader.read(next, 700, true, end) {
            Ok(read) if read.is_empty() => break,
            Ok(read) => next = header_of(split(&read).last().expect("whole batches")).next_offset(),
            Err(_) => {
                let damage = log.damaged_ranges();
                let past = damage.iter().filter(|range| range.from_offset <= next).map(|range| range.to_offset).max();
                next = past.filter(|past| *past > next).unwrap_or(next + 1);
            }
        }
    }
    for timestamp in [NOW - 30, NOW, NOW + 30, i64::MAX, i64::MIN] {
        _ = reader.offset_for_timestamp(timestamp, end);
    }
    _ = reader.max_timestamp(end);
    _ = log.end_offset_for_epoch(1);
    _ = log.producers().check(&header_of(&sequenced(end, 1, 1, 5, 1)), NOW);
    log.assign_epoch(1000);
    append_some(log, 3, 50);
    match dice.below(4) {
        0 => drop(log.apply_retention(NOW + 1, end)),
        1 => drop(log.truncate_to(start + (end - start) / 2)),
        2 => log.advance_log_start(start + (end - start) / 2),
        _ => {}
    }
    if !log.is_failed() {
        append_some(log, 3, 50);
        sync(log);
        let (from, end) = (log.log_end_offset() - 3, log.log_end_offset());
        assert_eq!(read_range(log, from, end).len(), 3, "what is appended is read back");
        log.close().expect("closes");
    }
}

fn open_watched(
    disk: &SimDisk,
    options: &LogOptions,
    known: Checkpointed,
    start: Start,
) -> (Result<Log, OpenError>, usize) {
    let largest = Arc::new(AtomicUsize::new(0));
    let files = Files::new(Arc::new(Watched(disk.clone(), largest.clone())), BlockPool::default());
    let opened = Log::open_in(&files, dir(), TOPIC_ID, options.clone(), known, start, NOW);
    (opened.map(|(log, _)| log), largest.load(Ordering::Relaxed))
}

/// No file of the original is larger, in bytes.
const LARGEST_ORIGINAL: usize = 4000;

#[test]
fn no_file_can_harm() {
    let original = original();
    let names = names(&original);
    for wanted in ["log", "index", "timeindex", "snapshot", "checkpoint", "metadata", "ranges", "summaries"] {
        assert!(names.iter().any(|name| name.ends_with(wanted)), "{wanted}: {names:?}");
    }
    let (mut opened, mut refused) = (0, 0);
    for seed in 0..target() as u64 {
        let _seed = Seed(seed);
        let mut dice = Dice::new(seed);
        let disk = original.image(Cut::Everything, seed);
        let mut largest_file = 0;
        for _ in 0..1 + dice.below(3) {
            let name = &names[dice.below(names.len() as u64) as usize];
            disk.damage(&dir().join(name), |bytes| {
                mutate(bytes, &mut dice);
                largest_file = largest_file.max(bytes.len());
            })
            .expect("there");
        }
        let start = if dice.below(2) == 0 { Start::Clean } else { Start::Unclean };
        let recovery_point = [0, 5, 40, 66, 100, i64::MAX, -1][dice.below(7) as usize];
        let known =
            Checkpointed { log_start_offset: [0, 0, 0, 10, 66, i64::MAX, -5][dice.below(7) as usize], recovery_point };
        let (result, largest_read) = open_watched(&disk, &options(), known, start);
        match result {
            Ok(mut log) => {
                assert!(
                    largest_read <= largest_file.max(LARGEST_ORIGINAL),
                    "seed {seed}: {largest_read} bytes at once"
                );
                let end = log.log_end_offset();
                exercise(&mut log, &mut dice);
                let failed = log.is_failed();
                drop(log);
                let again =
                    try_open(&disk, &options(), known, Start::Unclean).unwrap_or_else(|e| panic!("seed {seed}: {e}")).0;
                assert!(failed || again.log_end_offset() >= end.min(again.log_start_offset()), "seed {seed}");
                opened += 1;
            }
            Err(error) => {
                assert!(error.to_string().contains("/data/events-0"), "an error names its file: {error}");
                refused += 1;
            }
        }
    }
    assert!(opened > refused && refused > 0, "{opened} opened, {refused} refused");
}

#[test]
fn no_checkpoint_can_harm() {
    let path = PathBuf::from("/data").join(checkpoint::RECOVERY_POINT);
    let offsets = (0..20).map(|i| ((format!("topic-{}", i % 7), i), i64::from(i) * 1000)).collect();
    for seed in 0..target() as u64 {
        let mut dice = Dice::new(seed);
        let disk = disk();
        checkpoint::write_offsets(&disk, &path, &offsets).expect("writes");
        assert_eq!(checkpoint::read_offsets(&disk, &path).expect("reads"), offsets);
        disk.damage(&path, |bytes| mutate(bytes, &mut dice)).expect("there");
        if let Err(error) = checkpoint::read_offsets(&disk, &path) {
            assert!(error.to_string().contains(checkpoint::RECOVERY_POINT), "{error}");
        }
    }
}
