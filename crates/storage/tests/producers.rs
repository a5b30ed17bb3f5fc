//! Idempotent producers: the rules one by one, a model on random batches, and the state over restarts.

mod common;

use std::collections::BTreeMap;

use chronik_env::fs::Disk;
use chronik_protocol::builder::BatchBuilder;
use chronik_storage::{Log, LogOptions, SequenceError, Start, Verdict};
use common::*;

fn check(log: &Log, producer: i64, epoch: i16, sequence: i32, records: usize) -> Result<Verdict, SequenceError> {
    log.producers().check(&header_of(&sequenced(0, producer, epoch, sequence, records)), NOW)
}

fn append(log: &mut Log, producer: i64, epoch: i16, sequence: i32, records: usize) {
    let base = log.log_end_offset();
    append_bytes(log, &sequenced(base, producer, epoch, sequence, records));
}

fn out_of_order(expected: i32, found: i32) -> Result<Verdict, SequenceError> {
    Err(SequenceError::OutOfOrder { producer_id: 1, expected, found })
}

#[test]
fn the_rules() {
    let mut log = open_clean(&disk());
    assert_eq!(check(&log, 1, 0, 77, 1), Ok(Verdict::New), "an unknown producer may begin anywhere");
    append(&mut log, 1, 0, 10, 3);
    append(&mut log, 1, 0, 13, 2);
    assert_eq!(check(&log, 1, 0, 15, 1), Ok(Verdict::New));
    assert_eq!(check(&log, 1, 0, 16, 1), out_of_order(15, 16), "a gap");
    assert_eq!(check(&log, 1, 0, 10, 3), Ok(Verdict::Duplicate { base_offset: 0, timestamp: NOW }));
    assert_eq!(check(&log, 1, 0, 13, 2), Ok(Verdict::Duplicate { base_offset: 3, timestamp: NOW }));
    assert_eq!(check(&log, 1, 0, 13, 1), out_of_order(15, 13), "not the same batch");
    assert_eq!(check(&log, 1, 1, 15, 1), out_of_order(0, 15), "a new epoch begins at 0");
    assert_eq!(check(&log, 1, 1, 0, 1), Ok(Verdict::New));
    append(&mut log, 1, 1, 0, 1);
    let stale = SequenceError::StaleEpoch { producer_id: 1, epoch: 0, latest: 1 };
    assert_eq!(check(&log, 1, 0, 15, 1), Err(stale));
    assert_eq!(check(&log, 1, 0, 13, 2), Err(stale), "also what was stored under it");
    assert_eq!(check(&log, -1, -1, -1, 1), Ok(Verdict::New), "no producer");
}

#[test]
fn five_batches_are_remembered() {
    let mut log = open_clean(&disk());
    for i in 0..6 {
        append(&mut log, 1, 0, i, 1);
    }
    assert_eq!(check(&log, 1, 0, 0, 1), out_of_order(6, 0), "the sixth last is forgotten");
    for i in 1..6 {
        assert_eq!(check(&log, 1, 0, i, 1), Ok(Verdict::Duplicate { base_offset: i64::from(i), timestamp: NOW }));
    }
}

#[test]
fn sequences_wrap() {
    let mut log = open_clean(&disk());
    append(&mut log, 1, 0, i32::MAX - 1, 1);
    assert_eq!(check(&log, 1, 0, i32::MAX, 3), Ok(Verdict::New));
    append(&mut log, 1, 0, i32::MAX, 3);
    assert_eq!(check(&log, 1, 0, i32::MAX, 3), Ok(Verdict::Duplicate { base_offset: 1, timestamp: NOW }));
    assert_eq!(check(&log, 1, 0, 2, 1), Ok(Verdict::New), "2³¹−1 is followed by 0");
    assert_eq!(check(&log, 1, 0, 3, 1), out_of_order(2, 3));
    append(&mut log, 1, 0, 2, 1);
    append(&mut log, 2, 0, i32::MAX, 1);
    assert_eq!(check(&log, 2, 0, 0, 1), Ok(Verdict::New));
}

#[test]
fn idle_producers_are_forgotten() {
    let disk = disk();
    let options = LogOptions { producer_id_expiration_ms: 1000, ..options() };
    let (mut log, _) = open(&disk, &options, proven(0), Start::Clean);
    append(&mut log, 1, 0, 0, 1);
    let gap = header_of(&sequenced(0, 1, 0, 50, 1));
    assert!(log.producers().check(&gap, NOW + 999).is_err());
    assert_eq!(log.producers().check(&gap, NOW + 1000), Ok(Verdict::New));
    log.roll_if_due(NOW + 1000).expect("no roll");
    assert!(log.producers().is_empty(), "the memory is freed");
}

#[test]
fn a_producer_is_known_by_when_it_was_seen_whatever_its_records_say() {
    const TEN_DAYS_MS: i64 = 10 * 24 * 3600 * 1000;
    for dated in [NOW - TEN_DAYS_MS, NOW, NOW + TEN_DAYS_MS] {
        is_known_after_a_restart_for_its_time(dated);
    }
}

