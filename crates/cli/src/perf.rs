//! `chronik perf`: how fast a cluster takes and gives records, seen by one client.

use std::time::Duration;

use chronik_client::{Acks, Client, FetchLimits, Fetcher, Isolation, OffsetSpec, Producer, ProducerOptions};
use chronik_env::clock::Clock;
use chronik_env::real::RealClock;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::common::{Common, duration};
use crate::failure::Failure;
use crate::produce::{AcksArg, Codec, parse_acks};
use crate::progress::Progress;
use crate::report::{Output, Report, print_json};
use crate::topic::{ask_offsets, partitions_of};

const MIB: f64 = 1024.0 * 1024.0;

#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send records as fast as they are acknowledged
    Produce(Produce),
    /// Read records as fast as they come
    Consume(Consume),
    /// Measure the time from sending a record to having it back, one at a time
    E2e(EndToEnd),
}

#[derive(Debug, ClapArgs)]
struct Produce {
    topic: String,
    /// How many
    #[arg(short = 'n', long, default_value_t = 1_000_000)]
    records: u64,
    /// Bytes of each value
    #[arg(short, long, default_value_t = 100)]
    size: usize,
    /// Bytes sent at once
    #[arg(long, default_value_t = 512 * 1024)]
    batch_bytes: usize,
    /// How batches are compressed
    #[arg(short = 'z', long, value_enum, default_value_t = Codec::None)]
    codec: Codec,
    /// Whose acknowledgement is waited for: all, 1, 0
    #[arg(long, value_parser = parse_acks, default_value = "all")]
    acks: AcksArg,
}

#[derive(Debug, ClapArgs)]
struct Consume {
    topic: String,
    /// End after so many [default: at the end of the topic]
    #[arg(short = 'n', long)]
    records: Option<u64>,
    /// Fail when nothing came for so long
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    timeout: Duration,
}

#[derive(Debug, ClapArgs)]
struct EndToEnd {
    topic: String,
    /// How many
    #[arg(short = 'n', long, default_value_t = 1_000)]
    records: u64,
    /// Bytes of each value
    #[arg(short, long, default_value_t = 100)]
    size: usize,
    /// Whose acknowledgement is waited for: all, 1
    #[arg(long, value_parser = parse_acks, default_value = "all")]
    acks: AcksArg,
}

pub async fn run(args: Args) -> Result<(), Failure> {
    let mut client = args.common.client()?;
    let measured = match args.command {
        Command::Produce(produce) => run_produce(&mut client, &produce).await?,
        Command::Consume(consume) => run_consume(&mut client, &consume).await?,
        Command::E2e(e2e) => run_e2e(&mut client, &e2e).await?,
    };
    if args.common.output == Output::Json {
        return print_json(&measured);
    }
    let mut report = Report::new(&["what", "value"]);
    for (key, value) in measured.as_object().into_iter().flatten() {
        report.row(vec![json!(key), json!(crate::report::shown(value))]);
    }
    report.print(Output::Table)
}

fn rounded(number: f64) -> Value {
    json!((number * 1000.0).round() / 1000.0)
}

