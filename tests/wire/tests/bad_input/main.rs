//! Malformed and hostile input, one row each: the right answer comes, the next client is served, and memory stays bounded.
//!
//! Runs against a broker it starts, or with `CHRONIK_WIRE_BOOTSTRAP` set against Apache Kafka, whose answers the table holds
//! unless a row says what our stricter rule is. `CHRONIK_WIRE_ONLY` plays only the rows whose name contains it.

mod admin;
mod arrays;
mod fetch;
mod floods;
mod frames;
mod headers;
mod names;
mod produce;
mod records;
mod row;

use chronik_wire_tests::batch::Batch;
use chronik_wire_tests::broker::Broker;
use chronik_wire_tests::requests::{NewTopic, PRODUCE, Topic, produce_one};
use row::{Mismatch, Row, is_served};

/// How far the broker's peak memory may rise above what it had at the start, over all rows. It may hold 16 MiB of unread answers and
/// one more answer (9 MB here) for each worker, a 24 MiB frame and the block it outgrew, and what pools and the allocator keep: about
/// 95 MiB seen.
const GROWTH_LIMIT_KIB: u64 = 128 << 10;
/// A row that adds less to memory that is above the limit already is not blamed for it, KiB.
const BLAMED_KIB: u64 = 4 << 10;
/// Small, so that the rows that pass it need not expand hundreds of MiB first.
const EXPANSION_LIMIT: &str = "batch.max.decompressed.bytes=33554432";
/// The table never shrinks below this.
const FEWEST_ROWS: usize = 90;

/// The topics every row may use. `plain` holds [`PLAIN_RECORDS`] records.
pub struct World {
    pub plain: &'static str,
    pub plain_id: [u8; 16],
    /// For rows that a wrong answer would delete it in.
    pub doomed: &'static str,
    pub doomed_id: [u8; 16],
    pub compacted: &'static str,
    pub created: &'static str,
}

pub const PLAIN_RECORDS: i64 = 10;

fn prepare(broker: &Broker) -> Result<World, Mismatch> {
    let world = World {
        plain: "wire.plain",
        plain_id: broker.fresh_topic("wire.plain")?,
        doomed: "wire.doomed",
        doomed_id: broker.fresh_topic("wire.doomed")?,
        compacted: "wire.compacted",
        created: "wire.created",
    };
    broker.fresh_topic_with(NewTopic::new(world.compacted, 1).config("cleanup.policy", Some("compact")))?;
    broker.fresh_topic_with(NewTopic::new(world.created, 3))?;
    broker.fresh_topic("wire.sink")?;
    chronik_wire_tests::producer::new_id(&mut broker.connect()?)?;
    let values = [b"v".as_slice(); PLAIN_RECORDS as usize];
    let body = produce_one(9, Topic::named(world.plain), 0, &Batch::of(&values).encode());
    let answer = broker.connect()?.call(PRODUCE, 9, &body)?;
    row::same("codes of the first produce", chronik_wire_tests::responses::error_codes(PRODUCE, 9, &answer)?, vec![0])?;
    Ok(world)
}

/// Reading rows first: they rely on what `prepare` wrote.
fn table(world: &World) -> Vec<Row> {
    let parts = [
        frames::rows(),
        headers::rows(),
        arrays::rows(),
        fetch::rows(world),
        admin::rows(world),
        names::rows(world),
        produce::rows(world),
        records::rows(world),
        floods::rows(world),
    ];
    parts.into_iter().flatten().collect()
}

#[test]
fn hostile_input_gets_its_answer_and_harms_nobody() {
    let mut broker = Broker::start_with(&[EXPANSION_LIMIT]).unwrap_or_else(|e| panic!("{e}"));
    let world = prepare(&broker).unwrap_or_else(|e| panic!("preparing: {e}"));
    let rows = table(&world);
    assert!(rows.len() >= FEWEST_ROWS, "only {} rows", rows.len());
    let only = std::env::var("CHRONIK_WIRE_ONLY").unwrap_or_default();
    let at_start = broker.resident_kib().map_or(0, |(now, _)| now);
    let (mut played, mut failures) = (0, Vec::new());
    for row in rows.iter().filter(|r| r.name.contains(&only)) {
        played += 1;
        broker.forget_highest_resident();
        let before = broker.resident_kib().map_or(0, |(now, _)| now);
        if let Err(mismatch) = row.play(&broker) {
            failures.push(format!("{}: {mismatch}", row.name));
        }
        if let Err(mismatch) = is_served(&broker) {
            failures.push(format!("{}: the next client was not served: {mismatch}", row.name));
        }
        if !broker.is_alive() {
            failures.push(format!("{}: the broker ended", row.name));
            break;
        }
        let highest = broker.resident_kib().map_or(0, |(_, highest)| highest);
        let growth = highest.saturating_sub(at_start);
        if growth > GROWTH_LIMIT_KIB && highest > before + BLAMED_KIB {
            failures
                .push(format!("{}: memory is {growth} KiB above the start, {GROWTH_LIMIT_KIB} KiB allowed", row.name));
        }
        if !only.is_empty() {
            println!("{}: at most {growth} KiB above the start", row.name);
        }
    }
    println!("{} passed, {} failed", played - failures.len().min(played), failures.len());
    assert!(
        failures.is_empty(),
        "{} of {played} rows failed:\n{}\nlog:\n{}",
        failures.len(),
        failures.join("\n"),
        tail(&broker.log())
    );
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
