//! Rolling, retention, truncation, leader epochs, and reading beside the writer.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chronik_env::block::BlockPool;
use chronik_env::fs::{Disk, OpenMode};
use chronik_env::sim_disk::{Call, Failure, Rule, SimDisk};
use chronik_protocol::batch::{BatchHeader, Compression, HEADER_LEN};
use chronik_storage::{AppendError, ChangeError, Files, Log, LogOptions, ReadError, Retained, Start};
use common::*;

const DAY_MS: i64 = 24 * 3600 * 1000;

fn open_with(disk: &SimDisk, options: LogOptions) -> Log {
    open(disk, &options, proven(0), Start::Clean).0
}

fn bases(disk: &SimDisk) -> Vec<i64> {
    log_names(disk).iter().map(|name| name[..20].parse().expect("digits")).collect()
}

fn append_at(log: &mut Log, timestamp: i64) {
    let batch = batch(log.log_end_offset(), Compression::None, &[timestamp], 100);
    append_bytes(log, &batch);
}

#[test]
fn a_segment_ends_before_it_grows_too_large() {
    let disk = disk();
    let one = batch(0, Compression::None, &[NOW], 100).len() as u32;
    let mut log = open_with(&disk, LogOptions { segment_bytes: 3 * one, ..options() });
    (0..7).for_each(|_| append_at(&mut log, NOW));
    assert_eq!(bases(&disk), [0, 3, 6]);
    let large = batch(7, Compression::None, &[NOW], 1000);
    let refused = log.append(&header_of(&large), &large[61..], NOW);
    assert!(matches!(refused, Err(AppendError::LargerThanSegment { .. })), "{refused:?}");
    append_at(&mut log, NOW);
    assert_eq!((log.log_end_offset(), log.size_bytes()), (8, 8 * u64::from(one)), "the log goes on");
}

#[test]
fn segments_end_spread_over_the_jitter() {
    const AGE_MS: i64 = 10_000;
    const JITTER_MS: i64 = 4_000;
    let ends_at = |topic: &str| {
        let disk = disk();
        let options = LogOptions { segment_ms: AGE_MS, segment_jitter_ms: JITTER_MS, ..options() };
        let files = Files::new(Arc::new(disk), BlockPool::default());
        let path = dir().with_file_name(topic);
        let (mut log, _) = Log::open_in(&files, path, TOPIC_ID, options, proven(0), Start::Clean, NOW).expect("opens");
        append_at(&mut log, NOW);
        let due = |at: &i64| log.roll_if_due(NOW + at).expect("looks");
        (0..=AGE_MS + 1).find(due).expect("no later than without jitter")
    };
    let ends: Vec<i64> = (0..20).map(|n| ends_at(&format!("t-{n}"))).collect();
    assert!(ends.iter().all(|at| (AGE_MS - JITTER_MS..=AGE_MS + 1).contains(at)), "{ends:?}");
    let (first, last) = (ends.iter().min().expect("some"), ends.iter().max().expect("some"));
    assert!(last - first > JITTER_MS / 2, "{ends:?}");
    assert_eq!(ends[3], ends_at("t-3"), "the same at every look");
}

#[test]
fn a_segment_ends_with_its_time() {
    let disk = disk();
    let mut log = open_with(&disk, LogOptions { segment_ms: 1000, ..options() });
    for timestamp in [5000, 6000, 4000, 6001, 6500] {
        append_at(&mut log, timestamp);
    }
    assert_eq!(
        bases(&disk),
        [0, 3],
        "counted from the first batch's timestamp, and only a batch that is later than it"
    );
    assert!(!log.roll_if_due(7001).expect("rolls"));
    assert!(log.roll_if_due(7002).expect("rolls"));
    append_at(&mut log, 7002);
    assert_eq!(bases(&disk), [0, 3, 5]);
    log.close().expect("closes");
    let mut log = open_with(&disk, LogOptions { segment_ms: 1000, ..options() });
    append_at(&mut log, 8002);
    append_at(&mut log, 8003);
    assert_eq!(bases(&disk), [0, 3, 5, 7], "the first timestamp is found again after a restart");
}

#[test]
fn a_segment_without_timestamps_ends_by_the_clock() {
    let disk = disk();
    let mut log = open_with(&disk, LogOptions { segment_ms: 1000, ..options() });
    append_at(&mut log, -1);
    assert!(!log.roll_if_due(NOW + 1000).expect("rolls"));
    assert!(log.roll_if_due(NOW + 1001).expect("rolls"));
}

