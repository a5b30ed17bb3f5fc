//! Closed loops: a fixed number of single-record requests in flight, the next sent when one is answered. With one in
//! flight this is the round trip; with 64 it shows what a group commit is worth.

use std::time::Duration;

use crate::bench::{Bench, MeasureError};
use crate::figures::Metric;
use crate::plan::{WINDOWS, WindowRow};
use crate::section::load::{Loaded, flushed, settle};
use crate::section::produce::read_back;

/// The setting that makes Apache Kafka sync a topic before it acknowledges.
const FLUSH_EACH: &str = "flush.messages=1";

/// Every row against every broker, and against Apache Kafka's synced topics.
pub fn round(bench: &mut Bench, brokers: &mut [Loaded], round: u32) {
    for (index, row) in WINDOWS.iter().enumerate() {
        for broker in brokers.iter_mut() {
            let subject = broker.running.broker();
            let outcome = measure(bench, broker, row, &format!("window-{round}-{index}"), None);
            bench.keep(row.name, subject, outcome);
            if let Some(flushed) = flushed(subject) {
                let name = format!("window-flush-{round}-{index}");
                let outcome = measure(bench, broker, row, &name, Some(FLUSH_EACH));
                bench.keep(row.name, flushed, outcome);
            }
        }
    }
}

fn measure(
    bench: &Bench,
    broker: &mut Loaded,
    row: &WindowRow,
    name: &str,
    setting: Option<&str>,
) -> Result<Vec<(Metric, f64)>, MeasureError> {
    let topic = broker.create_topic(bench, name, 1, setting)?;
    let (boot, id) = (broker.running.boot(), broker.running.id());
    let count = if row.in_flight == 1 { bench.plan.closed } else { bench.plan.window };
    let (size, acks) = (row.size.to_string(), row.acks.to_string());
    settle();
    let before = bench.client.cpu_us(id)?;
    let call = ["window", &boot, &topic, &count.to_string(), &acks, &size, &row.in_flight.to_string()];
    let answer = bench.client.probe(&call, Duration::from_secs(180))?;
    let after = bench.client.cpu_us(id)?;
    if !answer.complete {
        return Err(MeasureError::Incomplete { line: answer.fields.line().to_owned() });
    }
    // The probe sends one record more, untimed, to connect.
    read_back(bench, &boot, &topic, 1, u64::from(count) + 1, row.size)?;
    let fields = &answer.fields;
    let acked = fields.number("acked")?;
    Ok(vec![
        (Metric::Rate, acked * 1e6 / fields.number("elapsed_us")?),
        (Metric::P50, fields.number("ack_p50_us")? / 1e3),
        (Metric::P99, fields.number("ack_p99_us")? / 1e3),
        (Metric::BrokerCpu, (after - before) / acked),
    ])
}
