//! Records out of batches: the pinned ones, random ones, malformed ones.

mod records_support;

use std::ops::ControlFlow;

use bytes::{Bytes, BytesMut};
use chronik_protocol::batch::{BatchHeader, Compression, HEADER_LEN};
use chronik_protocol::builder::BatchBuilder;
use chronik_protocol::records::{self, Limits, Record, RecordFault, RecordHeader, RecordMeta, RecordsError};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records as other;
use records_support::{CODECS, Numbers, batch_of, long_value, read, vector};

const LIMITS: Limits = Limits { max_output_bytes: 4 << 20 };

fn record(offset: i64, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Record {
    let bytes = |b: &[u8]| Bytes::copy_from_slice(b);
    Record { offset, timestamp, attributes: 0, key: key.map(bytes), value: value.map(bytes), headers: vec![] }
}

fn small() -> Vec<Record> {
    let mut first = record(0, 1000, Some(b"k0"), Some(b"v0"));
    first.headers = vec![
        RecordHeader { key: Bytes::from_static(b"h"), value: Some(Bytes::from_static(b"x")) },
        RecordHeader { key: Bytes::from_static(b"n"), value: None },
    ];
    vec![first, record(1, 1005, None, Some(b"")), record(2, 999, Some(b""), None)]
}

fn shapes(batch: &Bytes) -> Result<Vec<RecordMeta>, RecordsError> {
    let header = BatchHeader::parse(batch).expect("a whole header");
    let mut seen = Vec::new();
    records::walk(&header, &batch[HEADER_LEN..], LIMITS, |meta| {
        seen.push(meta);
        ControlFlow::Continue(())
    })?;
    Ok(seen)
}

/// What `walk` ought to have said of `records`.
fn shape_of(record: &Record, header: &BatchHeader) -> RecordMeta {
    RecordMeta {
        offset_delta: (record.offset - header.base_offset) as i32,
        timestamp_delta: record.timestamp - header.base_timestamp,
        attributes: record.attributes,
        key_len: record.key.as_ref().map(Bytes::len),
        value_len: record.value.as_ref().map(Bytes::len),
        headers: record.headers.len(),
    }
}

#[test]
fn batches_of_apache_kafka_are_read() {
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        assert_eq!(read(&vector(&format!("small.{codec}")), LIMITS), Ok(small()), "{codec}");
    }
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let batch = vector(&format!("big.{codec}"));
        let expected = vec![record(0, 77, None, Some(&long_value())), record(1, 78, Some(b"t"), Some(b"tail"))];
        assert_eq!(read(&batch, LIMITS), Ok(expected.clone()), "{codec}");
        let header = BatchHeader::parse(&batch).expect("a whole header");
        let expected: Vec<_> = expected.iter().map(|r| shape_of(r, &header)).collect();
        assert_eq!(shapes(&batch), Ok(expected), "{codec}");
    }
}

#[test]
fn append_time_is_every_records_time_and_offsets_count_from_the_base() {
    let records = read(&vector("append-time.transactional"), LIMITS).expect("sound");
    let seen: Vec<_> = records.iter().map(|r| (r.offset, r.timestamp)).collect();
    assert_eq!(seen, [(500, 123_456_789), (501, 123_456_789), (502, 123_456_789)]);
}

#[test]
fn the_builder_writes_apache_kafkas_bytes() {
    assert_eq!(records_support::small_batch(Compression::None), vector("small.none"));

    let mut builder = BatchBuilder::new()
        .base_offset(500)
        .leader_epoch(7)
        .producer(9, 1, 0)
        .transactional()
        .log_append_time(123_456_789);
    for r in small() {
        let headers: Vec<_> =
            r.headers.iter().map(|h| (std::str::from_utf8(&h.key).expect("ascii"), h.value.as_deref())).collect();
        builder.push(r.timestamp, r.key.as_deref(), r.value.as_deref(), &headers);
    }
    assert_eq!(builder.build().expect("small"), vector("append-time.transactional"));

    let mut marker = BatchBuilder::new().base_offset(42).leader_epoch(5).producer(9, 1, -1).transactional().control();
    marker.push(1234, Some(&[0, 0, 0, 1]), Some(&[0, 0, 0, 0, 0, 3]), &[]);
    assert_eq!(marker.build().expect("small"), vector("marker.commit"));
}

fn random_records(numbers: &mut Numbers) -> Vec<Record> {
    let mut offset = 0;
    (0..1 + numbers.below(40))
        .map(|i| {
            let field = |numbers: &mut Numbers| -> Option<Bytes> {
                let longest = if numbers.below(200) == 0 { 100_000 } else { 200 };
                let len = numbers.below(longest);
                (numbers.below(5) > 0).then(|| numbers.bytes(len).into())
            };
            offset += if i == 0 { 0 } else { 1 + numbers.below(3) as i64 };
            let headers = (0..numbers.below(4))
                .map(|h| RecordHeader { key: format!("h{}", h / 2).into(), value: field(numbers) })
                .collect();
            let timestamp = 1_700_000_000_000 + numbers.below(1 << 30) as i64 - (1 << 29);
            let (key, value) = (field(numbers), field(numbers));
            Record { offset, timestamp, attributes: 0, key, value, headers }
        })
        .collect()
}

