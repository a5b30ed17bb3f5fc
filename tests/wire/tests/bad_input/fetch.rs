//! Fetch, ListOffsets and OffsetForLeaderEpoch: offsets, epochs, sessions and sizes that cannot be.

use chronik_wire_tests::broker::Broker;
use chronik_wire_tests::requests::*;
use chronik_wire_tests::{errors, responses};

use crate::row::{Mismatch, Row, Want, call, code, open, same, script};
use crate::{PLAIN_RECORDS, World};

/// Nothing is wrong, or the request is.
const HARMLESS: Want = Want::OneOf(&[errors::NONE, errors::INVALID_REQUEST]);
const UNCHECKED: &str = "an exception while reading the log becomes an unknown server error";

fn one(p: FetchPartition) -> Vec<u8> {
    with(Fetch::default(), p)
}

fn with(how: Fetch, p: FetchPartition) -> Vec<u8> {
    fetch(12, how, &[(Topic::named("wire.plain"), vec![p])])
}

fn at(offset: i64) -> FetchPartition {
    FetchPartition::at(0, offset)
}

pub fn rows(world: &World) -> Vec<Row> {
    let mut rows = places();
    rows.extend(sizes());
    rows.extend(sessions(world));
    rows.extend(list_offsets_rows());
    rows.extend(epochs());
    rows
}

fn places() -> Vec<Row> {
    let fetching = |name: &str, p, want| call(name, FETCH, 12, &one(p), want);
    let unknown = fetch(12, Fetch::default(), &[(Topic::named("wire.none"), vec![at(0)])]);
    let by_id = |id| fetch(13, Fetch::default(), &[(Topic::with_id(id), vec![at(0)])]);
    vec![
        fetching("fetch at offset -5", at(-5), code(errors::OFFSET_OUT_OF_RANGE)),
        fetching("fetch at the smallest offset", at(i64::MIN), code(errors::OFFSET_OUT_OF_RANGE)),
        fetching("fetch one past the end", at(PLAIN_RECORDS + 1), code(errors::OFFSET_OUT_OF_RANGE)),
        fetching("fetch at the largest offset", at(i64::MAX), code(errors::OFFSET_OUT_OF_RANGE)),
        fetching("fetch at the end", at(PLAIN_RECORDS), code(errors::NONE)),
        fetching("fetch of partition 99", FetchPartition::at(99, 0), code(errors::UNKNOWN_TOPIC_OR_PARTITION)),
        fetching("fetch of partition -1", FetchPartition::at(-1, 0), code(errors::UNKNOWN_TOPIC_OR_PARTITION)),
        call("fetch of an unknown topic", FETCH, 12, &unknown, code(errors::UNKNOWN_TOPIC_OR_PARTITION)),
        call("fetch of an unknown topic id", FETCH, 13, &by_id([0xab; 16]), code(errors::UNKNOWN_TOPIC_ID)),
        call("fetch of the zero topic id", FETCH, 13, &by_id(NO_UUID), code(errors::UNKNOWN_TOPIC_ID)),
        call(
            "fetch of a topic name of 300 bytes",
            FETCH,
            12,
            &fetch(12, Fetch::default(), &[(Topic::named(&"x".repeat(300)), vec![at(0)])]),
            code(errors::UNKNOWN_TOPIC_OR_PARTITION),
        ),
        call(
            "fetch of a topic named ../../etc",
            FETCH,
            12,
            &fetch(12, Fetch::default(), &[(Topic::named("../../etc"), vec![at(0)])]),
            code(errors::UNKNOWN_TOPIC_OR_PARTITION),
        ),
        fetching(
            "fetch with leader epoch -2",
            FetchPartition { current_leader_epoch: -2, ..at(0) },
            code(errors::NONE),
        ),
        fetching(
            "fetch with a newer leader epoch",
            FetchPartition { current_leader_epoch: i32::MAX, ..at(0) },
            code(errors::UNKNOWN_LEADER_EPOCH),
        ),
        fetching(
            "fetch that claims a later last epoch",
            FetchPartition { last_fetched_epoch: i32::MAX, ..at(5) },
            code(errors::OFFSET_OUT_OF_RANGE),
        ),
    ]
}