#[test]
fn a_segment_ends_when_its_index_is_full() {
    let disk = disk();
    let options = LogOptions { segment_index_bytes: 40, index_interval_bytes: 0, segment_bytes: 1 << 20, ..options() };
    let mut log = open_with(&disk, options);
    (0..12).for_each(|i| append_at(&mut log, NOW + i));
    // 40 bytes hold five offset entries and three time entries, one of which is kept for the closing.
    assert_eq!(bases(&disk), [0, 3, 6, 9]);
}

#[test]
fn retention_by_time_looks_at_the_largest_timestamp() {
    let disk = disk();
    let options = LogOptions { retention_ms: DAY_MS, segment_bytes: 400, ..options() };
    let mut log = open_with(&disk, options.clone());
    for timestamp in [NOW, NOW + 10, NOW + 500, NOW + 20, NOW + 1000, NOW + 1000] {
        append_at(&mut log, timestamp);
    }
    assert_eq!(bases(&disk), [0, 2, 4]);
    assert_eq!(
        log.apply_retention(NOW + DAY_MS + 10, 6).expect("works").removed_segments,
        0,
        "exactly as old as allowed"
    );
    let retained = log.apply_retention(NOW + DAY_MS + 400, 6).expect("works");
    assert_eq!(retained, Retained { log_start_offset: 2, removed_bytes: 2 * 170, removed_segments: 1 });
    assert_eq!(
        log.apply_retention(NOW + 2 * DAY_MS, 3).expect("works").removed_segments,
        0,
        "not past the high watermark"
    );
    assert_eq!(bases(&disk), [2, 4]);
    let retained = log.apply_retention(NOW + 2 * DAY_MS, 6).expect("works");
    assert_eq!((retained.log_start_offset, retained.removed_segments), (6, 2));
    assert_eq!(bases(&disk), [6], "an empty segment keeps the offset");
    let (mut log, _) = open(&disk, &options, proven(6), Start::Unclean);
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (6, 6));
    append_at(&mut log, NOW);
    assert_eq!(log.log_end_offset(), 7);
}

#[test]
fn retention_by_size_keeps_as_much_as_asked() {
    let disk = disk();
    let options = LogOptions { retention_bytes: 800, segment_bytes: 400, ..options() };
    let mut log = open_with(&disk, options.clone());
    (0..9).for_each(|i| append_at(&mut log, NOW + i));
    assert_eq!((bases(&disk), log.size_bytes()), (vec![0, 2, 4, 6, 8], 9 * 170));
    assert_eq!(log.apply_retention(NOW, 9).expect("works").log_start_offset, 4);
    assert_eq!(log.size_bytes(), 5 * 170, "without the next segment less than 800 bytes would remain");
    log.set_options(LogOptions { delete: false, retention_bytes: 0, retention_ms: 0, ..options });
    assert_eq!(
        log.apply_retention(NOW + DAY_MS, 9).expect("works").removed_segments,
        0,
        "cleanup.policy has no delete"
    );
    log.advance_log_start(8);
    assert_eq!(
        log.apply_retention(NOW + DAY_MS, 9).expect("works").removed_segments,
        2,
        "but the log start counts always"
    );
    assert_eq!(bases(&disk), [8]);
    assert_eq!(log.epochs().entries().iter().map(|e| e.start_offset).collect::<Vec<_>>(), [8]);
}

#[test]
fn the_log_start_only_moves_forward_and_not_past_the_end() {
    let mut log = open_clean(&disk());
    (0..9).for_each(|_| append_at(&mut log, NOW));
    for (asked, expected) in [(3, 3), (2, 3), (20, 9), (0, 9)] {
        log.advance_log_start(asked);
        assert_eq!(log.log_start_offset(), expected);
    }
    assert_eq!(log.apply_retention(NOW, 9).expect("works").removed_segments, 0, "the last segment stays");
}

#[test]
fn files_of_removed_segments_are_gone() {
    let disk = disk();
    let mut log = open_with(&disk, LogOptions { segment_bytes: 400, ..options() });
    (0..9).for_each(|i| append_at(&mut log, NOW + i));
    sync(&mut log);
    let all = names(&disk).len();
    log.advance_log_start(9);
    log.apply_retention(NOW, 9).expect("works");
    sync(&mut log);
    assert_eq!(names(&disk).len(), all - 4 * 3, "{:?}", names(&disk));
    assert!(names(&disk).iter().all(|name| !name.contains("deleted")));
}