fn build(records: &[Record], codec: Compression) -> Bytes {
    let mut builder = BatchBuilder::new().compression(codec, None);
    for r in records {
        let headers: Vec<_> =
            r.headers.iter().map(|h| (std::str::from_utf8(&h.key).expect("ascii"), h.value.as_deref())).collect();
        builder.push_at(r.offset as i32, r.timestamp, r.key.as_deref(), r.value.as_deref(), &headers);
    }
    builder.build().expect("small")
}

#[test]
fn what_is_built_is_read() {
    let mut numbers = Numbers(11);
    for _ in 0..300 {
        let records = random_records(&mut numbers);
        for codec in CODECS {
            let batch = build(&records, codec);
            let header = BatchHeader::parse(&batch).expect("a whole header");
            assert_eq!(header.size(), Some(batch.len()));
            assert_eq!(header.crc, chronik_protocol::batch::crc_of(&batch));
            assert_eq!(header.last_offset(), records.last().expect("some").offset);
            assert_eq!(Some(header.max_timestamp), records.iter().map(|r| r.timestamp).max());
            assert_eq!(read(&batch, LIMITS), Ok(records.clone()), "{codec:?}");
            let expected: Vec<_> = records.iter().map(|r| shape_of(r, &header)).collect();
            assert_eq!(shapes(&batch), Ok(expected), "{codec:?}");
        }
    }
}

fn to_other(record: &Record) -> other::Record {
    other::Record {
        transactional: false,
        control: false,
        delete_horizon_ms: None,
        partition_leader_epoch: -1,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: other::TimestampType::Creation,
        offset: record.offset,
        sequence: -1,
        timestamp: record.timestamp,
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record
            .headers
            .iter()
            .map(|h| (StrBytes::from_utf8(h.key.clone()).expect("ascii"), h.value.clone()))
            .collect(),
    }
}

fn from_other(record: other::Record) -> Record {
    Record {
        offset: record.offset,
        timestamp: record.timestamp,
        attributes: 0,
        key: record.key,
        value: record.value,
        headers: record.headers.into_iter().map(|(key, value)| RecordHeader { key: key.into_bytes(), value }).collect(),
    }
}

/// The codec crate has its own writer and reader of batches, by another author.
#[test]
fn another_writer_and_reader_agree() {
    let mut numbers = Numbers(12);
    let options = other::RecordEncodeOptions { version: 2, compression: other::Compression::None };
    for _ in 0..300 {
        let mut records = random_records(&mut numbers);
        // Dense, for the other encoder starts a new batch at a gap.
        records.iter_mut().enumerate().for_each(|(i, r)| r.offset = i as i64);
        let theirs: Vec<_> = records.iter().map(to_other).collect();
        let mut encoded = BytesMut::new();
        other::RecordBatchEncoder::encode(&mut encoded, theirs.iter(), &options).expect("encodes");
        assert_eq!(read(&encoded.freeze(), LIMITS), Ok(records.clone()));

        let mut ours = build(&records, Compression::None);
        let decoded = other::RecordBatchDecoder::decode(&mut ours).expect("decodes");
        assert_eq!(decoded.records.into_iter().map(from_other).collect::<Vec<_>>(), records);
    }
}