fn sizes() -> Vec<Row> {
    let how = Fetch::default();
    let fetching = |name: &str, how, p, want| call(name, FETCH, 12, &with(how, p), want);
    let twice = fetch(12, how, &[(Topic::named("wire.plain"), vec![at(0), at(3)])]);
    vec![
        fetching("fetch with max_bytes -1", Fetch { max_bytes: -1, ..how }, at(0), HARMLESS)
            .kafka(code(errors::UNKNOWN_SERVER_ERROR), UNCHECKED),
        fetching("fetch with max_bytes 0", Fetch { max_bytes: 0, ..how }, at(0), code(errors::NONE)),
        fetching("fetch with partition max_bytes -1", how, FetchPartition { max_bytes: -1, ..at(0) }, HARMLESS)
            .kafka(code(errors::UNKNOWN_SERVER_ERROR), UNCHECKED),
        fetching(
            "fetch with partition max_bytes of 2 GiB",
            how,
            FetchPartition { max_bytes: i32::MAX, ..at(0) },
            code(errors::NONE),
        ),
        fetching(
            "fetch with min_bytes above max_bytes",
            Fetch { min_bytes: i32::MAX, max_bytes: 1, max_wait_ms: 50, ..how },
            at(0),
            code(errors::NONE),
        ),
        fetching(
            "fetch with negative min_bytes and wait",
            Fetch { min_bytes: i32::MIN, max_wait_ms: i32::MIN, ..how },
            at(PLAIN_RECORDS),
            code(errors::NONE),
        ),
        fetching("fetch at isolation level 7", Fetch { isolation: 7, ..how }, at(0), Want::Answer),
        fetching("fetch posing as broker 1", Fetch { replica_id: 1, ..how }, at(0), Want::Answer),
        fetching("fetch posing as broker -3", Fetch { replica_id: -3, ..how }, at(0), Want::Answer),
        call("fetch of one partition twice", FETCH, 12, &twice, Want::Answer),
        call("fetch of no topics", FETCH, 12, &fetch(12, how, &[]), Want::Codes(vec![])),
    ]
}

fn sessions(world: &World) -> Vec<Row> {
    let session = |id, epoch| Fetch { session_id: id, session_epoch: epoch, ..Fetch::default() };
    let fetching = |name: &str, how, want| call(name, FETCH, 12, &fetch(12, how, &[]), want);
    let id = world.plain_id;
    vec![
        fetching("fetch in an unknown session", session(123_456, 1), code(errors::FETCH_SESSION_ID_NOT_FOUND)),
        fetching("fetch in a session of negative id", session(-7, 1), code(errors::FETCH_SESSION_ID_NOT_FOUND)),
        fetching("fetch in session 0 at epoch 5", session(0, 5), code(errors::FETCH_SESSION_ID_NOT_FOUND)),
        fetching("fetch closing an unknown session", session(123_456, -1), Want::Codes(vec![])),
        fetching("fetch at session epoch -9", session(0, -9), code(errors::FETCH_SESSION_ID_NOT_FOUND)),
        script("fetch at a wrong session epoch", move |broker| wrong_epoch(broker, id)),
        script("3,000 fetch sessions opened", move |broker| many_sessions(broker, id)),
    ]
}

fn opened(conn: &mut chronik_wire_tests::conn::Conn, id: [u8; 16]) -> Result<responses::Fetched, Mismatch> {
    let open = Fetch { session_epoch: 0, ..Fetch::default() };
    let body = conn.call(FETCH, 13, &fetch(13, open, &[(Topic::with_id(id), vec![at(PLAIN_RECORDS)])]))?;
    Ok(responses::fetch(13, &body)?)
}

fn wrong_epoch(broker: &Broker, id: [u8; 16]) -> Result<(), Mismatch> {
    let mut conn = open(broker)?;
    let session_id = opened(&mut conn, id)?.session_id;
    if session_id == 0 {
        return Ok(());
    }
    let body = conn.call(FETCH, 13, &fetch(13, Fetch { session_id, session_epoch: 7, ..Fetch::default() }, &[]))?;
    same("error", responses::fetch(13, &body)?.error, errors::INVALID_FETCH_SESSION_EPOCH)
}

