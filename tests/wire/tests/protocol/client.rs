//! Short forms of the calls the tests make. A broker that cannot be reached or answers nonsense fails the test.

use chronik_wire_tests::batch::Batch;
use chronik_wire_tests::broker::Broker;
use chronik_wire_tests::conn::Conn;
use chronik_wire_tests::requests::*;
use chronik_wire_tests::responses::{self, FetchedPartition, ListedOffset, ProducedPartition};

const READABLE: &str = "an answer that can be read";

pub fn broker() -> Broker {
    Broker::start().unwrap_or_else(|e| panic!("{e}"))
}

pub fn connect(broker: &Broker) -> Conn {
    broker.connect().expect("a connection")
}

/// A topic of one partition, empty; its id.
pub fn topic(broker: &Broker, name: &str) -> [u8; 16] {
    broker.fresh_topic(name).expect("a fresh topic")
}

pub fn write(conn: &mut Conn, topic: &str, partition: i32, batch: &Batch) -> ProducedPartition {
    write_bytes(conn, topic, partition, &batch.encode())
}

pub fn write_bytes(conn: &mut Conn, topic: &str, partition: i32, records: &[u8]) -> ProducedPartition {
    let body = produce_one(9, Topic::named(topic), partition, records);
    let answer = conn.call(PRODUCE, 9, &body).expect("an answer to Produce");
    responses::produce(9, &answer).expect(READABLE).pop().expect("an answer for the partition")
}

/// Fetches partition 0 without waiting.
pub fn read(conn: &mut Conn, topic: &str, offset: i64) -> FetchedPartition {
    read_with(conn, Fetch::default(), topic, FetchPartition::at(0, offset))
}

pub fn read_with(conn: &mut Conn, how: Fetch, topic: &str, p: FetchPartition) -> FetchedPartition {
    let body = fetch(12, how, &[(Topic::named(topic), vec![p])]);
    let answer = conn.call(FETCH, 12, &body).expect("an answer to Fetch");
    responses::fetch(12, &answer).expect(READABLE).partitions.pop().expect("an answer for the partition")
}

/// ListOffsets of partition 0.
pub fn list_offset(conn: &mut Conn, topic: &str, timestamp: i64) -> ListedOffset {
    let body = list_offsets(7, 0, topic, &[(0, -1, timestamp)]);
    let answer = conn.call(LIST_OFFSETS, 7, &body).expect("an answer to ListOffsets");
    responses::list_offsets(7, &answer).expect(READABLE).pop().expect("an answer for the partition")
}

pub fn describe(conn: &mut Conn, topics: Option<&[Topic<'_>]>, auto_create: bool) -> responses::Metadata {
    let answer = conn.call(METADATA, 12, &metadata(12, topics, auto_create)).expect("an answer to Metadata");
    responses::metadata(12, &answer).expect(READABLE)
}