#[test]
fn a_visitor_may_stop() {
    let mut batch = vector("small.gzip").to_vec();
    for codec in ["none", "zstd"] {
        let whole = vector(&format!("small.{codec}"));
        let header = BatchHeader::parse(&whole).expect("a whole header");
        let mut seen = 0;
        let result = records::walk(&header, &whole[HEADER_LEN..], LIMITS, |_| {
            seen += 1;
            if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((result, seen), (Ok(()), 2));
    }
    batch.truncate(HEADER_LEN);
    let header = BatchHeader::parse(&batch).expect("a whole header");
    assert!(records::walk(&header, &batch[HEADER_LEN..], LIMITS, |_| ControlFlow::Continue(())).is_err());
}

/// A record of the fields given, its length put before them.
fn framed(fields: &[u8]) -> Vec<u8> {
    [&[(fields.len() as u8) << 1][..], fields].concat()
}

#[test]
fn each_malformed_record_is_refused_for_its_own_fault() {
    use RecordFault::*;
    const GOOD: [u8; 6] = [0, 0, 0, 1, 1, 0];
    let malformed = |fault| RecordsError::Malformed { index: 0, fault };
    let cases: Vec<(&str, Vec<u8>, RecordsError)> = vec![
        ("negative length", vec![1], malformed(NegativeLength)),
        ("overlong length", vec![0x80, 0x80, 0x80, 0x80, 0x80, 0], malformed(Varint)),
        ("length of 33 bits", vec![0xff, 0xff, 0xff, 0xff, 0x10], malformed(Varint)),
        ("length past the batch", vec![20, 0, 0, 0, 1, 1, 0], RecordsError::Truncated { index: 0, count: 1 }),
        ("nothing", vec![], RecordsError::Truncated { index: 0, count: 1 }),
        ("half a length", vec![0x80], RecordsError::Truncated { index: 0, count: 1 }),
        ("no fields", framed(&[]), malformed(FieldPastEnd)),
        ("headers missing", framed(&GOOD[..5]), malformed(FieldPastEnd)),
        ("left over", framed(&[0, 0, 0, 1, 1, 0, 0]), malformed(LeftOver)),
        (
            "overlong timestamp",
            framed(&[0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2, 0, 1, 1, 0]),
            malformed(Varint),
        ),
        ("overlong offset", framed(&[0, 0, 255, 255, 255, 255, 255, 0, 1, 1, 0]), malformed(Varint)),
        ("key past end", framed(&[0, 0, 0, 20, 1, 0]), malformed(FieldPastEnd)),
        ("key length -2", framed(&[0, 0, 0, 3, 1, 0]), malformed(FieldLength)),
        ("value past end", framed(&[0, 0, 0, 1, 20, 0]), malformed(FieldPastEnd)),
        ("value of 2 GiB", framed(&[0, 0, 0, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0]), malformed(FieldPastEnd)),
        ("value length -2", framed(&[0, 0, 0, 1, 3, 0]), malformed(FieldLength)),
        ("header count negative", framed(&[0, 0, 0, 1, 1, 1]), malformed(HeaderCount)),
        ("header count of 2 billion", framed(&[0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f]), malformed(HeaderCount)),
        ("one header too few", framed(&[0, 0, 0, 1, 1, 4, 0, 1]), malformed(HeaderCount)),
        ("null header key", framed(&[0, 0, 0, 1, 1, 2, 1, 1]), malformed(HeaderKey)),
        ("header key past end", framed(&[0, 0, 0, 1, 1, 2, 8, 1]), malformed(FieldPastEnd)),
        ("trailing record", [framed(&GOOD), framed(&GOOD)].concat(), RecordsError::Trailing { count: 1 }),
        ("trailing byte", [framed(&GOOD), vec![0]].concat(), RecordsError::Trailing { count: 1 }),
    ];
    for codec in CODECS {
        for (what, body, expected) in &cases {
            let packed = chronik_protocol::compression::compress(codec, None, body);
            let batch = batch_of(codec, 1, &packed);
            assert_eq!(shapes(&batch).as_ref(), Err(expected), "{what} in {codec:?}");
            assert_eq!(read(&batch, LIMITS).as_ref(), Err(expected), "{what} in {codec:?}");
        }
    }
    assert!(shapes(&batch_of(Compression::None, 1, &framed(&GOOD))).is_ok());
}

#[test]
fn a_record_that_claims_2_gib_is_refused() {
    let body = [0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 1, 0];
    assert_eq!(shapes(&batch_of(Compression::None, 1, &body)), Err(RecordsError::Truncated { index: 0, count: 1 }));
    // Off a stream its end is not in sight, but the fields are.
    let packed = chronik_protocol::compression::compress(Compression::Zstd, None, &body);
    assert_eq!(
        shapes(&batch_of(Compression::Zstd, 1, &packed)),
        Err(RecordsError::Malformed { index: 0, fault: RecordFault::LeftOver })
    );
}

/// A record longer than the window of a compressed walk is read another way; its faults are the same.
#[test]
fn long_malformed_records_are_refused() {
    let value = vec![7; 200_000];
    let mut builder = BatchBuilder::new();
    builder.push(1000, Some(b"key"), Some(&value), &[("a", Some(&value)), ("b", None)]);
    let good = builder.build().expect("small").slice(HEADER_LEN..);
    let fault = |body: &[u8]| {
        let packed = chronik_protocol::compression::compress(Compression::Zstd, None, body);
        let compressed = shapes(&batch_of(Compression::Zstd, 1, &packed));
        assert_eq!(compressed, shapes(&batch_of(Compression::None, 1, body)));
        compressed
    };
    assert!(fault(&good).is_ok());
    assert_eq!(fault(&good[..good.len() - 1]), Err(RecordsError::Truncated { index: 0, count: 1 }));
    assert_eq!(fault(&[&good, &[0u8][..]].concat()), Err(RecordsError::Trailing { count: 1 }));
    let mut short = good.to_vec();
    short[0] -= 2;
    assert_eq!(fault(&short), Err(RecordsError::Malformed { index: 0, fault: RecordFault::FieldPastEnd }));
    let mut long = good.to_vec();
    long[0] += 2;
    long.push(0);
    assert_eq!(fault(&long), Err(RecordsError::Malformed { index: 0, fault: RecordFault::LeftOver }));
}
