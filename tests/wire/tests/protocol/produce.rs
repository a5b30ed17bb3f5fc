//! Produce: order, silence, bytes kept, idempotence, append time.

use chronik_wire_tests::batch::{Batch, TIMESTAMP_TYPE_BIT, parse_batches};
use chronik_wire_tests::conn::request;
use chronik_wire_tests::requests::*;
use chronik_wire_tests::{codec, producer, responses};

use crate::client::*;

#[test]
fn pipelined_produces_are_answered_in_order() {
    const REQUESTS: i32 = 100;
    let broker = broker();
    let name = "order";
    topic(&broker, name);
    let mut conn = connect(&broker);
    let one = |n: i32| {
        request(PRODUCE, 9, n, &produce_one(9, Topic::named(name), 0, &Batch::one(n.to_string().as_bytes()).encode()))
    };
    let all: Vec<u8> = (0..REQUESTS).flat_map(one).collect();
    conn.send(&all).expect("room for the requests");
    for n in 0..REQUESTS {
        let answer = conn.answer(PRODUCE, 9, n).expect("the next answer in order");
        let partition = responses::produce(9, &answer).expect("readable").pop().expect("one partition");
        assert_eq!((partition.error, partition.base_offset), (0, i64::from(n)));
    }
    let fetched = read(&mut conn, name, 0);
    let values: Vec<Vec<u8>> =
        parse_batches(&fetched.records).expect("batches").into_iter().flat_map(|b| b.values).collect();
    let sent: Vec<Vec<u8>> = (0..REQUESTS).map(|n| n.to_string().into_bytes()).collect();
    assert_eq!(values, sent);
}

#[test]
fn different_requests_on_one_connection_keep_their_order() {
    let broker = broker();
    let name = "mixed";
    topic(&broker, name);
    let mut conn = connect(&broker);
    let write = produce_one(9, Topic::named(name), 0, &Batch::one(b"v").encode());
    let all = [
        request(PRODUCE, 9, 1, &write),
        request(API_VERSIONS, 0, 2, &[]),
        request(PRODUCE, 9, 3, &write),
        request(METADATA, 12, 4, &metadata_of(name)),
        request(LIST_OFFSETS, 7, 5, &list_offsets(7, 0, name, &[(0, -1, -1)])),
    ];
    conn.send(&all.concat()).expect("room for the requests");
    conn.answer(PRODUCE, 9, 1).expect("first");
    conn.answer(API_VERSIONS, 0, 2).expect("second");
    conn.answer(PRODUCE, 9, 3).expect("third");
    conn.answer(METADATA, 12, 4).expect("fourth");
    let listed = conn.answer(LIST_OFFSETS, 7, 5).expect("fifth");
    // What was asked after a produce on the same connection sees that produce.
    assert_eq!(responses::list_offsets(7, &listed).expect("readable")[0].offset, 2);
}

fn metadata_of(name: &str) -> Vec<u8> {
    metadata(12, Some(&[Topic::named(name)]), false)
}

#[test]
fn acks_0_is_answered_by_silence() {
    let broker = broker();
    let name = "silence";
    topic(&broker, name);
    let mut conn = connect(&broker);
    for n in 0..3 {
        let body = produce(9, 0, &[(Topic::named(name), &[(0, Some(&Batch::one(&[n]).encode()))])]);
        conn.post(PRODUCE, 9, &body).expect("sent");
    }
    // The next frame to come is the answer to this request, not to those before it.
    conn.call(API_VERSIONS, 0, &[]).expect("the only answer");
    let waiting = Fetch { max_wait_ms: 10_000, min_bytes: 1, ..Fetch::default() };
    let last = read_with(&mut conn, waiting, name, FetchPartition::at(0, 2));
    assert_eq!(last.error, 0, "the last record is at offset 2 or on its way there");
    let batches = parse_batches(&last.records).expect("batches");
    let values: Vec<Vec<u8>> = batches.into_iter().flat_map(|b| b.values).collect();
    assert_eq!(values, [[2]], "high watermark {}", last.high_watermark);
}

#[test]
fn acks_1_and_all_answer_with_offset_and_log_start() {
    let broker = broker();
    let name = "acks";
    topic(&broker, name);
    let mut conn = connect(&broker);
    for (n, acks) in [1, -1, 1].into_iter().enumerate() {
        let body = produce(9, acks, &[(Topic::named(name), &[(0, Some(&Batch::of(&[b"a", b"b"]).encode()))])]);
        let answer = conn.call(PRODUCE, 9, &body).expect("an answer");
        let p = responses::produce(9, &answer).expect("readable").pop().expect("one partition");
        assert_eq!((p.error, p.base_offset, p.log_append_time_ms, p.log_start_offset), (0, 2 * n as i64, -1, 0));
    }
}

