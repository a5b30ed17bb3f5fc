//! A metadata batch as bytes: one v2 record batch, each record's value an enveloped metadata record.
//!
//! The first record carries a header `synced`: the offset (i64, big-endian) below which all was durable before this
//! batch was written. A batch found whole after a damaged one tells by it whether the damaged one had been
//! acknowledged, or was torn in the same unsynced write.

use bytes::Bytes;
use chronik_metadata::record::{Record, RecordError};
use chronik_protocol::batch::{BatchHeader, HEADER_LEN, crc_of};
use chronik_protocol::builder::{BatchBuilder, BatchTooLarge};
use chronik_protocol::records::{self, Limits, RecordsError};
use chronik_protocol::types::{LeaderEpoch, Offset};

const SYNCED: &str = "synced";

/// Why a batch of the log is no metadata batch that can be applied here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("its header or its length makes no sense")]
    Header,
    #[error("its checksum is {computed:08x}, not {stored:08x}")]
    Crc { computed: u32, stored: u32 },
    #[error("it starts at offset {found} where {expected} is due")]
    Offset { found: Offset, expected: Offset },
    #[error("its epoch {found} is older than {latest} before it")]
    Epoch { found: LeaderEpoch, latest: LeaderEpoch },
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error("the record at offset {0} has no value")]
    NoValue(Offset),
    #[error("the record at offset {offset}: {error}")]
    Record { offset: Offset, error: RecordError },
}

/// Writes one batch. `records` is not empty; `now_ms` is in milliseconds.
pub fn encode(
    records: &[Record],
    base_offset: Offset,
    epoch: LeaderEpoch,
    synced_offset: Offset,
    now_ms: i64,
) -> Result<Bytes, BatchTooLarge> {
    let mut builder = BatchBuilder::new().base_offset(base_offset).leader_epoch(epoch);
    let synced = synced_offset.to_be_bytes();
    let first = [(SYNCED, Some(&synced[..]))];
    let mut value = Vec::new();
    for (index, record) in records.iter().enumerate() {
        value.clear();
        record.encode_into(&mut value);
        let headers = if index == 0 { &first[..] } else { &[] };
        builder.push(now_ms, None, Some(&value), headers);
    }
    builder.build()
}

/// A batch taken off the front of some bytes, its checksum right.
pub struct Framed {
    pub header: BatchHeader,
    /// The whole batch.
    pub bytes: Bytes,
}

/// The batch at the front of `bytes`.
pub fn frame(bytes: &Bytes) -> Result<Framed, BatchError> {
    let header = BatchHeader::parse(bytes).ok_or(BatchError::Header)?;
    let size = header.size().filter(|size| *size <= bytes.len() && header.magic == 2).ok_or(BatchError::Header)?;
    let computed = crc_of(&bytes[..size]);
    if computed != header.crc {
        return Err(BatchError::Crc { computed, stored: header.crc });
    }
    Ok(Framed { header, bytes: bytes.slice(..size) })
}

impl Framed {
    /// The metadata records with their offsets.
    pub fn records(&self) -> Result<Vec<(Offset, Record)>, BatchError> {
        let mut decoded = Vec::new();
        for record in self.iterate()? {
            let record = record?;
            let value = record.value.ok_or(BatchError::NoValue(record.offset))?;
            let metadata =
                Record::decode(&value).map_err(|error| BatchError::Record { offset: record.offset, error })?;
            decoded.push((record.offset, metadata));
        }
        Ok(decoded)
    }

    /// All below this offset was durable when the batch was written; `None` when it does not say.
    pub fn synced_offset(&self) -> Option<Offset> {
        let first = self.iterate().ok()?.next()?.ok()?;
        let header = first.headers.iter().find(|header| *header.key == *SYNCED.as_bytes())?;
        Some(Offset::from_be_bytes(header.value.as_deref()?.try_into().ok()?))
    }

    fn iterate(&self) -> Result<records::Records, RecordsError> {
        // Metadata batches are not compressed; one that is may not grow past what the log would have taken.
        let limits = Limits { max_output_bytes: 64 << 20 };
        records::iterate(&self.header, &self.bytes.slice(HEADER_LEN..), limits)
    }
}