fn append_epoch(log: &mut Log, epoch: i32) {
    let batch = batch(log.log_end_offset(), Compression::None, &[NOW], 100);
    let header = BatchHeader { partition_leader_epoch: epoch, ..header_of(&batch) };
    log.append(&header, &batch[61..], NOW).expect("appends");
}

#[test]
fn epochs_end_where_the_next_begins() {
    let disk = disk();
    let mut log = open_clean(&disk);
    assert_eq!(log.end_offset_for_epoch(0), (-1, -1));
    for epoch in [2, 2, 5, 5, 5, 7] {
        append_epoch(&mut log, epoch);
    }
    let answers = |log: &Log| [-1, 0, 2, 3, 5, 6, 7, 8].map(|epoch| log.end_offset_for_epoch(epoch));
    let expected = [(-1, -1), (0, 0), (2, 2), (2, 2), (5, 5), (5, 5), (7, 6), (-1, -1)];
    assert_eq!(answers(&log), expected);
    log.assign_epoch(8);
    assert_eq!(log.end_offset_for_epoch(8), (8, 6), "the leader of now, without a batch yet");
    assert_eq!(log.end_offset_for_epoch(7), (7, 6));
    let stale = batch(6, Compression::None, &[NOW], 1);
    let refused = log.append(&header_of(&stale), &stale[61..], NOW);
    assert!(matches!(refused, Err(AppendError::StaleLeaderEpoch { epoch: 0, latest: 7 })), "{refused:?}");
    log.close().expect("closes");
    for (start, known) in [(Start::Clean, 6), (Start::Unclean, 0), (Start::Unclean, 4)] {
        let (log, _) = open(&disk, &options(), proven(known), start);
        assert_eq!(answers(&log), expected, "{start:?}");
    }
    let (mut log, _) = open(&disk, &options(), proven(0), Start::Clean);
    log.truncate_to(3).expect("truncates");
    assert_eq!((log.latest_epoch(), log.end_offset_for_epoch(5), log.end_offset_for_epoch(7)), (5, (5, 3), (-1, -1)));
    append_epoch(&mut log, 6);
    assert_eq!(log.end_offset_for_epoch(5), (5, 3));
}

#[test]
fn truncation_forgets_what_it_cuts() {
    let disk = disk();
    let mut log = open_with(&disk, LogOptions { segment_bytes: 400, ..options() });
    for sequence in 0..20 {
        let batch = sequenced(log.log_end_offset(), 1, 0, 2 * sequence, 2);
        append_bytes(&mut log, &batch);
    }
    let batches = read_all(&log);
    log.close().expect("closes");
    log.advance_log_start(3);
    assert!(matches!(log.truncate_to(2), Err(ChangeError::BelowLogStart { offset: 2, log_start_offset: 3 })));
    log.truncate_to(17).expect("truncates");
    assert_eq!(log.log_end_offset(), 16, "a batch is removed whole");
    assert_eq!(read_range(&log, 4, 16), batches[2..8]);
    let expected = header_of(&sequenced(0, 1, 0, 16, 2));
    assert!(log.producers().check(&expected, NOW).is_ok());
    assert!(log.producers().check(&header_of(&sequenced(0, 1, 0, 18, 2)), NOW).is_err(), "sequence 16 is gone");
    assert!(log_names(&disk).last().expect("files") <= &format!("{:020}.log", 16));
    assert_eq!(log.synced_offset(), 16);
    log.truncate_to(3).expect("truncates");
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (3, 3));
    append_bytes(&mut log, &batch(3, Compression::None, &[NOW], 5));
    let (log, recovery) = open(&disk, &options(), proven(3), Start::Unclean);
    assert_eq!((log.log_end_offset(), recovery.damaged.len()), (4, 0));
}

#[test]
fn a_ticket_covers_what_was_appended_before_it() {
    let disk = disk();
    let mut log = open_clean(&disk);
    append_some(&mut log, 2, 10);
    let ticket = log.unsynced().expect("dirty");
    append_some(&mut log, 3, 10);
    assert_eq!((ticket.end_offset(), log.synced_offset()), (2, 0));
    ticket.run().expect("syncs");
    log.synced(&ticket);
    assert_eq!(log.synced_offset(), 2);
    let rest = log.unsynced().expect("still dirty");
    assert_eq!(rest.end_offset(), 5);
    rest.run().expect("syncs");
    log.synced(&rest);
    assert!(log.unsynced().is_none() && !log.has_unsynced());
    log.synced(&ticket);
    assert_eq!(log.synced_offset(), 5, "that ticket was reported before");
}

