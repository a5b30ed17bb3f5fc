//! From launch to the first acknowledged produce, on an empty data directory and with topics in it, and the memory an
//! idle broker then holds.

use std::time::{Duration, Instant};

use crate::bench::{Bench, MeasureError};
use crate::broker::{Running, Seat};
use crate::figures::Metric;
use crate::plan::{START_EMPTY, START_TOPICS};
use crate::section::load::settle;
use crate::subject::Broker;

/// Memory is read this long after the first acknowledgement.
const IDLE_AFTER: Duration = Duration::from_secs(1);
const READY_LIMIT: Duration = Duration::from_secs(130);
const CREATE_LIMIT: Duration = Duration::from_secs(600);

/// Every broker on an empty directory; those that keep data also on one with topics.
pub fn run(bench: &mut Bench) {
    let mut filled = Vec::new();
    for broker in bench.brokers.clone() {
        if !broker.keeps_data() {
            continue;
        }
        match with_topics(bench, broker, bench.plan.topics) {
            Ok(seat) => filled.push(seat),
            Err(why) => bench.keep(START_TOPICS, broker, Err(why)),
        }
    }
    for round in 0..bench.plan.rounds {
        eprintln!("bench: round {round} of the start section");
        for broker in bench.in_turn(round) {
            let empty = Seat::new(&bench.tools, broker, "start").map_err(MeasureError::from);
            let outcome = empty.and_then(|seat| measure(bench, &seat, round));
            bench.keep(START_EMPTY, broker, outcome);
            if let Some(seat) = filled.iter().find(|seat| seat.broker() == broker) {
                let outcome = measure(bench, seat, round);
                bench.keep(START_TOPICS, broker, outcome);
            }
        }
    }
}

fn with_topics(bench: &Bench, broker: Broker, topics: u32) -> Result<Seat, MeasureError> {
    let seat = Seat::new(&bench.tools, broker, "start-topics")?;
    let running = seat.launch_ready(&bench.tools, &bench.client, "first")?;
    let call = ["create", &running.boot(), "topic", &topics.to_string(), "1", "100"];
    let answer = bench.client.probe(&call, CREATE_LIMIT)?;
    if !answer.complete {
        return Err(MeasureError::Incomplete { line: answer.fields.line().to_owned() });
    }
    stop(running)?;
    Ok(seat)
}

fn measure(bench: &Bench, seat: &Seat, round: u32) -> Result<Vec<(Metric, f64)>, MeasureError> {
    settle();
    let running = seat.launch(&bench.tools)?;
    let first_ack = first_ack(bench, &running, &format!("start-{round}"))?;
    std::thread::sleep(IDLE_AFTER);
    let rss = running.rss_bytes();
    stop(running)?;
    Ok(vec![(Metric::FirstAck, first_ack), (Metric::Rss, rss / 1e6)])
}

/// Milliseconds from launch until a client, started at once and trying until it gets through, has one record
/// acknowledged on a topic that did not exist. The client's own start is within.
///
/// # Errors
/// No acknowledgement came.
pub fn first_ack(bench: &Bench, running: &Running, topic: &str) -> Result<f64, MeasureError> {
    let answer = bench.client.probe(&["ready", &running.boot(), topic], READY_LIMIT)?;
    let ended = Instant::now();
    if !answer.complete {
        return Err(MeasureError::Incomplete { line: answer.fields.line().to_owned() });
    }
    Ok(ended.duration_since(running.launched()).as_secs_f64() * 1e3)
}

/// Ends a broker cleanly.
///
/// # Errors
/// It had to be killed.
pub fn stop(running: Running) -> Result<(), MeasureError> {
    if running.stop() { Ok(()) } else { Err(MeasureError::NotStopped) }
}
