//! Torn tails, damage, and what opening refuses.

mod common;

use chronik_env::fs::Disk;
use chronik_env::sim_disk::{Cut, SimDisk};
use chronik_storage::{Checkpointed, DamagedRange, Log, LogOptions, OpenError, ReadError, Recovery, Start, Verdict};
use common::*;

/// A log of `count` batches of one record, synced, in segments of 4,000 bytes; the batches and the log are returned.
fn written(disk: &SimDisk, count: usize) -> (Log, Vec<Vec<u8>>) {
    let mut log = open_clean(disk);
    append_some(&mut log, count, 130);
    sync(&mut log);
    let batches = read_all(&log);
    (log, batches)
}

fn segment_of(disk: &SimDisk, offset: i64) -> String {
    let base = |name: &String| name[..20].parse::<i64>().expect("digits");
    log_names(disk).into_iter().rfind(|name| base(name) <= offset).expect("a segment")
}

/// Where a batch starts in its segment's file.
fn position_of(disk: &SimDisk, offset: i64) -> (String, u64, u64) {
    let name = segment_of(disk, offset);
    let mut position = 0;
    for batch in split(&contents(disk, &name)) {
        let len = batch.len() as u64;
        if header_of(&batch).last_offset() >= offset {
            return (name, position, len);
        }
        position += len;
    }
    panic!("no batch with {offset}");
}

fn flip(disk: &SimDisk, name: &str, position: u64) {
    disk.damage(&dir().join(name), |bytes| bytes[position as usize] ^= 0x40).expect("there");
}

/// Everything but the offsets in `damaged` reads back, and those answer with the file and position.
fn check_damaged(log: &Log, batches: &[Vec<u8>], damaged: &DamagedRange) {
    assert_eq!(read_range(log, log.log_start_offset(), damaged.from_offset), batches[..damaged.from_offset as usize]);
    assert_eq!(read_range(log, damaged.to_offset, log.log_end_offset()), batches[damaged.to_offset as usize..]);
    for offset in damaged.from_offset..damaged.to_offset {
        match log.reader().read(offset, 1 << 20, true, log.log_end_offset()) {
            Err(ReadError::Damaged { file, position }) => {
                assert_eq!((file, position), (dir().join(damaged.file_name()), damaged.from_position));
            }
            other => panic!("offset {offset}: {other:?}"),
        }
    }
    let before =
        log.reader().read(damaged.from_offset - 1, 1 << 20, true, log.log_end_offset()).expect("reads up to it");
    assert_eq!(split(&before), batches[damaged.from_offset as usize - 1..damaged.from_offset as usize]);
}

#[test]
fn nothing_is_created_before_the_first_append() {
    let disk = disk();
    let known = Checkpointed { log_start_offset: 42, recovery_point: 0 };
    let (mut log, _) = open(&disk, &options(), known, Start::Unclean);
    assert_eq!((log.log_start_offset(), log.log_end_offset(), log.has_files()), (42, 42, false));
    log.snapshot_producers();
    log.advance_log_start(50);
    assert!(log.unsynced().is_none());
    assert!(!log.roll_if_due(NOW).expect("nothing to roll"));
    log.apply_retention(NOW, 42).expect("nothing to remove");
    log.truncate_to(42).expect("nothing to cut");
    log.close().expect("closes");
    assert!(!disk.exists(&dir()).expect("looks"));

    append_some(&mut log, 1, 10);
    let all = ["00000000000000000042.log", "partition.metadata"];
    assert_eq!(names(&disk), all);
    sync(&mut log);
    disk.crash(Cut::Nothing);
    let (log, _) = open(&disk, &options(), known, Start::Unclean);
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (42, 43), "a sync covers the directories");
}

#[test]
fn a_clean_start_finds_the_end_and_writes_nothing() {
    let disk = disk();
    let (mut log, batches) = written(&disk, 100);
    log.close().expect("closes");
    disk.record();
    let (mut again, recovery) = open(&disk, &options(), proven(100), Start::Clean);
    assert_eq!((again.log_end_offset(), recovery.scanned_bytes), (100, 0));
    assert_eq!(read_all(&again), batches);
    again.close().expect("closes");
    assert_eq!(disk.history().ops(), [], "neither opening nor closing an unchanged log writes");
}

