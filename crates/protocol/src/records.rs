//! The records inside a batch: a walk that keeps nothing, for checking and searching, and whole records, for tools and clients.

mod parse;
mod stream;

use std::io::Read;
use std::ops::ControlFlow;

use bytes::Bytes;

use crate::batch::{BatchHeader, Compression};
pub use crate::compression::Limits;
use crate::compression::{self, DecompressError};
use parse::Slice;

/// The shape of one record, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMeta {
    /// Its offset less the batch's base offset.
    pub offset_delta: i32,
    /// Milliseconds from the batch's base timestamp.
    pub timestamp_delta: i64,
    /// No bit of it is in use.
    pub attributes: i8,
    /// Bytes; `None` = a null key.
    pub key_len: Option<usize>,
    /// Bytes; `None` = a null value.
    pub value_len: Option<usize>,
    /// How many headers it has.
    pub headers: usize,
}

/// One header of a record. The key is UTF-8 by convention only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    pub key: Bytes,
    /// `None` = null.
    pub value: Option<Bytes>,
}

/// One whole record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// In the log: the batch's base offset counted in.
    pub offset: i64,
    /// Milliseconds: the record's own, or the batch's for `LogAppendTime`; -1 = none.
    pub timestamp: i64,
    pub attributes: i8,
    /// `None` = null.
    pub key: Option<Bytes>,
    /// `None` = null.
    pub value: Option<Bytes>,
    pub headers: Vec<RecordHeader>,
}

/// What is wrong with one record's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    #[error("its length is negative")]
    NegativeLength,
    #[error("a field runs past its end")]
    FieldPastEnd,
    #[error("bytes are left over after its last field")]
    LeftOver,
    #[error("a number takes more bytes than its type can need")]
    Varint,
    #[error("a key or value has a length below -1")]
    FieldLength,
    #[error("its header count is negative or more than its bytes can hold")]
    HeaderCount,
    #[error("a header has a null key")]
    HeaderKey,
}

/// Why the records of a batch could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    #[error("unknown compression type {0}")]
    UnknownCodec(i16),
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    #[error("record {index} is malformed: {fault}")]
    Malformed { index: i32, fault: RecordFault },
    /// The bytes end before the header's count of records.
    #[error("the batch ends in record {index} of {count}")]
    Truncated { index: i32, count: i32 },
    /// Bytes follow the header's count of records.
    #[error("bytes follow the last of {count} records")]
    Trailing { count: i32 },
    #[error("the record count {0} is negative")]
    NegativeCount(i32),
}

fn codec_of(header: &BatchHeader) -> Result<Compression, RecordsError> {
    header.compression().ok_or(RecordsError::UnknownCodec(header.attributes & 0x07))
}

/// Visits the shape of each record of a batch, in order, without keeping its bytes. `body` is what follows the 61-byte header.
///
/// Checks each record's structure, and that there are exactly `records_count` and nothing after; whether offsets and timestamps
/// make sense is the visitor's affair. A visitor that breaks ends the walk with `Ok`, the rest unchecked.
/// An uncompressed body is read in place; a compressed one through a fixed window, whatever the size of its records.
pub fn walk(
    header: &BatchHeader,
    body: &[u8],
    limits: Limits,
    visit: impl FnMut(RecordMeta) -> ControlFlow<()>,
) -> Result<(), RecordsError> {
    let codec = codec_of(header)?;
    let count = header.records_count;
    if count < 0 {
        return Err(RecordsError::NegativeCount(count));
    }
    match codec {
        Compression::None => walk_slice(count, body, visit),
        _ => stream::walk(count, compression::decoder(codec, body, limits)?, visit),
    }
}

fn walk_slice(
    count: i32,
    body: &[u8],
    mut visit: impl FnMut(RecordMeta) -> ControlFlow<()>,
) -> Result<(), RecordsError> {
    let mut rest = body;
    for index in 0..count {
        let record = next_record(&mut rest, index, count)?;
        let meta = parse::meta(&mut Slice::new(record)).map_err(|fault| RecordsError::Malformed { index, fault })?;
        if visit(meta).is_break() {
            return Ok(());
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(RecordsError::Trailing { count }) }
}

/// Takes the next record, without its length, off `rest`.
#[inline]
fn next_record<'a>(rest: &mut &'a [u8], index: i32, count: i32) -> Result<&'a [u8], RecordsError> {
    let mut slice = Slice::new(rest);
    let len = parse::varint(&mut slice).map_err(|fault| match fault {
        RecordFault::FieldPastEnd => RecordsError::Truncated { index, count },
        fault => RecordsError::Malformed { index, fault },
    })?;
    let len =
        usize::try_from(len).map_err(|_| RecordsError::Malformed { index, fault: RecordFault::NegativeLength })?;
    let (record, after) = slice.rest().split_at_checked(len).ok_or(RecordsError::Truncated { index, count })?;
    *rest = after;
    Ok(record)
}

/// The whole records of a batch, as [`iterate`] gives them. Ends after its first error.
#[derive(Debug)]
pub struct Records {
    header: BatchHeader,
    body: Bytes,
    index: i32,
}

/// Yields the whole records of a batch. `body` is what follows the 61-byte header; keys and values of an uncompressed batch are
/// views into it. A compressed body is decompressed at once, into at most `limits` bytes.
pub fn iterate(header: &BatchHeader, body: &Bytes, limits: Limits) -> Result<Records, RecordsError> {
    let codec = codec_of(header)?;
    if header.records_count < 0 {
        return Err(RecordsError::NegativeCount(header.records_count));
    }
    let body = match codec {
        Compression::None => body.clone(),
        _ => Bytes::from(compression::decompress(codec, body, limits)?),
    };
    Ok(Records { header: *header, body, index: 0 })
}

impl Records {
    fn read(&mut self) -> Result<Record, RecordsError> {
        let (index, count) = (self.index, self.header.records_count);
        let mut rest: &[u8] = &self.body;
        let record = next_record(&mut rest, index, count)?;
        let record = self.body.slice_ref(record);
        let consumed = self.body.len() - rest.len();
        self.body = self.body.slice(consumed..);
        let parsed = parse::record(&record).map_err(|fault| RecordsError::Malformed { index, fault })?;
        Ok(Record {
            offset: self.header.base_offset.wrapping_add(i64::from(parsed.offset_delta)),
            timestamp: match self.header.is_log_append_time() {
                true => self.header.max_timestamp,
                false => self.header.base_timestamp.wrapping_add(parsed.timestamp_delta),
            },
            attributes: parsed.attributes,
            key: parsed.key,
            value: parsed.value,
            headers: parsed.headers,
        })
    }
}

impl Iterator for Records {
    type Item = Result<Record, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let count = self.header.records_count;
        if self.index >= count {
            let trailing = self.index == count && !self.body.is_empty();
            self.body = Bytes::new();
            return trailing.then_some(Err(RecordsError::Trailing { count }));
        }
        let result = self.read();
        match &result {
            Ok(_) => self.index += 1,
            Err(_) => {
                self.index = count;
                self.body = Bytes::new();
            }
        }
        Some(result)
    }
}

/// Fills as much of `buf` as there is data for.
fn read_some(source: &mut impl Read, buf: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match source.read(buf) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
