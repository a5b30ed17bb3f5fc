//! The commands of the `chronik` binary that speak to a cluster or look into a data directory: one file for each family.
//!
//! Against any broker of the Kafka protocol. Every command takes `--bootstrap`, `--command-config` and `--output`, and
//! ends with 0, with 1 when anything failed, with 2 when its arguments make no sense. Called by the name of one of
//! Kafka's own tools (see [`kafka`]) it takes that tool's flags and prints what that tool prints. This crate never
//! starts a broker and never writes to a data directory.

mod cluster;
mod common;
pub mod config;
mod consume;
mod doctor;
mod failure;
mod format;
mod group;
pub mod kafka;
mod meta;
mod moment;
mod perf;
mod produce;
mod progress;
mod quota;
mod ready;
mod report;
mod storage;
mod topic;

use clap::Subcommand;

pub use crate::common::Common;
pub use crate::failure::Failure;
pub use crate::report::{Output, Report};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Topics: their partitions, offsets and records
    Topic(topic::Args),
    /// Send lines of standard input as records
    Produce(produce::Args),
    /// Print records
    Consume(consume::Args),
    /// Consumer groups: members, lag, offsets
    Group(group::Args),
    /// What clients may use: bytes, time, changes of topics, connections
    Quota(quota::Args),
    /// Brokers, partitions without a leader, versions
    Cluster(cluster::Args),
    /// Wait until a broker answers
    Ready(ready::Args),
    /// Find out why clients cannot reach a broker
    Doctor(doctor::Args),
    /// Measure throughput and latency
    Perf(perf::Args),
    /// Look into a data directory
    Storage(storage::Args),
    /// Look into the metadata log of a data directory
    Meta(meta::Args),
}

impl Command {
    fn output(&self) -> Output {
        match self {
            Command::Topic(args) => args.common.output,
            Command::Produce(args) => args.common.output,
            Command::Consume(args) => args.common.output,
            Command::Group(args) => args.common.output,
            Command::Quota(args) => args.common.output,
            Command::Cluster(args) => args.common.output,
            Command::Ready(args) => args.common.output,
            Command::Doctor(args) => args.common.output,
            Command::Perf(args) => args.common.output,
            Command::Storage(args) => args.output,
            Command::Meta(args) => args.output,
        }
    }
}

/// Runs a command and returns its exit code.
pub fn run(command: Command) -> u8 {
    let output = command.output();
    finish(
        output,
        block_on(async move {
            match command {
                Command::Topic(args) => topic::run(args).await,
                Command::Produce(args) => produce::run(args).await,
                Command::Consume(args) => consume::run(args).await,
                Command::Group(args) => group::run(args).await,
                Command::Quota(args) => quota::run(args).await,
                Command::Cluster(args) => cluster::run(args).await,
                Command::Ready(args) => ready::run(args).await,
                Command::Doctor(args) => doctor::run(args).await,
                Command::Perf(args) => perf::run(args).await,
                Command::Storage(args) => storage::run(args),
                Command::Meta(args) => meta::run(args),
            }
        }),
    )
}

/// Runs a command about the configs of a running cluster and returns its exit code.
pub fn run_config(common: &Common, command: config::Command) -> u8 {
    finish(common.output, block_on(config::run(common, command)))
}

/// Prints a report of the caller's and returns the exit code.
pub fn print(report: Report, output: Output) -> u8 {
    finish(output, report.print(output))
}

/// One thread is enough for one command.
fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(command);
    // A read of standard input or a look-up of a name under way would be waited for otherwise.
    runtime.shutdown_background();
    result
}

/// Tells how it ended and with which code.
fn finish(output: Output, result: Result<(), Failure>) -> u8 {
    let Err(failure) = result else { return 0 };
    if failure.is_closed_pipe() {
        return 0;
    }
    let code = failure.code();
    if !matches!(failure, Failure::Items(_)) {
        eprintln!("chronik: {failure}");
        if output == Output::Json {
            // Programs that read the output are told there, too, on a line of its own: records may have gone before. The line
            // above has gone out whether or not this does.
            let _ = report::line(&serde_json::json!({ "error": { "message": failure.to_string() } }).to_string());
        }
    }
    code
}
