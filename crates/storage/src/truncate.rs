//! Cutting the end off a log, as a follower does when its leader's log says otherwise (KIP-101, KIP-279).

use std::io;
use std::sync::Arc;

use chronik_env::fs::{read_file, replace_file};

use crate::damage::{self, DamagedRange};
use crate::epochs;
use crate::error::ChangeError;
use crate::listing::Listing;
use crate::log::Log;
use crate::names;
use crate::producer_snapshot;
use crate::producers::ProducerStates;
use crate::reader::scan_from;
use crate::scan::{Scan, Step};
use crate::segment::Segment;
use crate::summary;
use crate::sync::remove_if_there;

/// Where a log is cut.
struct Place {
    /// Position of the last segment kept, in the list.
    segment: usize,
    /// Its length in bytes.
    position: u64,
    end: i64,
    /// Whether the segment ends at `end`.
    seamless: bool,
}

/// What is left of a damaged range when the segment that starts at `last_base` is the last and is cut.
fn remaining(range: &DamagedRange, last_base: i64, place: &Place) -> Option<DamagedRange> {
    let bytes_left = range.segment < last_base || (range.segment == last_base && range.to_position <= place.position);
    let left = DamagedRange { to_offset: range.to_offset.min(place.end), ..*range };
    (bytes_left && left.from_offset <= left.to_offset && left.from_offset < place.end).then_some(left)
}

impl Log {
    /// Removes all batches with an offset of `offset` or higher; durable when this returns. The log end offset is then
    /// the end of the last batch kept: below `offset` where that lay within a batch. Tickets taken before are void.
    ///
    /// The recovery point checkpoint must not be above `offset` when this is called: a crash would find the log shorter
    /// than was once proven, and report damage.
    ///
    /// # Errors
    /// `offset` is below the log start offset, or the disk fails; the log has failed then.
    pub fn truncate_to(&mut self, offset: i64) -> Result<(), ChangeError> {
        if self.failed {
            return Err(ChangeError::Failed);
        }
        let log_start_offset = self.shared.log_start();
        if offset < log_start_offset {
            return Err(ChangeError::BelowLogStart { offset, log_start_offset });
        }
        if offset < self.shared.end() {
            self.truncate(offset).inspect_err(|_| self.failed = true)?;
        }
        Ok(())
    }

    fn truncate(&mut self, offset: i64) -> io::Result<()> {
        self.sync_now()?;
        self.changed = true;
        let mut place = self.place(offset)?;
        if place.end < self.shared.log_start() {
            // The log start lies within the first batch removed.
            (place.end, place.seamless) = (self.shared.log_start(), false);
        }
        self.remove_snapshots(place.end)?;
        self.shorten(&place)?;
        self.appendable = place.seamless;
        self.first_timestamp = None;
        self.synced = place.end;
        self.epochs.truncate_end(place.end);
        self.producers = self.replay()?;
        self.describe(&place)
    }

