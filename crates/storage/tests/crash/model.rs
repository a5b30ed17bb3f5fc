//! What a log must hold after its machine stopped, told by the one who wrote it.

use std::sync::Arc;

use chronik_protocol::batch::{BatchHeader, HEADER_LEN, crc_of_parts};

/// A batch as appended.
#[derive(Debug)]
pub struct Batch {
    pub header: BatchHeader,
    /// Header and records.
    pub bytes: Vec<u8>,
}

/// The contents of a log from offset 0 on, whether or not its start has been deleted since.
pub type Version = Vec<Arc<Batch>>;

/// Something that holds from a boundary of the disk's history on.
#[derive(Debug)]
pub enum Fact {
    /// The log has, or is about to have, these contents.
    Contents(Version),
    /// All below this offset is durable.
    Synced(i64),
    /// All from this offset on is being cut off.
    Truncating(i64),
    /// The log start may have come as far as this offset.
    LogStart(i64),
    /// The log is closed in good order.
    Closed,
    /// The last call has returned: nothing is half done.
    Idle,
    /// A sync failed: the page cache is not to be believed from here on.
    SyncFailed,
}

impl Fact {
    /// Whether nothing was under way.
    pub fn is_rest(&self) -> bool {
        matches!(self, Fact::Closed | Fact::Idle)
    }
}

/// What holds at one boundary.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The log at the last fact about its contents.
    pub current: Version,
    /// The recovered log is a prefix of one of these.
    pub candidates: Vec<Version>,
    /// All below this offset must be there.
    pub required_end: i64,
    pub max_log_start: i64,
    pub closed: bool,
    pub idle: bool,
    pub sync_failed: bool,
}

impl Default for Expected {
    fn default() -> Self {
        Expected {
            current: Vec::new(),
            candidates: vec![Vec::new()],
            required_end: 0,
            max_log_start: 0,
            closed: false,
            idle: true,
            sync_failed: false,
        }
    }
}

impl Expected {
    pub fn learn(&mut self, fact: &Fact) {
        self.idle = fact.is_rest();
        match fact {
            Fact::Contents(version) => {
                self.candidates.retain(|candidate| !is_prefix(candidate, version));
                self.candidates.push(version.clone());
                self.current.clone_from(version);
            }
            Fact::Synced(end) => self.required_end = self.required_end.max(*end),
            Fact::Truncating(to) => self.required_end = self.required_end.min(*to),
            Fact::LogStart(offset) => self.max_log_start = self.max_log_start.max(*offset),
            Fact::SyncFailed => self.sync_failed = true,
            Fact::Closed => self.closed = true,
            Fact::Idle => {}
        }
    }

    /// The disk has done something since.
    pub fn disturb(&mut self) {
        self.closed = false;
        self.idle = false;
    }
}

/// Whether `whole` begins with `part`, batch for batch.
pub fn is_prefix(part: &[Arc<Batch>], whole: &[Arc<Batch>]) -> bool {
    part.len() <= whole.len() && part.iter().zip(whole).all(|(a, b)| Arc::ptr_eq(a, b) || a.bytes == b.bytes)
}

/// The offset after the last batch; 0 when there is none.
pub fn end_of(version: &[Arc<Batch>]) -> i64 {
    version.last().map_or(0, |batch| batch.header.next_offset())
}

/// Who writes a batch, and from which sequence on.
#[derive(Clone, Copy, Debug)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
    pub sequence: i32,
}

/// No producer id: a batch that is not idempotent.
pub const NOBODY: Producer = Producer { id: -1, epoch: -1, sequence: -1 };

impl Batch {
    /// Uncompressed records, one for each of `values`, all at the same time (milliseconds).
    pub fn new(base_offset: i64, leader_epoch: i32, producer: Producer, timestamp: i64, values: &[Vec<u8>]) -> Batch {
        let mut body = Vec::new();
        for (delta, value) in values.iter().enumerate() {
            write_record(&mut body, delta as i64, value);
        }
        let mut header = BatchHeader {
            base_offset,
            batch_length: (HEADER_LEN - 12 + body.len()) as i32,
            partition_leader_epoch: leader_epoch,
            magic: 2,
            crc: 0,
            attributes: 0,
            last_offset_delta: values.len() as i32 - 1,
            base_timestamp: timestamp,
            max_timestamp: timestamp,
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            base_sequence: producer.sequence,
            records_count: values.len() as i32,
        };
        header.crc = crc_of_parts(&header.to_bytes(), &body);
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend_from_slice(&body);
        Batch { header, bytes }
    }

    pub fn body(&self) -> &[u8] {
        &self.bytes[HEADER_LEN..]
    }
}

fn write_record(out: &mut Vec<u8>, offset_delta: i64, value: &[u8]) {
    let mut record = vec![0];
    write_varint(&mut record, 0);
    write_varint(&mut record, offset_delta);
    write_varint(&mut record, -1);
    write_varint(&mut record, value.len() as i64);
    record.extend_from_slice(value);
    write_varint(&mut record, 0);
    write_varint(out, record.len() as i64);
    out.extend_from_slice(&record);
}

fn write_varint(out: &mut Vec<u8>, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}
