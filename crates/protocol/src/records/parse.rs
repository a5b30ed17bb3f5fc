//! One record's fields (KIP-98): attributes, timestamp delta, offset delta, key, value, headers; numbers are zigzag varints.

use bytes::Bytes;

use super::{RecordFault, RecordHeader, RecordMeta};

/// Where a record's bytes come from, and where they end.
pub(super) trait Input {
    /// The next byte; [`RecordFault::FieldPastEnd`] at the end.
    fn byte(&mut self) -> Result<u8, Self::Error>;
    /// Passes over `n` bytes; [`RecordFault::FieldPastEnd`] when there are fewer.
    fn skip(&mut self, n: usize) -> Result<(), Self::Error>;
    /// Bytes of the record not yet read.
    fn left(&self) -> usize;

    type Error: From<RecordFault>;
}

/// A record that is whole in memory.
pub(super) struct Slice<'a>(&'a [u8]);

impl<'a> Slice<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Slice(bytes)
    }

    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }

    #[inline]
    fn take(&mut self, n: usize) -> Result<&'a [u8], RecordFault> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(RecordFault::FieldPastEnd)?;
        self.0 = rest;
        Ok(taken)
    }
}

impl Input for Slice<'_> {
    type Error = RecordFault;

    #[inline]
    fn byte(&mut self) -> Result<u8, RecordFault> {
        let (&byte, rest) = self.0.split_first().ok_or(RecordFault::FieldPastEnd)?;
        self.0 = rest;
        Ok(byte)
    }

    #[inline]
    fn skip(&mut self, n: usize) -> Result<(), RecordFault> {
        self.take(n).map(|_| ())
    }

    #[inline]
    fn left(&self) -> usize {
        self.0.len()
    }
}

/// A zigzag number of 32 bits, in at most 5 bytes.
#[inline]
pub(super) fn varint<I: Input>(input: &mut I) -> Result<i32, I::Error> {
    let first = input.byte()?;
    if first < 0x80 {
        return Ok((first >> 1) as i32 ^ -((first & 1) as i32));
    }
    let raw = unsigned(input, first, 32)? as u32;
    Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

/// A zigzag number of 64 bits, in at most 10 bytes.
#[inline]
fn varlong<I: Input>(input: &mut I) -> Result<i64, I::Error> {
    let first = input.byte()?;
    if first < 0x80 {
        return Ok((first >> 1) as i64 ^ -((first & 1) as i64));
    }
    let raw = unsigned(input, first, 64)?;
    Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

/// The rest of a varint whose first byte says that more follow. Refuses bits beyond `width`.
fn unsigned<I: Input>(input: &mut I, first: u8, width: u32) -> Result<u64, I::Error> {
    let mut value = u64::from(first & 0x7f);
    let mut shift = 7;
    loop {
        let byte = input.byte()?;
        let bits = u64::from(byte & 0x7f);
        if shift + 7 > width && (bits >> (width - shift) != 0 || byte >= 0x80) {
            return Err(RecordFault::Varint.into());
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Ok(value);
        }
        shift += 7;
    }
}

/// A nullable field's length: -1 is null.
#[inline]
fn length<I: Input>(input: &mut I) -> Result<Option<usize>, I::Error> {
    match varint(input)? {
        -1 => Ok(None),
        n => usize::try_from(n).map(Some).map_err(|_| RecordFault::FieldLength.into()),
    }
}

#[inline]
fn skip_field<I: Input>(input: &mut I) -> Result<Option<usize>, I::Error> {
    let len = length(input)?;
    if let Some(n) = len {
        input.skip(n)?;
    }
    Ok(len)
}

/// The bytes a header takes at least: two lengths.
const MIN_HEADER: usize = 2;

fn header_count<I: Input>(input: &mut I) -> Result<usize, I::Error> {
    match usize::try_from(varint(input)?) {
        Ok(count) if count <= input.left() / MIN_HEADER => Ok(count),
        _ => Err(RecordFault::HeaderCount.into()),
    }
}

/// Reads a record's shape, and that its fields fill it to the last byte.
#[inline]
pub(super) fn meta<I: Input>(input: &mut I) -> Result<RecordMeta, I::Error> {
    let attributes = input.byte()? as i8;
    let timestamp_delta = varlong(input)?;
    let offset_delta = varint(input)?;
    let key_len = skip_field(input)?;
    let value_len = skip_field(input)?;
    let headers = header_count(input)?;
    for _ in 0..headers {
        if skip_field(input)?.is_none() {
            return Err(RecordFault::HeaderKey.into());
        }
        skip_field(input)?;
    }
    if input.left() != 0 {
        return Err(RecordFault::LeftOver.into());
    }
    Ok(RecordMeta { offset_delta, timestamp_delta, attributes, key_len, value_len, headers })
}

/// A record's fields, its deltas not yet applied to the batch's bases.
pub(super) struct Parsed {
    pub(super) attributes: i8,
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    pub(super) headers: Vec<RecordHeader>,
}

/// Reads a whole record out of `bytes`, which hold it and nothing more.
pub(super) fn record(bytes: &Bytes) -> Result<Parsed, RecordFault> {
    let mut input = Slice::new(bytes);
    let attributes = input.byte()? as i8;
    let timestamp_delta = varlong(&mut input)?;
    let offset_delta = varint(&mut input)?;
    let key = field(&mut input, bytes)?;
    let value = field(&mut input, bytes)?;
    let count = header_count(&mut input)?;
    let mut headers = Vec::new();
    for _ in 0..count {
        let key = field(&mut input, bytes)?.ok_or(RecordFault::HeaderKey)?;
        headers.push(RecordHeader { key, value: field(&mut input, bytes)? });
    }
    match input.left() {
        0 => Ok(Parsed { attributes, timestamp_delta, offset_delta, key, value, headers }),
        _ => Err(RecordFault::LeftOver),
    }
}

fn field(input: &mut Slice<'_>, bytes: &Bytes) -> Result<Option<Bytes>, RecordFault> {
    Ok(match length(input)? {
        Some(n) => Some(bytes.slice_ref(input.take(n)?)),
        None => None,
    })
}
