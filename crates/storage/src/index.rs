//! The sparse indexes of one segment: offset → position (`.index`) and timestamp → offset (`.timeindex`).
//!
//! An entry is made at the first batch after each `index.interval.bytes` of log, as Kafka makes it: (last offset of the
//! batch, its position), and, when the largest timestamp so far has grown, (that timestamp, last offset of the batch
//! that brought it). Appending and rebuilding run the same code.

use chronik_protocol::batch::BatchHeader;

const OFFSET_ENTRY: usize = 8;
const TIME_ENTRY: usize = 12;

/// An offset entry: the batch at `position` ends with offset base + `relative`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    relative: u32,
    pub position: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TimeEntry {
    timestamp: i64,
    relative: u32,
}

/// Both indexes of a segment, and what is needed to go on with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Indexes {
    base_offset: i64,
    /// Offsets and positions strictly increase.
    offsets: Vec<OffsetEntry>,
    /// Timestamps strictly increase, offsets do not decrease.
    times: Vec<TimeEntry>,
    /// Largest timestamp of any batch, -1 = none, and the last offset of the first batch that has it.
    max_timestamp: i64,
    max_timestamp_offset: i64,
    /// Log bytes since the batch of the last offset entry, that batch included.
    bytes_since_entry: u64,
}

impl Indexes {
    pub fn new(base_offset: i64) -> Self {
        Indexes {
            base_offset,
            offsets: Vec::new(),
            times: Vec::new(),
            max_timestamp: -1,
            max_timestamp_offset: base_offset,
            bytes_since_entry: 0,
        }
    }

    /// Notes the batch at `position`, `size` bytes long. Its offsets are within 2³¹ of the base, its position is below
    /// 2³¹.
    pub fn add(&mut self, header: &BatchHeader, position: u64, size: u64, interval: u32) {
        if header.max_timestamp > self.max_timestamp {
            self.max_timestamp = header.max_timestamp;
            self.max_timestamp_offset = header.last_offset();
        }
        if self.bytes_since_entry > u64::from(interval) {
            self.offsets.push(OffsetEntry { relative: self.relative(header.last_offset()), position: position as u32 });
            self.add_time();
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += size;
    }

    /// Enters the largest timestamp, as is done when a segment is closed.
    pub fn seal(&mut self) {
        self.add_time();
        self.offsets.shrink_to_fit();
        self.times.shrink_to_fit();
    }

    fn add_time(&mut self) {
        if self.max_timestamp > self.times.last().map_or(-1, |last| last.timestamp) {
            let relative = self.relative(self.max_timestamp_offset);
            self.times.push(TimeEntry { timestamp: self.max_timestamp, relative });
        }
    }

    fn relative(&self, offset: i64) -> u32 {
        (offset - self.base_offset) as u32
    }

    /// Whether one more batch could overflow a file of `max_bytes` bytes; Kafka keeps a time entry in reserve for the
    /// closing.
    pub fn is_full(&self, max_bytes: u32) -> bool {
        let max = max_bytes as usize;
        self.offsets.len() >= max / OFFSET_ENTRY || self.times.len() + 1 >= max / TIME_ENTRY
    }

    /// The largest timestamp of any batch in milliseconds, -1 = none.
    pub fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    pub fn max_timestamp_offset(&self) -> i64 {
        self.max_timestamp_offset
    }

    /// The last entry whose batch does not end after `offset`: position and last offset of its batch.
    pub fn floor(&self, offset: i64) -> Option<(u64, i64)> {
        let entry = self
            .offsets
            .partition_point(|entry| self.base_offset + i64::from(entry.relative) <= offset)
            .checked_sub(1)?;
        let entry = self.offsets[entry];
        Some((u64::from(entry.position), self.base_offset + i64::from(entry.relative)))
    }

    /// An offset such that all batches before the one that holds it are older than `timestamp`.
    pub fn floor_time(&self, timestamp: i64) -> i64 {
        let after = self.times.partition_point(|entry| entry.timestamp <= timestamp);
        after.checked_sub(1).map_or(self.base_offset, |at| self.base_offset + i64::from(self.times[at].relative))
    }

    /// Bytes in memory.
    pub fn memory(&self) -> u64 {
        (self.offsets.capacity() * size_of::<OffsetEntry>()
            + self.times.capacity() * size_of::<TimeEntry>()
            + size_of::<Self>()) as u64
    }

    pub fn encode_offsets(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.offsets.len() * OFFSET_ENTRY);
        for entry in &self.offsets {
            out.extend_from_slice(&entry.relative.to_be_bytes());
            out.extend_from_slice(&entry.position.to_be_bytes());
        }
        out
    }

    pub fn encode_times(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.times.len() * TIME_ENTRY);
        for entry in &self.times {
            out.extend_from_slice(&entry.timestamp.to_be_bytes());
            out.extend_from_slice(&entry.relative.to_be_bytes());
        }
        out
    }

    /// Reads the two files of a segment of `log_size` bytes, closed with the given largest timestamp; `None` when they
    /// are not sane.
    pub fn decode(base_offset: i64, offsets: &[u8], times: &[u8], log_size: u64, max: (i64, i64)) -> Option<Self> {
        let offsets: Vec<_> = entries::<OFFSET_ENTRY>(offsets)?
            .map(|entry| OffsetEntry { relative: be32(entry, 0), position: be32(entry, 4) })
            .collect();
        let times: Vec<_> = entries::<TIME_ENTRY>(times)?
            .map(|entry| TimeEntry {
                timestamp: i64::from(be32(entry, 0)) << 32 | i64::from(be32(entry, 4)),
                relative: be32(entry, 8),
            })
            .collect();
        let increasing = offsets.windows(2).all(|w| w[0].relative < w[1].relative && w[0].position < w[1].position);
        let inside =
            offsets.last().is_none_or(|last| u64::from(last.position) < log_size && last.relative <= i32::MAX as u32);
        let in_time = times.windows(2).all(|w| w[0].timestamp < w[1].timestamp && w[0].relative <= w[1].relative);
        let closed = times.last().map_or(-1, |last| last.timestamp) == max.0;
        if !(increasing && inside && in_time && closed) {
            return None;
        }
        let bytes_since_entry = log_size - offsets.last().map_or(0, |last| u64::from(last.position));
        Some(Indexes {
            base_offset,
            offsets,
            times,
            max_timestamp: max.0,
            max_timestamp_offset: max.1,
            bytes_since_entry,
        })
    }

    /// The last entry of an `.index` file: position, and last offset of the batch there.
    pub fn last_of(base_offset: i64, entry: [u8; OFFSET_ENTRY]) -> (u64, i64) {
        (u64::from(be32(&entry, 4)), base_offset.saturating_add(i64::from(be32(&entry, 0))))
    }
}

fn entries<const N: usize>(bytes: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    bytes.len().is_multiple_of(N).then(|| bytes.chunks_exact(N))
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
