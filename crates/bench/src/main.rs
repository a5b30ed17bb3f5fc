//! Benchmarks of brokers side by side: Chronik, Tansu and Apache Kafka, on one machine, in one run.
//!
//! This crate starts the brokers, drives them with librdkafka's own benchmark program and a small probe in C over the
//! same library, reads back and counts what was acknowledged, and prints medians, ratios and the goals they are held
//! against. It links nothing of Chronik: brokers are processes behind a loopback port, ours like the others.
//! It takes time, files and processes from the machine directly; nothing of it ships.

mod bench;
mod broker;
mod client;
mod figures;
mod first_record;
mod goals;
mod machine;
mod plan;
mod process;
mod report;
mod scripts;
mod section;
mod subject;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::bench::Bench;
use crate::first_record::ClientProgram;
use crate::plan::{Plan, Section};
use crate::report::Part;
use crate::subject::Broker;
use crate::tools::Tools;

/// Benchmarks brokers side by side on loopback.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    call: Option<Call>,
    /// Without a subcommand: `run`.
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Subcommand)]
enum Call {
    /// Fetch and build the client programs and the peers; the other calls do so by themselves.
    Prepare(Shared),
    /// Measure, and print the tables as markdown.
    Run(RunArgs),
    /// From the start of a broker to the first record read through a group, with given client programs.
    FirstRecord(FirstRecordArgs),
    /// Run another set of benchmark scripts (kbench.c and produce.sh in one directory) against each broker.
    Scripts(ScriptsArgs),
}

#[derive(Args)]
struct Shared {
    /// Everything fetched, built and written goes below this directory.
    #[arg(long, default_value = "target/bench")]
    dir: PathBuf,
    /// Chronik's binary.
    #[arg(long, default_value = "target/release/chronik")]
    chronik: PathBuf,
    /// The brokers, by name.
    #[arg(long, value_delimiter = ',', default_values_t = Broker::ALL)]
    brokers: Vec<Broker>,
}

#[derive(Args)]
struct RunArgs {
    #[command(flatten)]
    shared: Shared,
    /// The sections, by name.
    #[arg(long, value_delimiter = ',', default_values_t = Section::ALL)]
    sections: Vec<Section>,
    /// Small sizes and one round: shows that all works, proves no figure.
    #[arg(long)]
    quick: bool,
    /// Rounds that count.
    #[arg(long)]
    rounds: Option<u32>,
    /// Also write the tables to this file: between its benchmark marker lines if it has them, else as the whole file.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Args)]
struct FirstRecordArgs {
    #[command(flatten)]
    shared: Shared,
    /// A client as NAME=PROGRAM ARGUMENT...; once for each.
    #[arg(long = "client", required = true)]
    clients: Vec<ClientProgram>,
    /// Starts of each broker with each client.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Also write the table to this file, between its first-record marker lines if it has them.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Args)]
struct ScriptsArgs {
    #[command(flatten)]
    shared: Shared,
    /// The directory that holds the scripts.
    #[arg(long)]
    scripts: PathBuf,
    /// Runs of each script.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.call {
        None => run(&cli.run),
        Some(Call::Run(args)) => run(&args),
        Some(Call::Prepare(shared)) => prepare(&shared).map(|_| ()),
        Some(Call::FirstRecord(args)) => first_record(&args),
        Some(Call::Scripts(args)) => prepare(&args.shared)
            .and_then(|tools| scripts::run(&tools, &args.shared.brokers, &args.scripts, args.rounds)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Any failure that ends the program with one line.
type Fatal = Box<dyn std::error::Error>;

fn prepare(shared: &Shared) -> Result<Tools, Fatal> {
    let tools = Tools::new(absolute(&shared.dir)?, absolute(&shared.chronik)?);
    tools.prepare(&shared.brokers)?;
    Ok(tools)
}

fn absolute(path: &std::path::Path) -> std::io::Result<PathBuf> {
    std::path::absolute(path)
}

fn run(args: &RunArgs) -> Result<(), Fatal> {
    let tools = prepare(&args.shared)?;
    let mut plan = if args.quick { Plan::quick() } else { Plan::full() };
    if let Some(rounds) = args.rounds {
        plan.rounds = rounds.max(1);
    }
    let machine = machine::Machine::look(tools.root());
    let mut bench = Bench::new(tools, plan, args.shared.brokers.clone(), args.sections.clone());
    bench.run();
    let text = report::markdown(&bench, &machine);
    publish(&text, Part::Benchmarks, args.out.as_deref())
}

fn first_record(args: &FirstRecordArgs) -> Result<(), Fatal> {
    let tools = prepare(&args.shared)?;
    let machine = machine::Machine::look(tools.root());
    let table = first_record::run(&tools, &args.shared.brokers, &args.clients, args.rounds);
    let head = report::first_record_head(&machine, args.rounds);
    publish(&format!("{head}\n{table}"), Part::FirstRecord, args.out.as_deref())
}

fn publish(text: &str, part: Part, out: Option<&std::path::Path>) -> Result<(), Fatal> {
    println!("{text}");
    if let Some(out) = out {
        let page = std::fs::read_to_string(out).unwrap_or_default();
        std::fs::write(out, report::placed(&page, part, text))?;
    }
    Ok(())
}
