//! Rotten bytes that fuzzing found to be believed: each test is one of them, on a log as small as shows it.

mod common;

use chronik_env::fs::{Disk, replace_file};
use chronik_env::sim_disk::SimDisk;
use chronik_storage::{DamagedRange, Log, ReadError, Start};
use common::*;

/// Where a header has its base offset, its leader epoch and its last offset delta.
const BASE_OFFSET: usize = 0;
const LEADER_EPOCH: usize = 12;
const LAST_OFFSET_DELTA: usize = 23;

/// A closed log of `count` batches of one record in segments of 4,000 bytes; the batches.
fn written(disk: &SimDisk, count: usize) -> Vec<Vec<u8>> {
    let mut log = open_clean(disk);
    append_some(&mut log, count, 130);
    let batches = read_all(&log);
    log.close().expect("closes");
    batches
}

fn base_of(name: &str) -> i64 {
    name[..20].parse().expect("digits")
}

/// The segment with this offset, and where the batch with it begins.
fn place_of(disk: &SimDisk, offset: i64) -> (String, usize) {
    let name = log_names(disk).into_iter().rfind(|name| base_of(name) <= offset).expect("a segment");
    let before = split(&contents(disk, &name)).into_iter().take_while(|batch| header_of(batch).last_offset() < offset);
    let position = before.map(|batch| batch.len()).sum();
    (name, position)
}

/// Adds to a number of four bytes, `field` bytes into the header of the batch at `offset`.
fn add(disk: &SimDisk, offset: i64, field: usize, more: u32) {
    let (name, position) = place_of(disk, offset);
    let rot = |bytes: &mut Vec<u8>| {
        let field = &mut bytes[position + field..][..4];
        let number = u32::from_be_bytes(field.try_into().expect("four bytes")) + more;
        field.copy_from_slice(&number.to_be_bytes());
    };
    disk.damage(&dir().join(name), rot).expect("there");
}

/// Removes the snapshots, which prove all before them durable.
fn forget_snapshots(disk: &SimDisk) {
    for name in names(disk).iter().filter(|name| name.ends_with(".snapshot")) {
        disk.remove_file(&dir().join(name)).expect("there");
    }
}

fn is_damaged(log: &Log, offset: i64) -> bool {
    matches!(log.reader().read(offset, 1 << 20, true, log.log_end_offset()), Err(ReadError::Damaged { .. }))
}

/// The batch at `bad` is damaged, and all others are served.
fn check_lost(log: &Log, batches: &[Vec<u8>], bad: i64) {
    assert!(is_damaged(log, bad), "{bad} is served");
    assert_eq!(log.log_end_offset(), batches.len() as i64);
    assert_eq!(read_range(log, 0, bad), batches[..bad as usize]);
    assert_eq!(read_range(log, bad + 1, log.log_end_offset()), batches[bad as usize + 1..]);
}

#[test]
fn a_first_header_past_its_segment_does_not_stop_a_reader_for_ever() {
    for bad in [0, 1, 2] {
        let disk = disk();
        let batches = written(&disk, 50);
        let first = base_of(&log_names(&disk)[bad]);
        add(&disk, first, BASE_OFFSET + 4, 1 << 14);
        let (log, _) = open(&disk, &options(), proven(50), Start::Clean);
        check_lost(&log, &batches, first);
    }
}

#[test]
fn damage_behind_a_gap_is_no_empty_answer() {
    let disk = disk();
    written(&disk, 50);
    let logs = log_names(&disk);
    let (gap, last) = (base_of(&logs[1]), base_of(&logs[2]));
    disk.remove_file(&dir().join(&logs[1])).expect("there");
    disk.damage(&dir().join(&logs[2]), |bytes| bytes.fill(0xff)).expect("there");
    let (log, recovery) = open(&disk, &options(), proven(50), Start::Unclean);
    assert_eq!((recovery.damaged[0].from_offset, recovery.damaged[0].to_offset), (last, 50));
    assert!(is_damaged(&log, gap), "a reader waits in the gap");
}

/// A list of damage with the right checksum.
fn write_ranges(disk: &SimDisk, range: DamagedRange) {
    let mut out = vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    let numbers =
        [range.segment, range.from_position as i64, range.to_position as i64, range.from_offset, range.to_offset];
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
    let crc = crc32c::crc32c_append(crc32c::crc32c(&out[..2]), &out[6..]);
    out[2..6].copy_from_slice(&crc.to_be_bytes());
    replace_file(disk, &dir().join("damaged-ranges"), &out).expect("writes");
}

#[test]
fn a_log_cut_within_its_first_header_takes_batches() {
    let disk = disk();
    written(&disk, 5);
    let (segment, from_offset, to_offset) = (0, 0, 1);
    write_ranges(&disk, DamagedRange { segment, from_position: 30, to_position: 199, from_offset, to_offset });
    let (mut log, _) = open(&disk, &options(), proven(5), Start::Unclean);
    log.truncate_to(0).expect("cuts");
    append_some(&mut log, 1, 130);
    assert_eq!(read_all(&log).len(), 1);
}

#[test]
fn damage_past_the_end_hides_no_later_batch() {
    for start in [Start::Clean, Start::Unclean] {
        let disk = disk();
        written(&disk, 5);
        let (segment, from_position, to_position) = (0, 0, 0);
        write_ranges(&disk, DamagedRange { segment, from_position, to_position, from_offset: 5, to_offset: 9 });
        let (mut log, recovery) = open(&disk, &options(), proven(5), start);
        assert_eq!(recovery.damaged, []);
        append_some(&mut log, 4, 130);
        assert_eq!(read_all(&log).len(), 9);
    }
}

