//! Produce requests: acknowledgements, places, producers, sizes and times that cannot be.

use chronik_wire_tests::batch::{Batch, CONTROL_BIT, TIMESTAMP_TYPE_BIT, TRANSACTIONAL_BIT, now_ms};
use chronik_wire_tests::broker::Broker;
use chronik_wire_tests::conn::{Conn, WireError};
use chronik_wire_tests::errors::*;
use chronik_wire_tests::requests::*;
use chronik_wire_tests::{codec, producer, responses};

use crate::World;
use crate::row::{Mismatch, Row, Want, call, code, open, same, script};

const DAY_MS: i64 = 86_400_000;
/// The default of `max.message.bytes`.
const LARGEST_BATCH: usize = 1_048_588;

pub fn plain() -> Topic<'static> {
    Topic::named("wire.sink")
}

/// A row that writes one batch to the sink topic.
pub fn writing(name: impl Into<String>, batch: &Batch, want: Want) -> Row {
    call(name, PRODUCE, 9, &produce_one(9, plain(), 0, &batch.encode()), want)
}

pub fn rows(world: &World) -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(acks());
    rows.extend(places(world));
    rows.extend(sizes_and_times());
    rows.extend(transactions());
    rows.extend(producers());
    rows
}

fn acks() -> Vec<Row> {
    let good = Batch::one(b"v").encode();
    let with = |name: &str, acks| {
        call(name, PRODUCE, 9, &produce(9, acks, &[(plain(), &[(0, Some(&good))])]), code(INVALID_REQUIRED_ACKS))
    };
    let mut spoiled = Batch::one(b"v");
    spoiled.crc = Some(1);
    let silent = |topic, records: &[u8]| produce(9, 0, &[(topic, &[(0, Some(records))])]);
    vec![
        with("acks 2", 2),
        with("acks -2", -2),
        with("acks 32767", i16::MAX),
        call("acks 0 to an unknown topic closes", PRODUCE, 9, &silent(Topic::named("wire.none"), &good), Want::Closed),
        call("acks 0 with a wrong CRC closes", PRODUCE, 9, &silent(plain(), &spoiled.encode()), Want::Closed),
    ]
}

fn places(world: &World) -> Vec<Row> {
    let good = Batch::one(b"v").encode();
    let to =
        |name: &str, topic, partition, want| call(name, PRODUCE, 9, &produce_one(9, topic, partition, &good), want);
    let by_id = |name: &str, id, partition, want| {
        call(name, PRODUCE, 13, &produce_one(13, Topic::with_id(id), partition, &good), want)
    };
    let same_twice = produce(9, -1, &[(plain(), &[(0, Some(&good)), (0, Some(&good))])]);
    let mixed = produce(9, -1, &[(plain(), &[(0, Some(&good)), (7, Some(&good))])]);
    vec![
        to("produce to an unknown topic", Topic::named("wire.none"), 0, code(UNKNOWN_TOPIC_OR_PARTITION)),
        to("produce to partition 99", plain(), 99, code(UNKNOWN_TOPIC_OR_PARTITION)),
        to("produce to partition -1", plain(), -1, code(UNKNOWN_TOPIC_OR_PARTITION)),
        by_id("produce to an unknown topic id", [0xab; 16], 0, code(UNKNOWN_TOPIC_ID)),
        by_id("produce to the zero topic id", NO_UUID, 0, code(UNKNOWN_TOPIC_ID)),
        by_id("produce to partition 99 by id", world.plain_id, 99, code(UNKNOWN_TOPIC_OR_PARTITION)),
        call("produce to one partition twice", PRODUCE, 9, &same_twice, Want::Answer),
        call(
            "produce to a right and a wrong partition",
            PRODUCE,
            9,
            &mixed,
            Want::Codes(vec![NONE, UNKNOWN_TOPIC_OR_PARTITION]),
        ),
        call("produce to no topics", PRODUCE, 9, &produce(9, -1, &[]), Want::Codes(vec![])),
        call("produce to no partitions", PRODUCE, 9, &produce(9, 1, &[(plain(), &[])]), Want::Codes(vec![])),
    ]
}

