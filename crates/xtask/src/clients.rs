//! Stock Kafka clients against one broker each: installs them, runs their programs in
//! `tests/clients/`, and looks on the wire whether the codec that was asked for was stored.
//!
//! Everything is installed below the build directory, but for Debian's own packages. Nothing is
//! read or written outside the two and the package clients' caches.

mod install;
pub mod process;
mod wire;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::run::{root, target_dir};
use install::{CLIENTS, Client, Install};
use process::{Broker, run_logged};

/// How long one client's program may take; on a busy 2-core machine the slowest needs a minute.
const PROGRAM_LIMIT: Duration = Duration::from_secs(600);

/// What to run.
pub struct ClientsOptions {
    /// The broker's binary.
    pub broker: PathBuf,
    /// `HOST:PORT` of a running broker to use for all clients instead of starting `broker`.
    pub bootstrap: Option<String>,
    /// The one client to run; all when `None`.
    pub only: Option<String>,
    /// Where the output of clients and brokers is kept.
    pub logs: PathBuf,
}

impl ClientsOptions {
    /// All clients, each against a broker of its own that runs `broker`.
    pub fn new(broker: impl Into<PathBuf>) -> Self {
        let logs = target_dir().join("clients").join("logs");
        Self { broker: broker.into(), bootstrap: None, only: None, logs }
    }

    /// `[--bootstrap HOST:PORT] [--only CLIENT] [--logs DIR]`, and anything else is the broker's binary.
    pub fn parse(broker: impl Into<PathBuf>, args: &[String]) -> Result<Self, ClientsError> {
        let mut options = Self::new(broker);
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().cloned().ok_or_else(|| ClientsError::Usage(arg.clone()));
            match arg.as_str() {
                "--bootstrap" => options.bootstrap = Some(value()?),
                "--only" => options.only = Some(value()?),
                "--logs" => options.logs = value()?.into(),
                _ if arg.starts_with('-') => return Err(ClientsError::Usage(arg.clone())),
                _ => options.broker = arg.into(),
            }
        }
        Ok(options)
    }
}

/// Why the client tests did not pass.
#[derive(Debug)]
pub enum ClientsError {
    /// An argument that is unknown or lacks its value.
    Usage(String),
    /// `only` names no client.
    Unknown(String),
    /// A file or directory of the tests themselves.
    Io(PathBuf, io::Error),
    /// This client could not be installed.
    Installation(&'static str, String),
    /// This many checks failed; the table tells which.
    Failed(u32),
}

impl std::fmt::Display for ClientsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usage(arg) => {
                write!(f, "{arg}: usage: [BROKER] [--bootstrap HOST:PORT] [--only CLIENT] [--logs DIR]")
            }
            Self::Unknown(name) => {
                let names: Vec<_> = CLIENTS.iter().map(|client| client.name).collect();
                write!(f, "no client {name}; there are {}", names.join(", "))
            }
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Installation(name, reason) => write!(f, "{name} could not be installed: {reason}"),
            Self::Failed(count) => write!(f, "{count} client checks failed"),
        }
    }
}

impl std::error::Error for ClientsError {}

/// What one client's run came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u32,
    failed: u32,
    /// One line for each failure.
    failures: Vec<String>,
}

impl Tally {
    fn failure(&mut self, line: impl Into<String>) {
        self.failed += 1;
        self.failures.push(line.into());
    }
}

/// Installs and runs the clients, one after the other, and prints a table and a total line.
///
/// # Errors
/// When a check failed, or the options or directories are not usable. A client that cannot be
/// installed or whose broker does not start is a failed check of that client.
pub fn run(options: &ClientsOptions) -> Result<(), ClientsError> {
    let chosen: Vec<_> = CLIENTS.iter().filter(|c| options.only.as_deref().is_none_or(|name| name == c.name)).collect();
    if chosen.is_empty() {
        return Err(ClientsError::Unknown(options.only.clone().unwrap_or_default()));
    }
    let install = install_into(&options.logs)?;
    let mut results = Vec::new();
    for client in chosen {
        println!("{}: installing", client.name);
        let tally = match (client.install)(&install) {
            Ok(program) => {
                println!("{}: running", client.name);
                run_one(options, client, program)
            }
            Err(error) => {
                let mut tally = Tally::default();
                tally.failure(format!("not installed: {error}"));
                tally
            }
        };
        results.push((client.name, tally));
    }
    report(&results)
}

/// Each client that reads through groups as `NAME=PROGRAM ARGUMENT...`, installed when it is not there.
///
/// # Errors
/// One could not be installed.
pub fn commands() -> Result<Vec<String>, ClientsError> {
    let install = install_into(&target_dir().join("clients").join("logs"))?;
    let groups = CLIENTS.iter().filter(|client| client.writes_codecs);
    let command = |client: &Client| match (client.install)(&install) {
        Ok(program) => Ok(format!("{}={}", client.name, program.words())),
        Err(e) => Err(ClientsError::Installation(client.name, e.to_string())),
    };
    groups.map(command).collect()
}

fn install_into(logs: &Path) -> Result<Install, ClientsError> {
    fs::create_dir_all(logs).map_err(|e| ClientsError::Io(logs.to_owned(), e))?;
    Ok(Install::new(root().join("tests").join("clients"), target_dir().join("clients"), logs))
}

