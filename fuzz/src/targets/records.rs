//! Record batches: header, both ways of reading the records, and the rules for produced ones.

use std::ops::ControlFlow;

use bytes::{Bytes, BytesMut};
use chronik_protocol::batch::{self, BatchHeader, Compression, HEADER_LEN, LOG_OVERHEAD};
use chronik_protocol::builder::BatchBuilder;
use chronik_protocol::compression;
use chronik_protocol::records::{self, Limits, Record, RecordMeta};
use chronik_protocol::validate::{ProduceRules, TimestampType, TopicCompression, Validated, validate};

use super::steer;
use crate::budget;

const NOW_MS: i64 = 1_700_000_000_000;
/// Bytes a batch may decompress to here.
const OUTPUT: usize = 64 * 1024;
/// Windows of the codecs and of the walk, the largest lz4 block that a short input can fill, and room for error lists.
const FIXED: usize = 1536 * 1024;
/// A walk holds nothing of a record; lz4 lets one byte become 255, once per block.
const PER_BYTE: usize = 256;
/// Whole records are handed out one at a time, and two bytes of one can be a header of 64 in a vector that doubles.
const ITERATE_FIXED: usize = FIXED + 96 * OUTPUT;

/// Bits of the first byte.
const REPAIR: u8 = 1;
const TRUNCATE_TO_SIZE: u8 = 2;
const ROUND_TRIP: u8 = 4;

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

pub(super) fn run(input: &[u8]) {
    let ([mode, rules], rest) = steer(input);
    if mode & ROUND_TRIP != 0 {
        return round_trip(CODECS[usize::from(rules) % CODECS.len()], rest);
    }
    let Some(header) = BatchHeader::parse(rest) else {
        assert!(rest.len() < HEADER_LEN);
        return refuse(&Bytes::copy_from_slice(rest), &rules_of(rules));
    };
    assert_eq!(header.to_bytes()[..], rest[..HEADER_LEN], "a header encodes to the bytes it was read from");
    let bytes = if mode & REPAIR == 0 { Bytes::copy_from_slice(rest) } else { repaired(rest, mode) };
    let header = BatchHeader::parse(&bytes).expect("repairing keeps the length");
    // Derived numbers are defined for any header.
    let _ = (header.next_offset(), header.last_sequence(), header.size());
    agree(&header, &bytes.slice(HEADER_LEN..));
    refuse(&bytes, &rules_of(rules));
}

/// Length and checksum put right, so that what lies behind them is reached.
fn repaired(bytes: &[u8], mode: u8) -> Bytes {
    let mut out = BytesMut::from(bytes);
    if mode & TRUNCATE_TO_SIZE == 0 {
        let length = (out.len() - LOG_OVERHEAD) as i32;
        out[8..12].copy_from_slice(&length.to_be_bytes());
        out[16] = 2;
    }
    let crc = batch::crc_of(&out);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
    out.freeze()
}

/// The walk accepts what the iterator accepts, and sees the same.
fn agree(header: &BatchHeader, body: &Bytes) {
    let limits = Limits { max_output_bytes: OUTPUT };
    let mut walked: Vec<RecordMeta> = Vec::with_capacity(OUTPUT / 7);
    let walk = budget::proportional(body.len(), PER_BYTE, FIXED, || {
        records::walk(header, body, limits, |meta| {
            walked.push(meta);
            ControlFlow::Continue(())
        })
    });
    // Every record takes its length and six bytes at least.
    assert!(walked.len() <= OUTPUT / 7 + 1, "{} records", walked.len());
    budget::proportional(body.len(), PER_BYTE, ITERATE_FIXED, || {
        let mut seen = 0;
        let iterated = records::iterate(header, body, limits).and_then(|mut records| {
            records.try_for_each(|record| {
                // A body that is damaged further on fails the walk before the iterator, which decompresses it first.
                let (record, meta) = (record?, walked.get(seen));
                assert!(meta.is_some_and(|meta| same(header, &record, meta)), "{record:?} is not {meta:?}");
                seen += 1;
                Ok(())
            })
        });
        assert_eq!(iterated.is_ok(), walk.is_ok(), "iterate says {iterated:?}, walk {walk:?}");
        assert!(iterated.is_err() || seen == walked.len());
    });
}

fn same(header: &BatchHeader, record: &Record, meta: &RecordMeta) -> bool {
    let timestamp = match header.is_log_append_time() {
        true => header.max_timestamp,
        false => header.base_timestamp.wrapping_add(meta.timestamp_delta),
    };
    record.offset == header.base_offset.wrapping_add(i64::from(meta.offset_delta))
        && record.timestamp == timestamp
        && record.attributes == meta.attributes
        && record.key.as_ref().map(Bytes::len) == meta.key_len
        && record.value.as_ref().map(Bytes::len) == meta.value_len
        && record.headers.len() == meta.headers
}

