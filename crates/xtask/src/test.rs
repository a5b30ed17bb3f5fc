//! The tests, step by step, and the other things that run: fuzzing, simulation, benchmarks.

use std::path::PathBuf;
use std::time::Instant;

use crate::clients::{self, ClientsOptions};
use crate::run::{Failed, cargo, run, target_dir};
use crate::{fuzz, kill, tidy};

/// The profile of everything that is tested: optimised, with every assertion on.
const PROFILE: &str = "checked";

type Step = (&'static str, fn() -> Result<(), Failed>);

/// In the order they run: the cheap ones first.
const STEPS: &[Step] = &[
    ("fmt", || run(&mut cargo(&["fmt", "--all", "--check"]))),
    ("tidy", tidy::run),
    ("clippy", || {
        run(&mut cargo(&[
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--profile",
            PROFILE,
            "--",
            "-D",
            "warnings",
        ]))
    }),
    ("build", || run(&mut cargo(&["build", "--quiet", "--profile", PROFILE, "-p", "chronik"]))),
    ("unit", unit_tests),
    ("clients", || clients(&[])),
    ("fuzz", fuzz::smoke),
    ("kill", || kill::run(&broker())),
];

/// Runs all steps, or the one that `--only` names.
pub fn steps(args: &[String]) -> Result<(), Failed> {
    let only = match args {
        [] => None,
        [flag, step] if flag == "--only" => Some(step.as_str()),
        _ => return Err(Failed("usage: cargo xtask test [--only STEP]".into())),
    };
    let chosen: Vec<_> = STEPS.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = STEPS.iter().map(|(name, _)| *name).collect();
        return Err(Failed(format!("no such step; there are {}", names.join(", "))));
    }
    for (name, step) in chosen {
        println!("== {name}");
        let began = Instant::now();
        step().map_err(|e| Failed(format!("step {name} failed: {e}")))?;
        println!("== {name} passed in {} s", began.elapsed().as_secs());
    }
    Ok(())
}

/// The broker that is tested.
fn broker() -> PathBuf {
    target_dir().join(PROFILE).join("chronik")
}

/// The client tests alone, with arguments of their own.
pub fn clients(args: &[String]) -> Result<(), Failed> {
    let options = ClientsOptions::parse(broker(), args).and_then(|options| clients::run(&options));
    options.map_err(|e| Failed(e.to_string()))
}

/// The unit and wire tests, which use the broker built before.
fn unit_tests() -> Result<(), Failed> {
    let mut command = cargo(&["test", "--quiet", "--workspace", "--profile", PROFILE]);
    // The default of an optimised build, which this profile's assertions would lower.
    let images = std::env::var("CHRONIK_CRASH_IMAGES").unwrap_or_else(|_| "50000".into());
    run(command.env("CHRONIK_BIN", broker()).env("CHRONIK_CRASH_IMAGES", images))
}

fn number(args: &[String], at: usize, default: u64) -> Result<u64, Failed> {
    match args.get(at) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| Failed(format!("{text} is not a number"))),
    }
}

/// Simulates as many seeds as asked for, from the first one on.
pub fn simulate(args: &[String]) -> Result<(), Failed> {
    let (seeds, first) = (number(args, 0, 1_000)?, number(args, 1, 0)?);
    let mut command = cargo(&[
        "test",
        "--quiet",
        "--profile",
        PROFILE,
        "-p",
        "chronik-sim",
        "--test",
        "standalone",
        "--",
        "--nocapture",
    ]);
    run(command.env("CHRONIK_SIM_SEEDS", seeds.to_string()).env("CHRONIK_SIM_FIRST", first.to_string()))
}

/// Builds the shipped binary and measures it beside its peers.
pub fn bench(args: &[String]) -> Result<(), Failed> {
    run(&mut cargo(&["build", "--quiet", "--release", "-p", "chronik", "-p", "chronik-bench"]))?;
    let mut command = cargo(&["run", "--quiet", "--release", "-p", "chronik-bench", "--"]);
    command.args(args);
    if args.first().is_some_and(|call| call == "first-record") {
        for client in clients::commands().map_err(|e| Failed(e.to_string()))? {
            command.args(["--client", &client]);
        }
    }
    run(&mut command)
}