    fn place(&self, offset: i64) -> io::Result<Place> {
        let segments = self.shared.segments.load();
        let damage = self.shared.damage.load();
        let segment = segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1);
        let last = &segments[segment];
        if let Some(range) = damage.iter().find(|range| range.from_offset <= offset && offset < range.to_offset) {
            // What is left of the damaged bytes' segment ends where they began.
            let end = range.from_offset;
            let at = segments.partition_point(|segment| segment.base_offset <= range.segment).saturating_sub(1);
            return Ok(Place { segment: at, position: range.from_position, end, seamless: true });
        }
        let mut scan = scan_from(&self.shared, last, offset, &damage)?;
        loop {
            match scan.next()? {
                Step::Batch { header, position, .. } if header.last_offset() >= offset => {
                    return Ok(Place { segment, position, end: header.base_offset.min(offset), seamless: true });
                }
                Step::Batch { .. } => {}
                Step::Bad { position, offset } => return Ok(Place { segment, position, end: offset, seamless: true }),
                Step::End => break,
            }
        }
        let seamless = scan.expected() == offset;
        Ok(Place { segment, position: last.size(), end: offset, seamless })
    }

    /// Snapshots above the new end go first: they would prove what is about to vanish.
    fn remove_snapshots(&mut self, end: i64) -> io::Result<()> {
        let (disk, dir) = (self.shared.files.disk(), &self.shared.dir);
        let keep = self.snapshots.partition_point(|&offset| offset <= end);
        if keep == self.snapshots.len() {
            return Ok(());
        }
        for offset in self.snapshots.drain(keep..) {
            remove_if_there(disk, &dir.join(names::snapshot(offset)))?;
        }
        disk.sync_dir(dir)
    }

    /// Removes whole segments, the last first, then shortens the one that stays.
    fn shorten(&mut self, place: &Place) -> io::Result<()> {
        let (disk, dir) = (self.shared.files.disk(), &self.shared.dir);
        let before = self.shared.segments.load_full();
        let (kept, removed) = before.split_at(place.segment + 1);
        let last = &kept[place.segment];
        let file = last.file(&self.shared)?;
        let mut segments = kept[..place.segment].to_vec();
        segments.push(Segment::new(last.base_offset, place.position, last.created_ms));
        // In this order: a reader never sees a batch beyond the log end offset.
        self.shared.segments.store(Arc::new(segments));
        self.shared.set_end(place.end);
        for segment in removed.iter().rev() {
            for name in [names::offset_index(segment.base_offset), names::time_index(segment.base_offset)] {
                remove_if_there(disk, &dir.join(name))?;
            }
            disk.remove_file(&segment.path(&self.shared))?;
            disk.sync_dir(dir)?;
        }
        file.set_len(place.position)?;
        file.sync_data()
    }

    /// Brings the files that describe the log up to date.
    fn describe(&mut self, place: &Place) -> io::Result<()> {
        let (disk, dir) = (self.shared.files.disk(), &self.shared.dir);
        let last_base = self.last_segment().map_or(0, |segment| segment.base_offset);
        let damage = self.shared.damage.load_full();
        let kept: Vec<_> = damage.iter().filter_map(|range| remaining(range, last_base, place)).collect();
        if kept != **damage {
            damage::write(disk, dir, &kept)?;
            self.shared.damage.store(Arc::new(kept));
        }
        replace_file(disk, &dir.join(epochs::FILE_NAME), &self.epochs.encode())?;
        let summaries = self.shared.with_summaries(|all| {
            let gone = all.split_off(&last_base);
            (!gone.is_empty()).then(|| summary::encode(all))
        })?;
        summaries.map_or(Ok(()), |contents| replace_file(disk, &dir.join(summary::FILE_NAME), &contents))
    }

    /// Producer states as of the log end offset: the newest snapshot, and the headers after it. Leader epochs met there
    /// that the cache does not know are entered.
    fn replay(&mut self) -> io::Result<ProducerStates> {
        let disk = self.shared.files.disk();
        let expiration_ms = self.options.producer_id_expiration_ms;
        let (mut producers, mut replay_from) = (ProducerStates::new(expiration_ms), 0);
        for &offset in self.snapshots.iter().rev() {
            let path = self.shared.dir.join(names::snapshot(offset));
            let bytes = read_file(disk, &path, Listing::MAX_SNAPSHOT)?;
            if let Some(read) = bytes.and_then(|bytes| producer_snapshot::decode(&bytes, expiration_ms)) {
                (producers, replay_from) = (read, offset);
                break;
            }
        }
        let segments = self.shared.segments.load();
        let first = segments.partition_point(|segment| segment.base_offset <= replay_from).saturating_sub(1);
        let damage = self.shared.damage.load();
        for segment in &segments[first..] {
            let upper = self.shared.upper_bound(segment.base_offset).unwrap_or(i64::MAX);
            let file = segment.file(&self.shared)?;
            let mut scan = Scan::new(file, segment.size(), segment.base_offset, upper, i64::MAX, &damage);
            loop {
                match scan.next()? {
                    Step::Batch { header, .. } => {
                        self.epochs.assign(header.partition_leader_epoch, header.base_offset);
                        let seen_ms = self.producers.get(header.producer_id).map_or(0, |state| state.seen_ms);
                        if header.base_offset >= replay_from {
                            producers.update(&header, seen_ms);
                        }
                    }
                    Step::Bad { .. } if scan.resync()?.is_some() => {}
                    Step::Bad { .. } | Step::End => break,
                }
            }
        }
        Ok(producers)
    }
}
