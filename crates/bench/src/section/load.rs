//! The sections under load. All brokers run for their whole length; every row is taken from each broker in turn before
//! the next row begins, so that drift of the machine hits all alike.

use std::time::{Duration, Instant};

use crate::bench::{Bench, MeasureError};
use crate::broker::{Running, Seat};
use crate::figures::Metric;
use crate::plan::{IDLE, Section};
use crate::section::{commits, latency, limits, produce, window};
use crate::subject::{Broker, Subject};

/// How long an idle broker is watched for its idle processor use.
const IDLE_WATCH: Duration = Duration::from_secs(3);
/// A request about topics is answered by then.
const TOPIC_LIMIT: Duration = Duration::from_secs(120);

/// A broker under load, and the topics this round made on it.
pub struct Loaded {
    pub running: Running,
    topics: Vec<String>,
}

impl Loaded {
    /// Makes a topic of `partitions` partitions, with one setting if any is given, and remembers it for
    /// [`Loaded::delete_topics`].
    pub fn create_topic(
        &mut self,
        bench: &Bench,
        name: &str,
        partitions: u32,
        setting: Option<&str>,
    ) -> Result<String, MeasureError> {
        let (boot, partitions) = (self.running.boot(), partitions.to_string());
        let mut call = vec!["create", &boot, name, "1", &partitions, "1"];
        call.extend(setting);
        let answer = bench.client.probe(&call, TOPIC_LIMIT)?;
        if !answer.complete {
            return Err(MeasureError::Incomplete { line: answer.fields.line().to_owned() });
        }
        let topic = format!("{name}-0");
        self.topics.push(topic.clone());
        Ok(topic)
    }

    /// Deletes what the round made, so that the next round finds memory and disk as this one did.
    fn delete_topics(&mut self, bench: &mut Bench) {
        let boot = self.running.boot();
        let topics = std::mem::take(&mut self.topics);
        if topics.is_empty() {
            return;
        }
        let mut call = vec!["delete", boot.as_str()];
        call.extend(topics.iter().map(String::as_str));
        let subject = self.running.broker();
        match bench.client.probe(&call, TOPIC_LIMIT) {
            Ok(answer) if answer.complete => {}
            Ok(answer) => bench.figures.fault(format!("{subject}, deleting topics: {}", answer.fields.line())),
            Err(why) => bench.figures.fault(format!("{subject}, deleting topics: {why}")),
        }
    }
}

/// Warm-up rounds, counted rounds, then the idle brokers.
pub fn run(bench: &mut Bench) {
    // The data directories go with the seats: they must outlive the processes.
    let (_seats, mut brokers) = launch_all(bench);
    for round in 0..bench.plan.warm_ups {
        let kept = std::mem::take(&mut bench.figures);
        one_round(bench, &mut brokers, round);
        let mut warm_up = std::mem::replace(&mut bench.figures, kept);
        warm_up.forget_samples();
        bench.figures.merge(warm_up);
    }
    for round in 0..bench.plan.rounds {
        one_round(bench, &mut brokers, bench.plan.warm_ups + round);
    }
    stop_all(bench, brokers);
}

fn launch_all(bench: &mut Bench) -> (Vec<Seat>, Vec<Loaded>) {
    let (mut seats, mut brokers) = (Vec::new(), Vec::new());
    for broker in bench.brokers.clone() {
        let launched = Seat::new(&bench.tools, broker, "load").and_then(|seat| {
            let running = seat.launch_ready(&bench.tools, &bench.client, "first")?;
            Ok((seat, running))
        });
        match launched {
            Ok((seat, running)) => {
                seats.push(seat);
                brokers.push(Loaded { running, topics: Vec::new() });
            }
            Err(why) => bench.figures.fault(why.to_string()),
        }
    }
    (seats, brokers)
}

fn one_round(bench: &mut Bench, brokers: &mut Vec<Loaded>, round: u32) {
    eprintln!("bench: round {round} of the load sections");
    drop_ended(bench, brokers);
    let count = brokers.len().max(1);
    brokers.rotate_left(1 % count);
    if bench.wants(Section::Limits) {
        limits::round(bench);
    }
    if bench.wants(Section::Produce) {
        produce::round(bench, brokers, round);
        note_idle(bench, brokers);
    }
    if bench.wants(Section::Latency) {
        latency::round(bench, brokers, round);
    }
    if bench.wants(Section::Window) {
        window::round(bench, brokers, round);
    }
    if bench.wants(Section::Commits) {
        commits::round(bench, brokers, round);
    }
    for broker in brokers {
        broker.delete_topics(bench);
    }
}

/// A broker that ended by itself takes part no longer.
fn drop_ended(bench: &mut Bench, brokers: &mut Vec<Loaded>) {
    brokers.retain_mut(|broker| {
        let alive = broker.running.alive();
        if !alive {
            bench.figures.fault(format!("{} ended by itself", broker.running.broker()));
        }
        alive
    });
}

/// Memory and processor use of each broker while nobody talks to it.
fn note_idle(bench: &mut Bench, brokers: &[Loaded]) {
    settle();
    let used = |bench: &Bench| -> Vec<Option<f64>> {
        brokers.iter().map(|broker| bench.client.cpu_us(broker.running.id()).ok()).collect()
    };
    let (before, begun) = (used(bench), Instant::now());
    std::thread::sleep(IDLE_WATCH);
    let (after, watched) = (used(bench), begun.elapsed());
    for (broker, (before, after)) in brokers.iter().zip(before.into_iter().zip(after)) {
        let subject = Subject::from(broker.running.broker());
        bench.figures.add(IDLE, subject, Metric::Rss, broker.running.rss_bytes() / 1e6);
        if let (Some(before), Some(after)) = (before, after) {
            let percent = (after - before) / watched.as_secs_f64() / 1e4;
            bench.figures.add(IDLE, subject, Metric::IdleCpu, percent);
        }
    }
}

fn stop_all(bench: &mut Bench, brokers: Vec<Loaded>) {
    for broker in brokers {
        let subject = broker.running.broker();
        if !broker.running.stop() {
            bench.figures.fault(format!("{subject} did not end when asked to and was killed"));
        }
    }
}

/// Writes back what earlier rows left in the page cache, so that no row pays for another.
pub fn settle() {
    rustix::fs::sync();
}

/// Whose figures a row of Apache Kafka's on synced topics are: the same process under another name.
pub fn flushed(broker: Broker) -> Option<Subject> {
    (broker == Broker::Kafka).then_some(Subject::KafkaFlush)
}
