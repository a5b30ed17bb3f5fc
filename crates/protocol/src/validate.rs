//! The rules for the `records` of one produced partition: what a broker checks before it gives a batch its offsets.
//!
//! The order of the checks and the answers are those of Apache Kafka 4.x (observed on 4.3.1). Stricter than it in these, which no
//! known client sends: bytes after the batch or after its compressed data, offset deltas with gaps in an uncompressed batch,
//! attribute bits that are a broker's to set or nobody's, a negative epoch beside a producer id, lengths below -1. And where Kafka
//! says UNKNOWN_SERVER_ERROR, the answer here is CORRUPT_MESSAGE (data that does not decompress) or INVALID_RECORD.

mod error;

use std::ops::ControlFlow;

use bytes::Bytes;

use crate::batch::{self, BatchHeader, Compression, HEADER_LEN, LOG_OVERHEAD};
use crate::compression::{self, Limits};
use crate::records::{self, RecordMeta};
pub use error::{InvalidBatch, RecordError};

/// The most entries of a record-error list. A client fails the records not listed with a general message.
pub const MAX_RECORD_ERRORS: usize = 1000;

/// `message.timestamp.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// `compression.type` of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicCompression {
    /// `producer`: batches are kept as they came.
    Producer,
    /// Batches in any other codec are recompressed. `level` as in [`compression::compress`].
    Codec { codec: Compression, level: Option<i32> },
}

/// What a topic and a request allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProduceRules {
    /// Of the Produce request: zstd needs 7.
    pub request_version: i16,
    /// `max.message.bytes`: of a whole batch, header included, as stored.
    pub max_message_bytes: usize,
    /// `segment.bytes`.
    pub segment_bytes: usize,
    /// Bytes the records of one batch may have decompressed. More is answered like a batch over `max.message.bytes`, upon which
    /// clients split the batch.
    pub max_decompressed_bytes: usize,
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `cleanup.policy` has `compact`: every record needs a key.
    pub compacted: bool,
    pub compression: TopicCompression,
}

/// Times `max.message.bytes` that a batch may have decompressed.
const MAX_EXPANSION: usize = 32;
/// The most a batch may have decompressed unless `max.message.bytes` is more, in bytes.
const MAX_DECOMPRESSED: usize = 64 * 1024 * 1024;

impl ProduceRules {
    /// A default for [`ProduceRules::max_decompressed_bytes`]: 32 times `max_message_bytes`, but no more than 64 MiB unless
    /// `max_message_bytes` itself is more.
    pub fn decompressed_limit(max_message_bytes: usize) -> usize {
        max_message_bytes.saturating_mul(MAX_EXPANSION).min(MAX_DECOMPRESSED.max(max_message_bytes))
    }
}

impl Default for ProduceRules {
    /// Kafka's defaults for a topic, and the newest request.
    fn default() -> Self {
        const MAX_MESSAGE_BYTES: usize = 1_048_588;
        ProduceRules {
            request_version: i16::MAX,
            max_message_bytes: MAX_MESSAGE_BYTES,
            segment_bytes: 1 << 30,
            max_decompressed_bytes: Self::decompressed_limit(MAX_MESSAGE_BYTES),
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            compacted: false,
            compression: TopicCompression::Producer,
        }
    }
}

/// A batch that may be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    /// Base offset and leader epoch are the caller's to set: they lie outside the CRC, which is right.
    pub header: BatchHeader,
    /// The records as they are to be stored: a view of what came, unless recompressed.
    pub body: Bytes,
    /// The `log_append_time_ms` of the response; -1 for `CreateTime`.
    pub log_append_time_ms: i64,
}

const MAGIC_V2: i8 = 2;
/// The first request version that may carry zstd (KIP-110).
const ZSTD_VERSION: i16 = 7;
/// The shortest length field a message of any format has.
const MIN_LENGTH: i32 = 14;
/// Bytes up to and with the magic.
const UP_TO_MAGIC: usize = 17;
const CODEC_BITS: i16 = 0x07;
const TIMESTAMP_TYPE_BIT: i16 = 0x08;
/// Codec, timestamp type, transactional, control: what a producer may set (control is refused by its own rule).
const PRODUCER_BITS: i16 = 0x3f;
const NO_TIMESTAMP: i64 = -1;

