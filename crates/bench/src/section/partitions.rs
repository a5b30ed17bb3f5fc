//! Start of a broker of ours with many partitions on disk, each with a record in it, after a clean stop and after
//! `kill -9`.

use std::time::Duration;

use crate::bench::{Bench, MeasureError};
use crate::broker::{Running, Seat};
use crate::figures::Metric;
use crate::plan::{START_CLEAN, START_KILLED};
use crate::section::load::settle;
use crate::section::start::{first_ack, stop};

const FILL_LIMIT: Duration = Duration::from_secs(1800);

/// One data directory a broker of ours, launched twice a round.
pub fn run(bench: &mut Bench) {
    for broker in bench.brokers.clone() {
        if !broker.is_ours() {
            continue;
        }
        eprintln!("bench: filling partitions of {broker}");
        let filled = Seat::new(&bench.tools, broker, "partitions").map_err(MeasureError::from);
        let filled = filled.and_then(|seat| fill(bench, &seat).map(|()| seat));
        let seat = match filled {
            Ok(seat) => seat,
            Err(why) => {
                bench.keep(START_CLEAN, broker, Err(why));
                continue;
            }
        };
        for round in 0..bench.plan.rounds {
            let outcome = launch(bench, &seat, &format!("clean-{round}")).map(|(running, figures)| {
                running.kill();
                figures
            });
            bench.keep(START_CLEAN, broker, outcome);
            let outcome = launch(bench, &seat, &format!("killed-{round}"));
            let outcome = outcome.and_then(|(running, figures)| stop(running).map(|()| figures));
            bench.keep(START_KILLED, broker, outcome);
        }
    }
}

fn fill(bench: &Bench, seat: &Seat) -> Result<(), MeasureError> {
    let running = seat.launch_ready(&bench.tools, &bench.client, "first")?;
    let (boot, topics) = (running.boot(), bench.plan.partition_topics.to_string());
    let each = bench.plan.partitions_each.to_string();
    for call in [&["create", &boot, "many", &topics, &each, "10"][..], &["fill", &boot, "many", &topics, &each][..]] {
        let answer = bench.client.probe(call, FILL_LIMIT)?;
        if !answer.complete {
            return Err(MeasureError::Incomplete { line: answer.fields.line().to_owned() });
        }
    }
    stop(running)
}

fn launch(bench: &Bench, seat: &Seat, topic: &str) -> Result<(Running, Vec<(Metric, f64)>), MeasureError> {
    settle();
    let mut running = seat.launch(&bench.tools)?;
    if !running.http_ready() {
        return Err(seat.not_ready().into());
    }
    let ready = running.launched().elapsed().as_secs_f64() * 1e3;
    let acked = first_ack(bench, &running, topic)?;
    let rss = running.rss_bytes() / 1e6;
    Ok((running, vec![(Metric::Ready, ready), (Metric::FirstAck, acked), (Metric::Rss, rss)]))
}
