//! Why a produced batch was refused, and what the client is told.

use crate::compression::DecompressError;
use crate::error::ErrorCode;
use crate::records::RecordsError;

/// One entry of a partition's `record_errors` in the Produce response (KIP-467).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// The record's index in the batch, from 0.
    pub batch_index: i32,
    pub message: String,
}

/// Why a produced batch was refused. Its `Display` is the response's error message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBatch {
    #[error("a produce request must have one whole record batch per partition")]
    NoBatch,
    #[error("a produce request may have one record batch per partition only")]
    MoreThanOneBatch,
    #[error("{bytes} bytes follow the record batch")]
    Trailing { bytes: usize },
    #[error("record batch length {0} is less than the minimum of any format")]
    Length(i32),
    #[error("record batch length {length} is less than its header")]
    ShortLength { length: usize },
    #[error("unknown record batch magic {0}")]
    UnknownMagic(i8),
    #[error("record batch magic {0} is not accepted, only 2")]
    OldMagic(i8),
    #[error("produce requests of version {0} may not use zstd compression")]
    ZstdVersion(i16),
    #[error("the base offset of a produced record batch must be 0, but it is {0}")]
    BaseOffset(i64),
    #[error("the record batch has {size} bytes, more than the maximum of {max}")]
    TooLarge { size: usize, max: usize },
    #[error("the record batch has {size} bytes, more than the segment size of {max}")]
    LargerThanSegment { size: usize, max: usize },
    #[error("the record batch is corrupt (stored crc = {stored}, computed crc = {computed})")]
    Crc { stored: u32, computed: u32 },
    #[error("the record batch has an invalid last offset delta {0}")]
    OffsetRange(i32),
    #[error("the record batch has an invalid record count {0}")]
    Count(i32),
    #[error("the record batch has {count} records but a last offset delta of {last_offset_delta}")]
    CountAndOffsets { count: i32, last_offset_delta: i32 },
    #[error("record {index} has offset delta {delta}")]
    OffsetDelta { index: i32, delta: i32 },
    #[error("clients are not allowed to write control records")]
    Control,
    #[error("the record batch attributes {0:#06x} have bits that a producer may not set")]
    Attributes(i16),
    #[error("unknown compression type {0}")]
    Codec(i16),
    #[error("invalid sequence number {sequence} in a record batch of producer id {producer_id}")]
    Sequence { sequence: i32, producer_id: i64 },
    #[error("invalid producer epoch {epoch} in a record batch of producer id {producer_id}")]
    Epoch { epoch: i16, producer_id: i64 },
    #[error("a transactional record batch needs a producer id")]
    TransactionalWithoutProducer,
    #[error("a producer may not set the timestamp type to LogAppendTime, which is the topic's")]
    TimestampType,
    #[error(transparent)]
    Structure(RecordsError),
    #[error(transparent)]
    Decompress(DecompressError),
    /// `errors` are at most [`MAX_RECORD_ERRORS`](super::MAX_RECORD_ERRORS) of the `total`.
    #[error("One or more records have been rejected due to {total} record errors in total")]
    Records { total: usize, errors: Vec<RecordError> },
    /// As `Records`, one of them at least for its timestamp.
    #[error("One or more records have been rejected due to invalid timestamp")]
    Timestamps { total: usize, errors: Vec<RecordError> },
}

impl From<RecordsError> for InvalidBatch {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::Decompress(error) => InvalidBatch::Decompress(error),
            RecordsError::UnknownCodec(codec) => InvalidBatch::Codec(codec),
            error => InvalidBatch::Structure(error),
        }
    }
}

impl InvalidBatch {
    /// The code the partition is answered with.
    pub fn error_code(&self) -> ErrorCode {
        match self {
            InvalidBatch::Length(_)
            | InvalidBatch::ShortLength { .. }
            | InvalidBatch::UnknownMagic(_)
            | InvalidBatch::Crc { .. }
            | InvalidBatch::Decompress(DecompressError::Damaged { .. }) => ErrorCode::CorruptMessage,
            InvalidBatch::TooLarge { .. } | InvalidBatch::Decompress(DecompressError::TooLarge { .. }) => {
                ErrorCode::MessageTooLarge
            }
            InvalidBatch::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
            InvalidBatch::ZstdVersion(_) => ErrorCode::UnsupportedCompressionType,
            InvalidBatch::TimestampType | InvalidBatch::Timestamps { .. } => ErrorCode::InvalidTimestamp,
            InvalidBatch::NoBatch
            | InvalidBatch::MoreThanOneBatch
            | InvalidBatch::Trailing { .. }
            | InvalidBatch::OldMagic(_)
            | InvalidBatch::BaseOffset(_)
            | InvalidBatch::OffsetRange(_)
            | InvalidBatch::Count(_)
            | InvalidBatch::CountAndOffsets { .. }
            | InvalidBatch::OffsetDelta { .. }
            | InvalidBatch::Control
            | InvalidBatch::Attributes(_)
            | InvalidBatch::Codec(_)
            | InvalidBatch::Sequence { .. }
            | InvalidBatch::Epoch { .. }
            | InvalidBatch::TransactionalWithoutProducer
            | InvalidBatch::Structure(_)
            | InvalidBatch::Records { .. } => ErrorCode::InvalidRecord,
        }
    }

    /// The records at fault, where single ones are.
    pub fn record_errors(&self) -> &[RecordError] {
        match self {
            InvalidBatch::Records { errors, .. } | InvalidBatch::Timestamps { errors, .. } => errors,
            _ => &[],
        }
    }
}
