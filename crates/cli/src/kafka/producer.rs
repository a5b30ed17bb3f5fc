//! `kafka-console-producer`.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use chronik_client::{Acks, ProducerOptions};
use chronik_protocol::batch::Compression;
use clap::Args as ClapArgs;

use super::{Connection, is_true, property};
use crate::failure::Failure;
use crate::produce::{HeaderDelimiters, LineShape, Lines, parse_acks};

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    #[arg(long)]
    topic: String,
    /// none, gzip, snappy, lz4 or zstd; gzip where nothing follows
    #[arg(long, num_args = 0..=1, default_missing_value = "gzip", value_parser = codec)]
    compression_codec: Option<Compression>,
    /// all, -1, 1 or 0
    #[arg(long, value_parser = parse_acks, default_value = "-1", allow_negative_numbers = true)]
    request_required_acks: Acks,
    /// Of the reader: parse.key, key.separator, parse.headers, headers.delimiter, headers.separator,
    /// headers.key.separator, null.marker
    #[arg(long = "reader-property", alias = "property", value_name = "KEY=VALUE", value_parser = property)]
    reader_properties: Vec<(String, String)>,
    /// Of the producer: acks, compression.type, enable.idempotence, delivery.timeout.ms
    #[arg(long = "command-property", alias = "producer-property", value_name = "KEY=VALUE", value_parser = property)]
    producer_properties: Vec<(String, String)>,
    /// Milliseconds
    #[arg(long)]
    request_timeout_ms: Option<u32>,
    /// Every record is acknowledged before the program ends, with this or without
    #[arg(long)]
    sync: bool,
    /// Batches follow the input
    #[arg(long)]
    batch_size: Option<u32>,
    #[arg(long)]
    max_partition_memory_bytes: Option<u64>,
    #[arg(long)]
    max_memory_bytes: Option<u64>,
    /// What is waiting is sent after a few milliseconds
    #[arg(long)]
    timeout: Option<u64>,
    /// A batch is tried again until its time is up
    #[arg(long)]
    message_send_max_retries: Option<u32>,
    #[arg(long)]
    retry_backoff_ms: Option<u64>,
    #[arg(long)]
    metadata_expiry_ms: Option<u64>,
    #[arg(long)]
    max_block_ms: Option<u64>,
    #[arg(long)]
    socket_buffer_size: Option<u64>,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let mut options = ProducerOptions {
        acks: args.request_required_acks,
        codec: args.compression_codec.unwrap_or(Compression::None),
        ..ProducerOptions::default()
    };
    if let Some(ms) = args.request_timeout_ms {
        options.delivery_timeout = Duration::from_millis(ms.into());
    }
    let as_failure = Failure::Failed;
    for (key, value) in &args.producer_properties {
        apply(&mut options, key, value).map_err(as_failure)?;
    }
    options.idempotent &= options.acks == Acks::All;
    let shape = shape(&args.reader_properties).map_err(as_failure)?;
    let mut client = args.connection.client()?;
    if std::io::stdin().is_terminal() {
        eprintln!("Lines are sent as they are entered; end with Ctrl-D.");
    }
    Lines::new(&mut client, &args.topic, options, shape).await?.send_all(tokio::io::stdin()).await
}

fn codec(text: &str) -> Result<Compression, String> {
    Ok(match text {
        "none" => Compression::None,
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        other => return Err(format!("Unknown compression name: {other}")),
    })
}

fn apply(options: &mut ProducerOptions, key: &str, value: &str) -> Result<(), String> {
    match key {
        "acks" => options.acks = parse_acks(value)?,
        "compression.type" => options.codec = codec(value)?,
        "enable.idempotence" => options.idempotent = is_true(value),
        "delivery.timeout.ms" => {
            let ms: u32 = value.parse().map_err(|_| format!("{key}={value} is no number of milliseconds"))?;
            options.delivery_timeout = Duration::from_millis(ms.into());
        }
        // Batches follow the input: none is held back for these.
        "linger.ms" | "batch.size" | "buffer.memory" | "retries" | "max.in.flight.requests.per.connection" => {}
        _ => return Err(format!("The producer property {key} is not honoured here")),
    }
    Ok(())
}

/// How lines are read, as Kafka's `LineMessageReader`.
fn shape(properties: &[(String, String)]) -> Result<LineShape, String> {
    let mut set: BTreeMap<&str, &str> = properties.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let mut take = |key: &str, default: &'static str| set.remove(key).map_or(default.to_owned(), str::to_owned);
    let parse_key = is_true(&take("parse.key", "false"));
    let parse_headers = is_true(&take("parse.headers", "false"));
    let key_separator = take("key.separator", "\t");
    let after = take("headers.delimiter", "\t");
    let between = take("headers.separator", ",");
    let header_key = take("headers.key.separator", ":");
    let null_marker = take("null.marker", "");
    let ignore_error = is_true(&take("ignore.error", "false"));
    if let Some(key) = set.keys().next() {
        return Err(format!("The reader property {key} is not honoured here"));
    }
    if parse_headers && after == between {
        return Err("headers.delimiter and headers.separator may not be equal".into());
    }
    if [&key_separator, &after, &between, &header_key].iter().any(|separator| separator.is_empty()) {
        return Err("a separator may not be empty".into());
    }
    let delimiters = HeaderDelimiters { after: after.into(), between: between.into(), key: header_key.into() };
    Ok(LineShape {
        key_delimiter: parse_key.then(|| key_separator.into_bytes()),
        header_delimiters: parse_headers.then_some(delimiters),
        null_marker: Some(null_marker.into_bytes()).filter(|marker| !marker.is_empty()),
        key_optional: ignore_error,
        ..LineShape::default()
    })
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn parsed(flags: &str) -> Result<Args, clap::Error> {
        let line = format!("kafka-console-producer.sh --bootstrap-server a:1 --topic t {flags}");
        parse(&line.split_whitespace().map(Into::into).collect::<Vec<_>>())
    }

    #[test]
    fn kafkas_flags_are_taken() {
        let args = parsed(
            "--compression-codec --property parse.key=true --property key.separator=: --producer-property acks=1",
        );
        let args = args.expect("flags");
        assert_eq!(args.compression_codec, Some(Compression::Gzip));
        assert_eq!(args.reader_properties.len(), 2);
        let zstd = parsed("--compression-codec zstd").expect("flags");
        assert_eq!(zstd.compression_codec, Some(Compression::Zstd));
        let all = parsed("--request-required-acks -1").expect("flags");
        assert_eq!(all.request_required_acks, Acks::All);
        assert!(parsed("--compression-codec rar").is_err());
    }

    #[test]
    fn properties_are_honoured_or_refused() {
        let of = |pairs: &[(&str, &str)]| {
            shape(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Vec<_>>())
        };
        let keyed = of(&[("parse.key", "true"), ("key.separator", ":")]).expect("known");
        assert_eq!(keyed.key_delimiter.as_deref(), Some(&b":"[..]));
        assert!(!keyed.key_optional);
        assert!(of(&[("parse.keys", "true")]).is_err());
        assert!(of(&[("parse.headers", "true"), ("headers.separator", "\t")]).is_err());
        let mut options = ProducerOptions::default();
        assert!(apply(&mut options, "compression.type", "lz4").is_ok() && options.codec == Compression::Lz4);
        assert!(apply(&mut options, "transactional.id", "x").is_err());
    }
}
