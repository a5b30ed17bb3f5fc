//! Reading by offset and by time gives what a plain walk over all records gives: on random logs, while they grow, after
//! a clean and an unclean restart, after truncation and DeleteRecords, with index files damaged, and with nearly no
//! memory for indexes and open files.

mod common;

use std::sync::Arc;

use bytes::Bytes;
use chronik_env::block::BlockPool;
use chronik_env::sim_disk::SimDisk;
use chronik_protocol::batch::Compression;
use chronik_protocol::compression::Limits;
use chronik_protocol::records::iterate;
use chronik_storage::{Files, Log, LogOptions, LogReader, ReadError, Start, TimestampedOffset};
use common::*;

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// Every record of every batch, in order.
struct Plain {
    batches: Vec<Bytes>,
    records: Vec<(i64, i64)>,
}

impl Plain {
    fn of(batches: &[Bytes]) -> Plain {
        let mut records = Vec::new();
        for batch in batches {
            let all = iterate(&header_of(batch), &batch.slice(61..), Limits::NONE).expect("sound");
            records.extend(all.map(|record| record.expect("sound")).map(|record| (record.offset, record.timestamp)));
        }
        Plain { batches: batches.to_vec(), records }
    }

    fn first_since(&self, timestamp: i64, start: i64, before: i64) -> Option<(i64, i64)> {
        self.records.iter().find(|(offset, at)| *at >= timestamp && *offset >= start && *offset < before).copied()
    }

    fn largest(&self, start: i64, before: i64) -> Option<(i64, i64)> {
        let inside = self.records.iter().filter(|(offset, at)| *offset >= start && *offset < before && *at >= 0);
        inside.fold(None, |best: Option<(i64, i64)>, record| match best {
            Some(best) if best.1 >= record.1 => Some(best),
            _ => Some(*record),
        })
    }
}

fn random_batch(dice: &mut Dice, base: i64) -> Bytes {
    let codec = CODECS[dice.below(5) as usize];
    let spread = [1, 3, 1000][dice.below(3) as usize];
    let drift = base * [0, 1, 7][dice.below(3) as usize];
    let timestamps: Vec<i64> = (0..1 + dice.below(5))
        .map(|_| if dice.below(20) == 0 { -1 } else { 1_000_000 + drift + dice.below(spread) as i64 })
        .collect();
    let value_len = dice.below(250) as usize;
    if dice.below(6) == 0 {
        let builder =
            chronik_protocol::builder::BatchBuilder::new().base_offset(base).leader_epoch(0).compression(codec, None);
        let mut builder = builder.log_append_time(1_000_000 + drift);
        timestamps.iter().for_each(|timestamp| builder.push(*timestamp, None, Some(&vec![b'v'; value_len]), &[]));
        return builder.build().expect("small");
    }
    batch(base, codec, &timestamps, value_len)
}

fn check(log: &Log, plain: &Plain, dice: &mut Dice) {
    let reader = log.reader();
    let (start, end) = (log.log_start_offset(), log.log_end_offset());
    for _ in 0..30 {
        let boundary = plain.batches[dice.below(plain.batches.len() as u64) as usize].clone();
        let before = if dice.below(2) == 0 { end } else { header_of(&boundary).base_offset };
        check_times(&reader, plain, start, before, dice);
        check_read(&reader, plain, start, before, end, dice);
    }
    assert!(matches!(reader.read(end + 1, 100, true, end + 1), Err(ReadError::OutOfRange { .. })));
    assert!(matches!(reader.read(start - 1, 100, true, end), Err(ReadError::OutOfRange { .. })));
    assert!(reader.read(end, 100, true, end).expect("the end is in range").is_empty());
}

fn check_times(reader: &LogReader, plain: &Plain, start: i64, before: i64, dice: &mut Dice) {
    let pair = |found: Option<TimestampedOffset>| found.map(|found| (found.offset, found.timestamp));
    let some = plain.records[dice.below(plain.records.len() as u64) as usize].1;
    for timestamp in [some - 1, some, some + 1, 0, i64::MAX] {
        let found = reader.offset_for_timestamp(timestamp, before).expect("looks up");
        assert_eq!(pair(found), plain.first_since(timestamp, start, before), "since {timestamp} below {before}");
    }
    assert_eq!(
        pair(reader.max_timestamp(before).expect("looks up")),
        plain.largest(start, before),
        "largest below {before}"
    );
}

