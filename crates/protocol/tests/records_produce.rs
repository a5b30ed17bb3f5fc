//! The rules for produced batches: what is accepted and how it is changed, and each way of being refused.

mod records_support;

use bytes::Bytes;
use chronik_protocol::batch::{self, BatchHeader, Compression, HEADER_LEN};
use chronik_protocol::builder::BatchBuilder;
use chronik_protocol::compression::compress;
use chronik_protocol::error::ErrorCode;
use chronik_protocol::records::{Limits, Record};
use chronik_protocol::validate::{
    InvalidBatch, MAX_RECORD_ERRORS, ProduceRules, TimestampType, TopicCompression, Validated, validate,
};
use records_support::{CODECS, assemble, batch_of, long_value, read, small_batch, vector, with_header};

const NOW: i64 = 10_000;

fn whole(validated: &Validated) -> Bytes {
    [&validated.header.to_bytes()[..], &validated.body].concat().into()
}

fn sound(validated: &Validated) -> Vec<Record> {
    let batch = whole(validated);
    assert_eq!(validated.header.crc, batch::crc_of(&batch), "the CRC is right");
    assert_eq!(validated.header.size(), Some(batch.len()), "the length is right");
    read(&batch, Limits::NONE).expect("sound")
}

#[test]
fn batches_are_kept_byte_for_byte() {
    for name in ["small.none", "small.gzip", "small.snappy", "small.lz4", "small.zstd", "big.snappy", "big.zstd"] {
        let sent = vector(name);
        let validated = validate(&sent, &ProduceRules::default(), NOW).expect(name);
        assert_eq!(whole(&validated), sent, "{name}");
        assert_eq!(validated.log_append_time_ms, -1);
        assert_eq!(validated.body.as_ptr(), sent[HEADER_LEN..].as_ptr(), "{name}: not copied");
    }
}

#[test]
fn log_append_time_sets_bit_and_time() {
    let rules = ProduceRules {
        timestamp_type: TimestampType::LogAppendTime,
        timestamp_before_max_ms: 0,
        timestamp_after_max_ms: 0,
        ..ProduceRules::default()
    };
    for codec in CODECS {
        let validated = validate(&small_batch(codec), &rules, NOW).expect("accepted");
        assert_eq!(validated.log_append_time_ms, NOW);
        assert!(validated.header.is_log_append_time());
        assert_eq!(validated.header.max_timestamp, NOW);
        assert!(sound(&validated).iter().all(|r| r.timestamp == NOW));
    }
}

#[test]
fn a_producers_append_time_bit_is_cleared_or_refused() {
    let batch = with_header(&small_batch(Compression::Zstd), |h| h.attributes |= 0x08);
    let validated = validate(&batch, &ProduceRules::default(), NOW).expect("accepted");
    assert!(!validated.header.is_log_append_time());
    assert_eq!(sound(&validated).iter().map(|r| r.timestamp).collect::<Vec<_>>(), [1000, 1005, 999]);
    let rules = ProduceRules { timestamp_type: TimestampType::LogAppendTime, ..ProduceRules::default() };
    refused(&batch, &rules, ErrorCode::InvalidTimestamp);
}

#[test]
fn the_max_timestamp_is_the_records_own() {
    let wrong = with_header(&small_batch(Compression::None), |h| h.max_timestamp = 5_000_000);
    let validated = validate(&wrong, &ProduceRules::default(), NOW).expect("accepted");
    assert_eq!(validated.header.max_timestamp, 1005);
    sound(&validated);

    let mut builder = BatchBuilder::new();
    builder.push(-1, None, Some(b"no timestamp"), &[]);
    let validated = validate(&builder.build().expect("small"), &ProduceRules::default(), NOW).expect("accepted");
    assert_eq!(validated.header.max_timestamp, -1);
}

