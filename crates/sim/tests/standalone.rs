//! Simulated histories of a standalone broker. `CHRONIK_SIM_SEEDS` and `CHRONIK_SIM_FIRST` choose which.

use std::ops::Range;
use std::process::Command;
use std::thread;

const DEFAULT_SEEDS: u64 = 1_000;
/// Where the other process writes its traces.
const TRACES_TO: &str = "CHRONIK_SIM_TRACES_TO";

fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

#[test]
fn no_seed_breaks_a_promise() {
    let (first, seeds) = (number("CHRONIK_SIM_FIRST", 0), number("CHRONIK_SIM_SEEDS", DEFAULT_SEEDS));
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    let workers: Vec<_> = (0..threads)
        .map(|worker| {
            thread::spawn(move || {
                let seeds = (first..first + seeds).filter(move |seed| seed % threads == worker);
                seeds
                    .map(chronik_sim::run)
                    .map(|o| (o.seed, o.violations, o.acked_batches, o.failed_calls, o.starts))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let outcomes: Vec<_> = workers.into_iter().flat_map(|w| w.join().expect("a simulation panicked")).collect();
    let (mut acked, mut failed, mut starts) = (0, 0, 0);
    let mut broken = Vec::new();
    for (seed, violations, a, f, s) in outcomes {
        (acked, failed, starts) = (acked + a, failed + f, starts + s);
        broken.extend(violations.first().map(|v| format!("seed {seed}: {v}")));
    }
    if seeds == 1 && !broken.is_empty() {
        println!("{}", chronik_sim::run(first).trace.join("\n"));
    }
    println!("{seeds} seeds: {acked} batches acknowledged, {failed} calls failed, {starts} starts");
    assert!(broken.is_empty(), "{} seeds broke a promise:\n{}", broken.len(), broken.join("\n"));
    // The faults must bite, or nothing was tested.
    assert!(
        acked > seeds * 50 && failed > seeds && starts > seeds * 2,
        "acked {acked}, failed {failed}, starts {starts}"
    );
}

/// The seeds that are replayed.
fn replays() -> Range<u64> {
    0..number("CHRONIK_SIM_REPLAYS", 20)
}

/// The traces of all seeds that are replayed, one after the other.
fn traces() -> String {
    let trace = |seed| format!("seed {seed}\n{}\n", chronik_sim::run(seed).trace.join("\n"));
    replays().map(trace).collect()
}

#[test]
fn a_seed_replays_line_by_line_in_another_process() {
    let file = std::env::temp_dir().join(format!("chronik-traces-{}", std::process::id()));
    let other = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", "the_other_process", "--ignored"])
        .env(TRACES_TO, &file)
        .output()
        .expect("this test can be run again");
    let theirs = std::fs::read_to_string(&file);
    // Where nothing was written there is nothing to remove.
    let _ = std::fs::remove_file(&file);
    assert!(other.status.success(), "{}", String::from_utf8_lossy(&other.stdout));
    let (ours, theirs) = (traces(), theirs.expect("the other process writes its traces"));
    assert!(ours.lines().count() > 100 * replays().count(), "the traces tell what happens");
    if let Some((at, (one, two))) = ours.lines().zip(theirs.lines()).enumerate().find(|(_, (one, two))| one != two) {
        panic!("line {at} differs:\n  {one}\n  {two}");
    }
    assert_eq!(ours.len(), theirs.len());
}

#[test]
#[ignore = "run by a_seed_replays_line_by_line_in_another_process"]
fn the_other_process() {
    let file = std::env::var_os(TRACES_TO).expect("a file to write to");
    std::fs::write(file, traces()).expect("the traces can be written");
}
