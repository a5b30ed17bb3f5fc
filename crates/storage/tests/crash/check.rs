//! One image of a disk: recovered, and held against what must be there.

use std::fmt;
use std::sync::Arc;

use chronik_env::block::BlockPool;
use chronik_env::fs::Disk;
use chronik_env::sim_disk::{Cut, SimDisk};
use chronik_protocol::batch::{BatchHeader, crc_of};
use chronik_storage::{Checkpointed, Log, LogOptions, Start, Verdict};

use crate::model::{Batch, Expected, NOBODY, Producer, Version, end_of};
use crate::workload::{PRODUCERS, TOPIC_ID, known, log_dir};

/// Everything a recovered log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown {
    pub known: Checkpointed,
    pub log_start: i64,
    pub log_end: i64,
    /// Whole batches from the one that holds the log start on.
    pub batches: Vec<Vec<u8>>,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers = self.batches.iter().filter_map(|batch| BatchHeader::parse(batch));
        write!(f, "[{}..{}] {} ({:?})", self.log_start, self.log_end, spans(headers), self.known)
    }
}

/// Batches as `base offset + last offset delta @ leader epoch # CRC`.
fn spans(headers: impl Iterator<Item = BatchHeader>) -> String {
    let span = |h: BatchHeader| {
        format!("{}+{}@{}#{:04x}", h.base_offset, h.last_offset_delta, h.partition_leader_epoch, h.crc & 0xffff)
    };
    headers.map(span).collect::<Vec<_>>().join(" ")
}

/// How images of one run are opened.
pub struct Opener {
    pub options: LogOptions,
    pub now_ms: i64,
    pub pool: BlockPool,
}

impl Opener {
    /// Opens and reads the whole log.
    pub fn open(&self, disk: &SimDisk, start: Start) -> (Log, Shown) {
        disk.set_discard_suffix(".deleted");
        let known = known(disk);
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let opened =
            Log::open(shared, log_dir(), TOPIC_ID, self.options.clone(), known, start, self.now_ms, self.pool.clone());
        let (log, recovery) = opened.expect("every image opens");
        assert_eq!(recovery.damaged, [], "a power cut damages nothing");
        assert!(disk.unsynced_renames().is_empty(), "recovery renamed before it synced");
        assert_eq!(log.synced_offset(), log.log_end_offset(), "what recovery exposes is synced");
        let shown =
            Shown { known, log_start: log.log_start_offset(), log_end: log.log_end_offset(), batches: read_all(&log) };
        (log, shown)
    }
}

fn read_all(log: &Log) -> Vec<Vec<u8>> {
    let reader = log.reader();
    let (mut next, end) = (log.log_start_offset(), log.log_end_offset());
    let mut batches = Vec::new();
    while next < end {
        let read = reader.read(next, 2000, true, end).expect("readable to the end");
        assert!(!read.is_empty(), "no batch at {next}, the end is {end}");
        let mut rest = &read[..];
        while !rest.is_empty() {
            let header = BatchHeader::parse(rest).expect("whole batches only");
            let (batch, after) = rest.split_at(header.size().expect("a sound header"));
            assert_eq!(crc_of(batch), header.crc);
            batches.push(batch.to_vec());
            next = header.next_offset();
            rest = after;
        }
    }
    assert_eq!(next.max(log.log_start_offset()), end, "the log ends where its last batch does");
    batches
}

/// Holds a recovered log against the facts. Returns the contents it has, from offset 0 on.
pub fn check_contents<'a>(shown: &Shown, expected: &'a Expected) -> &'a [Arc<Batch>] {
    assert!(shown.log_end >= expected.required_end, "ends at {}, synced to {}", shown.log_end, expected.required_end);
    assert!(shown.log_start >= shown.known.log_start_offset, "starts at {}", shown.log_start);
    assert!(
        shown.log_start <= expected.max_log_start,
        "starts at {}, never past {}",
        shown.log_start,
        expected.max_log_start
    );
    // The latest first: versions may differ only below the log start, where nothing is shown.
    let version = expected.candidates.iter().rev().find_map(|candidate| matching(shown, candidate));
    let version = version
        .unwrap_or_else(|| panic!("was never a log: {shown:?}\ncandidates:\n{}", describe(&expected.candidates)));
    let required = |batch: &&Arc<Batch>| batch.header.next_offset() <= expected.required_end;
    for (batch, found) in expected.current.iter().take_while(required).zip(version) {
        let (wanted, found) = (batch.header, found.header);
        assert!(wanted == found || found.next_offset() <= shown.log_start, "synced: {wanted:?}, found: {found:?}");
    }
    version
}

