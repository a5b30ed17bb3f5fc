//! ListOffsets and OffsetForLeaderEpoch.

use chronik_wire_tests::batch::Batch;
use chronik_wire_tests::codec;
use chronik_wire_tests::requests::*;
use chronik_wire_tests::responses;

use crate::client::*;

const BASE_MS: i64 = 1_700_000_000_000;

/// A batch whose records have these timestamps, relative to [`BASE_MS`].
fn timed(codec: i16, timestamps: &[i64]) -> Batch {
    let values = vec![b"v".as_slice(); timestamps.len()];
    let mut batch = Batch { base_timestamp: BASE_MS, ..Batch::of(&values) }.compressed(codec);
    for (record, at) in batch.records.iter_mut().zip(timestamps) {
        record.timestamp_delta = *at;
    }
    batch
}

#[test]
fn a_timestamp_finds_its_record_within_a_batch() {
    let broker = broker();
    for codec in [codec::NONE, codec::GZIP, codec::SNAPPY, codec::LZ4, codec::ZSTD] {
        let name = format!("times.{}", codec::name(codec));
        topic(&broker, &name);
        let mut conn = connect(&broker);
        write(&mut conn, &name, 0, &timed(codec, &[0, 10, 20, 30, 40]));
        write(&mut conn, &name, 0, &timed(codec, &[50, 60, 70]));
        for (asked, offset, found) in
            [(-100, 0, 0), (0, 0, 0), (1, 1, 10), (15, 2, 20), (40, 4, 40), (41, 5, 50), (61, 7, 70), (70, 7, 70)]
        {
            let got = list_offset(&mut conn, &name, BASE_MS + asked);
            assert_eq!((got.error, got.offset, got.timestamp), (0, offset, BASE_MS + found), "{name} at {asked}");
        }
        let beyond = list_offset(&mut conn, &name, BASE_MS + 71);
        assert_eq!((beyond.error, beyond.offset, beyond.timestamp), (0, -1, -1), "{name} beyond the end");
    }
}

#[test]
fn timestamps_out_of_order_give_the_first_record_that_is_late_enough() {
    let broker = broker();
    let name = "times.disorder";
    topic(&broker, name);
    let mut conn = connect(&broker);
    write(&mut conn, name, 0, &timed(codec::ZSTD, &[30, 10, 20]));
    write(&mut conn, name, 0, &timed(codec::NONE, &[5, 90, 90]));
    write(&mut conn, name, 0, &timed(codec::GZIP, &[7]));
    for (asked, offset, found) in [(5, 0, 30), (15, 0, 30), (31, 4, 90), (90, 4, 90)] {
        let got = list_offset(&mut conn, name, BASE_MS + asked);
        assert_eq!((got.offset, got.timestamp), (offset, BASE_MS + found), "at {asked}");
    }
    let newest = list_offset(&mut conn, name, -3);
    assert_eq!(
        (newest.error, newest.offset, newest.timestamp),
        (0, 4, BASE_MS + 90),
        "the first of the largest timestamp"
    );
}

#[test]
fn latest_and_earliest_of_an_empty_and_a_filled_log() {
    let broker = broker();
    let name = "ends";
    topic(&broker, name);
    let mut conn = connect(&broker);
    assert_eq!([-2, -1].map(|at| list_offset(&mut conn, name, at).offset), [0, 0]);
    let none = list_offset(&mut conn, name, -3);
    assert_eq!((none.error, none.offset, none.timestamp), (0, -1, -1), "no record, no largest timestamp");
    write(&mut conn, name, 0, &Batch::of(&[b"a", b"b"]));
    assert_eq!([-2, -1].map(|at| list_offset(&mut conn, name, at).offset), [0, 2]);
}

#[test]
fn the_current_leader_epoch_ends_at_the_log_end() {
    let broker = broker();
    let name = "epochs";
    topic(&broker, name);
    let mut conn = connect(&broker);
    write(&mut conn, name, 0, &Batch::of(&[b"a", b"b"]));
    let epoch = describe(&mut conn, Some(&[Topic::named(name)]), false).topics[0].partitions[0].3;
    let answer = conn
        .call(OFFSET_FOR_LEADER_EPOCH, 4, &offset_for_leader_epoch(4, name, &[(0, epoch, epoch)]))
        .expect("an answer");
    assert_eq!(responses::offset_for_leader_epoch(4, &answer).expect("readable"), vec![(0, epoch, 2)]);
}