#[test]
fn a_full_disk_refuses_and_then_goes_on() {
    let disk = disk();
    let mut log = open_clean(&disk);
    append_some(&mut log, 5, 100);
    let used: usize = names(&disk).iter().map(|name| contents(&disk, name).len()).sum();
    disk.set_capacity(used as u64 + 200);
    let next = batch(5, Compression::None, &[NOW], 300);
    assert!(matches!(log.append(&header_of(&next), &next[61..], NOW), Err(AppendError::NoRoom(_))));
    assert!(!log.is_failed());
    disk.set_capacity(1 << 30);
    append_some(&mut log, 40, 100);
    log.close().expect("closes");
    let batches = read_all(&log);
    let (log, recovery) = open(&disk, &options(), proven(0), Start::Unclean);
    assert_eq!((recovery.truncated_at, recovery.damaged.len(), log.log_end_offset()), (None, 0, 45));
    assert_eq!(read_all(&log), batches);
}

/// Appends 60 batches in segments of 4,000 bytes, syncing now and then, on a disk that once has no room for `call`. How
/// many appends were refused.
fn append_past_a_full_disk(call: Call, after: u64) -> u32 {
    let disk = disk();
    let mut log = open_clean(&disk);
    disk.fail(Rule { call, path_contains: String::new(), after, times: 1, failure: Failure::NoSpace });
    let (mut batches, mut refused) = (Vec::new(), 0);
    while batches.len() < 60 {
        let next = batch(batches.len() as i64, Compression::None, &[NOW], 250);
        match log.append(&header_of(&next), &next[61..], NOW) {
            Ok(()) => batches.push(next.to_vec()),
            Err(AppendError::NoRoom(_)) => refused += 1,
            Err(other) => panic!("{call:?}, after {after}: {other}"),
        }
        if batches.len() % 10 == 0 {
            sync(&mut log);
        }
    }
    disk.heal();
    log.close().expect("closes");
    for (start, known) in [(Start::Clean, 60), (Start::Unclean, 0)] {
        let (log, recovery) = open(&disk, &options(), proven(known), start);
        assert_eq!((recovery.truncated_at, recovery.newly_damaged), (None, 0), "{call:?}, after {after}");
        assert_eq!(read_all(&log), batches, "{call:?}, after {after}");
    }
    refused
}

#[test]
fn whatever_finds_no_room_is_done_by_a_later_append_or_sync() {
    for call in [Call::Open, Call::Write, Call::Entry] {
        let refused: u32 = (0..100).map(|after| append_past_a_full_disk(call, after)).sum();
        assert!(refused > 0, "{call:?} is part of an append");
    }
}

#[test]
fn on_a_full_disk_old_segments_go_and_the_last_stays() {
    let disk = disk();
    let mut log = open_with(&disk, LogOptions { retention_ms: 1000, ..options() });
    append_some(&mut log, 60, 250);
    sync(&mut log);
    let segments = log_names(&disk).len();
    disk.fail(Rule { call: Call::Open, path_contains: String::new(), after: 0, times: 1, failure: Failure::NoSpace });
    let retained = log.apply_retention(i64::MAX, 60).expect("goes on");
    assert_eq!((retained.removed_segments, log_names(&disk).len(), log.is_failed()), (segments - 1, 1, false));
    append_some(&mut log, 1, 250);
    assert_eq!(log.log_end_offset(), 61);
}

#[test]
fn a_log_that_finds_no_room_while_it_is_closed_goes_on_and_is_closed_later() {
    let mut met = std::collections::BTreeMap::new();
    for (call, after) in [Call::Open, Call::Write, Call::Entry].into_iter().flat_map(|c| (0..8).map(move |n| (c, n))) {
        let disk = disk();
        let mut log = open_with(&disk, LogOptions { segment_bytes: 1 << 20, ..options() });
        append_some(&mut log, 200, 250);
        disk.fail(Rule { call, path_contains: String::new(), after, times: 1, failure: Failure::NoSpace });
        let first = log.close();
        assert!(!log.is_failed(), "{call:?}, after {after}: {first:?}");
        *met.entry(format!("{call:?}")).or_insert(0) += u32::from(first.is_err());
        disk.heal();
        append_some(&mut log, 1, 250);
        log.close().expect("there is room");
        assert_eq!(log.synced_offset(), 201);
        let batches = read_all(&log);
        let (log, recovery) = open(&disk, &options(), proven(201), Start::Clean);
        assert_eq!((recovery.truncated_at, recovery.newly_damaged), (None, 0), "{call:?}, after {after}");
        assert_eq!(read_all(&log), batches, "{call:?}, after {after}");
    }
    assert!(met.values().all(|met| *met > 0), "all of these are part of closing: {met:?}");
    let disk = disk();
    let mut log = open_clean(&disk);
    append_some(&mut log, 1, 250);
    disk.fail(Rule {
        call: Call::SyncData,
        path_contains: String::new(),
        after: 0,
        times: 1,
        failure: Failure::NoSpace,
    });
    assert!(log.close().is_err() && log.is_failed(), "a sync that failed is final, whatever it says");
}

