//! Latency in an open loop: 1,000 messages a second, sent on time whatever the answers do, each received by a consumer
//! at the tail. A message that is not received makes the measurement a fault, so nothing needs reading back after.

use std::time::Duration;

use crate::bench::{Bench, MeasureError};
use crate::client::Fields;
use crate::figures::Metric;
use crate::plan::{LATENCY_ALL, LATENCY_ONE};
use crate::process::ToolError;
use crate::section::load::{Loaded, settle};

/// Both acknowledgement settings against every broker.
pub fn round(bench: &mut Bench, brokers: &mut [Loaded], round: u32) {
    for (row, acks) in [(LATENCY_ONE, "1"), (LATENCY_ALL, "-1")] {
        for broker in brokers.iter_mut() {
            let outcome = measure(bench, broker, acks, &format!("latency-{round}-{acks}"));
            bench.keep(row, broker.running.broker(), outcome);
        }
    }
}

fn measure(bench: &Bench, broker: &mut Loaded, acks: &str, name: &str) -> Result<Vec<(Metric, f64)>, MeasureError> {
    let topic = broker.create_topic(bench, name, 1, None)?;
    let (boot, id, length) = (broker.running.boot(), broker.running.id(), bench.plan.latency);
    settle();
    let before = bench.client.cpu_us(id)?;
    let call = ["latency", &boot, &topic, "1000", &length.as_secs().to_string(), acks, "100"];
    let answer = bench.client.probe(&call, length + Duration::from_secs(90))?;
    let after = bench.client.cpu_us(id)?;
    if !answer.complete {
        return Err(MeasureError::Incomplete { line: answer.fields.line().to_owned() });
    }
    Ok(figures(&answer.fields, after - before)?)
}

fn figures(fields: &Fields, broker_cpu_us: f64) -> Result<Vec<(Metric, f64)>, ToolError> {
    Ok(vec![
        (Metric::P50, fields.number("ack_p50_us")? / 1e3),
        (Metric::P99, fields.number("ack_p99_us")? / 1e3),
        (Metric::E2eP50, fields.number("e2e_p50_us")? / 1e3),
        (Metric::E2eP99, fields.number("e2e_p99_us")? / 1e3),
        (Metric::BrokerSeconds, broker_cpu_us / 1e6),
    ])
}