#[test]
fn closing_a_short_log_writes_nothing_more_and_a_clean_start_knows_its_producers() {
    let disk = disk();
    let mut log = open_clean(&disk);
    append_bytes(&mut log, &sequenced(0, 7, 3, 5, 2));
    sync(&mut log);
    disk.record();
    log.close().expect("closes");
    assert_eq!(disk.history().ops(), []);
    let (log, recovery) = open(&disk, &options(), proven(2), Start::Clean);
    assert_eq!((log.log_end_offset(), recovery), (2, Recovery::default()));
    let again = header_of(&sequenced(2, 7, 3, 5, 2));
    assert!(matches!(log.producers().check(&again, NOW), Ok(Verdict::Duplicate { base_offset: 0, .. })));
}

#[test]
fn closing_a_long_log_spares_the_next_start_its_segment() {
    let disk = disk();
    let options = LogOptions { segment_bytes: 1 << 20, ..options() };
    let (mut log, _) = open(&disk, &options, proven(0), Start::Clean);
    append_some(&mut log, 400, 130);
    sync(&mut log);
    log.close().expect("closes");
    let all = names(&disk);
    assert!(
        ["00000000000000000000.index", "00000000000000000400.snapshot"]
            .iter()
            .all(|name| all.contains(&(*name).to_owned()))
    );
}

#[test]
fn a_torn_tail_is_cut_off() {
    let disk = disk();
    let (_, batches) = written(&disk, 30);
    let (name, position, len) = position_of(&disk, 29);
    disk.damage(&dir().join(&name), |bytes| bytes.truncate((position + len - 1) as usize)).expect("there");
    let (mut log, recovery) = open(&disk, &options(), proven(5), Start::Unclean);
    assert_eq!((recovery.truncated_at, recovery.truncated_bytes), (Some(29), len - 1));
    assert_eq!((recovery.cut_files.len(), recovery.damaged.len()), (0, 0));
    assert_eq!(read_all(&log), batches[..29]);
    append_some(&mut log, 1, 130);
    assert_eq!(read_all(&log), batches, "appending goes on where the log was cut");
}

#[test]
fn what_follows_a_torn_batch_is_saved_before_it_is_cut_off() {
    let disk = disk();
    let (_, batches) = written(&disk, 70);
    let (name, position, _) = position_of(&disk, 12);
    let later = log_names(&disk).into_iter().filter(|other| *other > name).collect::<Vec<_>>();
    assert!(later.len() >= 2, "the test wants later segments");
    flip(&disk, &name, position + 100);
    let cut = contents(&disk, &name)[position as usize..].to_vec();
    let gone: Vec<_> = later.iter().map(|name| contents(&disk, name)).collect();
    // Without the snapshots that prove the early segments durable.
    for name in names(&disk).iter().filter(|name| name.ends_with(".snapshot")) {
        disk.remove_file(&dir().join(name)).expect("there");
    }
    let (log, recovery) = open(&disk, &options(), proven(10), Start::Unclean);
    assert_eq!((recovery.truncated_at, recovery.damaged.len()), (Some(12), 0));
    assert_eq!(recovery.truncated_bytes as usize, cut.len() + gone.iter().map(Vec::len).sum::<usize>());
    assert_eq!(read_all(&log), batches[..12]);
    assert_eq!(contents(&disk, &format!("{name}.cut-12")), cut);
    for (name, bytes) in later.iter().zip(&gone) {
        assert_eq!(&contents(&disk, &format!("{name}.cut-{}", name[..20].parse::<i64>().expect("digits"))), bytes);
    }
    disk.crash(Cut::Nothing);
    assert_eq!(contents(&disk, &format!("{name}.cut-12")), cut, "it is durable");
    let (log, again) = open(&disk, &options(), proven(10), Start::Unclean);
    assert_eq!((again.truncated_at, log.log_end_offset()), (None, 12));
}