/// A Python with the pinned clients, installed when it is not there.
///
/// # Errors
/// It could not be installed.
pub fn python() -> Result<PathBuf, ClientsError> {
    let bin = install_into(&target_dir().join("clients").join("logs"))?
        .python()
        .map_err(|e| ClientsError::Installation("the Python clients", e.to_string()))?;
    Ok(bin.join("python"))
}

fn report(results: &[(&str, Tally)]) -> Result<(), ClientsError> {
    println!("\n{:<14} {:>6} {:>6}", "client", "passed", "failed");
    for (name, tally) in results {
        println!("{name:<14} {:>6} {:>6}", tally.passed, tally.failed);
        for failure in &tally.failures {
            println!("    {failure}");
        }
    }
    let passed: u32 = results.iter().map(|(_, tally)| tally.passed).sum();
    let failed: u32 = results.iter().map(|(_, tally)| tally.failed).sum();
    println!("\n{passed} passed, {failed} failed");
    if failed == 0 { Ok(()) } else { Err(ClientsError::Failed(failed)) }
}

/// One client against the broker that is there, or one of its own.
fn run_one(options: &ClientsOptions, client: &Client, program: process::Program) -> Tally {
    if let Some(bootstrap) = &options.bootstrap {
        if client.scrapes {
            let mut tally = Tally::default();
            tally.failure("needs a broker of its own, whose HTTP address is known");
            return tally;
        }
        return run_against(options, client, program, bootstrap);
    }
    let broker = match Broker::start(&options.broker, &options.logs.join(format!("{}-broker.log", client.name))) {
        Ok(broker) => broker,
        Err(error) => {
            let mut tally = Tally::default();
            tally.failure(format!("broker: {error}"));
            return tally;
        }
    };
    let program = if client.scrapes { program.args(["--http", broker.http()]) } else { program };
    let mut tally = run_against(options, client, program, broker.bootstrap());
    if let Err(error) = broker.stop() {
        tally.failure(format!("broker: {error}"));
    }
    tally
}

fn run_against(options: &ClientsOptions, client: &Client, program: process::Program, bootstrap: &str) -> Tally {
    let name = client.name;
    let log = options.logs.join(format!("{name}.log"));
    let prefix = format!("{name}-{}", std::process::id());
    let program = program.args(["--bootstrap", bootstrap, "--prefix", prefix.as_str()]);
    let ended = run_logged(&program, &log, PROGRAM_LIMIT);
    let mut tally = tally_of(&log);
    if let Err(error) = ended
        && tally.failed == 0
    {
        tally.failure(format!("{error}; see {}", log.display()));
    }
    for codec in wire::CODECS.into_iter().filter(|_| client.writes_codecs) {
        match wire::stored_codec(bootstrap, &format!("{prefix}-{}", codec.name), codec) {
            Ok(()) => tally.passed += 1,
            Err(error) => tally.failure(format!("stored as {}: {error}", codec.name)),
        }
    }
    tally
}

/// The counts of the last `N passed, N failed` line of a program's output, and its `FAIL` lines.
fn tally_of(log: &Path) -> Tally {
    let text = fs::read(log).unwrap_or_default();
    parse_tally(&String::from_utf8_lossy(&text))
}

fn parse_tally(text: &str) -> Tally {
    let failures: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("FAIL "))
        .map(|line| line.chars().take(200).collect())
        .collect();
    let Some((passed, failed)) = text.lines().rev().find_map(counts) else {
        let mut tally = Tally { failures, ..Tally::default() };
        tally.failure("the program printed no result");
        return tally;
    };
    Tally { passed, failed, failures }
}

fn counts(line: &str) -> Option<(u32, u32)> {
    let (passed, failed) = line.trim().split_once(" passed, ")?;
    Some((passed.parse().ok()?, failed.strip_suffix(" failed")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_result_line_counts_and_failures_are_kept() {
        let tally = parse_tally("ok   a\nFAIL b: no\n1 passed, 1 failed\nnoise\n");
        assert_eq!(tally, Tally { passed: 1, failed: 1, failures: vec!["b: no".into()] });
    }

    #[test]
    fn a_program_without_a_result_has_failed() {
        assert_eq!(parse_tally("ok   a\n").failed, 1);
        assert_eq!(parse_tally("x passed, 0 failed\n").failed, 1);
    }

    #[test]
    fn options_are_read_and_unknown_ones_refused() {
        let args = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let options = ClientsOptions::parse("x", &args("--only kcat bin/chronik")).unwrap();
        assert_eq!((options.only.as_deref(), options.broker), (Some("kcat"), PathBuf::from("bin/chronik")));
        assert!(ClientsOptions::parse("x", &args("--onyl kcat")).is_err());
        assert!(ClientsOptions::parse("x", &args("--only")).is_err());
    }

    #[test]
    fn an_unknown_client_is_named() {
        let options = ClientsOptions { only: Some("nobody".into()), ..ClientsOptions::new("x") };
        assert!(matches!(run(&options), Err(ClientsError::Unknown(name)) if name == "nobody"));
    }
}
