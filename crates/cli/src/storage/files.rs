//! A data directory and its logs as files, read and never written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use chronik_config::parse_properties;
use chronik_env::fs::{Disk, File, OpenMode, read_exact_at};
use chronik_env::real::RealDisk;
use chronik_protocol::batch::{BatchHeader, HEADER_LEN, crc_of};

use crate::common::read_text;
use crate::failure::Failure;

/// Written last at a clean stop, removed at a start.
const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";

/// What a data directory says about itself.
pub struct DataDir {
    pub path: PathBuf,
    /// `meta.properties`, in its order.
    pub properties: Vec<(String, String)>,
    pub clean: bool,
    pub partitions: Vec<PartitionDir>,
}

pub struct PartitionDir {
    pub topic: String,
    pub partition: i32,
    pub segments: Vec<Segment>,
}

impl PartitionDir {
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }
}

#[derive(Clone, Debug)]
pub struct Segment {
    pub base_offset: i64,
    pub path: PathBuf,
    /// Bytes.
    pub len: u64,
}

fn because(path: &Path) -> impl Fn(io::Error) -> Failure {
    move |e| Failure::Failed(format!("cannot read {}: {e}", path.display()))
}

/// Opens a directory that a broker has stamped.
pub fn data_dir(path: &Path) -> Result<DataDir, Failure> {
    let stamp = path.join("meta.properties");
    if !RealDisk.exists(&stamp).map_err(because(&stamp))? {
        return Err(Failure::Failed(format!("{} is no data directory: it has no meta.properties", path.display())));
    }
    let entries =
        parse_properties(&read_text(&stamp)?).map_err(|e| Failure::Failed(format!("{}: {e}", stamp.display())))?;
    let clean = RealDisk.exists(&path.join(CLEAN_SHUTDOWN)).map_err(because(path))?;
    let mut partitions = Vec::new();
    for entry in RealDisk.list(path).map_err(because(path))?.into_iter().filter(|entry| entry.is_dir) {
        // Others are about to be deleted, or not a broker's.
        let Some((topic, partition)) = partition_of(&entry.name) else { continue };
        let segments = segments(&path.join(&entry.name))?;
        partitions.push(PartitionDir { topic, partition, segments });
    }
    partitions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    let properties = entries.into_iter().map(|entry| (entry.key, entry.value)).collect();
    Ok(DataDir { path: path.to_owned(), properties, clean, partitions })
}

/// Topic and partition of a directory's name.
fn partition_of(name: &str) -> Option<(String, i32)> {
    let (topic, partition) = name.rsplit_once('-')?;
    let number: i32 = partition.parse().ok().filter(|p| *p >= 0)?;
    (!topic.is_empty() && number.to_string() == partition).then(|| (topic.to_owned(), number))
}

/// The segments of a partition's directory, by offset.
pub fn segments(dir: &Path) -> Result<Vec<Segment>, Failure> {
    let mut segments = Vec::new();
    for entry in RealDisk.list(dir).map_err(because(dir))?.into_iter().filter(|entry| !entry.is_dir) {
        let base = entry.name.strip_suffix(".log").filter(|base| base.len() == 20);
        if let Some(base_offset) = base.and_then(|base| base.parse().ok()) {
            segments.push(Segment { base_offset, path: dir.join(&entry.name), len: entry.len });
        }
    }
    segments.sort_by_key(|segment| segment.base_offset);
    Ok(segments)
}

/// A segment by its own path.
pub fn segment(path: &Path) -> Result<Segment, Failure> {
    let base = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
    let len = RealDisk.open(path, OpenMode::Read).and_then(|file| file.len()).map_err(because(path))?;
    Ok(Segment { base_offset: base.unwrap_or(0), path: path.to_owned(), len })
}

/// A whole batch whose checksum is right.
pub struct Batch {
    /// Bytes from the start of the file.
    pub position: u64,
    pub header: BatchHeader,
    pub bytes: Bytes,
}

/// Where a file stops being batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub position: u64,
    pub what: String,
}

/// The batches of a segment, front to back. Ends after its first fault.
pub struct Batches {
    file: Arc<dyn File>,
    len: u64,
    position: u64,
    next_offset: i64,
    ended: bool,
}

impl Batches {
    pub fn open(segment: &Segment) -> Result<Self, Failure> {
        let file = RealDisk.open(&segment.path, OpenMode::Read).map_err(because(&segment.path))?;
        // It may have grown since it was listed.
        let len = file.len().map_err(because(&segment.path))?;
        Ok(Batches { file, len, position: 0, next_offset: segment.base_offset, ended: false })
    }

    fn read(&mut self) -> Result<Batch, Fault> {
        let position = self.position;
        let fault = |what: String| Fault { position, what };
        let left = self.len - position;
        if left < HEADER_LEN as u64 {
            return Err(fault(format!("{left} bytes are too few for a batch")));
        }
        let mut head = [0; HEADER_LEN];
        read_exact_at(&*self.file, &mut head, position).map_err(|e| fault(e.to_string()))?;
        let header = BatchHeader::parse(&head).ok_or_else(|| fault("no header".into()))?;
        if header.magic != 2 {
            return Err(fault(format!("a batch of format {}, not 2", header.magic)));
        }
        let size = header.size().ok_or_else(|| fault(format!("a batch of length {}", header.batch_length)))?;
        if size as u64 > left {
            return Err(fault(format!("a batch of {size} bytes where {left} are left")));
        }
        if header.base_offset < self.next_offset {
            return Err(fault(format!("offset {} where {} or more is due", header.base_offset, self.next_offset)));
        }
        let mut bytes = vec![0; size];
        read_exact_at(&*self.file, &mut bytes, position).map_err(|e| fault(e.to_string()))?;
        let computed = crc_of(&bytes);
        if computed != header.crc {
            return Err(fault(format!("the checksum is {computed:08x}, not {:08x}", header.crc)));
        }
        self.position += size as u64;
        self.next_offset = header.next_offset();
        Ok(Batch { position, header, bytes: bytes.into() })
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended || self.position >= self.len {
            return None;
        }
        let read = self.read();
        self.ended = read.is_err();
        Some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_named_after_partitions() {
        assert_eq!(partition_of("a-b-7"), Some(("a-b".to_owned(), 7)));
        for other in ["a", "a-", "-1", "a-01", "a.b52f-delete", "a--1x"] {
            assert_eq!(partition_of(other), None, "{other}");
        }
    }
}