#[test]
fn a_last_offset_past_the_recovery_point_cuts_nothing_off() {
    let disk = disk();
    let batches = written(&disk, 15);
    forget_snapshots(&disk);
    add(&disk, 9, LAST_OFFSET_DELTA, 3);
    let (log, recovery) = open(&disk, &options(), proven(10), Start::Unclean);
    assert_eq!(recovery.truncated_at, None);
    check_lost(&log, &batches, 9);
}

#[test]
fn a_last_offset_below_the_recovery_point_hides_no_later_batch() {
    let disk = disk();
    let batches = written(&disk, 15);
    forget_snapshots(&disk);
    add(&disk, 5, LAST_OFFSET_DELTA, 3);
    let (log, recovery) = open(&disk, &options(), proven(10), Start::Unclean);
    assert_eq!(recovery.truncated_at, None);
    check_lost(&log, &batches, 5);
}

#[test]
fn a_gap_across_the_proven_end_of_the_last_segment_is_damage() {
    for start in [Start::Clean, Start::Unclean] {
        let disk = disk();
        let batches = written(&disk, 3);
        // No batch that fits follows the first one, and no checksum covers its base offset.
        let mut first = split(&contents(&disk, &log_names(&disk)[0]))[0].clone();
        first[BASE_OFFSET + 5] = 0x55;
        let bytes = [&first[..], &[0xff; 40], &batches[1], &batches[2]].concat();
        replace_file(&disk, &dir().join(&log_names(&disk)[0]), &bytes).expect("writes");
        let (log, recovery) = open(&disk, &options(), proven(3), start);
        assert_eq!(recovery.truncated_at, None, "after {start:?}");
        check_lost(&log, &batches, 0);
    }
}

#[test]
fn a_rotten_leader_epoch_below_the_recovery_point_hides_no_later_batch() {
    let disk = disk();
    let batches = written(&disk, 15);
    forget_snapshots(&disk);
    add(&disk, 5, LEADER_EPOCH, 150);
    let (log, recovery) = open(&disk, &options(), proven(10), Start::Unclean);
    assert_eq!((recovery.truncated_at, &recovery.damaged[..]), (None, &[][..]));
    assert_eq!(read_range(&log, 6, 15), batches[6..]);
}

#[test]
fn a_batch_that_claims_offsets_past_a_proven_end_hides_none() {
    for bad in [25, 27, 29] {
        let disk = disk();
        let batches = written(&disk, 30);
        add(&disk, bad, LAST_OFFSET_DELTA, 5);
        let (name, position) = place_of(&disk, bad - 1);
        let next = position + batches[bad as usize - 1].len();
        // The checksum is made to agree.
        let forge = |bytes: &mut Vec<u8>| {
            let crc = crc32c::crc32c(&bytes[next + 21..next + batches[bad as usize].len()]);
            bytes[next + 17..next + 21].copy_from_slice(&crc.to_be_bytes());
        };
        disk.damage(&dir().join(name), forge).expect("there");
        let (log, _) = open(&disk, &options(), proven(30), Start::Unclean);
        check_lost(&log, &batches, bad);
    }
}

#[test]
fn a_record_outside_its_batch_is_not_found_by_its_timestamp() {
    let disk = disk();
    let batches = written(&disk, 30);
    let (name, position) = place_of(&disk, 3);
    let len = batches[3].len();
    // The checksum agrees with what the record says.
    let forge = |bytes: &mut Vec<u8>| {
        let batch = &mut bytes[position..position + len];
        let record = &batch[61..];
        // A length of one or two bytes, attributes and a timestamp delta of one each, then the offset delta: 20.
        let at = 61 + 2 + record.iter().take_while(|byte| **byte >= 0x80).count() + 1;
        assert_eq!(batch[at], 0);
        batch[at] = 40;
        let crc = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
    };
    disk.damage(&dir().join(name), forge).expect("there");
    let (log, _) = open(&disk, &options(), proven(30), Start::Unclean);
    let timestamp = header_of(&batches[3]).max_timestamp;
    match log.reader().offset_for_timestamp(timestamp, 30) {
        Err(ReadError::Damaged { .. }) => {}
        Ok(Some(found)) if found.offset < 3 => panic!("the test's batches share a timestamp: {found:?}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_base_offset_that_went_back_does_not_hide_the_batch_before_it() {
    for start in [Start::Clean, Start::Unclean] {
        for bad in 1..29 {
            let disk = disk();
            let batches = written(&disk, 30);
            let (name, position) = place_of(&disk, bad);
            if position == 0 {
                continue;
            }
            let lowest = base_of(&name);
            let rot = |bytes: &mut Vec<u8>| bytes[position..position + 8].copy_from_slice(&lowest.to_be_bytes());
            disk.damage(&dir().join(&name), rot).expect("there");
            let (log, _) = open(&disk, &options(), proven(30), start);
            // Backwards: where a read ended the next one need not search.
            for offset in (lowest..bad).chain(bad + 1..30).rev() {
                let found = log.reader().read(offset, 1, true, 30);
                assert_eq!(
                    found.ok().as_deref(),
                    Some(&batches[offset as usize][..]),
                    "{offset}, {bad} is bad, {start:?}"
                );
            }
        }
    }
}
