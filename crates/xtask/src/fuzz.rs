//! Fuzzing: libFuzzer on the targets of `fuzz/`, and the short run without it that the tests make.
//!
//! Works on a stable toolchain: coverage comes from LLVM's own pass, switched on by compiler flags, and no sanitizer is used. Needs a
//! C++ compiler for libFuzzer. Corpora grow below the build directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Failed, cargo, root, run as run_command, target_dir};

const USAGE: &str = "usage: cargo xtask fuzz [SECONDS_PER_TARGET] [TARGET...]";
const DEFAULT_SECONDS: u64 = 60;
/// Longer than any input needs on a busy machine; past it an input counts as a hang.
const TIMEOUT_SECONDS: u32 = 20;
/// Resident memory at which libFuzzer stops: what C code allocates is bounded by it alone.
const RSS_LIMIT_MB: u32 = 1024;
/// Executions of each target in the tests.
const SMOKE_EXECUTIONS: &str = "20000";

/// The table of `fuzz/src/targets/mod.rs` is where names and lengths come from.
const TABLE: &str = "fuzz/src/targets/mod.rs";

/// What libFuzzer's instrumentation needs of the compiler.
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Cforce-frame-pointers=yes",
];

/// Runs each target for some seconds and prints its executions.
///
/// # Errors
/// A target that crashed, hung or held too much memory; its input lies where the message says.
pub fn run(args: &[String]) -> Result<(), Failed> {
    let (seconds, chosen) = match args.first().map(|first| first.parse::<u64>()) {
        Some(Ok(seconds)) => (seconds, &args[1..]),
        Some(Err(_)) if args[0].starts_with('-') => return Err(Failed(USAGE.into())),
        _ => (DEFAULT_SECONDS, args),
    };
    let table = root().join(TABLE);
    let text = fs::read_to_string(&table).map_err(|e| Failed(format!("cannot read {}: {e}", table.display())))?;
    let all = targets(&text);
    if let Some(unknown) = chosen.iter().find(|name| all.iter().all(|(known, _)| known != *name)) {
        let names: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
        return Err(Failed(format!("no target {unknown}; there are {}\n{USAGE}", names.join(", "))));
    }
    let binary = build()?;
    let mut failures = Vec::new();
    let mut total = 0;
    for (name, max_len) in all.iter().filter(|(name, _)| chosen.is_empty() || chosen.contains(name)) {
        let outcome = fuzz(&binary, name, *max_len, seconds)?;
        total += outcome.executions;
        println!("{name:<14} {:>12} executions  {}", outcome.executions, if outcome.passed { "ok" } else { "FAILED" });
        if !outcome.passed {
            failures.push(format!("{name}: see {}", outcome.log.display()));
        }
    }
    println!("{:<14} {total:>12} executions", "all");
    if failures.is_empty() { Ok(()) } else { Err(Failed(failures.join("\n"))) }
}

/// Runs every target for a fixed number of seeded inputs, without instrumentation.
///
/// # Errors
/// A target that fails on one of them.
pub fn smoke() -> Result<(), Failed> {
    let mut command =
        cargo(&["test", "--quiet", "--locked", "--profile", "checked", "--manifest-path", "fuzz/Cargo.toml"]);
    run_command(command.env("CHRONIK_FUZZ_EXECUTIONS", SMOKE_EXECUTIONS).env("CARGO_TARGET_DIR", target_dir()))
}

/// Names and longest inputs, from the lines of the table.
fn targets(text: &str) -> Vec<(String, u32)> {
    let between = |line: &str, before: &str, after: char| {
        line.split_once(before).and_then(|(_, rest)| rest.split_once(after)).map(|(found, _)| found.trim().to_owned())
    };
    let rows = text.lines().filter(|line| line.trim_start().starts_with("Target { name:"));
    rows.filter_map(|line| Some((between(line, "name: \"", '"')?, between(line, "max_len: ", '}')?.parse().ok()?)))
        .collect()
}

/// The instrumented binary. Built for a named host, so that build scripts are left without instrumentation.
fn build() -> Result<PathBuf, Failed> {
    let host = host()?;
    let dir = target_dir().join("fuzz");
    let mut command = cargo(&[
        "build",
        "--quiet",
        "--locked",
        "--release",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--features",
        "libfuzzer",
    ]);
    command.args(["--bin", "fuzz", "--target", &host]);
    run_command(command.env("RUSTFLAGS", FLAGS.join(" ")).env("CARGO_TARGET_DIR", &dir))?;
    Ok(dir.join(host).join("release").join("fuzz"))
}

fn host() -> Result<String, Failed> {
    let output = Command::new("rustc").arg("-vV").output().map_err(|e| Failed(format!("cannot run rustc: {e}")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failed("rustc -vV names no host".into()))
}

/// What a run came to.
struct Outcome {
    executions: u64,
    passed: bool,
    log: PathBuf,
}

fn fuzz(binary: &Path, name: &str, max_len: u32, seconds: u64) -> Result<Outcome, Failed> {
    let dir = target_dir().join("fuzz");
    let [corpus, seeds, crashes] = ["corpus", "seeds", "crashes"].map(|kind| dir.join(kind).join(name));
    for path in [&corpus, &seeds, &crashes] {
        fs::create_dir_all(path).map_err(|e| Failed(format!("cannot create {}: {e}", path.display())))?;
    }
    let log = dir.join(format!("{name}.log"));
    let output = fs::File::create(&log).map_err(|e| Failed(format!("cannot write {}: {e}", log.display())))?;
    let failed = |e| Failed(format!("cannot run {}: {e}", binary.display()));
    let mut command = Command::new(binary);
    command.env("CHRONIK_FUZZ_TARGET", name).env("CHRONIK_FUZZ_SEEDS", &seeds).args([&corpus, &seeds]);
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={max_len}"));
    command.arg(format!("-timeout={TIMEOUT_SECONDS}")).arg(format!("-rss_limit_mb={RSS_LIMIT_MB}"));
    command.arg("-print_final_stats=1").arg(format!("-artifact_prefix={}/", crashes.display()));
    let status = command.stdout(output.try_clone().map_err(failed)?).stderr(output).status().map_err(failed)?;
    // Fuzzed strings are among the lines.
    let text = fs::read(&log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    Ok(Outcome { executions: executions(&text), passed: status.success(), log })
}

fn executions(text: &str) -> u64 {
    let line = text.lines().rev().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_targets_is_read() {
        let text = fs::read_to_string(root().join(TABLE)).unwrap();
        let targets = targets(&text);
        assert_eq!(targets.len(), text.matches("Target { name:").count());
        assert!(targets.iter().any(|(name, max_len)| name == "frame" && *max_len == 4096), "{targets:?}");
    }

    #[test]
    fn executions_are_counted_from_the_last_statistics() {
        let text = "stat::number_of_executed_units: 5\nnoise\nstat::number_of_executed_units: 1232934\n";
        assert_eq!(executions(text), 1_232_934);
        assert_eq!(executions("crash"), 0);
    }
}
