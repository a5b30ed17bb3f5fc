//! `damaged-ranges`: the parts of a partition's log that recovery found damaged. They stay in place, are never served,
//! and are remembered until their segment is deleted or truncated.
//!
//! Version (2 bytes), CRC-32C of the rest (4), count (4), then per range five big-endian numbers of 8 bytes.

use std::io;
use std::path::Path;

use chronik_env::fs::{Disk, read_file, replace_file};

use crate::error::OpenError;
use crate::names;

pub(crate) const FILE_NAME: &str = "damaged-ranges";
const VERSION: u16 = 1;
const HEAD_LEN: usize = 10;
const ENTRY_LEN: usize = 40;
/// The largest file read, in bytes.
const LIMIT: u64 = 64 << 20;

/// A damaged part of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DamagedRange {
    /// Base offset of the segment.
    pub segment: i64,
    /// Bytes of the segment's file, end exclusive. Empty when bytes that must have been there are gone.
    pub from_position: u64,
    pub to_position: u64,
    /// Offsets that cannot be read, end exclusive. None where there are only strange bytes between two batches.
    pub from_offset: i64,
    pub to_offset: i64,
}

impl DamagedRange {
    /// Name of the damaged file within the partition's directory.
    pub fn file_name(&self) -> String {
        names::log(self.segment)
    }
}

/// What the file says.
pub(crate) enum Known {
    Ranges(Vec<DamagedRange>),
    /// The file itself is damaged: only a scan of the whole log can tell.
    Unreadable,
}

pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Result<Known, OpenError> {
    let file = dir.join(FILE_NAME);
    let bytes = match read_file(disk, &file, LIMIT) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Known::Ranges(Vec::new())),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Ok(Known::Unreadable),
        Err(error) => return Err(OpenError::Io { path: file, error }),
    };
    let Some((head, entries)) = bytes.split_at_checked(HEAD_LEN) else { return Ok(Known::Unreadable) };
    let crc = u32::from_be_bytes([head[2], head[3], head[4], head[5]]);
    if crc != crc_of(&bytes) {
        return Ok(Known::Unreadable);
    }
    let version = u16::from_be_bytes([head[0], head[1]]);
    if version != VERSION {
        return Err(OpenError::UnknownVersion { file, version: i64::from(version) });
    }
    let count = u32::from_be_bytes([head[6], head[7], head[8], head[9]]);
    if entries.len() as u64 != u64::from(count) * ENTRY_LEN as u64 {
        return Ok(Known::Unreadable);
    }
    let ranges: Vec<_> = entries.chunks_exact(ENTRY_LEN).map(decode).collect();
    let sane = ranges
        .iter()
        .all(|r| r.from_position <= r.to_position && r.from_offset <= r.to_offset && r.segment <= r.from_offset);
    Ok(if sane { Known::Ranges(ranges) } else { Known::Unreadable })
}

/// Replaces the file, or removes it when nothing is damaged; durable when this returns.
pub(crate) fn write(disk: &dyn Disk, dir: &Path, ranges: &[DamagedRange]) -> io::Result<()> {
    let path = dir.join(FILE_NAME);
    if ranges.is_empty() {
        let opened = disk.open_dir(dir)?;
        return match disk.remove_file(&path) {
            Ok(()) => opened.sync(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
    }
    let mut out = vec![0; 6];
    out[..2].copy_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&(ranges.len() as u32).to_be_bytes());
    for range in ranges {
        out.extend_from_slice(&range.segment.to_be_bytes());
        out.extend_from_slice(&range.from_position.to_be_bytes());
        out.extend_from_slice(&range.to_position.to_be_bytes());
        out.extend_from_slice(&range.from_offset.to_be_bytes());
        out.extend_from_slice(&range.to_offset.to_be_bytes());
    }
    let crc = crc_of(&out);
    out[2..6].copy_from_slice(&crc.to_be_bytes());
    replace_file(disk, &path, &out)
}

/// Over version and entries, so that a changed version is damage, not a newer release.
fn crc_of(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..2]), &bytes[6..])
}

fn decode(entry: &[u8]) -> DamagedRange {
    let number = |i: usize| i64::from_be_bytes(std::array::from_fn(|k| entry[8 * i + k]));
    DamagedRange {
        segment: number(0),
        from_position: number(1) as u64,
        to_position: number(2) as u64,
        from_offset: number(3),
        to_offset: number(4),
    }
}
