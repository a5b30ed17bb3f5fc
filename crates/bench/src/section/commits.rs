//! Offset commits: through a real client that waits for each, and bare requests with many in flight, which show what
//! committing across groups is worth. The last offset of each bare row is read back.

use std::time::Duration;

use crate::bench::{Bench, MeasureError};
use crate::figures::Metric;
use crate::plan::{COMMITS, CommitRow};
use crate::section::load::{Loaded, settle};

/// Every row against every broker.
pub fn round(bench: &mut Bench, brokers: &mut [Loaded], round: u32) {
    for (index, row) in COMMITS.iter().enumerate() {
        for broker in brokers.iter_mut() {
            let subject = broker.running.broker();
            let outcome = measure(bench, broker, row, &format!("commits-{round}-{index}"));
            bench.keep(row.name, subject, outcome);
        }
    }
}

fn measure(
    bench: &Bench,
    broker: &mut Loaded,
    row: &CommitRow,
    name: &str,
) -> Result<Vec<(Metric, f64)>, MeasureError> {
    let topic = broker.create_topic(bench, name, 1, None)?;
    let (boot, id) = (broker.running.boot(), broker.running.id());
    let (groups, seconds) = (row.groups.to_string(), bench.plan.commits.as_secs().to_string());
    let in_flight = row.in_flight.map(|count| count.to_string());
    let call: Vec<&str> = match &in_flight {
        None => vec!["commit", &boot, &topic, &groups, &seconds],
        Some(in_flight) => vec!["commits", &boot, &topic, &groups, in_flight, &seconds],
    };
    settle();
    let before = bench.client.cpu_us(id)?;
    let answer = bench.client.probe(&call, Duration::from_secs(60) + bench.plan.commits)?;
    let after = bench.client.cpu_us(id)?;
    if !answer.complete {
        return Err(MeasureError::Incomplete { line: answer.fields.line().to_owned() });
    }
    let fields = &answer.fields;
    let committed = fields.number("committed")?;
    Ok(vec![
        (Metric::Rate, committed * 1e6 / fields.number("elapsed_us")?),
        (Metric::P50, fields.number("commit_p50_us")? / 1e3),
        (Metric::P99, fields.number("commit_p99_us")? / 1e3),
        (Metric::BrokerCpu, (after - before) / committed),
    ])
}
