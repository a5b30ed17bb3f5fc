//! `chronik meta`: looks into the metadata log of a data directory, without a broker and without writing.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use chronik_env::fs::{Disk, read_file};
use chronik_env::real::RealDisk;
use chronik_metadata::{Image, Record, snapshot};
use chronik_protocol::batch::HEADER_LEN;
use chronik_protocol::records;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

use crate::failure::Failure;
use crate::report::{Output, Report, line, print_json};
use crate::storage::MAX_BATCH;
use crate::storage::files::{self, Batch, Batches};

/// The metadata log within a data directory.
const DIRECTORY: &str = "__meta-0";
/// The largest snapshot that is loaded, in bytes.
const MAX_SNAPSHOT: u64 = 16 << 30;

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
    /// Print the records of the metadata log
    Dump(Dump),
    /// Load the newest snapshot, apply the log after it, and say what comes out; fails when anything does not fit
    Verify(Verify),
}

#[derive(Debug, ClapArgs)]
struct Dump {
    #[arg(default_value = "chronik-data", value_name = "DIR")]
    dir: PathBuf,
    /// Begin with this offset
    #[arg(long, default_value_t = 0)]
    from: i64,
    /// Only records of this type, such as TopicRecord; all types are named where it is unknown
    #[arg(long = "type", value_name = "TYPE", value_parser = record_type)]
    kind: Option<String>,
}

#[derive(Debug, ClapArgs)]
struct Verify {
    #[arg(default_value = "chronik-data", value_name = "DIR")]
    dir: PathBuf,
}

fn record_type(text: &str) -> Result<String, String> {
    let names: Vec<&str> = Record::TYPES.iter().map(|(name, _)| *name).collect();
    match names.iter().find(|name| name.eq_ignore_ascii_case(text)) {
        Some(name) => Ok((*name).to_owned()),
        None => Err(format!("no such type; there are {}", names.join(", "))),
    }
}

pub fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Dump(dump) => run_dump(&dump, args.output),
        Command::Verify(verify) => run_verify(&verify, args.output),
    }
}

/// The metadata log's directory, given that or the data directory.
fn log_dir(dir: &Path) -> PathBuf {
    if dir.file_name().is_some_and(|name| name == DIRECTORY) { dir.to_owned() } else { dir.join(DIRECTORY) }
}

/// The records of one batch with their offsets.
fn decode(batch: &Batch) -> Result<Vec<(i64, Record)>, String> {
    let found = records::iterate(&batch.header, &batch.bytes.slice(HEADER_LEN..), MAX_BATCH);
    let mut decoded = Vec::new();
    for record in found.map_err(|e| e.to_string())? {
        let record = record.map_err(|e| e.to_string())?;
        let value = record.value.ok_or_else(|| format!("the record at offset {} has no value", record.offset))?;
        let known = Record::decode(&value).map_err(|e| format!("the record at offset {}: {e}", record.offset))?;
        decoded.push((record.offset, known));
    }
    Ok(decoded)
}

/// Hands over every batch of the log in order.
fn each_batch(
    dir: &Path,
    mut visit: impl FnMut(&Batch, Vec<(i64, Record)>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for segment in files::segments(dir)? {
        let at = |position: u64, what: String| {
            Failure::Failed(format!("{} at byte {position}: {what}", segment.path.display()))
        };
        for batch in Batches::open(&segment)? {
            let batch = batch.map_err(|fault| at(fault.position, fault.what))?;
            let records = decode(&batch).map_err(|e| at(batch.position, e))?;
            visit(&batch, records)?;
        }
    }
    Ok(())
}

fn run_dump(args: &Dump, output: Output) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let result = each_batch(&log_dir(&args.dir), |batch, records| {
        for (offset, record) in records {
            let wanted = args.kind.as_ref().is_none_or(|kind| kind == record.name());
            if offset < args.from || !wanted {
                continue;
            }
            let epoch = batch.header.partition_leader_epoch;
            let text = format!("{record:?}");
            match output {
                Output::Table => writeln!(out, "{offset:>8}  epoch {epoch}  {text}")?,
                Output::Json => writeln!(
                    out,
                    "{}",
                    json!({ "offset": offset, "epoch": epoch, "type": record.name(), "record": text })
                )?,
            }
        }
        Ok(())
    });
    out.flush()?;
    result
}

fn run_verify(args: &Verify, output: Output) -> Result<(), Failure> {
    let dir = log_dir(&args.dir);
    let (mut image, snapshot) = newest_snapshot(&dir)?;
    let snapshot_end = image.offset() + 1;
    let (mut batches, mut applied) = (0u64, 0u64);
    let mut next = None;
    each_batch(&dir, |batch, records| {
        let header = &batch.header;
        if next.is_some_and(|next| header.base_offset != next) {
            return Err(Failure::Failed(format!("a gap before offset {}", header.base_offset)));
        }
        if next.is_none() && header.base_offset > snapshot_end {
            let found = header.base_offset;
            return Err(Failure::Failed(format!(
                "the log begins with offset {found}, the snapshot ends at {snapshot_end}"
            )));
        }
        next = Some(header.next_offset());
        batches += 1;
        for (offset, record) in records.iter().filter(|(offset, _)| *offset >= snapshot_end) {
            if header.partition_leader_epoch < image.epoch() {
                let (found, known) = (header.partition_leader_epoch, image.epoch());
                return Err(Failure::Failed(format!("epoch {found} after {known} at offset {offset}")));
            }
            image.apply(*offset, header.partition_leader_epoch, record);
            applied += 1;
        }
        Ok(())
    })?;
    if batches == 0 && snapshot.is_none() {
        return Err(Failure::Failed(format!("{} holds neither a snapshot nor a log", dir.display())));
    }
    let document = json!({
        "snapshot": snapshot, "batches": batches, "records_applied": applied, "last_offset": image.offset(),
        "epoch": image.epoch(), "feature_level": image.feature_level(), "cluster_id": image.cluster_id(),
        "brokers": image.brokers().count(), "topics": image.topic_count(), "partitions": image.partition_count(),
        "hash": format!("{:032x}", image.hash()),
    });
    if output == Output::Json {
        return print_json(&document);
    }
    let mut report = Report::new(&["what", "value"]);
    for (key, value) in document.as_object().into_iter().flatten() {
        report.row(vec![json!(key), json!(crate::report::shown(value))]);
    }
    report.print(output)?;
    line("good")
}

/// The image of the newest snapshot and its file; an empty image where there is none.
fn newest_snapshot(dir: &Path) -> Result<(Image, Option<String>), Failure> {
    let names = RealDisk.names(dir).map_err(|e| Failure::Failed(format!("cannot read {}: {e}", dir.display())))?;
    // Names sort by age.
    let Some(name) = names.into_iter().filter(|name| name.ends_with(".checkpoint")).max() else {
        return Ok((Image::default(), None));
    };
    let path = dir.join(&name);
    let wrong = |e: String| Failure::Failed(format!("{}: {e}", path.display()));
    let bytes = read_file(&RealDisk, &path, MAX_SNAPSHOT).map_err(|e| wrong(e.to_string()))?.unwrap_or_default();
    let image = snapshot::decode(&bytes).map_err(|e| wrong(e.to_string()))?;
    Ok((image, Some(name)))
}
