//! Fetch: waiting and waking, limits, sessions, offsets in each answer.

use std::time::{Duration, Instant};

use chronik_wire_tests::batch::{Batch, parse_batches};
use chronik_wire_tests::broker::Broker;
use chronik_wire_tests::conn::Conn;
use chronik_wire_tests::errors::*;
use chronik_wire_tests::requests::*;
use chronik_wire_tests::responses;

use crate::client::*;

#[test]
fn a_waiting_fetch_is_woken_by_an_append() {
    let broker = broker();
    let name = "wake";
    topic(&broker, name);
    let (mut reader, mut writer) = (connect(&broker), connect(&broker));
    let waiting = Fetch { max_wait_ms: 30_000, min_bytes: 1, ..Fetch::default() };
    let body = fetch(12, waiting, &[(Topic::named(name), vec![FetchPartition::at(0, 0)])]);
    let first = reader.post(FETCH, 12, &body).expect("sent");
    // The answer to a request behind a waiting one waits with it.
    let second = reader.post(API_VERSIONS, 0, &[]).expect("sent");
    assert!(is_quiet(&mut reader), "the fetch waits");
    assert_eq!(write(&mut writer, name, 0, &Batch::one(b"awake")).error, 0);
    // Patience ends well before max_wait does.
    let answer = reader.answer(FETCH, 12, first).expect("an answer because of the append");
    let got = responses::fetch(12, &answer).expect("readable").partitions.remove(0);
    assert_eq!(parse_batches(&got.records).expect("batches")[0].values, vec![b"awake".to_vec()]);
    assert_eq!(got.high_watermark, 1);
    reader.answer(API_VERSIONS, 0, second).expect("the second answer");
}

/// Whether nothing arrives for a moment; only a broker that answers at once is caught.
fn is_quiet(conn: &mut Conn) -> bool {
    conn.stream().set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    conn.stream().peek(&mut [0]).is_err()
}

#[test]
fn a_fetch_waits_for_min_bytes_or_max_wait() {
    let broker = broker();
    let name = "min";
    topic(&broker, name);
    let (mut reader, mut writer) = (connect(&broker), connect(&broker));
    write(&mut writer, name, 0, &Batch::one(b"little"));
    let waiting = Fetch { max_wait_ms: 400, min_bytes: 1 << 20, ..Fetch::default() };
    let begun = Instant::now();
    let got = read_with(&mut reader, waiting, name, FetchPartition::at(0, 0));
    assert!(begun.elapsed() >= Duration::from_millis(390), "answered after {:?}", begun.elapsed());
    assert_eq!(parse_batches(&got.records).expect("batches").len(), 1, "what is there comes all the same");
    // Two appends together make up min_bytes: the first alone does not wake the fetch, the second does.
    let waiting = Fetch { max_wait_ms: 30_000, min_bytes: 1500, ..Fetch::default() };
    let body = fetch(12, waiting, &[(Topic::named(name), vec![FetchPartition::at(0, 1)])]);
    let asked = reader.post(FETCH, 12, &body).expect("sent");
    for _ in 0..2 {
        write(&mut writer, name, 0, &Batch::one(&[1; 1000]));
    }
    let answer = reader.answer(FETCH, 12, asked).expect("an answer because of the appends");
    let got = responses::fetch(12, &answer).expect("readable").partitions.remove(0);
    assert_eq!(parse_batches(&got.records).expect("batches").len(), 2);
}

#[test]
fn an_error_is_answered_at_once() {
    let broker = broker();
    let name = "at-once";
    topic(&broker, name);
    let mut conn = connect(&broker);
    let waiting = Fetch { max_wait_ms: 30_000, min_bytes: 1, ..Fetch::default() };
    assert_eq!(read_with(&mut conn, waiting, name, FetchPartition::at(0, 5)).error, OFFSET_OUT_OF_RANGE);
}

/// Five batches of one record of 1,000 bytes each.
fn five_batches(broker: &Broker, name: &str) -> usize {
    topic(broker, name);
    let mut conn = connect(broker);
    let batch = Batch::one(&[5; 1000]);
    for _ in 0..5 {
        assert_eq!(write(&mut conn, name, 0, &batch).error, 0);
    }
    batch.encode().len()
}

#[test]
fn the_first_batch_comes_whole_whatever_the_limit() {
    let broker = broker();
    let name = "whole";
    let size = five_batches(&broker, name);
    let mut conn = connect(&broker);
    let whole = |conn: &mut Conn, max_bytes: i32, partition_max: i32, offset: i64| {
        let p = FetchPartition { max_bytes: partition_max, ..FetchPartition::at(0, offset) };
        let got = read_with(conn, Fetch { max_bytes, ..Fetch::default() }, name, p);
        parse_batches(&got.records).expect("batches").iter().map(|b| b.base_offset).collect::<Vec<_>>()
    };
    let two_and_a_half = (size * 5 / 2) as i32;
    assert_eq!(whole(&mut conn, 1, 1, 0), [0]);
    assert_eq!(whole(&mut conn, 1, 1 << 20, 3), [3]);
    assert_eq!(whole(&mut conn, 0, 0, 4), [4]);
    assert_eq!(whole(&mut conn, 1 << 20, two_and_a_half, 0), [0, 1]);
    assert_eq!(whole(&mut conn, two_and_a_half, 1 << 20, 1), [1, 2]);
    assert_eq!(whole(&mut conn, 1 << 20, 1 << 20, 0), [0, 1, 2, 3, 4]);
}

