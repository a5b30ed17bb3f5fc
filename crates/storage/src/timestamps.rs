//! Looking up offsets by time, exact to the record: inside compressed batches, and where timestamps go back and forth.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use chronik_env::fs::read_exact_at;
use chronik_protocol::batch::{BatchHeader, HEADER_LEN};
use chronik_protocol::records::{Limits, RecordMeta, walk};

use crate::error::ReadError;
use crate::reader::{LogReader, scan_from};
use crate::scan::{Scan, Step};
use crate::segment::Segment;

/// A record's offset and timestamp (milliseconds), and the leader epoch of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampedOffset {
    pub offset: i64,
    pub timestamp: i64,
    pub leader_epoch: i32,
}

/// The offsets a search may answer with, end exclusive; `before` is a batch boundary.
#[derive(Clone, Copy)]
struct Bounds {
    from: i64,
    before: i64,
}

impl LogReader {
    /// The first record, by offset, between the log start offset and `before` (a batch boundary) whose timestamp is at
    /// least `timestamp` milliseconds. Damaged ranges are passed over.
    pub fn offset_for_timestamp(&self, timestamp: i64, before: i64) -> Result<Option<TimestampedOffset>, ReadError> {
        self.unless_removed(self.search(timestamp, self.bounds(before)))
    }

