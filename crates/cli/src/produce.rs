//! `chronik produce`: lines of standard input become records.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use chronik_client::{Acks, Client, ClientError, Produced, Producer, ProducerOptions, Resource, ResourceType};
use chronik_env::clock::Clock;
use chronik_env::real::RealClock;
use chronik_protocol::batch::Compression;
use clap::Args as ClapArgs;
use serde_json::json;
use std::collections::BTreeMap;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::common::{Common, key_value};
use crate::failure::Failure;
use crate::format::delimiter;
use crate::moment;
use crate::progress::Progress;
use crate::report::{Output, Report};

/// What is waiting is sent when no line comes for this long.
const LINGER: Duration = Duration::from_millis(5);
/// And when there are so many bytes of it.
const BATCH_BYTES: usize = 512 * 1024;
/// What a batch takes beside its records: its header, and the lengths and times of each.
const BATCH_OVERHEAD: usize = 128;
/// The longest line, in bytes.
const MAX_LINE: usize = 256 << 20;

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    topic: String,
    /// What stands between key and value of a line; \t and \xHH may be written
    #[arg(short = 'K', long, value_name = "DELIMITER", value_parser = parse_delimiter)]
    key_delimiter: Option<Delimiter>,
    /// The key of all records
    #[arg(short, long, conflicts_with = "key_delimiter")]
    key: Option<String>,
    /// A header of all records
    #[arg(short = 'H', long = "header", value_name = "KEY=VALUE", value_parser = key_value)]
    headers: Vec<(String, String)>,
    /// How batches are compressed
    #[arg(short = 'z', long, value_enum, default_value_t = Codec::None)]
    codec: Codec,
    /// Whose acknowledgement is waited for: all in sync, the leader's (1), nobody's (0)
    #[arg(long, value_parser = parse_acks, default_value = "all")]
    acks: AcksArg,
    /// Where the records go [default: where the key belongs, else anywhere]
    #[arg(short, long)]
    partition: Option<i32>,
    /// An empty value is null: a tombstone
    #[arg(short = 'Z', long)]
    null: bool,
    /// The time of all records [default: now]
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    timestamp: Option<i64>,
}

/// Bytes between key and value; a type of its own, since clap would take a `Vec` for several values.
#[derive(Clone, Debug)]
pub struct Delimiter(pub Vec<u8>);

fn parse_delimiter(text: &str) -> Result<Delimiter, String> {
    delimiter(text).map(Delimiter)
}

/// [`Acks`] as clap reads it.
pub type AcksArg = Acks;

pub fn parse_acks(text: &str) -> Result<Acks, String> {
    Ok(match text {
        "all" | "-1" => Acks::All,
        "1" => Acks::Leader,
        "0" => Acks::None,
        other => return Err(format!("{other:?} is none of all, -1, 1, 0")),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::None => Compression::None,
            Codec::Gzip => Compression::Gzip,
            Codec::Snappy => Compression::Snappy,
            Codec::Lz4 => Compression::Lz4,
            Codec::Zstd => Compression::Zstd,
        }
    }
}

/// How a line becomes a record.
#[derive(Debug, Default)]
pub struct LineShape {
    pub key_delimiter: Option<Vec<u8>>,
    pub key: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    /// What stands between the headers, the key and the value where each line has headers of its own.
    pub header_delimiters: Option<HeaderDelimiters>,
    pub partition: Option<i32>,
    /// An empty value is null.
    pub empty_is_null: bool,
    /// This text is null, as key, value or header.
    pub null_marker: Option<Vec<u8>>,
    /// Lines without a delimiter are values without a key, not errors.
    pub key_optional: bool,
    pub timestamp_ms: Option<i64>,
}

/// `h1:v1,h2:v2<TAB>key<TAB>value`, with Kafka's defaults.
#[derive(Clone, Debug)]
pub struct HeaderDelimiters {
    pub after: Vec<u8>,
    pub between: Vec<u8>,
    pub key: Vec<u8>,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let mut client = args.common.client()?;
    let acks: Acks = args.acks;
    let options =
        ProducerOptions { acks, codec: args.codec.into(), idempotent: acks == Acks::All, ..ProducerOptions::default() };
    let shape = LineShape {
        key_delimiter: args.key_delimiter.map(|d| d.0),
        key: args.key.map(String::into_bytes),
        headers: args.headers.into_iter().map(|(key, value)| (key, value.into_bytes())).collect(),
        partition: args.partition,
        empty_is_null: args.null,
        key_optional: true,
        timestamp_ms: args.timestamp,
        ..LineShape::default()
    };
    let mut lines = Lines::new(&mut client, &args.topic, options, shape).await?;
    let result = lines.send_all(tokio::io::stdin()).await;
    if args.common.output == Output::Table {
        return result;
    }
    let mut report = lines.report(&args.topic);
    if let Err(failure) = result {
        eprintln!("chronik: {failure}");
        report.failed_because(vec![json!(args.topic)], &failure.to_string());
    }
    report.print(Output::Json)
}

