//! The checks of tests/clients/README.md on the `rdkafka` crate.

mod client;
mod contents;
mod first_record;
mod groups;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use client::{Client, DEADLINE, Outcome, TooLarge};
use contents::{
    BASE_MS, BULK, CODECS, DEFAULT_LIMIT, Item, PARTITIONS, TOPIC_LIMIT, bulk_records, first_at_or_after, random_bytes,
    records_of,
};

const KEEP: (&str, &str) = ("retention.ms", "-1");

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1).cloned()
    };
    let Some(bootstrap) = option("--bootstrap") else {
        eprintln!("--bootstrap HOST:PORT is missing");
        return ExitCode::from(2);
    };
    if let Some(topic) = option("--first-record") {
        return match first_record::run(&bootstrap, &topic) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    let client = match Client::new(&bootstrap) {
        Ok(client) => client,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let prefix = option("--prefix").unwrap_or_else(|| format!("rdkafka-{}", std::process::id()));
    let mut suite = Suite { client, prefix, passed: 0, failed: 0 };
    suite.run();
    println!("{} passed, {} failed", suite.passed, suite.failed);
    if suite.failed == 0 && suite.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Suite {
    client: Client,
    prefix: String,
    passed: u32,
    failed: u32,
}

impl Suite {
    fn run(&mut self) {
        self.check("create topics", Suite::create);
        for (codec, name) in CODECS.into_iter().enumerate() {
            let consume = format!("consume {name}");
            let offsets = format!("offsets {name}");
            if !self.check(&format!("produce {name}"), |s| s.produce(codec)) {
                self.check(&consume, |_| Err("nothing was produced".into()));
                self.check(&offsets, |_| Err("nothing was produced".into()));
                continue;
            }
            self.check(&consume, |s| s.consume(codec));
            self.check(&offsets, |s| s.offsets(codec));
        }
        self.check("seek into a batch", Suite::seek);
        self.check("bulk", Suite::bulk);
        self.check("acks 1", |s| s.acks("1"));
        self.check("acks 0", |s| s.acks("0"));
        self.check("fetch waits for a record", Suite::tail);
        self.check("topic made by the first produce", Suite::auto_create);
        self.check("record above the limit refused", Suite::too_large);
        self.check("record just under the limit", Suite::just_under);
        self.check("delete topic", Suite::delete);
        groups::check(self);
    }

    fn check(&mut self, name: &str, body: impl FnOnce(&Suite) -> Outcome<()>) -> bool {
        match body(self) {
            Ok(()) => {
                self.passed += 1;
                println!("ok   {name}");
                true
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL {name}: {error}");
                false
            }
        }
    }

    fn topic(&self, part: &str) -> String {
        format!("{}-{part}", self.prefix)
    }

    /// Waits until `topic` has `count` partitions with a leader, 0 for a topic that is gone.
    fn until_listed(&self, topic: &str, count: usize) -> Outcome<()> {
        until(&format!("{topic} with {count} partitions"), || {
            Ok(self.client.topics()?.get(topic).copied().unwrap_or(0) == count)
        })
    }

    fn create(&self) -> Outcome<()> {
        let limit = TOPIC_LIMIT.to_string();
        for codec in CODECS {
            let topic = self.topic(codec);
            let settings = [KEEP, ("max.message.bytes", limit.as_str())];
            self.client.create_topic(&topic, PARTITIONS, &settings)?;
            self.until_listed(&topic, PARTITIONS as usize)?;
        }
        for part in ["bulk", "acks-0", "acks-1", "tail", "limit"] {
            self.client.create_topic(&self.topic(part), 1, &[KEEP])?;
            self.until_listed(&self.topic(part), 1)?;
        }
        Ok(())
    }

    fn produce(&self, codec: usize) -> Outcome<()> {
        let items = contents::all_records(codec);
        let topic = self.topic(CODECS[codec]);
        let offsets = self.client.produce(&topic, &items, CODECS[codec], "all")?;
        let wanted = (0..items.len()).map(|at| at as i64 / i64::from(PARTITIONS));
        expect("offsets acknowledged", &offsets, &wanted.collect())
    }

    fn read_and_compare(&self, topic: &str, partition: i32, start: i64, wanted: &[Item]) -> Outcome<()> {
        let unused = AtomicBool::new(false);
        let got = self.client.read(topic, partition, start, wanted.len(), &unused)?;
        compare(&got, wanted, start)
    }

    fn consume(&self, codec: usize) -> Outcome<()> {
        for partition in 0..PARTITIONS {
            let wanted = records_of(codec, partition);
            self.read_and_compare(&self.topic(CODECS[codec]), partition, 0, &wanted)?;
        }
        Ok(())
    }

    fn offsets(&self, codec: usize) -> Outcome<()> {
        let topic = self.topic(CODECS[codec]);
        for partition in 0..PARTITIONS {
            let items = records_of(codec, partition);
            let marks = self.client.watermarks(&topic, partition)?;
            expect("beginning and end", &marks, &(0, items.len() as i64))?;
            let stamps = items.iter().map(|item| item.timestamp);
            let newest = stamps.clone().max().unwrap_or(BASE_MS);
            for timestamp in stamps.chain([0, BASE_MS + 7001, newest + 1]) {
                expect(
                    &format!("offset at {timestamp}"),
                    &self.client.at_time(&topic, partition, timestamp)?,
                    &first_at_or_after(&items, timestamp),
                )?;
            }
        }
        Ok(())
    }

    fn seek(&self) -> Outcome<()> {
        let codec = CODECS.len() - 1;
        let items = records_of(codec, 1);
        for start in [7, 19, 20, 21, 22, items.len() - 1] {
            let wanted = &items[start..=start];
            self.read_and_compare(&self.topic(CODECS[codec]), 1, start as i64, wanted)?;
        }
        Ok(())
    }

    fn bulk(&self) -> Outcome<()> {
        let topic = self.topic("bulk");
        let items = bulk_records(BULK);
        let offsets = self.client.produce(&topic, &items, "none", "all")?;
        expect("offsets acknowledged", &offsets, &(0..BULK as i64).collect())?;
        self.read_and_compare(&topic, 0, 0, &items)?;
        let marks = self.client.watermarks(&topic, 0)?;
        expect("beginning and end", &marks, &(0, BULK as i64))
    }

    fn acks(&self, acks: &str) -> Outcome<()> {
        let topic = self.topic(&format!("acks-{acks}"));
        let items = bulk_records(100);
        self.client.produce(&topic, &items, "none", acks)?;
        until("all records in the log", || Ok(self.client.watermarks(&topic, 0)?.1 == items.len() as i64))?;
        self.read_and_compare(&topic, 0, 0, &items)
    }

    /// A reader that has caught up is given the next record when it comes.
    fn tail(&self) -> Outcome<()> {
        let topic = self.topic("tail");
        let items = bulk_records(2);
        self.client.produce(&topic, &items[..1], "none", "all")?;
        let first_read = AtomicBool::new(false);
        let got = thread::scope(|scope| {
            let reading = scope.spawn(|| self.client.read(&topic, 0, 0, 2, &first_read));
            until("first record seen", || Ok(first_read.load(Ordering::Acquire)))?;
            self.client.produce(&topic, &items[1..], "none", "all")?;
            reading.join().map_err(|_| "the reader panicked")?
        })?;
        compare(&got, &items, 0)
    }

    fn auto_create(&self) -> Outcome<()> {
        let topic = self.topic("auto");
        expect("partitions before", &self.client.topics()?.get(&topic), &None)?;
        let items = bulk_records(5);
        self.client.produce(&topic, &items, "none", "all")?;
        self.read_and_compare(&topic, 0, 0, &items)?;
        expect("partitions after", &self.client.topics()?.get(&topic), &Some(&1))
    }

    fn too_large(&self) -> Outcome<()> {
        let items = single(99, DEFAULT_LIMIT + 1);
        match self.client.produce(&self.topic("limit"), &items, "none", "all") {
            Ok(_) => Err("the record was acknowledged".into()),
            Err(error) if error.is::<TooLarge>() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn just_under(&self) -> Outcome<()> {
        let topic = self.topic("limit");
        let items = single(98, DEFAULT_LIMIT - 200);
        self.client.produce(&topic, &items, "none", "all")?;
        self.read_and_compare(&topic, 0, 0, &items)?;
        expect("beginning and end", &self.client.watermarks(&topic, 0)?, &(0, 1))
    }

    fn delete(&self) -> Outcome<()> {
        let topic = self.topic("bulk");
        self.client.delete_topic(&topic)?;
        self.until_listed(&topic, 0)?;
        self.client.create_topic(&topic, 1, &[KEEP])?;
        self.until_listed(&topic, 1)?;
        let marks = self.client.watermarks(&topic, 0)?;
        expect("beginning and end of the new topic", &marks, &(0, 0))
    }
}

fn single(seed: u32, length: usize) -> Vec<Item> {
    vec![Item {
        partition: 0,
        key: None,
        value: Some(random_bytes(seed, length)),
        headers: Vec::new(),
        timestamp: BASE_MS,
    }]
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, wanted: &T) -> Outcome<()> {
    if got == wanted {
        return Ok(());
    }
    Err(format!("{what}: got {got:.160?}, wanted {wanted:.160?}").into())
}

fn compare(got: &[(i64, Item)], wanted: &[Item], start: i64) -> Outcome<()> {
    expect("number of records", &got.len(), &wanted.len())?;
    for (at, ((offset, item), want)) in got.iter().zip(wanted).enumerate() {
        expect("offset", offset, &(start + at as i64))?;
        if let Some(difference) = contents::difference(item, want) {
            return Err(format!("offset {offset}: {difference}").into());
        }
    }
    Ok(())
}

fn until(what: &str, mut condition: impl FnMut() -> Outcome<bool>) -> Outcome<()> {
    let end = Instant::now() + DEADLINE;
    while !condition()? {
        if Instant::now() > end {
            return Err(format!("{what}: not within {DEADLINE:?}").into());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
