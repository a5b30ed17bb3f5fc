//! `topic offsets` and `topic trim`.

use std::collections::BTreeMap;

use chronik_client::{ApiError, Client, Isolation, OffsetSpec};
use chronik_protocol::error::ErrorCode;
use clap::Args as ClapArgs;
use serde_json::json;

use super::partitions_of;
use crate::failure::Failure;
use crate::moment;
use crate::report::{Output, Report};

#[derive(Debug, ClapArgs)]
pub struct Offsets {
    /// Which topics or partitions [default: all topics]
    #[arg(value_name = "TOPIC[:PARTITION]")]
    partitions: Vec<String>,
    /// Show the offset at: earliest, latest, max-timestamp, or the first at or after a time
    #[arg(long, value_name = "WHEN", value_parser = offset_spec)]
    at: Option<OffsetSpec>,
}

#[derive(Debug, ClapArgs)]
#[command(group(clap::ArgGroup::new("where").required(true)))]
pub struct Trim {
    #[arg(required = true, value_name = "TOPIC[:PARTITION]")]
    partitions: Vec<String>,
    /// Delete the records below this offset
    #[arg(long, group = "where", value_name = "OFFSET")]
    to: Option<i64>,
    /// Delete the records before the first at or after a time
    #[arg(long, group = "where", value_name = "TIME", value_parser = moment::parse)]
    before: Option<i64>,
    /// Delete all records
    #[arg(long, group = "where")]
    all: bool,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
}

fn offset_spec(text: &str) -> Result<OffsetSpec, String> {
    Ok(match text {
        "earliest" => OffsetSpec::Earliest,
        "latest" => OffsetSpec::Latest,
        "max-timestamp" => OffsetSpec::MaxTimestamp,
        time => OffsetSpec::At(moment::parse(time)?),
    })
}

type Offset = Result<i64, ApiError>;

/// The offsets of partitions for one question.
pub async fn ask(
    client: &mut Client,
    partitions: &[(String, i32)],
    spec: OffsetSpec,
) -> Result<BTreeMap<(String, i32), Offset>, Failure> {
    let asked: Vec<_> = partitions.iter().map(|(topic, p)| (topic.clone(), *p, spec)).collect();
    let answers = client.list_offsets(&asked, Isolation::ReadUncommitted).await?;
    Ok(answers.into_iter().map(|(topic, p, offset)| ((topic, p), offset)).collect())
}

impl Offsets {
    pub async fn run(&self, client: &mut Client, output: Output) -> Result<(), Failure> {
        let (partitions, missing) = partitions_of(client, &self.partitions).await?;
        let mut report = match self.at {
            None => Report::new(&["topic", "partition", "start_offset", "end_offset", "records"]),
            Some(_) => Report::new(&["topic", "partition", "offset"]),
        };
        for (topic, e) in &missing {
            report.failed(vec![json!(topic)], e);
        }
        let first = ask(client, &partitions, self.at.unwrap_or(OffsetSpec::Earliest)).await?;
        let ends = match self.at {
            None => ask(client, &partitions, OffsetSpec::Latest).await?,
            Some(_) => BTreeMap::new(),
        };
        for ((topic, partition), offset) in &first {
            let name = vec![json!(topic), json!(partition)];
            match (offset, ends.get(&(topic.clone(), *partition))) {
                (Err(e), _) | (_, Some(Err(e))) => report.failed(name, e),
                (Ok(start), Some(Ok(end))) => {
                    report.row([name, vec![json!(start), json!(end), json!(end - start)]].concat());
                }
                // -1: no record is that young.
                (Ok(offset), None) => {
                    report.row([name, vec![if *offset < 0 { json!(null) } else { json!(offset) }]].concat());
                }
            }
        }
        report.print(output)
    }
}

impl Trim {
    pub async fn run(&self, client: &mut Client, output: Output) -> Result<(), Failure> {
        let (partitions, missing) = partitions_of(client, &self.partitions).await?;
        let mut report = Report::new(&["topic", "partition", "start_offset", "result"]);
        for (topic, e) in &missing {
            report.failed(vec![json!(topic)], e);
        }
        let mut wanted = Vec::new();
        let ends = ask(client, &partitions, OffsetSpec::Latest).await?;
        let at = match self.before {
            Some(timestamp_ms) => ask(client, &partitions, OffsetSpec::At(timestamp_ms)).await?,
            None => BTreeMap::new(),
        };
        for ((topic, partition), end) in ends {
            let target = match (self.to, at.get(&(topic.clone(), partition))) {
                (Some(offset), _) => Ok(offset),
                // Nothing is that young: all records are older.
                (None, Some(Ok(offset))) if *offset >= 0 => Ok(*offset),
                (None, Some(Err(e))) => Err(e.clone()),
                (None, _) => end.clone(),
            };
            let within = |target: i64, end: i64| {
                let beyond = || ApiError {
                    code: ErrorCode::OffsetOutOfRange.code(),
                    message: Some(format!("{target} lies beyond the end, {end}")),
                };
                (target <= end).then_some(target).ok_or_else(beyond)
            };
            match target.and_then(|target| end.and_then(|end| within(target, end))) {
                Ok(offset) => wanted.push((topic, partition, offset)),
                Err(e) => report.failed(vec![json!(topic), json!(partition)], &e),
            }
        }
        if self.dry_run {
            for (topic, partition, offset) in wanted {
                report.row(vec![json!(topic), json!(partition), json!(offset), json!("would be trimmed")]);
            }
            return report.print(output);
        }
        for (topic, partition, result) in client.delete_records(&wanted).await? {
            match result {
                Ok(start) => report.row(vec![json!(topic), json!(partition), json!(start), json!("trimmed")]),
                Err(e) => report.failed(vec![json!(topic), json!(partition)], &e),
            }
        }
        report.print(output)
    }
}