fn is_known_after_a_restart_for_its_time(dated: i64) {
    let dated = |base, sequence, len| {
        let mut builder = BatchBuilder::new().base_offset(base).leader_epoch(0).producer(1, 0, sequence);
        builder.push(dated, None, Some(&vec![b'v'; len]), &[]);
        builder.build().expect("small")
    };
    // Both a log that is closed with a snapshot and one that is too short for that.
    for (len, start) in [(10, Start::Clean), (10, Start::Unclean), (40_000, Start::Clean), (40_000, Start::Unclean)] {
        let disk = disk();
        let options = LogOptions { producer_id_expiration_ms: 1000, segment_bytes: 1 << 20, ..options() };
        let (mut log, _) = open(&disk, &options, proven(0), Start::Clean);
        (0..3).for_each(|n| append_bytes(&mut log, &dated(i64::from(n), n, len)));
        match start {
            Start::Clean => log.close().expect("healthy"),
            Start::Unclean => sync(&mut log),
        }
        drop(log);
        let (log, _) = open(&disk, &options, proven(0), start);
        let verdict = log.producers().check(&header_of(&dated(0, 2, len)), NOW + 999);
        assert!(matches!(verdict, Ok(Verdict::Duplicate { base_offset: 2, .. })), "{len}, {start:?}: {verdict:?}");
        assert_eq!(log.producers().check(&header_of(&dated(0, 2, len)), NOW + 1000), Ok(Verdict::New));
    }
}

type Model = BTreeMap<i64, (i16, Vec<(i32, i32, i64)>)>;

/// What the rules say, told naively: all batches of the newest epoch of each producer.
fn verdict(model: &Model, producer: i64, epoch: i16, sequence: i32, records: i32) -> Result<Verdict, ()> {
    let Some((latest, batches)) = model.get(&producer) else { return Ok(Verdict::New) };
    if epoch < *latest {
        return Err(());
    }
    if epoch > *latest {
        return if sequence == 0 { Ok(Verdict::New) } else { Err(()) };
    }
    let remembered = &batches[batches.len().saturating_sub(5)..];
    if let Some((_, _, base_offset)) =
        remembered.iter().find(|(first, count, _)| (*first, *count) == (sequence, records))
    {
        return Ok(Verdict::Duplicate { base_offset: *base_offset, timestamp: NOW });
    }
    let expected =
        batches.last().map_or(0, |(first, count, _)| ((i64::from(*first) + i64::from(*count)) % (1 << 31)) as i32);
    if sequence == expected { Ok(Verdict::New) } else { Err(()) }
}

#[test]
fn a_random_history_agrees_with_the_model_over_restarts() {
    for seed in 0..40 {
        let mut dice = Dice::new(seed);
        let disk = disk();
        let options = LogOptions { segment_bytes: 1500, ..options() };
        let (mut log, _) = open(&disk, &options, proven(0), Start::Clean);
        let mut model = Model::new();
        for _ in 0..150 {
            let (producer, records) = (dice.below(3) as i64, 1 + dice.below(3) as i32);
            let (latest, batches) = model.entry(producer).or_insert((0, vec![(i32::MAX - 4, 1, -1)]));
            let epoch = *latest + [-1, 0, 0, 0, 0, 0, 0, 1][dice.below(8) as usize];
            let (first, count, _) = batches[batches.len() - 1 - dice.below(7).min(batches.len() as u64 - 1) as usize];
            let (sequence, records) = match dice.below(4) {
                0 => (first, count),
                1 => (0, records),
                _ => {
                    let (first, count, _) = batches[batches.len() - 1];
                    (((i64::from(first) + i64::from(count)) % (1 << 31)) as i32, records)
                }
            };
            if batches[0].2 == -1 {
                // The first batch of all may begin anywhere.
                model.remove(&producer);
            }
            let expected = verdict(&model, producer, epoch.max(0), sequence, records);
            let found = check(&log, producer, epoch.max(0), sequence, records as usize);
            assert_eq!(
                found.map_err(drop),
                expected,
                "seed {seed}: producer {producer} epoch {epoch} sequence {sequence}"
            );
            if expected == Ok(Verdict::New) {
                let base = log.log_end_offset();
                append(&mut log, producer, epoch.max(0), sequence, records as usize);
                let (latest, batches) = model.entry(producer).or_insert((epoch.max(0), Vec::new()));
                if *latest != epoch.max(0) {
                    (*latest, *batches) = (epoch, Vec::new());
                }
                batches.push((sequence, records, base));
            } else if !model.contains_key(&producer) {
                unreachable!("an unknown producer is never refused");
            }
            let before = log.producers().clone();
            match dice.below(30) {
                0 => {
                    log.close().expect("closes");
                    log = open(&disk, &options, proven(log.log_end_offset()), Start::Clean).0;
                }
                1 => {
                    let recovery_point = dice.below(log.log_end_offset() as u64 + 1) as i64;
                    log = open(&disk, &options, proven(recovery_point), Start::Unclean).0;
                }
                2 => {
                    sync(&mut log);
                    for name in names(&disk).iter().filter(|name| name.ends_with(".snapshot")) {
                        disk.remove_file(&dir().join(name)).expect("there");
                    }
                    log = open(&disk, &options, proven(log.log_end_offset()), Start::Clean).0;
                }
                _ => continue,
            }
            assert_eq!(*log.producers(), before, "seed {seed}: the restart changed the producers");
        }
    }
}
