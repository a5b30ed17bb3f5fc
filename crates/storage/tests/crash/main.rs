//! Power cuts at every moment of a log's life.
//!
//! A seeded run drives a log through appends, syncs, rolls, retention, truncation, kills and clean closes on a
//! simulated disk that records each operation. Between any two operations the machine may stop; for each such boundary,
//! disks are built as a power cut could leave them, and each is recovered. The recovered log must be a prefix of what
//! was appended with all that was synced in it, with the epochs and producers of that prefix; recovering it again, or
//! crashing while recovering it, must not change it; and it must take appends.
//!
//! `CHRONIK_CRASH_IMAGES` sets how many images are checked.

mod check;
mod model;
mod workload;

use std::collections::BTreeSet;

use check::{Opener, Shown, check_contents, check_derived, check_usable};
use chronik_env::block::BlockPool;
use chronik_env::sim_disk::{Cut, Replay, SimDisk};
use chronik_storage::Start;
use model::{Expected, Fact, end_of};

/// Most images of one boundary.
const IMAGES_A_BOUNDARY: usize = 24;
/// One image in so many is also crashed while it recovers.
const CRASH_RECOVERY_EVERY: usize = 16;
/// Most images of one boundary within a recovery.
const IMAGES_A_RECOVERY_BOUNDARY: usize = 3;
/// Above every leader epoch of a run.
const LATER_EPOCH: i32 = 1000;

/// How many images are checked at least: fewer without optimization, which makes each some ten times as dear.
fn target() -> usize {
    let default = if cfg!(debug_assertions) { 5_000 } else { 50_000 };
    match std::env::var("CHRONIK_CRASH_IMAGES") {
        Ok(text) => text.parse().expect("CHRONIK_CRASH_IMAGES is a number"),
        Err(_) => default,
    }
}

#[derive(Debug, Default)]
struct Counts {
    runs: u64,
    boundaries: usize,
    /// Power cuts of the running log.
    images: usize,
    /// Process ends of the running log.
    kills: usize,
    /// Power cuts while recovering.
    in_recovery: usize,
    calls: BTreeSet<&'static str>,
}

/// Where a check stands; told when it fails.
struct Where {
    seed: u64,
    boundary: usize,
    cut: Cut,
    image: usize,
}

impl Drop for Where {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("at seed {}, boundary {}, {:?}, image {}", self.seed, self.boundary, self.cut, self.image);
        }
    }
}

#[test]
fn every_power_cut_leaves_a_log_that_recovers() {
    let target = target();
    let mut counts = Counts::default();
    while counts.images < target {
        check_run(counts.runs, &mut counts);
        counts.runs += 1;
    }
    println!("{counts:?}");
    assert!(counts.images >= target);
    assert!(counts.kills > 0 && counts.in_recovery > 0, "{counts:?}");
    assert_eq!(counts.calls.len(), 12, "every call was made: {:?}", counts.calls);
}

#[test]
fn equal_seeds_write_equal_histories() {
    for seed in 0..20 {
        let (first, second) = (workload::run(seed), workload::run(seed));
        assert!(first.history.ops() == second.history.ops(), "seed {seed}");
    }
}

fn check_run(seed: u64, counts: &mut Counts) {
    let run = workload::run(seed);
    counts.calls.extend(&run.calls);
    let opener = Opener { options: workload::options(seed), now_ms: run.now_ms, pool: BlockPool::default() };
    let mut expected = Expected::default();
    let mut replay = run.history.replay();
    loop {
        let facts = run.facts.get(&replay.boundary()).map_or(&[][..], Vec::as_slice);
        // What comes after the last rest belongs to a call that has not done anything yet.
        let (now, ahead) = facts.split_at(facts.iter().rposition(Fact::is_rest).map_or(facts.len(), |rest| rest + 1));
        now.iter().for_each(|fact| expected.learn(fact));
        check_boundary(seed, &replay, &opener, &expected, counts);
        check_kill(seed, &replay, &opener, &expected, counts);
        counts.boundaries += 1;
        ahead.iter().for_each(|fact| expected.learn(fact));
        if replay.step().is_none() {
            return;
        }
        expected.disturb();
    }
}

/// Power cuts at one boundary.
fn check_boundary(seed: u64, replay: &Replay<'_>, opener: &Opener, expected: &Expected, counts: &mut Counts) {
    let image_seed = seed << 20 | replay.boundary() as u64;
    for (image, (cut, disk)) in replay.images(image_seed, IMAGES_A_BOUNDARY).enumerate() {
        let _where = Where { seed, boundary: replay.boundary(), cut, image };
        disk.record();
        if expected.closed {
            check_clean_start(&disk, opener, expected);
        }
        let (log, shown) = opener.open(&disk, Start::Unclean);
        let version = check_contents(&shown, expected);
        check_derived(&log, version, opener.now_ms);
        drop(log);
        let recovery = disk.history();
        let (log, again) = opener.open(&disk, Start::Unclean);
        assert_eq!(again, shown, "recovering again changes nothing");
        check_derived(&log, version, opener.now_ms);
        if counts.images.is_multiple_of(CRASH_RECOVERY_EVERY) {
            check_crashes_in_recovery(&recovery.replay(), opener, &shown, counts);
        }
        check_usable(opener, &disk, log, &shown, LATER_EPOCH);
        counts.images += 1;
    }
}

/// After a close in good order nothing needs recovery.
fn check_clean_start(disk: &SimDisk, opener: &Opener, expected: &Expected) {
    let copy = disk.image(Cut::Nothing, 0);
    let (log, shown) = opener.open(&copy, Start::Clean);
    let version = check_contents(&shown, expected);
    assert_eq!(end_of(version), end_of(&expected.current), "all of a closed log is there");
    check_derived(&log, version, opener.now_ms);
}

/// The log shown is the same wherever its recovery is cut short.
fn check_crashes_in_recovery(replay: &Replay<'_>, opener: &Opener, shown: &Shown, counts: &mut Counts) {
    let mut replay = replay.clone();
    loop {
        for (_, disk) in replay.images(replay.boundary() as u64, IMAGES_A_RECOVERY_BOUNDARY) {
            let (_, again) = opener.open(&disk, Start::Unclean);
            assert_eq!(&again, shown, "a crash at boundary {} of a recovery changed the log", replay.boundary());
            counts.in_recovery += 1;
        }
        if replay.step().is_none() {
            return;
        }
    }
}

/// The process ends at one boundary, another recovers, and then the power goes.
fn check_kill(seed: u64, replay: &Replay<'_>, opener: &Opener, expected: &Expected, counts: &mut Counts) {
    if expected.sync_failed {
        return;
    }
    let _where = Where { seed, boundary: replay.boundary(), cut: Cut::Process, image: 0 };
    let disk = replay.image(Cut::Process, 0);
    workload::sync_checkpoints(&disk);
    let (log, shown) = opener.open(&disk, Start::Unclean);
    let version = check_contents(&shown, expected);
    check_derived(&log, version, opener.now_ms);
    if expected.idle {
        assert_eq!(end_of(version), end_of(&expected.current), "a process that ends loses nothing it wrote");
    }
    disk.crash(Cut::Nothing);
    let (log, after) = opener.open(&disk, Start::Unclean);
    assert_eq!(after, shown, "what recovery exposed was not durable");
    check_usable(opener, &disk, log, &shown, LATER_EPOCH);
    counts.kills += 1;
}