fn sizes_and_times() -> Vec<Row> {
    let at = |ms: i64| Batch { base_timestamp: ms, ..Batch::one(b"v") };
    let mut late_record = Batch::of(&[b"a", b"b"]);
    late_record.records[1].timestamp_delta = 2 * DAY_MS;
    late_record.max_timestamp = Some(late_record.base_timestamp);
    let around = Batch::one(&vec![b'x'; LARGEST_BATCH - 200]).encode().len() - (LARGEST_BATCH - 200);
    let exact = |over: usize| Batch::one(&vec![b'x'; LARGEST_BATCH + over - around]);
    let mut keyless = Batch::of(&[b"a", b"b"]);
    keyless.records[1].key = None;
    let compacted = produce_one(9, Topic::named("wire.compacted"), 0, &keyless.encode());
    let zstd = produce_one(6, plain(), 0, &Batch::one(b"v").compressed(codec::ZSTD).encode());
    vec![
        writing("batch of 1,100,000 bytes", &Batch::one(&vec![b'x'; 1_100_000]), code(MESSAGE_TOO_LARGE)),
        writing("batch of exactly max.message.bytes", &exact(0), code(NONE)),
        writing("batch of one byte more than max.message.bytes", &exact(1), code(MESSAGE_TOO_LARGE)),
        writing("timestamp two days ahead", &at(now_ms() + 2 * DAY_MS), code(INVALID_TIMESTAMP)),
        writing("timestamp at the end of time", &at(i64::MAX), code(INVALID_TIMESTAMP)),
        writing("a record's timestamp two days ahead of a header that hides it", &late_record, code(INVALID_TIMESTAMP)),
        writing("timestamp of 1970", &at(0), code(NONE)),
        writing("no timestamp", &at(-1), code(NONE)),
        writing("timestamp -5", &at(-5), Want::Answer),
        writing("timestamp at the beginning of time", &at(i64::MIN), Want::Answer),
        writing(
            "timestamp type set by the client",
            &Batch { attributes: TIMESTAMP_TYPE_BIT, ..Batch::one(b"v") },
            code(NONE),
        ),
        call("a record without key to a compacted topic", PRODUCE, 9, &compacted, code(INVALID_RECORD)),
        call("zstd in Produce 6", PRODUCE, 6, &zstd, code(UNSUPPORTED_COMPRESSION_TYPE)),
    ]
}

/// Kafka's answer is the authorization failure, since a request without an id can be allowed none.
const NO_TRANSACTION: Want = Want::OneOf(&[TRANSACTIONAL_ID_AUTHORIZATION_FAILED, INVALID_RECORD, INVALID_TXN_STATE]);

fn transactions() -> Vec<Row> {
    let bits = |attributes| Batch { attributes, ..Batch::one(b"v") };
    let producer = bits(TRANSACTIONAL_BIT).from_producer(4000, 0, 0);
    vec![
        writing("control batch from a client", &bits(CONTROL_BIT), code(INVALID_RECORD)),
        writing("transactional control batch from a client", &bits(CONTROL_BIT | TRANSACTIONAL_BIT), NO_TRANSACTION),
        writing("transactional batch without a transactional id", &producer, NO_TRANSACTION),
        writing("transactional batch without a producer id", &bits(TRANSACTIONAL_BIT), NO_TRANSACTION),
    ]
}

fn producers() -> Vec<Row> {
    let first = Batch::one(b"v");
    let stamped = |id, epoch, sequence| first.clone().from_producer(id, epoch, sequence);
    vec![
        script("a gap in a producer's sequence", |b| {
            sequence(b, &[(0, 0, NONE), (0, 2, OUT_OF_ORDER_SEQUENCE_NUMBER), (0, 1, NONE)])
        }),
        script("a sequence far behind", |b| {
            let run: Vec<(i16, i32, i16)> =
                (0..8).map(|n| (0, n, NONE)).chain([(0, 0, OUT_OF_ORDER_SEQUENCE_NUMBER)]).collect();
            sequence(b, &run)
        }),
        script("an older producer epoch", |b| {
            sequence(b, &[(3, 0, NONE), (2, 1, INVALID_PRODUCER_EPOCH), (3, 1, NONE)])
        }),
        script("a new producer epoch that does not start at 0", |b| {
            sequence(b, &[(0, 0, NONE), (1, 1, OUT_OF_ORDER_SEQUENCE_NUMBER), (1, 0, NONE)])
        }),
        writing(
            "producer id with a negative sequence",
            &stamped(5001, 0, -5),
            Want::OneOf(&[INVALID_RECORD, OUT_OF_ORDER_SEQUENCE_NUMBER]),
        ),
        writing(
            "producer id with a negative epoch",
            &stamped(5002, -5, 0),
            Want::OneOf(&[INVALID_RECORD, INVALID_PRODUCER_EPOCH]),
        ),
        writing("producer id -7", &stamped(-7, 0, 0), Want::Answer),
    ]
}

/// One-record batches of a new producer as (epoch, sequence, expected error), in order.
fn sequence(broker: &Broker, steps: &[(i16, i32, i16)]) -> Result<(), Mismatch> {
    let mut conn = open(broker)?;
    let id = producer::new_id(&mut conn)?;
    for (epoch, sequence, expected) in steps {
        let batch = Batch::one(b"v").from_producer(id, *epoch, *sequence);
        let body = conn.call(PRODUCE, 9, &produce_one(9, plain(), 0, &batch.encode()))?;
        let got = responses::produce(9, &body)?.first().map(|p| p.error);
        same(&format!("error at epoch {epoch}, sequence {sequence}:"), got, Some(*expected))?;
    }
    Ok(())
}

/// Whether the broker closes the connection.
pub fn closes(conn: &mut Conn) -> Result<(), Mismatch> {
    match conn.recv() {
        Err(WireError::Closed) => Ok(()),
        other => Err(Mismatch::Saw { wanted: "a closed connection".into(), got: format!("{other:?}") }),
    }
}