#[test]
fn a_topics_codec_replaces_the_producers() {
    for sent in CODECS {
        for codec in CODECS {
            let mut builder = BatchBuilder::new().producer(5, 0, 0).compression(sent, None);
            builder.push(1000, Some(b"k"), Some(&long_value()), &[("h", None)]);
            builder.push(1001, None, None, &[]);
            let batch = builder.build().expect("small");
            let rules = ProduceRules {
                compression: TopicCompression::Codec { codec, level: Some(2) },
                ..ProduceRules::default()
            };
            let validated = validate(&batch, &rules, NOW).expect("accepted");
            assert_eq!(validated.header.compression(), Some(codec));
            assert_eq!(sound(&validated), read(&batch, Limits::NONE).expect("sound"));
            assert_eq!(validated.header.producer_id, 5);
            if sent == codec {
                assert_eq!(whole(&validated), batch);
            }
        }
    }
}

#[test]
fn a_recompressed_batch_may_not_outgrow_the_limits() {
    let mut builder = BatchBuilder::new().compression(Compression::Zstd, None);
    builder.push(1000, None, Some(&long_value()), &[]);
    let batch = builder.build().expect("small");
    let to_none = TopicCompression::Codec { codec: Compression::None, level: None };
    let rules = ProduceRules { max_message_bytes: 100_000, compression: to_none, ..ProduceRules::default() };
    refused(&batch, &rules, ErrorCode::MessageTooLarge);
    let rules = ProduceRules { segment_bytes: 100_000, compression: to_none, ..ProduceRules::default() };
    refused(&batch, &rules, ErrorCode::RecordListTooLarge);
}

#[track_caller]
fn refused(records: &Bytes, rules: &ProduceRules, code: ErrorCode) -> InvalidBatch {
    let error = validate(records, rules, NOW).expect_err("refused");
    assert_eq!(error.error_code(), code, "{error}");
    assert!(!error.to_string().is_empty());
    error
}

#[test]
fn sizes_are_checked_to_the_byte() {
    let batch = small_batch(Compression::None);
    let exact = ProduceRules { max_message_bytes: batch.len(), segment_bytes: batch.len(), ..ProduceRules::default() };
    assert!(validate(&batch, &exact, NOW).is_ok());
    refused(&batch, &ProduceRules { max_message_bytes: batch.len() - 1, ..exact }, ErrorCode::MessageTooLarge);
    refused(&batch, &ProduceRules { segment_bytes: batch.len() - 1, ..exact }, ErrorCode::RecordListTooLarge);
    let big = vector("big.zstd");
    refused(
        &big,
        &ProduceRules { max_decompressed_bytes: 100_000, ..ProduceRules::default() },
        ErrorCode::MessageTooLarge,
    );
}

#[test]
fn the_decompressed_limit_grows_with_the_message_limit() {
    assert_eq!(ProduceRules::decompressed_limit(1 << 20), 32 << 20);
    assert_eq!(ProduceRules::decompressed_limit(8 << 20), 64 << 20);
    assert_eq!(ProduceRules::decompressed_limit(100 << 20), 100 << 20);
    assert_eq!(ProduceRules::decompressed_limit(usize::MAX), usize::MAX);
}

#[test]
fn zstd_needs_version_7() {
    let rules = |request_version| ProduceRules { request_version, ..ProduceRules::default() };
    refused(&vector("small.zstd"), &rules(6), ErrorCode::UnsupportedCompressionType);
    assert!(validate(&vector("small.zstd"), &rules(7), NOW).is_ok());
    assert!(validate(&vector("small.lz4"), &rules(3), NOW).is_ok());
}