/// Sends lines as records.
pub struct Lines<'a> {
    client: &'a mut Client,
    producer: Producer,
    shape: LineShape,
    clock: RealClock,
    progress: Progress,
    /// By partition: records and the first one's offset.
    sent: BTreeMap<i32, (usize, i64)>,
    line_number: usize,
    /// Bytes of one batch.
    batch_bytes: usize,
}

impl<'a> Lines<'a> {
    pub async fn new(
        client: &'a mut Client,
        topic: &str,
        options: ProducerOptions,
        shape: LineShape,
    ) -> Result<Self, Failure> {
        let producer = Producer::open(client, topic, options).await?;
        if let Some(partition) = shape.partition.filter(|p| producer.topic().partition(*p).is_none()) {
            let count = producer.topic().partitions.len();
            return Err(Failure::Failed(format!("topic {topic} has no partition {partition}, only {count}")));
        }
        let progress = Progress::new("records sent");
        let (sent, clock) = (BTreeMap::new(), RealClock::default());
        let batch_bytes = batch_bytes(client, topic).await;
        Ok(Lines { client, producer, shape, clock, progress, sent, line_number: 0, batch_bytes })
    }

    /// Until the end of the input. A last line needs no line feed.
    ///
    /// # Errors
    /// The first that occurs; what was acknowledged before stays.
    pub async fn send_all(&mut self, mut input: impl AsyncRead + Unpin) -> Result<(), Failure> {
        let mut buffer = BytesMut::new();
        loop {
            if buffer.len() > MAX_LINE {
                return Err(Failure::Failed(format!("line {} is longer than {MAX_LINE} bytes", self.line_number + 1)));
            }
            buffer.reserve(64 * 1024);
            let read = input.read_buf(&mut buffer);
            let read = match self.producer.pending_bytes() {
                0 => read.await?,
                _ => match tokio::time::timeout(LINGER, read).await {
                    Ok(read) => read?,
                    Err(_) => {
                        self.flush().await?;
                        continue;
                    }
                },
            };
            if read == 0 {
                break;
            }
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line = buffer.split_to(end);
                buffer.advance(1);
                self.push(&line).await?;
            }
        }
        if !buffer.is_empty() {
            self.push(&buffer.split()).await?;
        }
        self.flush().await
    }

    async fn push(&mut self, line: &[u8]) -> Result<(), Failure> {
        let pending = self.producer.pending_bytes();
        if pending > 0 && pending + line.len() + BATCH_OVERHEAD > self.batch_bytes {
            self.flush().await?;
        }
        self.line_number += 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let place = || format!("on line number {}: '{}'", self.line_number, String::from_utf8_lossy(line));
        let parsed = self.shape.parse(line).map_err(|e| Failure::Failed(format!("{e} {}", place())))?;
        let timestamp_ms = self.shape.timestamp_ms.unwrap_or_else(|| self.clock.wall_ms());
        let fixed = self.shape.headers.iter().map(|(key, value)| (key.as_str(), Some(value.as_slice())));
        let headers: Vec<_> = fixed.chain(parsed.headers.iter().map(|(key, value)| (key.as_str(), *value))).collect();
        self.producer.push(self.shape.partition, timestamp_ms, parsed.key, parsed.value, &headers);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        let mut failed = None;
        for Produced { partition, records, result } in self.producer.flush(self.client).await {
            match result {
                Ok(offset) => {
                    self.sent.entry(partition).or_insert((0, offset)).0 += records;
                    self.progress.add(records as u64);
                }
                Err(e) => failed = failed.or(Some((partition, records, e))),
            }
        }
        match failed {
            None => Ok(()),
            Some((partition, records, e)) => Err(Failure::Failed(not_stored(partition, records, &e))),
        }
    }

    /// What was stored.
    pub fn report(&self, topic: &str) -> Report {
        let mut report = Report::new(&["topic", "partition", "records", "first_offset"]);
        for (partition, (records, offset)) in &self.sent {
            report.row(vec![json!(topic), json!(partition), json!(records), json!(offset)]);
        }
        report
    }
}