    fn search(&self, timestamp: i64, bounds: Bounds) -> Result<Option<TimestampedOffset>, ReadError> {
        for (segment, _) in self.segments_in(bounds) {
            if unless_deleted(segment.max_timestamp(&self.shared))?.is_none_or(|max| max < timestamp) {
                continue;
            }
            if let Some(found) = self.first_at_or_after(&segment, timestamp, bounds)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The first record, by offset, of those with the largest timestamp between the log start offset and `before` (a
    /// batch boundary). `None` where no record has a timestamp.
    pub fn max_timestamp(&self, before: i64) -> Result<Option<TimestampedOffset>, ReadError> {
        self.unless_removed(self.search_max(self.bounds(before)))
    }

    fn search_max(&self, bounds: Bounds) -> Result<Option<TimestampedOffset>, ReadError> {
        let mut best: Option<TimestampedOffset> = None;
        for (segment, upper) in self.segments_in(bounds) {
            let beaten = best.map_or(-1, |best| best.timestamp);
            let Some(max) = unless_deleted(segment.max_timestamp(&self.shared))?.filter(|&max| max > beaten) else {
                continue;
            };
            let whole = segment.base_offset >= bounds.from && upper <= bounds.before;
            let found = if whole {
                self.first_at_or_after(&segment, max, bounds)?
            } else {
                self.largest(&segment, beaten, bounds)?
            };
            best = found.or(best);
        }
        Ok(best)
    }

    fn bounds(&self, before: i64) -> Bounds {
        Bounds { from: self.shared.log_start(), before: before.min(self.shared.end()) }
    }

    /// The segments that may hold offsets within bounds, each with the offset its own ones lie below.
    fn segments_in(&self, bounds: Bounds) -> Vec<(Arc<Segment>, i64)> {
        let segments = self.shared.segments.load();
        let uppers = segments.iter().skip(1).map(|next| next.base_offset).chain([self.shared.end()]);
        let all = segments.iter().cloned().zip(uppers);
        all.filter(|(segment, upper)| *upper > bounds.from && segment.base_offset < bounds.before).collect()
    }

    fn first_at_or_after(
        &self,
        segment: &Arc<Segment>,
        timestamp: i64,
        bounds: Bounds,
    ) -> Result<Option<TimestampedOffset>, ReadError> {
        let Some(floor) = unless_deleted(segment.with_indexes(&self.shared, |indexes| indexes.floor_time(timestamp)))?
        else {
            return Ok(None);
        };
        let mut found = None;
        self.each_batch(segment, floor.max(bounds.from), timestamp, bounds, |header, body| {
            let mut visit = |offset, at| {
                if at < timestamp || offset < bounds.from {
                    return ControlFlow::Continue(());
                }
                found = Some(TimestampedOffset { offset, timestamp: at, leader_epoch: header.partition_leader_epoch });
                ControlFlow::Break(())
            };
            each_record(header, body, &mut visit)?;
            Some(if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(found)
    }

    /// The first of the records with the largest timestamp above `beaten`, looking at every batch.
    fn largest(
        &self,
        segment: &Arc<Segment>,
        beaten: i64,
        bounds: Bounds,
    ) -> Result<Option<TimestampedOffset>, ReadError> {
        let mut best = TimestampedOffset { offset: -1, timestamp: beaten, leader_epoch: -1 };
        self.each_batch(segment, bounds.from, beaten.saturating_add(1), bounds, |header, body| {
            if header.max_timestamp > best.timestamp {
                let mut visit = |offset, at| {
                    if at > best.timestamp && offset >= bounds.from {
                        best = TimestampedOffset { offset, timestamp: at, leader_epoch: header.partition_leader_epoch };
                    }
                    ControlFlow::Continue(())
                };
                each_record(header, body, &mut visit)?;
            }
            Some(ControlFlow::Continue(()))
        })?;
        Ok((best.offset >= 0).then_some(best))
    }

    /// Visits, with their bodies, the batches within bounds whose largest timestamp is at least `timestamp`, from the
    /// one that holds `offset` on. A visitor that answers `None` found the batch damaged.
    fn each_batch(
        &self,
        segment: &Arc<Segment>,
        offset: i64,
        timestamp: i64,
        bounds: Bounds,
        mut visit: impl FnMut(&BatchHeader, &[u8]) -> Option<ControlFlow<()>>,
    ) -> Result<(), ReadError> {
        let Some(mut scan) = unless_deleted(scan_from(&self.shared, segment, offset, &self.shared.damage.load()))?
        else {
            return Ok(());
        };
        while let Some((header, position, size)) = next_good(&mut scan)? {
            if header.base_offset >= bounds.before {
                break;
            }
            if header.last_offset() < bounds.from || header.max_timestamp < timestamp {
                continue;
            }
            let len = size as usize - HEADER_LEN;
            let mut block = self.shared.files.pool().take(len);
            let body = &mut block.as_mut_slice()[..len];
            read_exact_at(&*segment.file(&self.shared)?, body, position + HEADER_LEN as u64)?;
            match visit(&header, body) {
                Some(ControlFlow::Continue(())) => {}
                Some(ControlFlow::Break(())) => break,
                None => return Err(ReadError::Damaged { file: segment.path(&self.shared), position }),
            }
        }
        Ok(())
    }
}

/// The next batch, damaged bytes passed over.
fn next_good(scan: &mut Scan) -> io::Result<Option<(BatchHeader, u64, u64)>> {
    loop {
        match scan.next()? {
            Step::Batch { header, position, size } => return Ok(Some((header, position, size))),
            Step::Bad { .. } => {
                if scan.resync()?.is_none() {
                    return Ok(None);
                }
            }
            Step::End => return Ok(None),
        }
    }
}

/// Visits offset and timestamp of each record; `None` when the batch is damaged.
fn each_record(header: &BatchHeader, body: &[u8], visit: &mut dyn FnMut(i64, i64) -> ControlFlow<()>) -> Option<()> {
    let mut outside = false;
    let at = |record: RecordMeta| {
        if !(0..=header.last_offset_delta).contains(&record.offset_delta) {
            outside = true;
            return ControlFlow::Break(());
        }
        let own = header.base_timestamp.saturating_add(record.timestamp_delta);
        let timestamp = if header.is_log_append_time() { header.max_timestamp } else { own };
        visit(header.base_offset.saturating_add(i64::from(record.offset_delta)), timestamp)
    };
    walk(header, body, Limits::NONE, at).ok()?;
    (!outside).then_some(())
}

/// `None` for what retention deleted since the list of segments was read.
fn unless_deleted<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
