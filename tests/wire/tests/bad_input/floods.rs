//! Too much at once: pipelines, connections, announced frames, readers that do not read.

use std::time::{Duration, Instant};

use chronik_wire_tests::batch::Batch;
use chronik_wire_tests::broker::Broker;
use chronik_wire_tests::conn::{Conn, frame, header, request};
use chronik_wire_tests::errors::NONE;
use chronik_wire_tests::requests::*;
use chronik_wire_tests::responses;

use crate::World;
use crate::row::{Mismatch, Row, is_served, open, same, script};

pub fn rows(_: &World) -> Vec<Row> {
    vec![
        script("2,000 requests in one write", pipelined),
        script("1,000 connections opened and dropped", dropped),
        script("200 connections that stay and say nothing", idle),
        script("64 frames of 100 MiB announced, 1 KiB sent", announced)
            .not_on_kafka("a heap of 512 MiB is spent on promises"),
        script("a reader that never reads", unread),
        script("16 connections that leave in the middle of a fetch", leavers),
        script("a frame of 24 MiB that is not a request", large_frame),
        script("1,000 malformed frames one after another", malformed_run),
    ]
}

fn pipelined(broker: &Broker) -> Result<(), Mismatch> {
    const REQUESTS: i32 = 2000;
    let mut conn = open(broker)?;
    let all: Vec<u8> = (0..REQUESTS).flat_map(|n| request(API_VERSIONS, 0, n, &[])).collect();
    conn.send(&all)?;
    for n in 0..REQUESTS {
        conn.answer(API_VERSIONS, 0, n)?;
    }
    Ok(())
}

fn dropped(broker: &Broker) -> Result<(), Mismatch> {
    for round in 0..20 {
        let mut together: Vec<Conn> = (0..50).map(|_| broker.connect()).collect::<Result<_, _>>()?;
        // Half of each round leaves in the middle of a request.
        for conn in together.iter_mut().skip(round % 2).step_by(2) {
            conn.send(&request(API_VERSIONS, 0, 1, &[])[..6])?;
        }
    }
    is_served(broker)
}

fn idle(broker: &Broker) -> Result<(), Mismatch> {
    let silent: Vec<Conn> = (0..200).map(|_| broker.connect()).collect::<Result<_, _>>()?;
    is_served(broker)?;
    drop(silent);
    Ok(())
}

/// Memory is given for bytes that arrived, not for bytes that were promised: the memory limit of the table fails otherwise.
fn announced(broker: &Broker) -> Result<(), Mismatch> {
    let head = header(PRODUCE, 9, 1).done();
    let mut held: Vec<Conn> = (0..64).map(|_| broker.connect()).collect::<Result<_, _>>()?;
    for conn in &mut held {
        let _ = conn.send(&[&(100i32 << 20).to_be_bytes()[..], &head, &[0; 1024]].concat());
    }
    is_served(broker)
}

/// Fetches 200 times what the sink holds and reads none of it. The broker must stop working for this client, not for others.
fn unread(broker: &Broker) -> Result<(), Mismatch> {
    let name = "wire.unread";
    broker.fresh_topic(name)?;
    let batch = Batch::one(&[b'x'; 900_000]).encode();
    let mut writer = open(broker)?;
    for _ in 0..10 {
        let body = writer.call(PRODUCE, 9, &produce_one(9, Topic::named(name), 0, &batch))?;
        same("error", responses::produce(9, &body)?.first().map(|p| p.error), Some(NONE))?;
    }
    let wanted = FetchPartition { max_bytes: 50 << 20, ..FetchPartition::at(0, 0) };
    let body = fetch(12, Fetch::default(), &[(Topic::named(name), vec![wanted])]);
    let mut readers: Vec<Conn> = (0..8).map(|_| broker.connect()).collect::<Result<_, _>>()?;
    for reader in &mut readers {
        let many: Vec<u8> = (0..200).flat_map(|n| request(FETCH, 12, n, &body)).collect();
        reader.send(&many)?;
    }
    // Work for another client goes on while the answers pile up.
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        let body = writer.call(PRODUCE, 9, &produce_one(9, Topic::named(name), 0, &Batch::one(b"v").encode()))?;
        same("error", responses::produce(9, &body)?.first().map(|p| p.error), Some(NONE))?;
    }
    // The first answer is still there, whole and in order.
    let got = responses::fetch(12, &readers[0].answer(FETCH, 12, 0)?)?;
    same("a full first answer", got.partitions.first().is_some_and(|p| p.records.len() >= 900_000), true)
}

fn leavers(broker: &Broker) -> Result<(), Mismatch> {
    let waiting = Fetch { max_wait_ms: 30_000, min_bytes: 1 << 20, ..Fetch::default() };
    let body = fetch(12, waiting, &[(Topic::named("wire.plain"), vec![FetchPartition::at(0, crate::PLAIN_RECORDS)])]);
    for _ in 0..16 {
        open(broker)?.post(FETCH, 12, &body)?;
    }
    is_served(broker)
}

/// The bytes do arrive, so they may be held, but only while they are read.
fn large_frame(broker: &Broker) -> Result<(), Mismatch> {
    let mut conn = open(broker)?;
    let payload = header(PRODUCE, 9, 1).raw(&vec![0xff; 24 << 20]).done();
    let _ = conn.send(&frame(&payload));
    crate::produce::closes(&mut conn)
}

fn malformed_run(broker: &Broker) -> Result<(), Mismatch> {
    for n in 0..1000u32 {
        let mut conn = open(broker)?;
        let noise: Vec<u8> = (0..32u32).map(|i| (n.wrapping_mul(2_654_435_761).rotate_left(i) >> 7) as u8).collect();
        let _ = conn.send(&frame(&noise));
    }
    is_served(broker)
}