/// As much as the topic takes at once, where it tells.
async fn batch_bytes(client: &mut Client, topic: &str) -> usize {
    const KEY: &str = "max.message.bytes";
    let resource = Resource { kind: ResourceType::Topic, name: topic.to_owned() };
    let told = client.describe_configs(&resource, Some(&[KEY.to_owned()])).await;
    let value = told.ok().and_then(|entries| entries.into_iter().find(|entry| entry.name == KEY)?.value?.parse().ok());
    value.unwrap_or(BATCH_BYTES).min(BATCH_BYTES)
}

fn not_stored(partition: i32, records: usize, error: &ClientError) -> String {
    format!("{records} records for partition {partition} were not acknowledged: {error}")
}

/// A line taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed<'l> {
    pub key: Option<&'l [u8]>,
    pub value: Option<&'l [u8]>,
    pub headers: Vec<(String, Option<&'l [u8]>)>,
}

impl LineShape {
    pub fn parse<'l>(&'l self, line: &'l [u8]) -> Result<Parsed<'l>, String> {
        let (headers, rest) = match &self.header_delimiters {
            Some(delimiters) => self.headers_of(delimiters, line)?,
            None => (Vec::new(), line),
        };
        let (key, value) = match &self.key_delimiter {
            None => (self.key.as_deref(), rest),
            Some(delimiter) => match split_once(rest, delimiter) {
                Some((key, value)) => (Some(key), value),
                None if self.key_optional => (None, rest),
                None => return Err("No key separator found".into()),
            },
        };
        let value = self.unless_null(value).filter(|value| !(self.empty_is_null && value.is_empty()));
        Ok(Parsed { key: key.and_then(|key| self.unless_null(key)), value, headers })
    }

    fn unless_null<'l>(&self, field: &'l [u8]) -> Option<&'l [u8]> {
        (self.null_marker.as_deref() != Some(field)).then_some(field)
    }

    #[allow(clippy::type_complexity)]
    fn headers_of<'l>(
        &self,
        delimiters: &HeaderDelimiters,
        line: &'l [u8],
    ) -> Result<(Vec<(String, Option<&'l [u8]>)>, &'l [u8]), String> {
        let (text, rest) = match split_once(line, &delimiters.after) {
            Some(split) => split,
            None if self.key_optional => return Ok((Vec::new(), line)),
            None => return Err("No headers delimiter found".into()),
        };
        let mut headers = Vec::new();
        let mut left = Some(text).filter(|text| !text.is_empty());
        while let Some(text) = left {
            let (one, after) = match split_once(text, &delimiters.between) {
                Some((one, after)) => (one, Some(after)),
                None => (text, None),
            };
            let (key, value) = split_once(one, &delimiters.key).ok_or("No header key separator found")?;
            let key = std::str::from_utf8(key).map_err(|_| "A header's key that is not UTF-8 found")?;
            headers.push((key.to_owned(), self.unless_null(value)));
            left = after;
        }
        Ok((headers, rest))
    }
}

fn split_once<'l>(text: &'l [u8], delimiter: &[u8]) -> Option<(&'l [u8], &'l [u8])> {
    let at = text.windows(delimiter.len().max(1)).position(|window| window == delimiter)?;
    Some((&text[..at], &text[at + delimiter.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_keys_and_values() {
        let shape = LineShape { key_delimiter: Some(b": ".to_vec()), key_optional: true, ..LineShape::default() };
        let parsed = shape.parse(b"key: value: more").expect("a line");
        assert_eq!((parsed.key, parsed.value), (Some(&b"key"[..]), Some(&b"value: more"[..])));
        assert_eq!(shape.parse(b"no delimiter").expect("a line").key, None);
        let strict = LineShape { key_optional: false, ..shape };
        assert!(strict.parse(b"no delimiter").is_err());
        let tombstones = LineShape { key_delimiter: Some(b"\t".to_vec()), empty_is_null: true, ..LineShape::default() };
        assert_eq!(tombstones.parse(b"key\t").expect("a line").value, None);
    }

    #[test]
    fn headers_and_null_as_kafkas_console_producer_reads_them() {
        let delimiters = HeaderDelimiters { after: b"\t".into(), between: b",".into(), key: b":".into() };
        let shape = LineShape {
            key_delimiter: Some(b"\t".to_vec()),
            header_delimiters: Some(delimiters),
            null_marker: Some(b"NULL".to_vec()),
            ..LineShape::default()
        };
        let parsed = shape.parse(b"h1:v1,h2:NULL\tkey\tNULL").expect("a line");
        assert_eq!(parsed.headers, [("h1".to_owned(), Some(&b"v1"[..])), ("h2".to_owned(), None)]);
        assert_eq!((parsed.key, parsed.value), (Some(&b"key"[..]), None));
        assert!(shape.parse(b"h1\tkey\tvalue").is_err());
    }
}