#[test]
fn rolling_and_retention_that_may_open_no_file_go_on() {
    let mut met = 0;
    for after in 0..8 {
        let disk = disk();
        let options = LogOptions { retention_ms: 1000, segment_ms: 1000, ..options() };
        let mut log = open_with(&disk, options.clone());
        append_some(&mut log, 60, 250);
        log.close().expect("healthy");
        drop(log);
        let (mut log, _) = open(&disk, &options, proven(60), Start::Clean);
        disk.fail(Rule { call: Call::Open, path_contains: String::new(), after, times: 1, failure: Failure::NoSpace });
        let late = NOW + 100_000;
        let tried = log.roll_if_due(late).and_then(|_| log.apply_retention(late, 60));
        met += u32::from(tried.is_err());
        assert!(!log.is_failed(), "after {after}: {tried:?}");
        disk.heal();
        log.roll_if_due(late).and_then(|_| log.apply_retention(late, 60)).expect("there is room");
        append_some(&mut log, 1, 250);
        log.close().expect("healthy");
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (60, 61), "after {after}");
    }
    assert!(met > 0, "files are opened for it");
}

#[test]
fn an_abandoned_log_writes_nothing_by_name_and_answers_no_reader() {
    let disk = disk();
    let mut log = open_clean(&disk);
    append_some(&mut log, 60, 250);
    log.snapshot_producers();
    let (ticket, reader) = (log.unsynced().expect("dirty"), log.reader());
    assert!(reader.offset_for_timestamp(0, 60).expect("readable").is_some());
    log.abandon();
    disk.remove_dir_all(&dir()).and_then(|()| disk.create_dir_all(&dir())).expect("healthy");
    ticket.run().expect("there is nothing to make durable");
    assert!(names(&disk).is_empty(), "the directory is another log's: {:?}", names(&disk));
    let is_removed = |read: Option<ReadError>| matches!(read, Some(ReadError::Removed));
    // Files of the same names, with nothing in them that could be read.
    for name in ["00000000000000000000.log", "00000000000000000000.index", "00000000000000000000.timeindex"] {
        disk.open(&dir().join(name), OpenMode::CreateNew).expect("healthy");
    }
    assert!(is_removed(reader.read(0, 1000, true, 60).err()), "neither bytes nor damage of the other log");
    assert!(is_removed(reader.read(0, 1000, true, 0).err()) && is_removed(reader.read(61, 1000, true, 99).err()));
    assert!(is_removed(reader.offset_for_timestamp(0, 60).err()) && is_removed(reader.max_timestamp(60).err()));
    assert!(log.unsynced().is_none() && log.close().is_err());
}

#[test]
fn strange_bytes_behind_the_last_batch_of_a_closed_segment_cost_nothing() {
    let disk = disk();
    let mut log = open_clean(&disk);
    append_some(&mut log, 60, 100);
    log.close().expect("closes");
    let batches = read_all(&log);
    let name = log_names(&disk)[0].clone();
    disk.damage(&dir().join(name), |bytes| bytes.extend_from_slice(&[7; 500])).expect("there");
    for (start, known) in [(Start::Clean, 60), (Start::Unclean, 0), (Start::Unclean, 60)] {
        let (log, recovery) = open(&disk, &options(), proven(known), start);
        assert_eq!((recovery.truncated_at, &recovery.damaged[..]), (None, &[][..]));
        assert_eq!(read_all(&log), batches);
    }
}