#[test]
fn each_framing_fault_has_kafkas_answer() {
    use ErrorCode::{CorruptMessage, InvalidRecord};
    let good = small_batch(Compression::None);
    let patched = |at: usize, bytes: &[u8]| {
        let mut batch = good.to_vec();
        batch[at..at + bytes.len()].copy_from_slice(bytes);
        Bytes::from(batch)
    };
    let cases: Vec<(&str, Bytes, ErrorCode)> = vec![
        ("nothing", Bytes::new(), InvalidRecord),
        ("11 bytes", good.slice(..11), InvalidRecord),
        ("16 bytes", good.slice(..16), InvalidRecord),
        ("a header only", good.slice(..HEADER_LEN), InvalidRecord),
        ("a byte missing", good.slice(..good.len() - 1), InvalidRecord),
        ("a byte too many", [&good, &[0u8][..]].concat().into(), InvalidRecord),
        ("two batches", [&good[..], &good[..]].concat().into(), InvalidRecord),
        ("half a batch more", [&good[..], &good[..40]].concat().into(), InvalidRecord),
        ("rubbish behind", [&good[..], &[0; 30][..]].concat().into(), CorruptMessage),
        ("length -1", patched(8, &(-1i32).to_be_bytes()), CorruptMessage),
        ("length of 2 GiB", patched(8, &i32::MAX.to_be_bytes()), InvalidRecord),
        ("length negative", patched(8, &i32::MIN.to_be_bytes()), CorruptMessage),
        ("length 13", patched(8, &13i32.to_be_bytes()), CorruptMessage),
        ("length 14", patched(8, &14i32.to_be_bytes()), CorruptMessage),
        ("length 48", patched(8, &48i32.to_be_bytes()), CorruptMessage),
        ("magic 0", patched(16, &[0]), InvalidRecord),
        ("magic 1", patched(16, &[1]), InvalidRecord),
        ("magic 3", patched(16, &[3]), CorruptMessage),
        ("magic -1", patched(16, &[0xff]), CorruptMessage),
        ("base offset 1", patched(0, &1i64.to_be_bytes()), InvalidRecord),
        ("crc", patched(17, &[0, 0, 0, 0]), CorruptMessage),
        ("a flipped bit", patched(good.len() - 1, &[1]), CorruptMessage),
    ];
    for (what, records, code) in cases {
        let error = validate(&records, &ProduceRules::default(), NOW).expect_err(what);
        assert_eq!(error.error_code(), code, "{what}: {error}");
    }
    // The leader epoch a client writes is of no account.
    assert!(validate(&patched(12, &[1, 2, 3, 4]), &ProduceRules::default(), NOW).is_ok());
}

#[test]
fn each_header_fault_has_kafkas_answer() {
    use ErrorCode::InvalidRecord;
    type Change = fn(&mut BatchHeader);
    let cases: [(&str, Change, ErrorCode); 21] = [
        ("no records", |h| (h.records_count, h.last_offset_delta) = (0, -1), InvalidRecord),
        ("count negative", |h| h.records_count = -1, InvalidRecord),
        ("count one less", |h| h.records_count = 2, InvalidRecord),
        ("count one more", |h| h.records_count = 4, InvalidRecord),
        ("last delta one more", |h| h.last_offset_delta = 3, InvalidRecord),
        ("last delta negative", |h| h.last_offset_delta = -2, InvalidRecord),
        ("both one more", |h| (h.records_count, h.last_offset_delta) = (4, 3), InvalidRecord),
        ("both one less", |h| (h.records_count, h.last_offset_delta) = (2, 1), InvalidRecord),
        ("both huge", |h| (h.records_count, h.last_offset_delta) = (i32::MAX, i32::MAX - 1), InvalidRecord),
        ("count overflows", |h| (h.records_count, h.last_offset_delta) = (i32::MIN, i32::MAX), InvalidRecord),
        ("control", |h| h.attributes |= 0x20, InvalidRecord),
        ("transactional control", |h| h.attributes |= 0x30, InvalidRecord),
        ("delete horizon", |h| h.attributes |= 0x40, InvalidRecord),
        ("an unknown bit", |h| h.attributes |= 0x80, InvalidRecord),
        ("the sign bit", |h| h.attributes |= i16::MIN, InvalidRecord),
        ("codec 5", |h| h.attributes |= 5, InvalidRecord),
        ("codec 7", |h| h.attributes |= 7, InvalidRecord),
        ("sequence -1", |h| h.base_sequence = -1, InvalidRecord),
        ("epoch -1", |h| h.producer_epoch = -1, InvalidRecord),
        ("transactional alone", |h| (h.attributes, h.producer_id) = (0x10, -1), InvalidRecord),
        ("codec not of the body", |h| h.attributes |= 1, ErrorCode::CorruptMessage),
    ];
    for (what, change, code) in cases {
        let batch = with_header(&small_batch(Compression::None), change);
        let error = validate(&batch, &ProduceRules::default(), NOW).expect_err(what);
        assert_eq!(error.error_code(), code, "{what}: {error}");
    }
}