/// Checks the bytes one partition was sent and makes them ready for the log. Reads each byte once for the CRC, then walks the
/// records; copies only to recompress. `now_ms` is the wall clock.
pub fn validate(records: &Bytes, rules: &ProduceRules, now_ms: i64) -> Result<Validated, InvalidBatch> {
    let header = only_batch(records, rules)?;
    check_as_a_whole(&header, records, rules)?;
    check_attributes(&header, rules)?;
    let body = records.slice(HEADER_LEN..);
    let codec = header.compression().ok_or(InvalidBatch::Codec(header.attributes & CODEC_BITS))?;
    let (mut stored, body) = match rules.compression {
        TopicCompression::Codec { codec: target, level } if target != codec => {
            recompressed(header, codec, &body, (target, level), rules, now_ms)?
        }
        _ => {
            let max_timestamp = check_records(&header, &body, rules, now_ms)?;
            (BatchHeader { max_timestamp, ..header }, body)
        }
    };
    let size = HEADER_LEN + body.len();
    if size > rules.segment_bytes {
        return Err(InvalidBatch::LargerThanSegment { size, max: rules.segment_bytes });
    }
    let log_append_time_ms = match rules.timestamp_type {
        TimestampType::CreateTime => {
            stored.attributes &= !TIMESTAMP_TYPE_BIT;
            NO_TIMESTAMP
        }
        TimestampType::LogAppendTime => {
            stored.attributes |= TIMESTAMP_TYPE_BIT;
            stored.max_timestamp = now_ms;
            now_ms
        }
    };
    if stored != header {
        stored.crc = batch::crc_of_parts(&stored.to_bytes(), &body);
    }
    Ok(Validated { header: stored, body, log_append_time_ms })
}

/// The batch in the topic's codec, its records checked.
fn recompressed(
    mut header: BatchHeader,
    codec: Compression,
    body: &[u8],
    (target, level): (Compression, Option<i32>),
    rules: &ProduceRules,
    now_ms: i64,
) -> Result<(BatchHeader, Bytes), InvalidBatch> {
    let plain = compression::decompress(codec, body, limits(rules)).map_err(InvalidBatch::Decompress)?;
    header.attributes &= !CODEC_BITS;
    header.max_timestamp = check_records(&header, &plain, rules, now_ms)?;
    header.attributes |= target as i16;
    let body = match target {
        Compression::None => plain,
        _ => compression::compress(target, level, &plain),
    };
    let size = HEADER_LEN + body.len();
    check_size(size, rules)?;
    header.batch_length =
        i32::try_from(size - LOG_OVERHEAD).map_err(|_| InvalidBatch::TooLarge { size, max: i32::MAX as usize })?;
    Ok((header, body.into()))
}

fn limits(rules: &ProduceRules) -> Limits {
    Limits { max_output_bytes: rules.max_decompressed_bytes }
}

/// The framing: one batch of format v2 and nothing more.
fn only_batch(records: &[u8], rules: &ProduceRules) -> Result<BatchHeader, InvalidBatch> {
    let size = framed(records)?.ok_or(InvalidBatch::NoBatch)?;
    let magic = records[UP_TO_MAGIC - 1] as i8;
    if magic != MAGIC_V2 {
        return Err(InvalidBatch::OldMagic(magic));
    }
    // A v2 batch too short for its header has no CRC that could be right.
    let header =
        BatchHeader::parse(&records[..size]).ok_or(InvalidBatch::ShortLength { length: size - LOG_OVERHEAD })?;
    if header.compression() == Some(Compression::Zstd) && rules.request_version < ZSTD_VERSION {
        return Err(InvalidBatch::ZstdVersion(rules.request_version));
    }
    match &records[size..] {
        [] => Ok(header),
        rest => Err(match framed(rest)? {
            Some(_) => InvalidBatch::MoreThanOneBatch,
            None => InvalidBatch::Trailing { bytes: rest.len() },
        }),
    }
}

/// The size of the batch that `bytes` begin with; `None` when they end before it does.
fn framed(bytes: &[u8]) -> Result<Option<usize>, InvalidBatch> {
    let Some(length) = bytes.get(8..LOG_OVERHEAD) else { return Ok(None) };
    let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
    if length < MIN_LENGTH {
        return Err(InvalidBatch::Length(length));
    }
    let Some(&magic) = bytes.get(UP_TO_MAGIC - 1) else { return Ok(None) };
    let magic = magic as i8;
    if !(0..=MAGIC_V2).contains(&magic) {
        return Err(InvalidBatch::UnknownMagic(magic));
    }
    let size = length as usize + LOG_OVERHEAD;
    Ok((size <= bytes.len()).then_some(size))
}

fn check_size(size: usize, rules: &ProduceRules) -> Result<(), InvalidBatch> {
    match size > rules.max_message_bytes {
        true => Err(InvalidBatch::TooLarge { size, max: rules.max_message_bytes }),
        false => Ok(()),
    }
}

