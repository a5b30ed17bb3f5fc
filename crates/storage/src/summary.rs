//! `index-summaries`: what each closed segment's index files must look like, and its largest timestamp.
//!
//! Kafka's index files carry no checksum, so a flipped bit would answer wrongly for ever. An index that does not match
//! its summary, or has none, is rebuilt from the log. Likewise this file: when it is damaged it is as if it were not
//! there.
//!
//! Version (2 bytes), CRC-32C of the rest (4), count (4), then per segment 48 bytes, big-endian.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use chronik_env::fs::{Disk, read_file};

use crate::index::Indexes;

pub(crate) const FILE_NAME: &str = "index-summaries";
const VERSION: u16 = 1;
const HEAD_LEN: usize = 10;
const ENTRY_LEN: usize = 48;
/// The largest file read, in bytes.
const LIMIT: u64 = 256 << 20;

/// One closed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Bytes of the log file when it was closed; another size makes the summary void.
    pub log_size: u64,
    pub offset_index: Fingerprint,
    pub time_index: Fingerprint,
    /// Milliseconds, -1 = none; last offset of the first batch that has it.
    pub max_timestamp: i64,
    pub max_timestamp_offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    len: u32,
    crc: u32,
}

impl Fingerprint {
    pub fn of(bytes: &[u8]) -> Self {
        Fingerprint { len: bytes.len() as u32, crc: crc32c::crc32c(bytes) }
    }
}

/// By base offset.
pub(crate) type Summaries = BTreeMap<i64, Summary>;

impl Summary {
    pub fn new(indexes: &Indexes, log_size: u64, offset_index: &[u8], time_index: &[u8]) -> Self {
        Summary {
            log_size,
            offset_index: Fingerprint::of(offset_index),
            time_index: Fingerprint::of(time_index),
            max_timestamp: indexes.max_timestamp(),
            max_timestamp_offset: indexes.max_timestamp_offset(),
        }
    }

    /// Bytes the two index files have together.
    pub fn index_len(&self) -> (u64, u64) {
        (u64::from(self.offset_index.len), u64::from(self.time_index.len))
    }
}

/// The summaries of a directory; none when the file is missing or damaged.
pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> io::Result<Summaries> {
    match read_file(disk, &dir.join(FILE_NAME), LIMIT) {
        Ok(bytes) => Ok(bytes.and_then(|bytes| decode(&bytes)).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok(Summaries::new()),
        Err(error) => Err(error),
    }
}

pub(crate) fn encode(summaries: &Summaries) -> Vec<u8> {
    let mut out = vec![0; 6];
    out[..2].copy_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&(summaries.len() as u32).to_be_bytes());
    for (base_offset, summary) in summaries {
        out.extend_from_slice(&base_offset.to_be_bytes());
        out.extend_from_slice(&summary.log_size.to_be_bytes());
        for fingerprint in [summary.offset_index, summary.time_index] {
            out.extend_from_slice(&fingerprint.len.to_be_bytes());
            out.extend_from_slice(&fingerprint.crc.to_be_bytes());
        }
        out.extend_from_slice(&summary.max_timestamp.to_be_bytes());
        out.extend_from_slice(&summary.max_timestamp_offset.to_be_bytes());
    }
    let crc = crc32c::crc32c(&out[6..]);
    out[2..6].copy_from_slice(&crc.to_be_bytes());
    out
}

fn decode(bytes: &[u8]) -> Option<Summaries> {
    let (head, entries) = bytes.split_at_checked(HEAD_LEN)?;
    let version = u16::from_be_bytes([head[0], head[1]]);
    let crc = u32::from_be_bytes([head[2], head[3], head[4], head[5]]);
    let count = u32::from_be_bytes([head[6], head[7], head[8], head[9]]);
    if version != VERSION
        || crc != crc32c::crc32c(&bytes[6..])
        || entries.len() as u64 != u64::from(count) * ENTRY_LEN as u64
    {
        return None;
    }
    Some(entries.chunks_exact(ENTRY_LEN).map(decode_entry).collect())
}

fn decode_entry(entry: &[u8]) -> (i64, Summary) {
    let number = |at: usize| i64::from_be_bytes(std::array::from_fn(|k| entry[at + k]));
    let half = |at: usize| u32::from_be_bytes(std::array::from_fn(|k| entry[at + k]));
    let fingerprint = |at: usize| Fingerprint { len: half(at), crc: half(at + 4) };
    let summary = Summary {
        log_size: number(8) as u64,
        offset_index: fingerprint(16),
        time_index: fingerprint(24),
        max_timestamp: number(32),
        max_timestamp_offset: number(40),
    };
    (number(0), summary)
}