fn damaged_batch(name: &str, position: u64, len: u64, offset: i64) -> DamagedRange {
    DamagedRange {
        segment: name[..20].parse().expect("digits"),
        from_position: position,
        to_position: position + len,
        from_offset: offset,
        to_offset: offset + 1,
    }
}

#[test]
fn a_bad_batch_that_was_durable_is_damage() {
    // In a closed segment, in the last one, and at the very end; in the records, and in each part of the header.
    for (at, part) in [(3, 100), (3, 0), (3, 9), (3, 16), (25, 16), (29, 100), (29, 10), (29, 16)] {
        let disk = disk();
        let (mut log, batches) = written(&disk, 30);
        log.snapshot_producers();
        log.close().expect("closes");
        let (name, position, len) = position_of(&disk, at);
        flip(&disk, &name, position + part);
        let damaged = damaged_batch(&name, position, len, at);
        // The producer snapshot at offset 30 proves it: all below was durable.
        let (mut log, recovery) = open(&disk, &options(), proven(2), Start::Unclean);
        assert_eq!((&recovery.damaged[..], recovery.newly_damaged), (&[damaged][..], 1), "batch {at}, byte {part}");
        assert_eq!((log.log_end_offset(), recovery.truncated_at), (30, None));
        check_damaged(&log, &batches, &damaged);
        append_some(&mut log, 5, 130);
        sync(&mut log);
        log.close().expect("closes");
        let all = [&batches[..], &read_range(&log, 30, 35)[..]].concat();
        for start in [Start::Clean, Start::Unclean] {
            let (log, recovery) = open(&disk, &options(), proven(35), start);
            assert_eq!((&recovery.damaged[..], recovery.newly_damaged), (&[damaged][..], 0), "remembered");
            check_damaged(&log, &all, &damaged);
        }
    }
}

#[test]
fn a_read_finds_a_bad_header_that_recovery_had_no_reason_to_look_at() {
    for (at, part) in [(3, 0), (3, 9), (3, 16)] {
        let disk = disk();
        let (mut log, batches) = written(&disk, 30);
        log.close().expect("closes");
        let (name, position, len) = position_of(&disk, at);
        flip(&disk, &name, position + part);
        let (log, recovery) = open(&disk, &options(), proven(30), Start::Clean);
        assert_eq!(recovery.damaged, []);
        check_damaged(&log, &batches, &damaged_batch(&name, position, len, at));
    }
}

#[test]
fn bytes_that_were_proven_and_are_gone_are_damage() {
    let disk = disk();
    let (mut log, batches) = written(&disk, 30);
    log.close().expect("closes");
    let (name, position, _) = position_of(&disk, 27);
    disk.damage(&dir().join(&name), |bytes| bytes.truncate(position as usize)).expect("there");
    for start in [Start::Clean, Start::Unclean, Start::Unclean] {
        let (mut log, recovery) = open(&disk, &options(), proven(30), start);
        let range = recovery.damaged[0];
        assert_eq!((range.from_offset, range.to_offset, recovery.damaged.len()), (27, 30, 1));
        assert_eq!(log.log_end_offset().max(30), log.log_end_offset(), "offsets are not given out twice");
        check_damaged(&log, &[&batches[..], &read_range(&log, 30, log.log_end_offset())[..]].concat(), &range);
        append_some(&mut log, 1, 130);
        sync(&mut log);
    }
}

#[test]
fn damage_in_a_closed_segment_is_served_around_and_forgotten_with_it() {
    let disk = disk();
    let (mut log, batches) = written(&disk, 100);
    log.close().expect("closes");
    let (name, position, len) = position_of(&disk, 25);
    assert_ne!(name, segment_of(&disk, 99));
    flip(&disk, &name, position + 100);
    let (mut log, recovery) = open(&disk, &options(), proven(10), Start::Unclean);
    let range = recovery.damaged[0];
    assert_eq!((range.from_position, range.to_position), (position, position + len));
    check_damaged(&log, &batches, &range);
    let found = log.reader().offset_for_timestamp(NOW + 25, 100).expect("looks past it");
    assert_eq!(found.map(|found| found.offset), Some(26));
    assert!(names(&disk).contains(&"damaged-ranges".to_owned()));
    log.advance_log_start(60);
    log.apply_retention(NOW, 100).expect("removes");
    assert_eq!(*log.damaged_ranges(), []);
    assert!(!names(&disk).contains(&"damaged-ranges".to_owned()));
    assert_eq!(read_all(&log), batches[60..]);
}

