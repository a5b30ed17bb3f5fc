//! Kafka's text checkpoints: version 0, a count, one entry a line.
//!
//! The offset checkpoints of a data directory hold `topic partition offset`; the leader-epoch checkpoint of a partition
//! holds `epoch start-offset` and is read and written by [`crate::epochs`]. Reading forgives nothing.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use chronik_env::fs::{Disk, read_file, replace_file};
use chronik_protocol::types::TopicName;

/// All below these offsets was durable when the file was written.
pub const RECOVERY_POINT: &str = "recovery-point-offset-checkpoint";
/// The first offset a reader may ask for, where it lies above the first one on disk.
pub const LOG_START: &str = "log-start-offset-checkpoint";
/// High watermarks.
pub const HIGH_WATERMARK: &str = "replication-offset-checkpoint";

/// The largest checkpoint read, in bytes: a million partitions with the longest names.
const LIMIT: u64 = 512 << 20;

/// Offsets by topic and partition.
pub type Offsets = BTreeMap<(String, i32), i64>;

/// Why a checkpoint was not read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("{}: unknown version {version}", file.display())]
    UnknownVersion { file: PathBuf, version: i64 },
    /// Lines count from 1.
    #[error("{}: line {line} makes no sense", file.display())]
    Malformed { file: PathBuf, line: usize },
    #[error("{}: {error}", file.display())]
    Io { file: PathBuf, error: io::Error },
}

/// Reads an offset checkpoint; empty when there is no such file.
pub fn read_offsets(disk: &dyn Disk, path: &Path) -> Result<Offsets, CheckpointError> {
    let mut offsets = Offsets::new();
    read(disk, path, |fields| {
        let [topic, partition, offset] = fields else { return false };
        let (Ok(topic), Some(partition), Some(offset)) = (TopicName::new(topic), number(partition), number(offset))
        else {
            return false;
        };
        offsets.insert((topic.as_str().to_owned(), partition), offset).is_none()
    })?;
    Ok(offsets)
}

/// Replaces an offset checkpoint; durable when this returns.
pub fn write_offsets(disk: &dyn Disk, path: &Path, offsets: &Offsets) -> io::Result<()> {
    let mut text = format!("0\n{}\n", offsets.len());
    for ((topic, partition), offset) in offsets {
        _ = writeln!(text, "{topic} {partition} {offset}");
    }
    replace_file(disk, path, text.as_bytes())
}

/// A number that is not negative, in plain digits.
pub(crate) fn number<T: TryFrom<i64>>(text: &str) -> Option<T> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    T::try_from(text.parse::<i64>().ok()?).ok()
}

/// Hands each entry's fields to `entry`, which says whether they make sense. Whether the file exists is the answer.
pub(crate) fn read(disk: &dyn Disk, path: &Path, entry: impl FnMut(&[&str]) -> bool) -> Result<bool, CheckpointError> {
    let bytes = read_file(disk, path, LIMIT).map_err(|error| CheckpointError::Io { file: path.to_owned(), error })?;
    let Some(bytes) = bytes else { return Ok(false) };
    parse(&bytes, entry).map_err(|fault| match fault {
        Fault::Version(version) => CheckpointError::UnknownVersion { file: path.to_owned(), version },
        Fault::Line(line) => CheckpointError::Malformed { file: path.to_owned(), line },
    })?;
    Ok(true)
}

enum Fault {
    Version(i64),
    Line(usize),
}

fn parse(bytes: &[u8], mut entry: impl FnMut(&[&str]) -> bool) -> Result<(), Fault> {
    let good = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let mut lines = good.split_inclusive('\n').enumerate();
    let mut line = |wanted: usize| match lines.next() {
        Some((at, text)) => text.strip_suffix('\n').ok_or(Fault::Line(at + 1)),
        None => Err(Fault::Line(wanted)),
    };
    match number::<i64>(line(1)?) {
        Some(0) => {}
        Some(version) => return Err(Fault::Version(version)),
        None => return Err(Fault::Line(1)),
    }
    let count: usize = number(line(2)?).ok_or(Fault::Line(2))?;
    for at in 0..count {
        let at = at.saturating_add(3);
        let mut fields = [""; 4];
        let mut found = 0;
        for field in line(at)?.split(' ') {
            *fields.get_mut(found).ok_or(Fault::Line(at))? = field;
            found += 1;
        }
        if !entry(&fields[..found]) {
            return Err(Fault::Line(at));
        }
    }
    let end = good.lines().count();
    if good.len() != bytes.len() || end != count.saturating_add(2) {
        return Err(Fault::Line(count.saturating_add(3)));
    }
    Ok(())
}
