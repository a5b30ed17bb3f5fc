//! Builds record batches: for the broker's own topics, for compaction, for clients and tests.

use bytes::Bytes;

use crate::batch::{self, BatchHeader, Compression, HEADER_LEN, LOG_OVERHEAD};
use crate::compression;

/// One header of a record to be written: its key and its value (`None` = null).
pub type HeaderRef<'a> = (&'a str, Option<&'a [u8]>);

/// The batch would be longer than its 32-bit length field can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record batch of {bytes} bytes is longer than its length field can say")]
pub struct BatchTooLarge {
    pub bytes: usize,
}

/// Collects records and writes them as one v2 batch.
///
/// Base offset 0, leader epoch −1, no producer, no compression, `CreateTime`, unless said otherwise.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    /// Lengths, CRC and counts are filled in by [`BatchBuilder::build`].
    header: BatchHeader,
    codec: Compression,
    level: Option<i32>,
    log_append_time_ms: Option<i64>,
    records: Vec<u8>,
}

const TIMESTAMP_TYPE: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
const NONE: i64 = -1;

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    pub fn new() -> Self {
        let header = BatchHeader {
            base_offset: 0,
            batch_length: 0,
            partition_leader_epoch: -1,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: -1,
            base_timestamp: NONE,
            max_timestamp: NONE,
            producer_id: NONE,
            producer_epoch: -1,
            base_sequence: -1,
            records_count: 0,
        };
        BatchBuilder { header, codec: Compression::None, level: None, log_append_time_ms: None, records: Vec::new() }
    }

    pub fn base_offset(mut self, base_offset: i64) -> Self {
        self.header.base_offset = base_offset;
        self
    }

    pub fn leader_epoch(mut self, partition_leader_epoch: i32) -> Self {
        self.header.partition_leader_epoch = partition_leader_epoch;
        self
    }

    /// `level` as in [`compression::compress`].
    pub fn compression(mut self, codec: Compression, level: Option<i32>) -> Self {
        self.codec = codec;
        self.level = level;
        self
    }

    pub fn producer(mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Self {
        self.header.producer_id = producer_id;
        self.header.producer_epoch = producer_epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    pub fn transactional(mut self) -> Self {
        self.header.attributes |= TRANSACTIONAL;
        self
    }

    /// Marks a control batch (KIP-98): its records are markers, not data.
    pub fn control(mut self) -> Self {
        self.header.attributes |= CONTROL;
        self
    }

    /// Gives all records one timestamp (`LogAppendTime`), in milliseconds.
    pub fn log_append_time(mut self, now_ms: i64) -> Self {
        self.log_append_time_ms = Some(now_ms);
        self
    }

    /// Appends a record at the next offset. `timestamp_ms` −1 = none.
    pub fn push(&mut self, timestamp_ms: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[HeaderRef<'_>]) {
        self.push_at(self.header.last_offset_delta + 1, timestamp_ms, key, value, headers);
    }

    /// Appends a record at `offset_delta` from the base offset: above all before it, gaps allowed (compaction leaves them).
    pub fn push_at(
        &mut self,
        offset_delta: i32,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[HeaderRef<'_>],
    ) {
        debug_assert!(offset_delta > self.header.last_offset_delta, "offset deltas rise");
        if self.header.records_count == 0 {
            self.header.base_timestamp = timestamp_ms;
        }
        self.header.max_timestamp = self.header.max_timestamp.max(timestamp_ms);
        self.header.last_offset_delta = offset_delta;
        self.header.records_count += 1;

        let timestamp_delta = timestamp_ms.wrapping_sub(self.header.base_timestamp);
        let body_len = 1
            + varint_len(timestamp_delta)
            + varint_len(i64::from(offset_delta))
            + field_len(key)
            + field_len(value)
            + varint_len(headers.len() as i64)
            + headers.iter().map(|(k, v)| field_len(Some(k.as_bytes())) + field_len(*v)).sum::<usize>();
        self.records.reserve(body_len + 5);
        put_varint(&mut self.records, body_len as i64);
        self.records.push(0);
        put_varint(&mut self.records, timestamp_delta);
        put_varint(&mut self.records, i64::from(offset_delta));
        put_field(&mut self.records, key);
        put_field(&mut self.records, value);
        put_varint(&mut self.records, headers.len() as i64);
        for (key, value) in headers {
            put_field(&mut self.records, Some(key.as_bytes()));
            put_field(&mut self.records, *value);
        }
    }

    /// Sets the last offset delta by hand, after the last push: compaction keeps a batch's span when its last records go.
    pub fn span(mut self, last_offset_delta: i32) -> Self {
        debug_assert!(last_offset_delta >= self.header.last_offset_delta, "the span covers every record");
        self.header.last_offset_delta = last_offset_delta;
        self
    }

    /// Records pushed so far.
    pub fn len(&self) -> usize {
        self.header.records_count as usize
    }

    pub fn is_empty(&self) -> bool {
        self.header.records_count == 0
    }

    /// Bytes the batch has uncompressed, header included.
    pub fn uncompressed_size(&self) -> usize {
        HEADER_LEN + self.records.len()
    }

    /// The encoded batch, its length and CRC right. A batch without records (compaction may leave one) is valid
    /// with [`BatchBuilder::span`].
    pub fn build(self) -> Result<Bytes, BatchTooLarge> {
        let BatchBuilder { mut header, codec, level, log_append_time_ms, records } = self;
        let compressed = match codec {
            Compression::None => None,
            _ => Some(compression::compress(codec, level, &records)),
        };
        let body = compressed.as_ref().unwrap_or(&records);
        let bytes = HEADER_LEN + body.len();
        header.batch_length = i32::try_from(bytes - LOG_OVERHEAD).map_err(|_| BatchTooLarge { bytes })?;
        header.attributes |= codec as i16;
        if let Some(now_ms) = log_append_time_ms {
            header.attributes |= TIMESTAMP_TYPE;
            header.max_timestamp = now_ms;
        }
        header.crc = batch::crc_of_parts(&header.to_bytes(), body);
        let mut out = Vec::with_capacity(bytes);
        out.extend_from_slice(&header.to_bytes());
        out.extend_from_slice(body);
        Ok(out.into())
    }
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// The bytes a zigzag varint takes; for values of 32 bits the same in Kafka's 32- and 64-bit forms.
fn varint_len(value: i64) -> usize {
    (70 - (zigzag(value) | 1).leading_zeros() as usize) / 7
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn field_len(field: Option<&[u8]>) -> usize {
    match field {
        Some(bytes) => varint_len(bytes.len() as i64) + bytes.len(),
        None => 1,
    }
}

fn put_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        Some(bytes) => {
            put_varint(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
        None => put_varint(out, -1),
    }
}