#[test]
fn a_batch_without_a_producer_id_may_say_anything_of_epoch_and_sequence() {
    for (epoch, sequence) in [(-1, -1), (0, 0), (7, 9)] {
        let batch = with_header(&small_batch(Compression::None), |h| {
            (h.producer_id, h.producer_epoch, h.base_sequence) = (-1, epoch, sequence);
        });
        assert!(validate(&batch, &ProduceRules::default(), NOW).is_ok());
    }
    let transactional = with_header(&small_batch(Compression::None), |h| h.attributes |= 0x10);
    assert!(validate(&transactional, &ProduceRules::default(), NOW).is_ok());
}

#[test]
fn offset_deltas_are_dense_from_0() {
    for deltas in [[1, 2], [0, 2], [0, 0], [1, 0], [-1, 0]] {
        for codec in CODECS {
            let body: Vec<u8> =
                deltas.iter().flat_map(|d: &i32| [12, 0, 0, (d << 1 ^ d >> 31) as u8, 1, 1, 0]).collect();
            let batch = batch_of(codec, 2, &compress(codec, None, &body));
            let error = refused(&batch, &ProduceRules::default(), ErrorCode::InvalidRecord);
            assert!(matches!(error, InvalidBatch::OffsetDelta { .. }), "{deltas:?}: {error}");
        }
    }
}

#[test]
fn damaged_compressed_bodies_are_corrupt() {
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let sent = small_batch(codec);
        let header = BatchHeader::parse(&sent).expect("a whole header");
        let mut body = sent[HEADER_LEN..].to_vec();
        body[1] ^= 0x55;
        refused(&assemble(header, &body), &ProduceRules::default(), ErrorCode::CorruptMessage);
    }
}

fn timed(timestamps: &[i64]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for &timestamp in timestamps {
        builder.push(timestamp, Some(b"k"), None, &[]);
    }
    builder.build().expect("small")
}

#[test]
fn timestamps_out_of_range_are_named() {
    let rules = ProduceRules { timestamp_before_max_ms: 100, timestamp_after_max_ms: 50, ..ProduceRules::default() };
    assert!(validate(&timed(&[NOW - 100, NOW, NOW + 50, -1]), &rules, NOW).is_ok());
    let error = refused(&timed(&[NOW - 101, NOW, NOW + 51]), &rules, ErrorCode::InvalidTimestamp);
    let indexes: Vec<_> = error.record_errors().iter().map(|e| e.batch_index).collect();
    assert_eq!(indexes, [0, 2]);
    assert!(error.record_errors()[1].message.contains("10051"), "{error:?}");
    refused(&timed(&[i64::MAX]), &ProduceRules::default(), ErrorCode::InvalidTimestamp);
    assert!(validate(&timed(&[-5_000_000, 0]), &ProduceRules::default(), NOW).is_ok(), "no lower limit by default");
}

#[test]
fn keyless_records_of_a_compacted_topic_are_named() {
    let rules = ProduceRules { compacted: true, timestamp_before_max_ms: 5000, ..ProduceRules::default() };
    for codec in CODECS {
        let mut builder = BatchBuilder::new().compression(codec, None);
        builder.push(NOW, Some(b""), None, &[]);
        builder.push(NOW, None, Some(b"x"), &[]);
        let error = refused(&builder.build().expect("small"), &rules, ErrorCode::InvalidRecord);
        let indexes: Vec<_> = error.record_errors().iter().map(|e| e.batch_index).collect();
        assert_eq!(indexes, [1], "{codec:?}");
    }
    // One bad timestamp among them decides the code, and each record is named once.
    let mut builder = BatchBuilder::new();
    builder.push(0, None, None, &[]);
    builder.push(0, Some(b"k"), None, &[]);
    let error = refused(&builder.build().expect("small"), &rules, ErrorCode::InvalidTimestamp);
    assert_eq!(error.record_errors().len(), 2);
}

#[test]
fn the_list_of_record_errors_is_bounded() {
    let mut builder = BatchBuilder::new();
    for _ in 0..MAX_RECORD_ERRORS + 500 {
        builder.push(NOW, None, None, &[]);
    }
    let rules = ProduceRules { compacted: true, ..ProduceRules::default() };
    let error = refused(&builder.build().expect("small"), &rules, ErrorCode::InvalidRecord);
    assert_eq!(error.record_errors().len(), MAX_RECORD_ERRORS);
    assert!(error.to_string().contains("1500"), "{error}");
}
