//! Record batches v2 (KIP-98), built right and then spoiled field by field, and read back for comparison.

use crate::codec;
use crate::dec::{Dec, DecError};
use crate::enc::Enc;

/// Bytes of a batch header.
pub const HEADER_LEN: usize = 61;
pub const TIMESTAMP_TYPE_BIT: i16 = 0x08;
pub const TRANSACTIONAL_BIT: i16 = 0x10;
pub const CONTROL_BIT: i16 = 0x20;
pub const DELETE_HORIZON_BIT: i16 = 0x40;

/// One record. Deltas are relative to the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    pub fn new(offset_delta: i32, value: &[u8]) -> Self {
        Record {
            timestamp_delta: 0,
            offset_delta,
            key: Some(b"k".to_vec()),
            value: Some(value.to_vec()),
            headers: Vec::new(),
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        sized(self.inner().done())
    }

    fn inner(&self) -> Enc {
        let head = Enc::new(false).i8(0).varint(self.timestamp_delta).varint(i64::from(self.offset_delta));
        let head = opt_varbytes(head, self.key.as_deref());
        let head = opt_varbytes(head, self.value.as_deref()).varint(self.headers.len() as i64);
        self.headers
            .iter()
            .fold(head, |e, (key, value)| opt_varbytes(opt_varbytes(e, Some(key.as_bytes())), value.as_deref()))
    }
}

fn opt_varbytes(e: Enc, bytes: Option<&[u8]>) -> Enc {
    match bytes {
        None => e.varint(-1),
        Some(b) => e.varint(b.len() as i64).raw(b),
    }
}

/// A record's bytes behind their varint length.
pub fn sized(inner: Vec<u8>) -> Vec<u8> {
    Enc::new(false).varint(inner.len() as i64).raw(&inner).done()
}

/// A batch. The `Option` fields are computed from the records unless given.
#[derive(Clone, Debug)]
pub struct Batch {
    pub base_offset: i64,
    pub leader_epoch: i32,
    pub magic: i8,
    pub attributes: i16,
    pub base_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub records: Vec<Record>,
    /// What follows the header, in place of the encoded (and compressed) records.
    pub body: Option<Vec<u8>>,
    pub batch_length: Option<i32>,
    pub crc: Option<u32>,
    pub last_offset_delta: Option<i32>,
    pub max_timestamp: Option<i64>,
    pub records_count: Option<i32>,
}

/// The wall clock, milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| d.as_millis() as i64)
}

impl Batch {
    pub fn of(values: &[&[u8]]) -> Self {
        Batch {
            base_offset: 0,
            leader_epoch: -1,
            magic: 2,
            attributes: 0,
            base_timestamp: now_ms(),
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            records: values.iter().enumerate().map(|(i, v)| Record::new(i as i32, v)).collect(),
            body: None,
            batch_length: None,
            crc: None,
            last_offset_delta: None,
            max_timestamp: None,
            records_count: None,
        }
    }

    pub fn one(value: &[u8]) -> Self {
        Batch::of(&[value])
    }

    /// The same records under `codec`.
    pub fn compressed(mut self, codec: i16) -> Self {
        self.attributes |= codec;
        self
    }

    /// Stamped as an idempotent producer's.
    pub fn from_producer(mut self, producer_id: i64, epoch: i16, sequence: i32) -> Self {
        (self.producer_id, self.producer_epoch, self.base_sequence) = (producer_id, epoch, sequence);
        self
    }

    pub fn encode(&self) -> Vec<u8> {
        let plain: Vec<u8> = self.records.iter().flat_map(Record::encode).collect();
        let body = self.body.clone().unwrap_or_else(|| codec::compress((self.attributes & 7).min(codec::ZSTD), &plain));
        let count = self.records.len() as i32;
        let newest = self.records.iter().map(|r| r.timestamp_delta).max().unwrap_or(0);
        let checked = Enc::new(false)
            .i16(self.attributes)
            .i32(self.last_offset_delta.unwrap_or(count - 1))
            .i64(self.base_timestamp)
            .i64(self.max_timestamp.unwrap_or(self.base_timestamp.wrapping_add(newest)))
            .i64(self.producer_id)
            .i16(self.producer_epoch)
            .i32(self.base_sequence)
            .i32(self.records_count.unwrap_or(count))
            .raw(&body)
            .done();
        let length = (HEADER_LEN - 12 + body.len()) as i32;
        Enc::new(false)
            .i64(self.base_offset)
            .i32(self.batch_length.unwrap_or(length))
            .i32(self.leader_epoch)
            .i8(self.magic)
            .i32(self.crc.unwrap_or_else(|| crc32c::crc32c(&checked)) as i32)
            .raw(&checked)
            .done()
    }
}

/// A batch as fetched: header fields and, for uncompressed ones, the records.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub base_offset: i64,
    pub leader_epoch: i32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub max_timestamp: i64,
    pub crc_is_right: bool,
    pub size: usize,
    /// Values of the records; empty when the batch is compressed.
    pub values: Vec<Vec<u8>>,
}

/// Every whole batch in fetched bytes; a partial one at the end is left out.
pub fn parse_batches(mut bytes: &[u8]) -> Result<Vec<Fetched>, DecError> {
    let mut out = Vec::new();
    while bytes.len() >= HEADER_LEN {
        let mut d = Dec::new(bytes, false);
        let (base_offset, length) = (d.i64()?, d.i32()?);
        let size = usize::try_from(length).map_err(|_| DecError::Length { at: 8, length: i64::from(length) })? + 12;
        let Some(whole) = bytes.get(..size) else { break };
        let (leader_epoch, _magic, crc) = (d.i32()?, d.i8()?, d.i32()? as u32);
        let (attributes, last_offset_delta) = (d.i16()?, d.i32()?);
        let (_base, max_timestamp) = (d.i64()?, d.i64()?);
        d.take(8 + 2 + 4)?;
        let count = d.i32()?;
        let crc_is_right = crc32c::crc32c(&whole[21..]) == crc;
        let plain = attributes & 7 == 0;
        let values = if plain { values_of(&whole[HEADER_LEN..], count)? } else { Vec::new() };
        out.push(Fetched {
            base_offset,
            leader_epoch,
            attributes,
            last_offset_delta,
            max_timestamp,
            crc_is_right,
            size,
            values,
        });
        bytes = &bytes[size..];
    }
    Ok(out)
}

fn values_of(records: &[u8], count: i32) -> Result<Vec<Vec<u8>>, DecError> {
    let mut d = Dec::new(records, false);
    let mut values = Vec::new();
    for _ in 0..count {
        let length = d.varint()?;
        let mut r = Dec::new(d.take(length.max(0) as usize)?, false);
        r.i8()?;
        r.varint()?;
        r.varint()?;
        let key = r.varint()?;
        r.take(key.max(0) as usize)?;
        let value = r.varint()?;
        values.push(r.take(value.max(0) as usize)?.to_vec());
    }
    Ok(values)
}
