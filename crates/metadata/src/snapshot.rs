//! A whole image as bytes: header, the records that make it in canonical order, CRC. Equal state at an equal place has
//! equal bytes.
//!
//! ```text
//! magic "CHRONIK\0" | format u16 | feature level u32 | last offset i64 | epoch i32 | records u64     34 bytes, big-endian
//! records × ( length u32 | envelope and payload )
//! CRC-32C u32 of all before
//! ```

use chronik_protocol::types::{LeaderEpoch, Offset};

use crate::image::Image;
use crate::record::{FEATURE_LEVEL, Record, RecordError};

/// The version of this layout; a newer one is refused by name.
pub const FORMAT: u16 = 1;
const MAGIC: [u8; 8] = *b"CHRONIK\0";
const HEADER_LEN: usize = 34;
const CRC_LEN: usize = 4;

/// Why bytes are not a snapshot that can be loaded. Positions are bytes from the start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    #[error("{0} bytes are too few for a snapshot")]
    Short(usize),
    #[error("the magic number is wrong")]
    Magic,
    #[error("snapshot format {found} is not known here (known: {FORMAT}): it was written by a newer program")]
    Format { found: u16 },
    #[error(
        "feature level {found} is not known here (known: up to {FEATURE_LEVEL}): it was written by a newer program"
    )]
    FeatureLevel { found: u32 },
    #[error("the header says feature level {header}, the records say {records}")]
    FeatureLevels { header: u32, records: u32 },
    #[error("the checksum of {len} bytes is {computed:08x}, not {stored:08x}")]
    Crc { len: usize, computed: u32, stored: u32 },
    #[error("record {index} at byte {position} does not fit into the snapshot")]
    Truncated { index: u64, position: usize },
    #[error("{0} bytes are left over after the last record")]
    Trailing(usize),
    #[error("record {index} at byte {position}: {source}")]
    Record { index: u64, position: usize, source: RecordError },
}

/// The fixed start of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    pub feature_level: u32,
    /// Offset of the last record that the snapshot contains; -1 = none.
    pub last_offset: Offset,
    /// Controller epoch of that record.
    pub epoch: LeaderEpoch,
    /// Records that follow.
    pub records: u64,
}

/// Writes a snapshot piece by piece into `sink`; pieces are at least 256 KiB but for the last.
pub fn encode_to<E>(image: &Image, mut sink: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    const PIECE: usize = 256 * 1024;
    let mut records = 0u64;
    image.for_each_record(|_| records += 1);
    let mut piece = Vec::with_capacity(PIECE + 4096);
    piece.extend_from_slice(&MAGIC);
    piece.extend_from_slice(&FORMAT.to_be_bytes());
    piece.extend_from_slice(&image.feature_level().to_be_bytes());
    piece.extend_from_slice(&image.offset().to_be_bytes());
    piece.extend_from_slice(&image.epoch().to_be_bytes());
    piece.extend_from_slice(&records.to_be_bytes());
    let (mut crc, mut outcome) = (0, Ok(()));
    image.for_each_record(|record| {
        let length = u32::try_from(record.encoded_len()).expect("a record is bounded by the batch that brought it");
        piece.extend_from_slice(&length.to_be_bytes());
        record.encode_into(&mut piece);
        if piece.len() >= PIECE && outcome.is_ok() {
            crc = crc32c::crc32c_append(crc, &piece);
            outcome = sink(&piece);
            piece.clear();
        }
    });
    outcome?;
    crc = crc32c::crc32c_append(crc, &piece);
    piece.extend_from_slice(&crc.to_be_bytes());
    sink(&piece)
}

/// A snapshot in one piece.
pub fn encode(image: &Image) -> Vec<u8> {
    let mut bytes = Vec::new();
    let collected: Result<(), std::convert::Infallible> = encode_to(image, |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    });
    match collected {
        Ok(()) => bytes,
        Err(never) => match never {},
    }
}

/// Reads the header alone; the checksum is not looked at.
pub fn decode_header(bytes: &[u8]) -> Result<SnapshotHeader, SnapshotError> {
    let Some(header) = bytes.get(..HEADER_LEN) else {
        return Err(SnapshotError::Short(bytes.len()));
    };
    if header[..8] != MAGIC {
        return Err(SnapshotError::Magic);
    }
    let found = u16::from_be_bytes(field(header, 8));
    if found != FORMAT {
        return Err(SnapshotError::Format { found });
    }
    Ok(SnapshotHeader {
        feature_level: u32::from_be_bytes(field(header, 10)),
        last_offset: i64::from_be_bytes(field(header, 14)),
        epoch: i32::from_be_bytes(field(header, 22)),
        records: u64::from_be_bytes(field(header, 26)),
    })
}

/// Loads an image. Never panics; allocates in proportion to `bytes`.
pub fn decode(bytes: &[u8]) -> Result<Image, SnapshotError> {
    let header = decode_header(bytes)?;
    let end = bytes.len() - CRC_LEN.min(bytes.len());
    if end < HEADER_LEN {
        return Err(SnapshotError::Short(bytes.len()));
    }
    let (stored, computed) = (u32::from_be_bytes(field(bytes, end)), crc32c::crc32c(&bytes[..end]));
    if stored != computed {
        return Err(SnapshotError::Crc { len: end, computed, stored });
    }
    if header.feature_level > FEATURE_LEVEL {
        return Err(SnapshotError::FeatureLevel { found: header.feature_level });
    }
    let mut image = Image::default();
    let mut position = HEADER_LEN;
    for index in 0..header.records {
        let truncated = SnapshotError::Truncated { index, position };
        let Some(length) = bytes[position..end].get(..4) else { return Err(truncated) };
        let length = u32::from_be_bytes(field(length, 0)) as usize;
        let Some(record) = bytes[position + 4..end].get(..length) else { return Err(truncated) };
        let record = Record::decode(record).map_err(|source| SnapshotError::Record { index, position, source })?;
        image.apply(header.last_offset, header.epoch, &record);
        position += 4 + length;
    }
    if position != end {
        return Err(SnapshotError::Trailing(end - position));
    }
    let (header_level, records) = (header.feature_level, image.feature_level());
    if header_level != records {
        return Err(SnapshotError::FeatureLevels { header: header_level, records });
    }
    image.set_position(header.last_offset, header.epoch);
    Ok(image)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}