#[test]
fn logs_say_when_too_many_files_wait_for_a_sync() {
    let disk = disk();
    let files = Files::with_limits(Arc::new(disk.clone()), BlockPool::default(), 3, 1000);
    let mut logs: Vec<Log> = (0..4)
        .map(|n| {
            let dir = dir().with_file_name(format!("t-{n}"));
            Log::open_in(&files, dir, TOPIC_ID, options(), proven(0), Start::Clean, NOW).expect("opens").0
        })
        .collect();
    for (at, log) in logs.iter_mut().enumerate().take(3) {
        append_some(log, 1, 130);
        assert_eq!(log.should_sync(), at == 2, "log {at}");
    }
    assert!(!logs[3].should_sync(), "it has nothing to sync");
    sync(&mut logs[0]);
    assert!(!logs[1].should_sync());
}

#[test]
fn open_files_stay_below_their_limit() {
    let disk = disk();
    let files = Files::with_limits(Arc::new(disk.clone()), BlockPool::default(), 3, 1000);
    let mut log = Log::open_in(&files, dir(), TOPIC_ID, options(), proven(0), Start::Clean, NOW).expect("opens").0;
    append_some(&mut log, 200, 130);
    sync(&mut log);
    assert!(log_names(&disk).len() > 5);
    let batches = read_all(&log);
    // A removed file takes space for as long as it is open: what is still taken afterwards is in open files.
    let space = |disk: &SimDisk| disk.space(&dir()).expect("has").free_bytes;
    let lens: u64 = log_names(&disk).iter().map(|name| contents(&disk, name).len() as u64).sum();
    let before = space(&disk);
    for name in log_names(&disk) {
        disk.remove_file(&dir().join(name)).expect("there");
    }
    let freed = space(&disk) - before;
    assert!(lens - freed <= 3 * 4000, "{} bytes in open files", lens - freed);
    assert_eq!(batches.len(), 200);
}

#[test]
fn readers_see_whole_batches_while_the_writer_works() {
    let disk = disk();
    let mut log = open_with(&disk, LogOptions { retention_bytes: 20_000, ..options() });
    append_some(&mut log, 1, 100);
    let (reader, done) = (log.reader(), Arc::new(AtomicBool::new(false)));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (reader, done) = (reader.clone(), done.clone());
            std::thread::spawn(move || {
                let (mut next, mut seen) = (0, 0);
                let deadline = Instant::now() + Duration::from_secs(60);
                while !(done.load(Ordering::Acquire) && next == reader.log_end_offset()) {
                    assert!(Instant::now() < deadline, "stuck at {next}");
                    match reader.read(next, 3000, true, i64::MAX) {
                        Ok(read) => {
                            for batch in split(&read) {
                                assert_eq!(chronik_protocol::batch::crc_of(&batch), header_of(&batch).crc);
                                assert_eq!(header_of(&batch).base_offset, next);
                                next += 1;
                                seen += 1;
                            }
                            std::thread::yield_now();
                        }
                        Err(chronik_storage::ReadError::OutOfRange { log_start_offset, .. }) => next = log_start_offset,
                        Err(error) => panic!("{error}"),
                    }
                }
                seen
            })
        })
        .collect();
    for i in 0..4000 {
        append_some(&mut log, 1, 100 + i % 50);
        if i % 100 == 0 {
            sync(&mut log);
            log.apply_retention(NOW, log.log_end_offset()).expect("works");
        }
    }
    done.store(true, Ordering::Release);
    for thread in threads {
        assert!(thread.join().expect("no panic") > 0);
    }
    assert_eq!(*log.damaged_ranges(), [], "no reader took unfinished work for damage");
}

#[test]
fn a_directory_that_cannot_be_opened_is_no_failure_of_retention_or_rolling() {
    let disk = disk();
    let one = batch(0, Compression::None, &[NOW], 100).len() as u32;
    let mut log = open_with(&disk, LogOptions { segment_bytes: one, retention_bytes: 0, ..options() });
    let cannot_open = || {
        disk.fail(Rule {
            call: Call::OpenDir,
            path_contains: String::new(),
            after: 0,
            times: 1,
            failure: Failure::NoSpace,
        })
    };
    append_at(&mut log, NOW);
    cannot_open();
    let next = batch(1, Compression::None, &[NOW], 100);
    let refused = log.append(&header_of(&next), &next[HEADER_LEN..], NOW);
    assert!(matches!(refused, Err(AppendError::NoRoom(_))), "{refused:?}");
    append_at(&mut log, NOW);
    sync(&mut log);
    cannot_open();
    assert!(log.apply_retention(NOW, 2).is_err() && !log.is_failed());
    assert_eq!(log_names(&disk).len(), 2, "nothing went");
    assert_eq!(log.apply_retention(NOW, 2).expect("works").removed_segments, 2);
    assert_eq!((disk.unmet_rules(), log.is_failed()), (0, false));
}