/// The part of a candidate that ends where the log does, when its tail is what the log shows.
fn matching<'a>(shown: &Shown, candidate: &'a [Arc<Batch>]) -> Option<&'a [Arc<Batch>]> {
    let count = candidate.partition_point(|batch| batch.header.next_offset() <= shown.log_end);
    let version = &candidate[..count];
    if end_of(version).max(shown.log_start) != shown.log_end {
        return None;
    }
    let first = version.partition_point(|batch| batch.header.next_offset() <= shown.log_start);
    version[first..].iter().map(|batch| &batch.bytes).eq(&shown.batches).then_some(version)
}

fn describe(candidates: &[Version]) -> String {
    candidates.iter().map(|candidate| spans(candidate.iter().map(|batch| batch.header))).collect::<Vec<_>>().join("\n")
}

/// The epoch cache and the producers' states are those of the log.
pub fn check_derived(log: &Log, version: &[Arc<Batch>], now_ms: i64) {
    let start = log.log_start_offset();
    let kept = version.partition_point(|batch| batch.header.next_offset() <= start);
    for (index, batch) in version.iter().enumerate().skip(kept) {
        let epoch = batch.header.partition_leader_epoch;
        let next = version[index..].iter().find(|later| later.header.partition_leader_epoch > epoch);
        let end = next.map_or(log.log_end_offset(), |later| later.header.base_offset);
        assert_eq!(log.end_offset_for_epoch(epoch), (epoch, end), "end of leader epoch {epoch}");
    }
    for id in PRODUCERS {
        let last = version.iter().rev().find(|batch| batch.header.producer_id == id);
        match last {
            None => {
                let anything = Producer { id, epoch: 0, sequence: 77 };
                let verdict = log.producers().check(&Batch::new(0, 0, anything, now_ms, &[vec![]]).header, now_ms);
                assert_eq!(verdict, Ok(Verdict::New), "producer {id} never wrote");
            }
            Some(last) if last.header.base_offset >= start => check_producer(log, &last.header, now_ms),
            // Its last batch is deleted: its state may be remembered or not.
            Some(_) => {}
        }
    }
}

fn check_producer(log: &Log, last: &BatchHeader, now_ms: i64) {
    let check = |sequence: i32| {
        let producer = Producer { id: last.producer_id, epoch: last.producer_epoch, sequence };
        log.producers().check(&Batch::new(0, 0, producer, now_ms, &[vec![]]).header, now_ms)
    };
    let verdict = log.producers().check(last, now_ms);
    let duplicate = Verdict::Duplicate { base_offset: last.base_offset, timestamp: last.max_timestamp };
    assert_eq!(verdict, Ok(duplicate), "the last batch of producer {}", last.producer_id);
    assert_eq!(check(last.last_sequence() + 1), Ok(Verdict::New), "the next batch of producer {}", last.producer_id);
    assert!(check(last.last_sequence() + 2).is_err(), "a gap of producer {}", last.producer_id);
}

/// A recovered log takes appends, keeps them over a power cut once synced, and shows the old and the new.
pub fn check_usable(opener: &Opener, disk: &SimDisk, mut log: Log, shown: &Shown, leader_epoch: i32) {
    log.assign_epoch(leader_epoch);
    let mut batches = shown.batches.clone();
    for _ in 0..2 {
        let batch = Batch::new(log.log_end_offset(), leader_epoch, NOBODY, opener.now_ms, &[vec![b'+'; 300]]);
        log.append(&batch.header, batch.body(), opener.now_ms).expect("appends go on");
        batches.push(batch.bytes);
    }
    let ticket = log.unsynced().expect("something was appended");
    ticket.run().expect("sync");
    log.synced(&ticket);
    assert_eq!(read_all(&log), batches, "the new batches are read back");
    disk.crash(Cut::Nothing);
    let (_, after) = opener.open(disk, Start::Unclean);
    assert_eq!((after.log_start, after.batches), (shown.log_start, batches), "the new batches are durable");
}
