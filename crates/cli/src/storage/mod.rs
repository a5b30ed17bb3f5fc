//! `chronik storage`: looks into a data directory, of Chronik or of Apache Kafka, without a broker and without writing.

mod dump;
pub mod files;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chronik_env::real::RealDisk;
use chronik_protocol::batch::HEADER_LEN;
use chronik_protocol::records::{self, Limits};
use chronik_storage::checkpoint::{self, Offsets};
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;

use crate::failure::Failure;
use crate::progress::Progress;
use crate::report::{Output, Report, line, print_json};
use files::{Batches, DataDir, PartitionDir};

/// The most that one compressed batch may hold, in bytes.
pub const MAX_BATCH: Limits = Limits { max_output_bytes: 1 << 30 };

#[derive(Debug, ClapArgs)]
pub struct Args {
    /// How results are told
    #[arg(long, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show whose directory it is and what it holds
    Info(Info),
    /// Check every batch; fails when one is damaged
    Check(Check),
    /// Print the batches of a partition, or its records
    Dump(dump::Dump),
}

#[derive(Debug, ClapArgs)]
struct Info {
    #[arg(default_value = "chronik-data", value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Debug, ClapArgs)]
struct Check {
    #[arg(default_value = "chronik-data", value_name = "DIR")]
    dir: PathBuf,
    /// Only these partitions
    #[arg(long = "partition", value_name = "TOPIC-PARTITION")]
    partitions: Vec<String>,
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Info(info) => run_info(&info, args.output),
        Command::Check(check) => run_check(&check, args.output),
        Command::Dump(dump) => dump.run(args.output),
    }
}

fn run_info(args: &Info, output: Output) -> Result<(), Failure> {
    let dir = files::data_dir(&args.dir)?;
    let starts = offsets(&dir.path, checkpoint::LOG_START)?;
    let recovery_points = offsets(&dir.path, checkpoint::RECOVERY_POINT)?;
    let mut report = Report::new(&["topic", "partition", "segments", "bytes", "log_start_offset", "recovery_point"]);
    for p in &dir.partitions {
        let key = (p.topic.clone(), p.partition);
        let first = p.segments.first().map(|segment| segment.base_offset);
        report.row(vec![
            json!(p.topic),
            json!(p.partition),
            json!(p.segments.len()),
            json!(p.bytes()),
            json!(starts.get(&key).copied().or(first)),
            json!(recovery_points.get(&key)),
        ]);
    }
    let bytes: u64 = dir.partitions.iter().map(PartitionDir::bytes).sum();
    let stopped = if dir.clean { "stopped cleanly" } else { "in use, or not stopped cleanly" };
    match output {
        Output::Json => {
            let mut properties = Map::new();
            for (key, value) in &dir.properties {
                properties.insert(key.clone(), json!(value));
            }
            let clean = dir.clean;
            print_json(&json!({
                "dir": dir.path.display().to_string(), "properties": properties, "clean": clean, "bytes": bytes,
                "partitions": report.json(),
            }))
        }
        Output::Table => {
            for (key, value) in dir.properties.iter().filter(|(key, _)| key != "version") {
                line(&format!("{key}={value}"))?;
            }
            line(&format!("{stopped}  partitions {}  bytes {bytes}\n", dir.partitions.len()))?;
            report.print(output)
        }
    }
}

fn offsets(dir: &Path, file: &str) -> Result<Offsets, Failure> {
    checkpoint::read_offsets(&RealDisk, &dir.join(file)).map_err(|e| Failure::Failed(e.to_string()))
}

fn run_check(args: &Check, output: Output) -> Result<(), Failure> {
    let dir = files::data_dir(&args.dir)?;
    let recovery_points = offsets(&dir.path, checkpoint::RECOVERY_POINT)?;
    let mut report = Report::new(&["topic", "partition", "batches", "records", "end_offset", "finding"]);
    let progress = Progress::until_done("bytes checked");
    let name = |p: &PartitionDir| format!("{}-{}", p.topic, p.partition);
    let mut unknown: BTreeMap<&str, ()> = args.partitions.iter().map(|p| (p.as_str(), ())).collect();
    for p in &dir.partitions {
        if !args.partitions.is_empty() && unknown.remove(name(p).as_str()).is_none() {
            continue;
        }
        let recovery_point = recovery_points.get(&(p.topic.clone(), p.partition)).copied().unwrap_or(0);
        check_partition(&dir, p, recovery_point, &progress, &mut report)?;
    }
    for name in unknown.keys() {
        report.failed_because(vec![json!(name)], "there is no such partition here");
    }
    drop(progress);
    report.print(output)
}

fn check_partition(
    dir: &DataDir,
    partition: &PartitionDir,
    recovery_point: i64,
    progress: &Progress,
    report: &mut Report,
) -> Result<(), Failure> {
    let (mut batches, mut count) = (0u64, 0u64);
    let mut end = partition.segments.first().map_or(0, |segment| segment.base_offset);
    let mut finding = Value::from("good");
    let name = vec![json!(partition.topic), json!(partition.partition)];
    for (index, segment) in partition.segments.iter().enumerate() {
        if segment.base_offset < end {
            let reason = format!("{} begins below offset {end}, where the one before ends", segment.path.display());
            report.failed_because(name, &reason);
            return Ok(());
        }
        for batch in Batches::open(segment)? {
            let problem = match batch {
                Ok(batch) => {
                    let body = &batch.bytes[HEADER_LEN..];
                    progress.add(batch.bytes.len() as u64);
                    match records::walk(&batch.header, body, MAX_BATCH, |_| ControlFlow::Continue(())) {
                        Ok(()) => {
                            batches += 1;
                            count += u64::try_from(batch.header.records_count).unwrap_or(0);
                            end = batch.header.next_offset();
                            continue;
                        }
                        Err(e) => (batch.position, e.to_string()),
                    }
                }
                Err(fault) => (fault.position, fault.what),
            };
            let place = format!("{} at byte {}: {}", segment.path.display(), problem.0, problem.1);
            // Bytes past the recovery point were not promised to anybody until the next start has looked at them.
            let is_tail = index + 1 == partition.segments.len() && end >= recovery_point && !dir.clean;
            if !is_tail {
                report.failed_because(name, &place);
                return Ok(());
            }
            finding = json!(format!("ends within a write, which the next start looks at: {place}"));
        }
    }
    report.row([name, vec![json!(batches), json!(count), json!(end), finding]].concat());
    Ok(())
}
