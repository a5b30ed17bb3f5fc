//! Walking the batches of a segment's file from front to back, believing nothing.

use std::io;
use std::sync::Arc;

use chronik_env::fs::{File, read_exact_at};
use chronik_protocol::batch::{BatchHeader, HEADER_LEN, crc_of};

use crate::damage::DamagedRange;

/// Bytes read at once when only headers are wanted, and when everything is checked.
const HEADER_CHUNK: usize = 8 << 10;
const CHECK_CHUNK: usize = 256 << 10;
/// While looking for a good batch after a bad one, at most this many times the file is checksummed.
const RESYNC_FACTOR: u64 = 4;

/// What a scan met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Batch {
        header: BatchHeader,
        position: u64,
        size: u64,
    },
    /// The bytes from `position` on are no batch that could follow; it would have held `offset`.
    Bad {
        position: u64,
        offset: i64,
    },
    End,
}

/// A scan of one segment. Memory: one chunk or the largest batch, whichever is larger, never more than the file.
pub(crate) struct Scan {
    window: Window,
    base_offset: i64,
    /// Offsets of the segment lie below this.
    upper: i64,
    /// Checksums are checked for batches from this offset on.
    check_from: i64,
    known: Vec<DamagedRange>,
    position: u64,
    /// Invariant: no batch so far holds this offset or a higher one.
    expected: i64,
    /// The newest leader epoch so far, where epochs that go back are bad.
    leader_epoch: Option<i32>,
    /// Epochs of batches below this offset neither count nor are looked at.
    epochs_from: i64,
    /// The log once ended here, so no gap reaches across.
    old_end: Option<i64>,
    resync_budget: u64,
}

impl Scan {
    /// Starts at the front of a file whose first `len` bytes count. Offsets are at least `base_offset` and below
    /// `upper`; checksums are checked for batches that end at `check_from` or later. Ranges in `known` are stepped
    /// over.
    pub fn new(
        file: Arc<dyn File>,
        len: u64,
        base_offset: i64,
        upper: i64,
        check_from: i64,
        known: &[DamagedRange],
    ) -> Self {
        let known = known.iter().filter(|range| range.segment == base_offset).copied().collect();
        Scan {
            window: Window { file, len, buf: Vec::new(), start: 0, filled: 0 },
            base_offset,
            upper,
            check_from,
            known,
            position: 0,
            expected: base_offset,
            leader_epoch: None,
            epochs_from: i64::MIN,
            old_end: None,
            resync_budget: len.saturating_mul(RESYNC_FACTOR),
        }
    }

    /// Goes on from a batch boundary where offsets are at least `offset`.
    pub fn seek(&mut self, position: u64, offset: i64) {
        self.position = position;
        self.expected = offset.max(self.base_offset);
    }

    /// Goes on from the batch at `position`, which the index says ends with `last_offset`. Where it does, it is believed to
    /// begin where it says, be there a gap before it.
    pub fn seek_batch(&mut self, position: u64, last_offset: i64) -> io::Result<()> {
        let header = self.window.header(position, HEADER_CHUNK)?;
        let indexed = header.filter(|h| plausible(h, self.base_offset).is_some() && h.last_offset() == last_offset);
        self.seek(position, indexed.map_or(self.base_offset, |header| header.base_offset));
        Ok(())
    }

    /// From now on checks the checksums of batches that end at `offset` or later only.
    pub fn check_from(&mut self, offset: i64) {
        self.check_from = offset;
    }

    /// From now on leader epochs start at `epoch` and may not go back.
    pub fn follow_epoch(&mut self, epoch: i32) {
        self.leader_epoch = Some(epoch);
    }

    /// From now on a gap that reaches across `offset`, where the log once ended, is bad, be it before a batch or within
    /// one. Compaction may leave one, but not in the last segment.
    pub fn ended_at(&mut self, offset: i64) {
        self.old_end = Some(offset);
    }

    /// From now on only the epochs of batches from `offset` on may not go back. No checksum covers an epoch: a rotten
    /// one must not make bad what was once good.
    pub fn follow_epoch_from(&mut self, offset: i64) {
        self.epochs_from = offset;
    }