#[test]
fn a_batch_comes_back_as_it_went_but_for_offset_and_epoch() {
    let broker = broker();
    let name = "bytes";
    topic(&broker, name);
    let mut conn = connect(&broker);
    let mut sent = Vec::new();
    for codec in [codec::NONE, codec::GZIP, codec::SNAPPY, codec::LZ4, codec::ZSTD] {
        let mut batch = Batch::of(&[b"one", b"", &[7; 5000]]).compressed(codec);
        batch.records[0].key = None;
        batch.records[1].value = None;
        batch.records[2].headers = vec![("h".into(), Some(b"x".to_vec())), ("empty".into(), None)];
        let bytes = batch.encode();
        let answer = write_bytes(&mut conn, name, 0, &bytes);
        assert_eq!((answer.error, answer.base_offset), (0, 3 * i64::from(codec)), "{}", codec::name(codec));
        sent.push(bytes);
    }
    let fetched = read(&mut conn, name, 0).records;
    let batches = parse_batches(&fetched).expect("batches");
    assert_eq!(batches.len(), sent.len());
    let mut at = 0;
    for (i, (batch, sent)) in batches.iter().zip(&sent).enumerate() {
        assert_eq!(batch.base_offset, 3 * i as i64);
        assert!(batch.leader_epoch >= 0, "the leader's epoch is stamped");
        assert!(batch.crc_is_right);
        // Base offset and leader epoch end at byte 16; between them stands the length.
        assert_eq!(&fetched[at + 16..at + batch.size], &sent[16..], "{}", codec::name(i as i16));
        at += batch.size;
    }
}

#[test]
fn a_duplicate_is_answered_with_its_first_offset() {
    let broker = broker();
    let name = "duplicates";
    topic(&broker, name);
    let mut conn = connect(&broker);
    let id = producer::new_id(&mut conn).expect("a producer id");
    let batch = |sequence: i32| Batch::of(&[b"a", b"b"]).from_producer(id, 0, sequence);
    for n in 0..5 {
        assert_eq!(write(&mut conn, name, 0, &batch(2 * n)).base_offset, i64::from(2 * n));
    }
    for n in [0, 3, 4, 0] {
        let again = write(&mut conn, name, 0, &batch(2 * n));
        assert_eq!((again.error, again.base_offset), (0, i64::from(2 * n)), "the batch at sequence {}", 2 * n);
    }
    assert_eq!(list_offset(&mut conn, name, -1).offset, 10, "nothing was appended twice");
    let after = write(&mut conn, name, 0, &batch(10));
    assert_eq!((after.error, after.base_offset), (0, 10));
}

#[test]
fn a_sequence_wraps_from_the_largest_to_0() {
    let broker = broker();
    let name = "wrap";
    topic(&broker, name);
    let mut conn = connect(&broker);
    let id = producer::new_id(&mut conn).expect("a producer id");
    // A producer the partition does not know may begin anywhere.
    for (sequence, values) in [(i32::MAX - 1, 3), (1, 1)] {
        let batch = Batch::of(&vec![b"v".as_slice(); values]).from_producer(id, 0, sequence);
        assert_eq!(write(&mut conn, name, 0, &batch).error, 0, "at sequence {sequence}");
    }
}

#[test]
fn log_append_time_is_stamped_and_the_crc_follows() {
    let broker = broker();
    let name = "append-time";
    broker
        .fresh_topic_with(NewTopic::new(name, 1).config("message.timestamp.type", Some("LogAppendTime")))
        .expect("a topic");
    let mut conn = connect(&broker);
    for (n, codec) in [codec::NONE, codec::LZ4].into_iter().enumerate() {
        let batch = Batch { base_timestamp: 1000, ..Batch::of(&[b"a", b"b"]) }.compressed(codec);
        let answer = write(&mut conn, name, 0, &batch);
        assert_eq!(answer.error, 0);
        assert!(answer.log_append_time_ms > 1_600_000_000_000, "{}", answer.log_append_time_ms);
        let fetched = parse_batches(&read(&mut conn, name, 2 * n as i64).records).expect("batches").remove(0);
        assert_ne!(fetched.attributes & TIMESTAMP_TYPE_BIT, 0);
        assert_eq!(fetched.max_timestamp, answer.log_append_time_ms);
        assert!(fetched.crc_is_right);
    }
}

#[test]
fn a_wrong_partition_does_not_harm_a_right_one() {
    let broker = broker();
    let name = "half";
    topic(&broker, name);
    let mut conn = connect(&broker);
    let good = Batch::one(b"good").encode();
    let mut bad = Batch::one(b"bad");
    bad.crc = Some(7);
    let bad = bad.encode();
    broker.fresh_topic("half.bad").expect("a topic");
    let body =
        produce(9, -1, &[(Topic::named("half.bad"), &[(0, Some(&bad))]), (Topic::named(name), &[(0, Some(&good))])]);
    let answer = conn.call(PRODUCE, 9, &body).expect("an answer");
    let errors: Vec<i16> = responses::produce(9, &answer).expect("readable").iter().map(|p| p.error).collect();
    assert!(errors == [2, 0] || errors == [0, 2], "{errors:?}");
    assert_eq!(list_offset(&mut conn, name, -1).offset, 1);
    assert_eq!(list_offset(&mut conn, "half.bad", -1).offset, 0);
}