/// Sorts and takes the usual figures, in milliseconds.
fn latencies(mut taken: Vec<Duration>) -> [(&'static str, Value); 4] {
    taken.sort_unstable();
    let ms = |d: Duration| rounded(d.as_secs_f64() * 1000.0);
    let at = |per_mille: usize| taken.get((taken.len() * per_mille / 1000).min(taken.len().saturating_sub(1)));
    let mean = taken.iter().sum::<Duration>().checked_div(u32::try_from(taken.len()).unwrap_or(u32::MAX));
    let shown = |d: Option<Duration>| d.map_or(Value::Null, ms);
    [
        ("latency_mean_ms", shown(mean)),
        ("latency_p50_ms", shown(at(500).copied())),
        ("latency_p99_ms", shown(at(990).copied())),
        ("latency_max_ms", shown(taken.last().copied())),
    ]
}

fn rates(records: u64, bytes: u64, took: Duration) -> Value {
    let seconds = took.as_secs_f64().max(1e-9);
    json!({
        "records": records, "bytes": bytes, "seconds": rounded(seconds),
        "records_per_second": rounded(records as f64 / seconds), "mib_per_second": rounded(bytes as f64 / MIB / seconds),
    })
}

fn with(mut measured: Value, more: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    if let Value::Object(fields) = &mut measured {
        fields.extend(more.into_iter().map(|(key, value)| (key.to_owned(), value)));
    }
    measured
}

/// Letters that compress about as text does, different in each record.
fn fill(value: &mut [u8], record: u64) {
    let mut state = record.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for byte in value {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = b'a' + (state % 16) as u8;
    }
}

async fn flush(client: &mut Client, producer: &mut Producer) -> Result<(), Failure> {
    for sent in producer.flush(client).await {
        sent.result.map_err(|e| Failure::Failed(format!("partition {}: {e}", sent.partition)))?;
    }
    Ok(())
}

fn options(acks: Acks, codec: Codec) -> ProducerOptions {
    ProducerOptions { acks, codec: codec.into(), idempotent: acks == Acks::All, ..ProducerOptions::default() }
}

async fn run_produce(client: &mut Client, args: &Produce) -> Result<Value, Failure> {
    let mut producer = Producer::open(client, &args.topic, options(args.acks, args.codec)).await?;
    let clock = RealClock::default();
    let progress = Progress::until_done("records");
    let mut value = vec![0; args.size];
    let mut taken = Vec::new();
    let (mut since, began) = (0, Instant::now());
    for record in 0..args.records {
        fill(&mut value, record);
        producer.push(None, clock.wall_ms(), None, Some(&value), &[]);
        since += 1;
        if producer.pending_bytes() >= args.batch_bytes || record + 1 == args.records {
            let sent = Instant::now();
            flush(client, &mut producer).await?;
            taken.push(sent.elapsed());
            progress.add(since);
            since = 0;
        }
    }
    let bytes = args.records * args.size as u64;
    Ok(with(rates(args.records, bytes, began.elapsed()), latencies(taken)))
}

async fn run_consume(client: &mut Client, args: &Consume) -> Result<Value, Failure> {
    let (partitions, missing) = partitions_of(client, std::slice::from_ref(&args.topic)).await?;
    if let Some((topic, e)) = missing.into_iter().next() {
        return Err(Failure::Failed(format!("topic {topic}: {e}")));
    }
    let mut fetcher = Fetcher::new(Isolation::ReadUncommitted, FetchLimits::default());
    let mut ends = Vec::new();
    let last = ask_offsets(client, &partitions, OffsetSpec::Latest).await?;
    for ((topic, partition), first) in ask_offsets(client, &partitions, OffsetSpec::Earliest).await? {
        let failed = |e| Failure::Failed(format!("{topic} partition {partition}: {e}"));
        fetcher.seek(&topic, partition, first.map_err(failed)?);
        let key = (topic, partition);
        if let Some(Ok(end)) = last.get(&key) {
            ends.push((key, *end));
        }
    }
    let progress = Progress::until_done("records");
    let (mut records, mut bytes, began) = (0u64, 0u64, Instant::now());
    let mut heard = Instant::now();
    let is_done = |fetcher: &Fetcher, records: u64| match args.records {
        Some(wanted) => records >= wanted,
        None => ends.iter().all(|(key, end)| fetcher.positions().get(key).is_some_and(|position| position >= end)),
    };
    while !is_done(&fetcher, records) {
        for part in fetcher.poll(client).await? {
            let found = part.result.map_err(|e| Failure::Failed(format!("{} {}: {e}", part.topic, part.partition)))?;
            if !found.is_empty() {
                heard = Instant::now();
            }
            progress.add(found.len() as u64);
            records += found.len() as u64;
            let size = |field: &Option<bytes::Bytes>| field.as_ref().map_or(0, |bytes| bytes.len() as u64);
            bytes += found.iter().map(|record| size(&record.key) + size(&record.value)).sum::<u64>();
        }
        if heard.elapsed() > args.timeout {
            let ms = args.timeout.as_millis();
            return Err(Failure::Failed(format!("{records} records were read, then none for {ms} ms")));
        }
    }
    Ok(rates(records, bytes, began.elapsed()))
}

async fn run_e2e(client: &mut Client, args: &EndToEnd) -> Result<Value, Failure> {
    if args.acks == Acks::None {
        return Err(Failure::Usage(
            "without acknowledgements there is no offset to wait for: take --acks 1 or all".into(),
        ));
    }
    let mut producer = Producer::open(client, &args.topic, options(args.acks, Codec::None)).await?;
    let partition = producer.topic().partitions.first().map_or(0, |p| p.index);
    let clock = RealClock::default();
    let mut fetcher = Fetcher::new(Isolation::ReadUncommitted, FetchLimits::default());
    let progress = Progress::until_done("records");
    let mut value = vec![0; args.size];
    let (mut taken, began) = (Vec::new(), Instant::now());
    for record in 0..args.records {
        fill(&mut value, record);
        let sent_at = Instant::now();
        producer.push(Some(partition), clock.wall_ms(), None, Some(&value), &[]);
        let sent = producer.flush(client).await.pop().ok_or_else(|| Failure::Failed("nothing was sent".into()))?;
        let offset = sent.result?;
        fetcher.seek(&args.topic, partition, offset);
        while fetcher.positions().values().any(|position| *position <= offset) {
            for part in fetcher.poll(client).await? {
                part.result.map_err(|e| Failure::Failed(format!("partition {partition}: {e}")))?;
            }
            if sent_at.elapsed() > client.options().request_timeout {
                return Err(Failure::Failed(format!("offset {offset} was acknowledged and cannot be read")));
            }
        }
        taken.push(sent_at.elapsed());
        progress.add(1);
    }
    Ok(with(rates(args.records, args.records * args.size as u64, began.elapsed()), latencies(taken)))
}
