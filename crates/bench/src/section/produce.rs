//! Produce rows, each followed by reading back everything that was acknowledged. A row whose records are not all there,
//! once and in order, is a fault and no figure.

use std::time::Duration;

use crate::bench::{Bench, MeasureError};
use crate::client::{Answer, Fields, ProduceCall, Produced};
use crate::figures::Metric;
use crate::plan::{PRODUCE, ProduceRow};
use crate::section::load::{Loaded, settle};

/// Reading a row back is given up after this many seconds; the probe gives up on a silent broker far earlier.
const READ_SECONDS: u32 = 120;

/// What a row gives: its own figures, and those of reading it back.
struct Outcome {
    produce: Vec<(Metric, f64)>,
    consume: Vec<(Metric, f64)>,
}

/// One run of every row against every broker, row by row.
pub fn round(bench: &mut Bench, brokers: &mut [Loaded], round: u32) {
    for (index, row) in PRODUCE.iter().enumerate() {
        for broker in brokers.iter_mut() {
            let subject = broker.running.broker();
            match measure(bench, broker, row, &format!("produce-{round}-{index}")) {
                Ok(outcome) => {
                    bench.keep(row.name, subject, Ok(outcome.produce));
                    if let Some(consume) = row.consume {
                        bench.keep(consume, subject, Ok(outcome.consume));
                    }
                }
                Err(why) => bench.keep(row.name, subject, Err(why)),
            }
        }
    }
}

fn measure(bench: &Bench, broker: &mut Loaded, row: &ProduceRow, name: &str) -> Result<Outcome, MeasureError> {
    let topic = broker.create_topic(bench, name, row.partitions, None)?;
    let (boot, id) = (broker.running.boot(), broker.running.id());
    let messages = bench.plan.messages(row.size);
    let call = ProduceCall {
        topic: &topic,
        size: row.size,
        messages,
        partitions: row.partitions,
        acks: row.acks,
        idempotent: row.idempotent,
        lz4: row.lz4,
    };
    settle();
    let before = bench.client.cpu_us(id)?;
    let produced = bench.client.produce(&boot, &call)?;
    let after = bench.client.cpu_us(id)?;
    let rss = broker.running.rss_bytes();

    let before_read = bench.client.cpu_us(id)?;
    let answer = read_back(bench, &boot, &topic, row.partitions, produced.delivered, row.size)?;
    let after_read = bench.client.cpu_us(id)?;
    if produced.delivered < messages {
        return Err(MeasureError::Undelivered { sent: messages, failed: messages - produced.delivered });
    }
    let mut produce = produce_figures(&produced, row.size, after - before);
    produce.push((Metric::Rss, rss / 1e6));
    Ok(Outcome { produce, consume: consume_figures(&answer, after_read - before_read)? })
}

/// Reads `acked` records of `size` bytes from the start of a topic.
///
/// # Errors
/// They are not all there, once each, in order, with their bytes.
pub fn read_back(
    bench: &Bench,
    boot: &str,
    topic: &str,
    partitions: u32,
    acked: u64,
    size: u32,
) -> Result<Answer, MeasureError> {
    let call = ["consume", boot, topic, &partitions.to_string(), &acked.to_string(), &READ_SECONDS.to_string()];
    // The probe waits at most 20 s in silence before, and asks each partition's end after.
    let answer = bench.client.probe(&call, Duration::from_secs(u64::from(READ_SECONDS) + 60))?;
    check_whole(&answer.fields, acked, size)?;
    Ok(answer)
}

/// What was acknowledged must be what was read: as many records, as many bytes, every partition without gap or repeat.
fn check_whole(read: &Fields, acked: u64, size: u32) -> Result<(), MeasureError> {
    let bytes = acked * u64::from(size);
    let whole = read.number("records")? == acked as f64 && read.number("bytes")? == bytes as f64;
    let in_order = read.number("holes")? == 0.0 && read.number("repeats")? == 0.0;
    if whole && in_order {
        return Ok(());
    }
    Err(MeasureError::NotReadBack { acked, bytes, read: read.line().to_owned() })
}

fn produce_figures(produced: &Produced, size: u32, broker_cpu_us: f64) -> Vec<(Metric, f64)> {
    let messages = produced.delivered as f64;
    let rate = messages * 1e6 / produced.elapsed_us;
    vec![
        (Metric::Rate, rate),
        (Metric::Megabytes, rate * f64::from(size) / 1e6),
        (Metric::BrokerCpu, broker_cpu_us / messages),
        (Metric::ClientCpu, produced.cpu_us / messages),
    ]
}

fn consume_figures(answer: &Answer, broker_cpu_us: f64) -> Result<Vec<(Metric, f64)>, MeasureError> {
    let (records, elapsed_us) = (answer.fields.number("records")?, answer.fields.number("elapsed_us")?);
    Ok(vec![
        (Metric::Rate, records * 1e6 / elapsed_us),
        (Metric::Megabytes, answer.fields.number("bytes")? / elapsed_us),
        (Metric::BrokerCpu, broker_cpu_us / records),
        (Metric::ClientCpu, answer.cpu_us / records),
        (Metric::First, answer.fields.number("first_us")? / 1e3),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_every_record_once_in_order_is_no_figure() {
        let check = |line: &str| check_whole(&Fields::parse("probe consume", line.to_owned()), 10, 100);
        assert!(check("consume records=10 bytes=1000 holes=0 repeats=0").is_ok());
        for bad in [
            "consume records=9 bytes=900 holes=0 repeats=0",
            "consume records=11 bytes=1100 holes=0 repeats=0",
            "consume records=10 bytes=999 holes=0 repeats=0",
            "consume records=10 bytes=1000 holes=1 repeats=0",
            "consume records=10 bytes=1000 holes=0 repeats=1",
            "consume records=10 bytes=1000 holes=0",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn figures_have_the_units_of_their_headings() {
        let produced = Produced { delivered: 1_000, failed: 0, elapsed_us: 500_000.0, cpu_us: 4_000.0 };
        let figures = produce_figures(&produced, 1024, 2_000.0);
        assert_eq!(figures[0], (Metric::Rate, 2_000.0));
        assert_eq!(figures[1], (Metric::Megabytes, 2.048));
        assert_eq!(figures[2], (Metric::BrokerCpu, 2.0));
        assert_eq!(figures[3], (Metric::ClientCpu, 4.0));
    }
}
