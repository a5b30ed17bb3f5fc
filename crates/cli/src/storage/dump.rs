//! `storage dump`.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use chronik_env::fs::Disk;
use chronik_env::real::RealDisk;
use chronik_protocol::batch::HEADER_LEN;
use chronik_protocol::records;
use clap::Args as ClapArgs;
use serde_json::{Map, Value, json};

use super::MAX_BATCH;
use super::files::{self, Batch, Batches};
use crate::failure::Failure;
use crate::format;
use crate::moment;
use crate::report::Output;

#[derive(Debug, ClapArgs)]
pub struct Dump {
    /// A partition's directory, or one .log file
    path: PathBuf,
    /// Print records, not batches
    #[arg(long)]
    deep: bool,
    /// Begin with the batch that holds this offset
    #[arg(long, default_value_t = 0)]
    from: i64,
    /// End after so many batches
    #[arg(short = 'c', long)]
    count: Option<u64>,
}

impl Dump {
    /// A line for each batch, or with `--deep` for each record; with JSON an object a line.
    ///
    /// # Errors
    /// Something is damaged: all before it is printed.
    pub fn run(&self, output: Output) -> Result<(), Failure> {
        let is_file = self.path.extension().is_some_and(|extension| extension == "log");
        let segments = match is_file {
            true => vec![files::segment(&self.path)?],
            false => files::segments(&self.path)?,
        };
        if segments.is_empty() && RealDisk.exists(&self.path)? {
            return Err(Failure::Failed(format!("{} holds no segments", self.path.display())));
        }
        let mut out = BufWriter::new(io::stdout().lock());
        let mut left = self.count.unwrap_or(u64::MAX);
        // All before the last segment that begins at or below `from` lies before it.
        let first = segments.iter().rposition(|segment| segment.base_offset <= self.from).unwrap_or(0);
        for segment in &segments[first..] {
            for batch in Batches::open(segment)? {
                let batch = match batch {
                    Ok(batch) => batch,
                    Err(fault) => {
                        out.flush()?;
                        let place = format!("{} at byte {}", segment.path.display(), fault.position);
                        return Err(Failure::Failed(format!("{place}: {}", fault.what)));
                    }
                };
                if batch.header.last_offset() < self.from {
                    continue;
                }
                if left == 0 {
                    return Ok(out.flush()?);
                }
                left -= 1;
                match self.deep {
                    false => print_batch(&mut out, &batch, output)?,
                    true => print_records(&mut out, &batch, output)?,
                }
            }
        }
        Ok(out.flush()?)
    }
}

fn print_batch(out: &mut impl Write, batch: &Batch, output: Output) -> Result<(), Failure> {
    let h = &batch.header;
    let codec = h.compression().map_or("unknown".to_owned(), |codec| format!("{codec:?}").to_lowercase());
    match output {
        Output::Json => writeln!(
            out,
            "{}",
            json!({
                "position": batch.position, "bytes": batch.bytes.len(), "base_offset": h.base_offset,
                "last_offset": h.last_offset(), "records": h.records_count, "codec": codec,
                "leader_epoch": h.partition_leader_epoch, "producer_id": h.producer_id,
                "producer_epoch": h.producer_epoch, "base_sequence": h.base_sequence,
                "max_timestamp": h.max_timestamp, "transactional": h.is_transactional(), "control": h.is_control(),
            })
        )?,
        Output::Table => writeln!(
            out,
            "{:>12}  offsets {}..{}  records {}  bytes {}  {}  epoch {}  producer {}/{}  sequence {}  {}{}{}",
            batch.position,
            h.base_offset,
            h.last_offset(),
            h.records_count,
            batch.bytes.len(),
            codec,
            h.partition_leader_epoch,
            h.producer_id,
            h.producer_epoch,
            h.base_sequence,
            moment::shown(h.max_timestamp),
            if h.is_transactional() { "  transactional" } else { "" },
            if h.is_control() { "  control" } else { "" },
        )?,
    }
    Ok(())
}

fn print_records(out: &mut impl Write, batch: &Batch, output: Output) -> Result<(), Failure> {
    let damaged =
        |e: records::RecordsError| Failure::Failed(format!("the batch at offset {}: {e}", batch.header.base_offset));
    let found = records::iterate(&batch.header, &batch.bytes.slice(HEADER_LEN..), MAX_BATCH).map_err(damaged)?;
    for record in found {
        let record = record.map_err(damaged)?;
        let shown = |field: &Option<bytes::Bytes>| {
            field.as_ref().map_or("-".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        match output {
            Output::Json => {
                let mut object = Map::new();
                object.insert("offset".into(), json!(record.offset));
                format::fields(&record, &mut object);
                let object = Value::Object(object);
                writeln!(out, "{object}")?;
            }
            Output::Table => {
                let time = moment::shown(record.timestamp);
                writeln!(out, "{:>12}  {time}  {}  {}", record.offset, shown(&record.key), shown(&record.value))?;
            }
        }
    }
    Ok(())
}