    /// The newest leader epoch so far, -1 = none.
    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch.unwrap_or(-1)
    }

    /// The lowest offset the next batch may hold.
    pub fn expected(&self) -> i64 {
        self.expected
    }

    pub fn next(&mut self) -> io::Result<Step> {
        while let Some(range) =
            self.known.iter().find(|r| r.from_position <= self.position && self.position < r.to_position)
        {
            self.expected = self.expected.max(range.to_offset);
            self.position = range.to_position;
        }
        let position = self.position;
        if position >= self.window.len {
            return Ok(Step::End);
        }
        let batch = match self.batch_at(position, self.expected)? {
            Some((header, size)) if !self.strays(&header, position + size)? => Some((header, size)),
            _ => None,
        };
        let Some((header, size)) = batch else { return Ok(Step::Bad { position, offset: self.expected }) };
        self.step_over(&header, position, size);
        Ok(Step::Batch { header, position, size })
    }

    /// Whether a batch that leaves a gap before it is the one in the wrong: the next batch, at `next`, would fit
    /// without it. No checksum covers a base offset.
    fn strays(&mut self, header: &BatchHeader, next: u64) -> io::Result<bool> {
        if header.base_offset == self.expected {
            return Ok(false);
        }
        let Some(next) = self.window.header(next, HEADER_CHUNK)? else { return Ok(false) };
        let fits = plausible(&next, self.base_offset).is_some() && next.base_offset >= self.expected;
        Ok(fits && next.base_offset < header.next_offset())
    }

    fn step_over(&mut self, header: &BatchHeader, position: u64, size: u64) {
        self.position = position + size;
        self.expected = header.next_offset();
        if header.base_offset >= self.epochs_from {
            self.leader_epoch = self.leader_epoch.map(|epoch| epoch.max(header.partition_leader_epoch));
        }
    }

    /// After a bad batch, moves to the next good one, which is always checksummed: its position and base offset, or
    /// `None` when the rest of the file has none.
    pub fn resync(&mut self) -> io::Result<Option<(u64, i64)>> {
        let check_from = std::mem::replace(&mut self.check_from, i64::MIN);
        let found = self.find_good(self.position);
        self.check_from = check_from;
        let found = found?;
        if let Some((position, base_offset)) = found {
            self.position = position;
            self.expected = base_offset;
        }
        Ok(found)
    }

    fn find_good(&mut self, bad: u64) -> io::Result<Option<(u64, i64)>> {
        // The length of the bad batch is probably right, and what its records hold may look like a batch.
        if let Some(header) = self.window.header(bad, HEADER_CHUNK)?
            && let Some(size) = header.size()
            && let Some((next, _)) = self.batch_at(bad.saturating_add(size as u64), self.expected)?
        {
            return Ok(Some((bad + size as u64, next.base_offset)));
        }
        for position in bad + 1..self.window.len {
            let Some(bytes) = self.window.get(position, HEADER_LEN, CHECK_CHUNK)? else { return Ok(None) };
            if bytes[16] != 2 || self.resync_budget == 0 {
                continue;
            }
            if let Some((header, _)) = self.batch_at(position, self.expected)? {
                return Ok(Some((position, header.base_offset)));
            }
        }
        Ok(None)
    }

    /// The batch at `position`, if it is one that may hold `expected` or higher offsets.
    fn batch_at(&mut self, position: u64, expected: i64) -> io::Result<Option<(BatchHeader, u64)>> {
        let chunk = if self.check_from <= expected { CHECK_CHUNK } else { HEADER_CHUNK };
        let Some(header) = self.window.header(position, chunk)? else { return Ok(None) };
        let Some(size) = plausible(&header, self.base_offset) else { return Ok(None) };
        let epoch = header.partition_leader_epoch;
        let follows = header.base_offset >= expected
            && header.last_offset() < self.upper
            && self.old_end.is_none_or(|end| expected >= end || keeps_to(&header, end))
            && self
                .leader_epoch
                .is_none_or(|newest| epoch < 0 || epoch >= newest || header.base_offset < self.epochs_from);
        let fits = position.checked_add(size as u64).is_some_and(|end| end <= self.window.len);
        if !follows || !fits {
            return Ok(None);
        }
        if header.last_offset() >= self.check_from || doubtful(&header, expected) {
            self.resync_budget =
                self.resync_budget.saturating_sub(if self.check_from == i64::MIN { size as u64 } else { 0 });
            match self.window.get(position, size, CHECK_CHUNK)? {
                Some(batch) if crc_of(batch) == header.crc => {}
                _ => return Ok(None),
            }
        }
        Ok(Some((header, size as u64)))
    }
}

/// Whether a batch in a log that once ended at `end` leaves that end where it was.
fn keeps_to(header: &BatchHeader, end: i64) -> bool {
    header.base_offset <= end && (header.last_offset() < end || header.base_offset == end || is_dense(header))
}

/// Whether a batch has a record for each of its offsets.
fn is_dense(header: &BatchHeader) -> bool {
    i64::from(header.records_count) == i64::from(header.last_offset_delta) + 1
}

/// Whether offsets are missing within a batch or before it. Compaction leaves such a one, but so does a rotten header,
/// which hides the batches it overlaps: the checksum tells.
fn doubtful(header: &BatchHeader, expected: i64) -> bool {
    header.base_offset != expected || !is_dense(header)
}

/// Whether a header may be that of a batch in a segment that starts at `base_offset`: the whole batch's size in bytes.
pub(crate) fn plausible(header: &BatchHeader, base_offset: i64) -> Option<usize> {
    let relative = header.base_offset.checked_sub(base_offset)?.checked_add(i64::from(header.last_offset_delta))?;
    let offsets = header.base_offset >= base_offset && header.last_offset_delta >= 0 && relative <= i64::from(i32::MAX);
    let next = header.base_offset.checked_add(i64::from(header.last_offset_delta))?.checked_add(1)?;
    (header.magic == 2 && offsets && next > 0 && header.records_count >= 0).then(|| header.size())?
}

/// A file read in chunks.
struct Window {
    file: Arc<dyn File>,
    /// Bytes of the file that count.
    len: u64,
    buf: Vec<u8>,
    start: u64,
    filled: usize,
}

impl Window {
    /// `want` bytes at `position`, reading `chunk` bytes when they are not at hand; `None` when the file ends before.
    fn get(&mut self, position: u64, want: usize, chunk: usize) -> io::Result<Option<&[u8]>> {
        let Some(left) = self.len.checked_sub(position).filter(|&left| left >= want as u64) else { return Ok(None) };
        let at = position.wrapping_sub(self.start);
        let held = position >= self.start && at.saturating_add(want as u64) <= self.filled as u64;
        if !held {
            let read = want.max(chunk).min(usize::try_from(left).unwrap_or(usize::MAX));
            if self.buf.len() < read {
                self.buf = vec![0; read];
            }
            self.filled = 0;
            match read_exact_at(&*self.file, &mut self.buf[..read], position) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
            (self.start, self.filled) = (position, read);
        }
        let at = (position - self.start) as usize;
        Ok(Some(&self.buf[at..at + want]))
    }

    fn header(&mut self, position: u64, chunk: usize) -> io::Result<Option<BatchHeader>> {
        Ok(self.get(position, HEADER_LEN, chunk)?.and_then(BatchHeader::parse))
    }
}
