//! Creating topics, asking for all their metadata, and the memory a topic costs.

use std::time::Duration;

use crate::bench::{Bench, MeasureError};
use crate::broker::{Running, Seat};
use crate::figures::Metric;
use crate::plan::{CREATE_BATCH, CREATE_SINGLE, MANY_CREATE, MANY_CREATE_FEW, MANY_METADATA, METADATA};
use crate::section::load::settle;
use crate::section::start::stop;
use crate::subject::Broker;

const CREATE_LIMIT: Duration = Duration::from_secs(900);
const METADATA_LIMIT: Duration = Duration::from_secs(180);
const METADATA_REQUESTS: &str = "100";
/// Topics created one a request to see the rate at a size.
const SPOT: u32 = 100;

type Measured = Result<Vec<(Metric, f64)>, MeasureError>;

/// A fresh broker each round: half the topics one a request, half 100 a request, then their metadata.
pub fn run(bench: &mut Bench) {
    for round in 0..bench.plan.rounds {
        eprintln!("bench: round {round} of the topics section");
        for broker in bench.in_turn(round) {
            if let Err(why) = one_broker(bench, broker) {
                bench.keep(CREATE_SINGLE, broker, Err(why));
            }
        }
    }
}

fn one_broker(bench: &mut Bench, broker: Broker) -> Result<(), MeasureError> {
    let seat = Seat::new(&bench.tools, broker, "topics")?;
    let running = seat.launch_ready(&bench.tools, &bench.client, "first")?;
    let (half, before) = (bench.plan.topics / 2, running.rss_bytes());
    settle();
    let single = create(bench, &running, "single", half, 1);
    bench.keep(CREATE_SINGLE, broker, single);
    let batch = create(bench, &running, "batch", half, 100);
    bench.keep(CREATE_BATCH, broker, batch);
    let growth = (running.rss_bytes() - before) / f64::from(half * 2) / 1e3;
    let outcome = metadata(bench, &running).map(|mut figures| {
        figures.push((Metric::RssEach, growth));
        figures
    });
    bench.keep(METADATA, broker, outcome);
    stop(running)
}

/// Brokers of ours alone: does the cost of a topic grow with their number?
pub fn run_many(bench: &mut Bench) {
    for round in 0..bench.plan.rounds {
        eprintln!("bench: round {round} of the many section");
        for broker in bench.in_turn(round) {
            if !broker.is_ours() {
                continue;
            }
            if let Err(why) = one_broker_many(bench, broker) {
                bench.keep(MANY_CREATE, broker, Err(why));
            }
        }
    }
}

fn one_broker_many(bench: &mut Bench, broker: Broker) -> Result<(), MeasureError> {
    let seat = Seat::new(&bench.tools, broker, "many")?;
    let running = seat.launch_ready(&bench.tools, &bench.client, "first")?;
    let before = running.rss_bytes();
    settle();
    create(bench, &running, "early", SPOT, SPOT)?;
    let few = create(bench, &running, "few", SPOT, 1);
    bench.keep(MANY_CREATE_FEW, broker, few);
    create(bench, &running, "more", bench.plan.many_topics.saturating_sub(2 * SPOT).max(1), 100)?;
    let many = create(bench, &running, "many", SPOT, 1);
    bench.keep(MANY_CREATE, broker, many);
    let growth = (running.rss_bytes() - before) / f64::from(bench.plan.many_topics) / 1e3;
    let outcome = metadata(bench, &running).map(|mut figures| {
        figures.push((Metric::RssEach, growth));
        figures
    });
    bench.keep(MANY_METADATA, broker, outcome);
    stop(running)
}

fn create(bench: &Bench, running: &Running, prefix: &str, topics: u32, batch: u32) -> Measured {
    let call = ["create", &running.boot(), prefix, &topics.to_string(), "1", &batch.to_string()];
    let answer = bench.client.probe(&call, CREATE_LIMIT)?;
    if !answer.complete {
        return Err(MeasureError::Incomplete { line: answer.fields.line().to_owned() });
    }
    let fields = &answer.fields;
    Ok(vec![
        (Metric::Rate, fields.number("created")? * 1e6 / fields.number("elapsed_us")?),
        (Metric::P50, fields.number("request_p50_us")? / 1e3),
        (Metric::P99, fields.number("request_p99_us")? / 1e3),
    ])
}

fn metadata(bench: &Bench, running: &Running) -> Measured {
    let answer = bench.client.probe(&["metadata", &running.boot(), METADATA_REQUESTS], METADATA_LIMIT)?;
    if !answer.complete {
        return Err(MeasureError::Incomplete { line: answer.fields.line().to_owned() });
    }
    let fields = &answer.fields;
    Ok(vec![
        (Metric::P50, fields.number("request_p50_us")? / 1e3),
        (Metric::P99, fields.number("request_p99_us")? / 1e3),
    ])
}
