//! What the tests of the log share: batches, a log on a simulated disk, and a slow but plain reading of its files.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use chronik_env::block::BlockPool;
use chronik_env::fs::{Disk, read_file};
use chronik_env::sim_disk::SimDisk;
use chronik_protocol::batch::{BatchHeader, Compression, HEADER_LEN};
use chronik_protocol::builder::BatchBuilder;
use chronik_protocol::types::TopicId;
use chronik_storage::{Checkpointed, Files, Log, LogOptions, OpenError, Recovery, Start};

pub const TOPIC_ID: TopicId = TopicId::from_u128(0x1122_3344_5566_4788_99aa_bbcc_ddee_ff00);
pub const NOW: i64 = 1_700_000_000_000;

pub fn dir() -> PathBuf {
    PathBuf::from("/data/events-0")
}

/// An empty disk with a data directory.
pub fn disk() -> SimDisk {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/data")).expect("fresh");
    disk.sync_dir(Path::new("/")).expect("fresh");
    disk
}

/// Small segments and indexes, no retention, producers for ever.
pub fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 4000,
        index_interval_bytes: 200,
        segment_ms: i64::MAX,
        retention_ms: -1,
        producer_id_expiration_ms: i64::MAX,
        ..LogOptions::default()
    }
}

pub fn files(disk: &SimDisk) -> Files {
    Files::new(Arc::new(disk.clone()), BlockPool::default())
}

pub fn try_open(
    disk: &SimDisk,
    options: &LogOptions,
    known: Checkpointed,
    start: Start,
) -> Result<(Log, Recovery), OpenError> {
    Log::open_in(&files(disk), dir(), TOPIC_ID, options.clone(), known, start, NOW)
}

pub fn open(disk: &SimDisk, options: &LogOptions, known: Checkpointed, start: Start) -> (Log, Recovery) {
    try_open(disk, options, known, start).expect("opens")
}

pub fn open_clean(disk: &SimDisk) -> Log {
    open(disk, &options(), Checkpointed::default(), Start::Clean).0
}

/// A recovery point and nothing else.
pub fn proven(recovery_point: i64) -> Checkpointed {
    Checkpointed { log_start_offset: 0, recovery_point }
}

/// A batch at `base_offset` whose records have these timestamps.
pub fn batch(base_offset: i64, codec: Compression, timestamps: &[i64], value_len: usize) -> Bytes {
    let mut builder = BatchBuilder::new().base_offset(base_offset).leader_epoch(0).compression(codec, None);
    for (i, timestamp) in timestamps.iter().enumerate() {
        builder.push(*timestamp, None, Some(&vec![b'a' + (i % 26) as u8; value_len]), &[]);
    }
    builder.build().expect("small")
}

/// One record of a producer.
pub fn sequenced(base_offset: i64, producer: i64, epoch: i16, sequence: i32, records: usize) -> Bytes {
    let mut builder = BatchBuilder::new().base_offset(base_offset).leader_epoch(0).producer(producer, epoch, sequence);
    for _ in 0..records {
        builder.push(NOW, None, Some(b"v"), &[]);
    }
    builder.build().expect("small")
}

pub fn header_of(batch: &[u8]) -> BatchHeader {
    BatchHeader::parse(batch).expect("a header")
}

pub fn append_bytes(log: &mut Log, batch: &[u8]) {
    log.append(&header_of(batch), &batch[HEADER_LEN..], NOW).expect("appends");
}

/// Appends `count` batches of one record each, timestamps `NOW` + offset, of the newest leader epoch.
pub fn append_some(log: &mut Log, count: usize, value_len: usize) {
    for _ in 0..count {
        let base = log.log_end_offset();
        let batch = batch(base, Compression::None, &[NOW.saturating_add(base)], value_len);
        let header = BatchHeader { partition_leader_epoch: log.latest_epoch().max(0), ..header_of(&batch) };
        log.append(&header, &batch[HEADER_LEN..], NOW).expect("appends");
    }
}

pub fn sync(log: &mut Log) {
    while let Some(ticket) = log.unsynced() {
        ticket.run().expect("syncs");
        log.synced(&ticket);
    }
    assert_eq!(log.synced_offset(), log.log_end_offset());
}

/// Cuts bytes into whole batches.
pub fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut batches = Vec::new();
    while !bytes.is_empty() {
        let (batch, rest) = bytes.split_at(header_of(bytes).size().expect("a length"));
        batches.push(batch.to_vec());
        bytes = rest;
    }
    batches
}

/// All batches between log start and end, as the reader gives them.
pub fn read_all(log: &Log) -> Vec<Vec<u8>> {
    read_range(log, log.log_start_offset(), log.log_end_offset())
}

pub fn read_range(log: &Log, from: i64, to: i64) -> Vec<Vec<u8>> {
    let (reader, mut next, mut batches) = (log.reader(), from, Vec::new());
    while next < to {
        let read = reader.read(next, 1500, true, to).expect("reads");
        assert!(!read.is_empty(), "nothing at {next}");
        batches.extend(split(&read));
        next = header_of(batches.last().expect("not empty")).next_offset();
    }
    batches
}

/// Names in the log's directory.
pub fn names(disk: &SimDisk) -> Vec<String> {
    disk.names(&dir()).unwrap_or_default()
}

pub fn contents(disk: &SimDisk, name: &str) -> Vec<u8> {
    read_file(disk, &dir().join(name), 1 << 30).expect("readable").unwrap_or_else(|| panic!("no {name}"))
}

pub fn log_names(disk: &SimDisk) -> Vec<String> {
    names(disk).into_iter().filter(|name| name.ends_with(".log")).collect()
}

/// A small generator of numbers (xorshift), for tests that replay from a seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }
}