#[test]
fn a_lost_list_of_damage_is_found_again() {
    let disk = disk();
    let (mut log, batches) = written(&disk, 100);
    log.close().expect("closes");
    let (name, position, _) = position_of(&disk, 25);
    flip(&disk, &name, position + 100);
    let (_, first) = open(&disk, &options(), proven(10), Start::Unclean);
    flip(&disk, "damaged-ranges", 20);
    let (log, again) = open(&disk, &options(), proven(100), Start::Clean);
    assert_eq!(again.damaged, first.damaged);
    check_damaged(&log, &batches, &first.damaged[0]);
    let (_, third) = open(&disk, &options(), proven(100), Start::Clean);
    assert_eq!((third.damaged, third.newly_damaged), (first.damaged, 0), "and written anew");
}

#[test]
fn another_topics_directory_is_refused() {
    let disk = disk();
    written(&disk, 1);
    let other = chronik_protocol::types::TopicId::from_u128(7);
    let opened = Log::open_in(&files(&disk), dir(), other, options(), proven(0), Start::Clean, NOW);
    match opened.err() {
        Some(OpenError::OtherTopic { found, expected, .. }) => assert_eq!((found, expected), (TOPIC_ID, other)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn unknown_versions_are_refused_by_name() {
    let with_crc = |mut bytes: Vec<u8>| {
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..2]), &bytes[6..]);
        bytes[2..6].copy_from_slice(&crc.to_be_bytes());
        bytes
    };
    let cases = [
        ("partition.metadata", b"version: 1\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ".to_vec(), 1),
        ("leader-epoch-checkpoint", b"1\n0\n".to_vec(), 1),
        ("damaged-ranges", with_crc(vec![0, 9, 0, 0, 0, 0, 0, 0, 0, 0]), 9),
    ];
    for (name, contents, found) in cases {
        let disk = disk();
        written(&disk, 1);
        chronik_env::fs::replace_file(&disk, &dir().join(name), &contents).expect("writes");
        match try_open(&disk, &options(), proven(0), Start::Clean).err() {
            Some(OpenError::UnknownVersion { file, version }) => assert_eq!((file, version), (dir().join(name), found)),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_failed_sync_is_final() {
    use chronik_env::sim_disk::{Call, Failure, Rule};
    let disk = disk();
    let (mut log, batches) = written(&disk, 3);
    append_some(&mut log, 1, 10);
    let rule = |call| Rule { call, path_contains: ".log".to_owned(), after: 0, times: 1, failure: Failure::Eio };
    disk.fail(rule(Call::SyncData));
    assert!(log.unsynced().expect("dirty").run().is_err());
    log.fail();
    let next = batch(log.log_end_offset(), chronik_protocol::batch::Compression::None, &[NOW], 5);
    assert!(log.append(&header_of(&next), &next[61..], NOW).is_err());
    assert!(log.close().is_err() && log.truncate_to(0).is_err() && log.apply_retention(NOW, 3).is_err());
    assert_eq!(log.synced_offset(), 3);
    assert_eq!(read_range(&log, 0, 3), batches, "reading goes on");
}

#[test]
fn kafkas_directory_without_our_files_opens() {
    let disk = disk();
    let (mut log, batches) = written(&disk, 60);
    log.close().expect("closes");
    for name in names(&disk).iter().filter(|name| !name.ends_with(".log") && *name != "partition.metadata") {
        disk.remove_file(&dir().join(name)).expect("there");
    }
    let (log, _) = open(&disk, &options(), Checkpointed::default(), Start::Clean);
    assert_eq!(read_all(&log), batches);
    assert_eq!(log.epochs().entries().len(), 1);
}