/// Sessions are a cache with a limit: a client that leaks them gets answers without one, or pushes older ones out.
fn many_sessions(broker: &Broker, id: [u8; 16]) -> Result<(), Mismatch> {
    let mut conn = open(broker)?;
    let mut ids = Vec::new();
    for _ in 0..3000 {
        let answer = opened(&mut conn, id)?;
        same("error", answer.error, errors::NONE)?;
        ids.push(answer.session_id);
    }
    // Left clean for whoever tests the same broker next.
    for session_id in ids.into_iter().filter(|id| *id != 0) {
        let close = Fetch { session_id, session_epoch: -1, ..Fetch::default() };
        conn.call(FETCH, 13, &fetch(13, close, &[]))?;
    }
    Ok(())
}

fn list_offsets_rows() -> Vec<Row> {
    let listing =
        |name: &str, topic: &str, p, want| call(name, LIST_OFFSETS, 7, &list_offsets(7, 0, topic, &[p]), want);
    let plain = "wire.plain";
    vec![
        listing("offsets of partition 99", plain, (99, -1, -1), code(errors::UNKNOWN_TOPIC_OR_PARTITION)),
        listing("offsets of an unknown topic", "wire.none", (0, -1, -1), code(errors::UNKNOWN_TOPIC_OR_PARTITION)),
        listing("offsets of a topic named ..", "..", (0, -1, -1), code(errors::UNKNOWN_TOPIC_OR_PARTITION)),
        listing("offsets at timestamp -100", plain, (0, -1, -100), Want::Answer),
        listing("offsets at the smallest timestamp", plain, (0, -1, i64::MIN), Want::Answer),
        listing("offsets at the largest timestamp", plain, (0, -1, i64::MAX), code(errors::NONE)),
        listing("offsets with a newer leader epoch", plain, (0, i32::MAX, -1), code(errors::UNKNOWN_LEADER_EPOCH)),
        listing("offsets with an older leader epoch", plain, (0, -2, -1), code(errors::FENCED_LEADER_EPOCH)),
        call(
            "offsets of one partition twice",
            LIST_OFFSETS,
            7,
            &list_offsets(7, 0, plain, &[(0, -1, -1), (0, -1, -2)]),
            Want::Answer,
        ),
        call("offsets at isolation level 7", LIST_OFFSETS, 7, &list_offsets(7, 7, plain, &[(0, -1, -1)]), Want::Answer),
    ]
}

fn epochs() -> Vec<Row> {
    let asking = |name: &str, topic: &str, p, want| {
        call(name, OFFSET_FOR_LEADER_EPOCH, 4, &offset_for_leader_epoch(4, topic, &[p]), want)
    };
    let plain = "wire.plain";
    vec![
        asking("epoch end of partition 99", plain, (99, -1, 0), code(errors::UNKNOWN_TOPIC_OR_PARTITION)),
        asking("epoch end with a newer leader epoch", plain, (0, i32::MAX, 0), code(errors::UNKNOWN_LEADER_EPOCH)),
        asking("epoch end with an older leader epoch", plain, (0, -2, 0), code(errors::FENCED_LEADER_EPOCH)),
        script("epoch end of an epoch to come", |broker| epoch_end(broker, i32::MAX)),
        script("epoch end of epoch -5", |broker| epoch_end(broker, -5)),
    ]
}

/// An epoch to come has no end: -1 and -1, without an error. One before all others may also be told where the log starts.
fn epoch_end(broker: &Broker, epoch: i32) -> Result<(), Mismatch> {
    let body =
        open(broker)?.call(OFFSET_FOR_LEADER_EPOCH, 4, &offset_for_leader_epoch(4, "wire.plain", &[(0, -1, epoch)]))?;
    let got = responses::offset_for_leader_epoch(4, &body)?;
    let before_all = vec![(errors::NONE, epoch, 0)];
    if epoch < 0 && got == before_all {
        Ok(())
    } else {
        same("error, epoch and end", got, vec![(errors::NONE, -1, -1)])
    }
}