fn rules_of(byte: u8) -> ProduceRules {
    let mut rules = ProduceRules { max_decompressed_bytes: OUTPUT, ..ProduceRules::default() };
    if byte & 1 != 0 {
        rules.timestamp_type = TimestampType::LogAppendTime;
    }
    rules.compacted = byte & 2 != 0;
    if byte & 4 != 0 {
        rules.timestamp_before_max_ms = 1000;
        rules.timestamp_after_max_ms = 1000;
    }
    if byte & 8 != 0 {
        rules.request_version = 3;
    }
    if byte & 16 != 0 {
        rules.max_message_bytes = 200;
        rules.segment_bytes = 150;
    }
    if let Some(&codec) = CODECS.get(usize::from(byte >> 5)) {
        rules.compression = TopicCompression::Codec { codec, level: None };
    }
    rules
}

/// What is accepted is a whole batch with a right checksum that reads to its end and is accepted again.
fn refuse(bytes: &Bytes, rules: &ProduceRules) {
    // Compressing again needs the codec's tables and the whole of the records.
    let recompresses = matches!(rules.compression, TopicCompression::Codec { .. });
    let fixed = FIXED + if recompresses { 4 * OUTPUT + 1024 * 1024 } else { 0 };
    let result = budget::proportional(bytes.len(), PER_BYTE, fixed, || validate(bytes, rules, NOW_MS));
    let Validated { header, body, .. } = match result {
        Ok(validated) => validated,
        Err(error) => return drop(error.to_string()),
    };
    assert_eq!(header.size(), Some(HEADER_LEN + body.len()));
    assert_eq!(header.crc, batch::crc_of_parts(&header.to_bytes(), &body));
    let mut count = 0;
    let walk = records::walk(&header, &body, Limits { max_output_bytes: OUTPUT }, |meta| {
        assert_eq!(meta.offset_delta, count);
        count += 1;
        ControlFlow::Continue(())
    });
    assert_eq!((walk, count), (Ok(()), header.records_count));
    if !header.is_log_append_time() {
        let again = Bytes::from([&header.to_bytes()[..], &body[..]].concat());
        let accepted = validate(&again, rules, NOW_MS).expect("what is stored would be accepted");
        assert_eq!((accepted.header, accepted.body), (header, body));
    }
}

/// What a codec writes it reads, up to the limit and not past it.
fn round_trip(codec: Compression, bytes: &[u8]) {
    let compressed = compression::compress(codec, None, bytes);
    let exactly = Limits { max_output_bytes: bytes.len() };
    assert_eq!(compression::decompress(codec, &compressed, exactly).as_deref(), Ok(bytes));
    if let Some(less) = bytes.len().checked_sub(1) {
        assert!(compression::decompress(codec, &compressed, Limits { max_output_bytes: less }).is_err());
    }
}

/// Small batches: each codec with three records, one with headers; and one of an idempotent producer.
pub(super) fn batches() -> Vec<Vec<u8>> {
    let mut batches: Vec<Vec<u8>> =
        CODECS.iter().map(|&codec| batch_of(BatchBuilder::new().compression(codec, None))).collect();
    batches.push(batch_of(BatchBuilder::new().producer(4000, 1, i32::MAX - 1)));
    batches.push(batch_of(BatchBuilder::new().log_append_time(NOW_MS).leader_epoch(5)));
    batches
}

fn batch_of(mut builder: BatchBuilder) -> Vec<u8> {
    builder.push(NOW_MS, Some(b"key"), Some(b"value value value value"), &[]);
    builder.push(NOW_MS + 5, None, Some(&[b'x'; 100]), &[("h", Some(b"1")), ("null", None)]);
    builder.push(NOW_MS - 5, Some(b""), None, &[]);
    builder.build().expect("three small records fit a batch").to_vec()
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for batch in batches() {
        // Kept as they came, recompressed, with a time window, compacted.
        for rules in [0xe0, 0x00, 0x20, 0x40, 0x60, 0x80, 0xe5, 0xe2] {
            seeds.push([&[REPAIR, rules], &batch[..]].concat());
        }
        seeds.push([&[0, 0xe0], &batch[..]].concat());
    }
    seeds.extend(
        (0..CODECS.len() as u8).map(|codec| [&[ROUND_TRIP, codec], &b"over and over and over and over"[..]].concat()),
    );
    seeds
}