fn check_as_a_whole(header: &BatchHeader, records: &[u8], rules: &ProduceRules) -> Result<(), InvalidBatch> {
    if header.base_offset != 0 {
        return Err(InvalidBatch::BaseOffset(header.base_offset));
    }
    check_size(records.len(), rules)?;
    let computed = batch::crc_of(records);
    if computed != header.crc {
        return Err(InvalidBatch::Crc { stored: header.crc, computed });
    }
    if header.last_offset_delta < 0 {
        return Err(InvalidBatch::OffsetRange(header.last_offset_delta));
    }
    if header.records_count <= 0 {
        return Err(InvalidBatch::Count(header.records_count));
    }
    if i64::from(header.records_count) != i64::from(header.last_offset_delta) + 1 {
        return Err(InvalidBatch::CountAndOffsets {
            count: header.records_count,
            last_offset_delta: header.last_offset_delta,
        });
    }
    Ok(())
}

fn check_attributes(header: &BatchHeader, rules: &ProduceRules) -> Result<(), InvalidBatch> {
    if header.is_control() {
        return Err(InvalidBatch::Control);
    }
    if header.attributes & !PRODUCER_BITS != 0 {
        return Err(InvalidBatch::Attributes(header.attributes));
    }
    // In a CreateTime topic the bit is cleared below, as Kafka does.
    if header.is_log_append_time() && rules.timestamp_type == TimestampType::LogAppendTime {
        return Err(InvalidBatch::TimestampType);
    }
    if header.has_producer_id() {
        if header.base_sequence < 0 {
            return Err(InvalidBatch::Sequence { sequence: header.base_sequence, producer_id: header.producer_id });
        }
        if header.producer_epoch < 0 {
            return Err(InvalidBatch::Epoch { epoch: header.producer_epoch, producer_id: header.producer_id });
        }
    } else if header.is_transactional() {
        return Err(InvalidBatch::TransactionalWithoutProducer);
    }
    Ok(())
}

/// Walks the records; gives the largest timestamp among them, -1 when none has one.
fn check_records(header: &BatchHeader, body: &[u8], rules: &ProduceRules, now_ms: i64) -> Result<i64, InvalidBatch> {
    let mut check = Check {
        rules,
        base_timestamp: header.base_timestamp,
        earliest: now_ms.saturating_sub(rules.timestamp_before_max_ms),
        latest: now_ms.saturating_add(rules.timestamp_after_max_ms),
        create_time: rules.timestamp_type == TimestampType::CreateTime,
        next: 0,
        max_timestamp: NO_TIMESTAMP,
        gap: None,
        rejected: Rejected::default(),
    };
    records::walk(header, body, limits(rules), |record| check.visit(&record))?;
    if let Some((index, delta)) = check.gap {
        return Err(InvalidBatch::OffsetDelta { index, delta });
    }
    check.rejected.into_result().map(|()| check.max_timestamp)
}

#[derive(Default)]
struct Rejected {
    errors: Vec<RecordError>,
    total: usize,
    by_timestamp: bool,
}

impl Rejected {
    #[cold]
    fn add(&mut self, batch_index: i32, message: impl FnOnce() -> String) {
        self.total += 1;
        if self.errors.len() < MAX_RECORD_ERRORS {
            self.errors.push(RecordError { batch_index, message: message() });
        }
    }

    fn into_result(self) -> Result<(), InvalidBatch> {
        match (self.total, self.by_timestamp) {
            (0, _) => Ok(()),
            (total, true) => Err(InvalidBatch::Timestamps { total, errors: self.errors }),
            (total, false) => Err(InvalidBatch::Records { total, errors: self.errors }),
        }
    }
}

struct Check<'r> {
    rules: &'r ProduceRules,
    base_timestamp: i64,
    /// The range of `CreateTime` timestamps, both ends allowed.
    earliest: i64,
    latest: i64,
    create_time: bool,
    next: i32,
    max_timestamp: i64,
    /// The first record whose offset delta is not its index, and that delta.
    gap: Option<(i32, i32)>,
    rejected: Rejected,
}

impl Check<'_> {
    #[inline]
    fn visit(&mut self, record: &RecordMeta) -> ControlFlow<()> {
        let index = self.next;
        if record.offset_delta != index {
            self.gap = Some((index, record.offset_delta));
            return ControlFlow::Break(());
        }
        self.next += 1;
        let timestamp = self.base_timestamp.wrapping_add(record.timestamp_delta);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        if self.rules.compacted && record.key_len.is_none() {
            self.rejected.add(index, || "Compacted topic cannot accept message without key.".to_owned());
        } else if self.create_time && timestamp != NO_TIMESTAMP && !(self.earliest..=self.latest).contains(&timestamp) {
            self.rejected.by_timestamp = true;
            let (earliest, latest) = (self.earliest, self.latest);
            self.rejected.add(index, || {
                format!(
                    "Timestamp {timestamp} of message with offset {index} is out of range. The timestamp should be within \
                     [{earliest}, {latest}]"
                )
            });
        }
        ControlFlow::Continue(())
    }
}