#[test]
fn only_the_first_partition_may_pass_the_limit() {
    let broker = broker();
    let (one, two) = ("limit.1", "limit.2");
    five_batches(&broker, one);
    five_batches(&broker, two);
    let small = Fetch { max_bytes: 10, ..Fetch::default() };
    let at = || vec![FetchPartition::at(0, 0)];
    let body = fetch(12, small, &[(Topic::named(one), at()), (Topic::named(two), at())]);
    let answer = connect(&broker).call(FETCH, 12, &body).expect("an answer");
    let got = responses::fetch(12, &answer).expect("readable");
    let batches: Vec<usize> =
        got.partitions.iter().map(|p| parse_batches(&p.records).expect("batches").len()).collect();
    assert_eq!(batches, [1, 0]);
}

#[test]
fn a_fetch_from_within_a_batch_gets_the_whole_batch() {
    let broker = broker();
    let name = "within";
    topic(&broker, name);
    let mut conn = connect(&broker);
    write(&mut conn, name, 0, &Batch::of(&[b"0", b"1", b"2"]));
    let got = read(&mut conn, name, 2);
    let batch = parse_batches(&got.records).expect("batches").remove(0);
    assert_eq!((batch.base_offset, batch.last_offset_delta), (0, 2));
}

/// One session in use: its id, the next epoch, and what it has been told.
struct Session {
    conn: Conn,
    id: i32,
    epoch: i32,
}

impl Session {
    fn next(
        &mut self,
        add: &[(Topic<'_>, Vec<FetchPartition>)],
        forget: &[(Topic<'_>, Vec<i32>)],
    ) -> responses::Fetched {
        let how = Fetch { session_id: self.id, session_epoch: self.epoch, ..Fetch::default() };
        let answer = self.conn.call(FETCH, 13, &fetch_forgetting(13, how, add, forget)).expect("an answer");
        let got = responses::fetch(13, &answer).expect("readable");
        assert_eq!(got.error, NONE, "at epoch {}", self.epoch);
        (self.id, self.epoch) = (got.session_id, self.epoch + 1);
        got
    }
}

fn indexes(got: &responses::Fetched) -> Vec<i32> {
    let mut all: Vec<i32> = got.partitions.iter().map(|p| p.index).collect();
    all.sort_unstable();
    all
}

#[test]
fn a_fetch_session_tells_only_what_changed() {
    let broker = broker();
    let name = "session";
    let id = broker.fresh_topic_with(NewTopic::new(name, 3)).expect("a topic");
    let topic = Topic::with_id(id);
    let mut writer = connect(&broker);
    let mut session = Session { conn: connect(&broker), id: 0, epoch: 0 };

    let all = (0..3).map(|i| FetchPartition::at(i, 0)).collect();
    assert_eq!(indexes(&session.next(&[(topic, all)], &[])), [0, 1, 2], "the first answer is full");
    assert_ne!(session.id, 0, "a session is given");
    assert_eq!(indexes(&session.next(&[], &[])), [] as [i32; 0], "nothing changed");

    write(&mut writer, name, 1, &Batch::one(b"v"));
    let got = session.next(&[], &[]);
    assert_eq!(indexes(&got), [1]);
    assert_eq!((got.partitions[0].high_watermark, got.partitions[0].records.is_empty()), (1, false));

    let onward = vec![FetchPartition::at(1, 1)];
    assert_eq!(indexes(&session.next(&[(topic, onward)], &[])), [] as [i32; 0], "read to the end");
    write(&mut writer, name, 0, &Batch::one(b"v"));
    assert_eq!(
        indexes(&session.next(&[], &[(topic, vec![0])])),
        [] as [i32; 0],
        "a forgotten partition is not told of"
    );

    let last = session.id;
    session.epoch = -1;
    assert_eq!(session.next(&[], &[]).session_id, 0, "the session is closed");
    let how = Fetch { session_id: last, session_epoch: 5, ..Fetch::default() };
    let answer = session.conn.call(FETCH, 13, &fetch(13, how, &[])).expect("an answer");
    assert_eq!(responses::fetch(13, &answer).expect("readable").error, FETCH_SESSION_ID_NOT_FOUND);
}

#[test]
fn every_answer_holds_high_watermark_and_log_start() {
    let broker = broker();
    let name = "marks";
    topic(&broker, name);
    let mut conn = connect(&broker);
    for _ in 0..5 {
        write(&mut conn, name, 0, &Batch::one(b"v"));
    }
    let answer = conn.call(DELETE_RECORDS, 2, &delete_records(2, name, &[(0, 3)])).expect("an answer");
    assert_eq!(responses::delete_records(2, &answer).expect("readable"), vec![(3, NONE)]);
    let got = read(&mut conn, name, 3);
    assert_eq!((got.error, got.log_start_offset, got.high_watermark, got.last_stable_offset), (NONE, 3, 5, 5));
    let end = read(&mut conn, name, 5);
    assert_eq!((end.error, end.log_start_offset, end.high_watermark, end.records.len()), (NONE, 3, 5, 0));
    assert_eq!(read(&mut conn, name, 2).error, OFFSET_OUT_OF_RANGE, "below the log start");
    assert_eq!(list_offset(&mut conn, name, -2).offset, 3);
    assert_eq!(write(&mut conn, name, 0, &Batch::one(b"v")).log_start_offset, 3);
    // -1 stands for the high watermark.
    let answer = conn.call(DELETE_RECORDS, 2, &delete_records(2, name, &[(0, -1)])).expect("an answer");
    assert_eq!(responses::delete_records(2, &answer).expect("readable"), vec![(6, NONE)]);
}