fn check_read(reader: &LogReader, plain: &Plain, start: i64, before: i64, end: i64, dice: &mut Dice) {
    let from = start + dice.below((end - start) as u64 + 1) as i64;
    let max_bytes = [0, 1, 61, 200, 1000, 5000, 100_000][dice.below(7) as usize];
    let at_least_one = dice.below(2) == 0;
    let read = split(&reader.read(from, max_bytes, at_least_one, before).expect("reads"));
    let first = plain.batches.iter().position(|batch| header_of(batch).last_offset() >= from);
    let wanted: Vec<_> = plain.batches[first.unwrap_or(plain.batches.len())..]
        .iter()
        .take_while(|batch| header_of(batch).base_offset < before && from < before)
        .collect();
    assert!(read.iter().zip(&wanted).all(|(read, wanted)| read == &wanted[..]), "from {from} below {before}");
    assert!(read.len() <= wanted.len());
    let bytes: usize = read.iter().map(Vec::len).sum();
    assert!(bytes <= max_bytes || (at_least_one && read.len() == 1), "{bytes} bytes of at most {max_bytes}");
    if let Some(first) = wanted.first() {
        assert_eq!(read.is_empty(), !at_least_one && first.len() > max_bytes, "from {from}, at most {max_bytes}");
    }
}

fn random_options(dice: &mut Dice) -> LogOptions {
    LogOptions {
        segment_bytes: [1500, 4000, 20_000][dice.below(3) as usize],
        index_interval_bytes: [0, 100, 700][dice.below(3) as usize],
        ..options()
    }
}

fn reopen(disk: &SimDisk, options: &LogOptions, start: Start, recovery_point: i64, dice: &mut Dice) -> Log {
    // Sometimes with memory for one file and for one small index only.
    let (open_files, index_bytes) = if dice.below(2) == 0 { (1, 100) } else { (100, 1 << 20) };
    let files = Files::with_limits(Arc::new(disk.clone()), BlockPool::default(), open_files, index_bytes);
    let (log, recovery) =
        Log::open_in(&files, dir(), TOPIC_ID, options.clone(), proven(recovery_point), start, NOW).expect("opens");
    assert_eq!((recovery.damaged.len(), recovery.truncated_at), (0, None));
    log
}

/// Flips a byte of an index file, cuts it short, or removes it.
fn damage_indexes(disk: &SimDisk, dice: &mut Dice) {
    for name in names(disk).iter().filter(|name| name.ends_with("index") || name.ends_with("index-summaries")) {
        let path = dir().join(name);
        let random = dice.next();
        let damage = |bytes: &mut Vec<u8>| match (random % 4, bytes.len()) {
            (_, 0) => bytes.extend_from_slice(&random.to_be_bytes()),
            (0, len) => bytes[(random / 4 % len as u64) as usize] ^= 1 << (random >> 60 & 7),
            (1, len) => bytes.truncate((random / 4 % len as u64) as usize),
            (2, _) => bytes.extend_from_slice(&[0; 8]),
            _ => bytes.clear(),
        };
        disk.damage(&path, damage).expect("there");
    }
}

fn grow(log: &mut Log, batches: &mut Vec<Bytes>, count: u64, dice: &mut Dice) {
    for _ in 0..count {
        let batch = random_batch(dice, log.log_end_offset());
        append_bytes(log, &batch);
        batches.push(batch);
    }
}

#[test]
fn lookups_agree_with_a_linear_scan() {
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let disk = disk();
        let options = random_options(&mut dice);
        let mut log = reopen(&disk, &options, Start::Clean, 0, &mut dice);
        let mut batches = Vec::new();
        for _ in 0..8 {
            let count = 1 + dice.below(25);
            grow(&mut log, &mut batches, count, &mut dice);
            check(&log, &Plain::of(&batches), &mut dice);
            match dice.below(5) {
                0 => {
                    log.close().expect("closes");
                    if dice.below(2) == 0 {
                        damage_indexes(&disk, &mut dice);
                    }
                    log = reopen(&disk, &options, Start::Clean, log.log_end_offset(), &mut dice);
                }
                1 => {
                    sync(&mut log);
                    if dice.below(2) == 0 {
                        damage_indexes(&disk, &mut dice);
                    }
                    let recovery_point = dice.below(log.log_end_offset() as u64 + 1) as i64;
                    let start = log.log_start_offset();
                    log = reopen(&disk, &options, Start::Unclean, recovery_point, &mut dice);
                    log.advance_log_start(start);
                }
                2 => {
                    let offset = dice.below(log.log_end_offset() as u64 + 1) as i64;
                    if offset >= log.log_start_offset() {
                        log.truncate_to(offset).expect("truncates");
                        batches.retain(|batch| header_of(batch).last_offset() < offset);
                        let end = batches.last().map_or(0, |batch| header_of(batch).next_offset());
                        assert_eq!(log.log_end_offset(), end);
                    }
                    log.advance_log_start(log.log_start_offset().min(log.log_end_offset()));
                    if batches.is_empty() {
                        grow(&mut log, &mut batches, 1, &mut dice);
                    }
                }
                3 => {
                    let span = log.log_end_offset() - log.log_start_offset();
                    log.advance_log_start(log.log_start_offset() + dice.below(span as u64 / 4 + 1) as i64);
                }
                _ => sync(&mut log),
            }
            if log.log_start_offset() < log.log_end_offset() {
                check(&log, &Plain::of(&batches), &mut dice);
            }
        }
    }
}
