//! Simulated histories of a standalone broker. `CHRONIK_SIM_SEEDS` and `CHRONIK_SIM_FIRST` choose which.

use std::thread;

const DEFAULT_SEEDS: u64 = 1_000;

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

#[test]
fn a_seed_replays_line_by_line() {
    for seed in 0..number("CHRONIK_SIM_REPLAYS", 20) {
        let (one, two) = (chronik_sim::run(seed), chronik_sim::run(seed));
        if let Some(at) = (0..one.trace.len().max(two.trace.len())).find(|&i| one.trace.get(i) != two.trace.get(i)) {
            panic!("seed {seed} differs at line {at}:\n  {:?}\n  {:?}", one.trace.get(at), two.trace.get(at));
        }
    }
}
