//! The walks of recovery: over the tail after a clean stop, over all that may be torn, or is not known otherwise, after
//! an unclean one.

use std::io;

use chronik_env::fs::{OpenMode, read_exact_at};
use chronik_protocol::batch::BatchHeader;

use crate::damage::DamagedRange;
use crate::epochs::EpochCache;
use crate::error::OpenError;
use crate::index::Indexes;
use crate::listing::Found;
use crate::options::Start;
use crate::producers::ProducerStates;
use crate::recovery::Recoverer;
use crate::scan::{Scan, Step};

/// What a walk over the last segments found.
pub(crate) struct Walk {
    /// Position of the first walked segment in the listing.
    pub first: usize,
    /// Indexes of the walked segments, sealed; empty where only the tail of the last one was walked.
    pub indexes: Vec<Indexes>,
    pub producers: ProducerStates,
    pub epochs: EpochCache,
    pub end: i64,
    pub appendable: bool,
    pub found: Vec<DamagedRange>,
    pub torn: Option<Torn>,
    /// Positions in the listing of segments that end before their files do, and where.
    pub trimmed: Vec<(usize, u64)>,
    /// The epoch checkpoint contradicts the log.
    conflict: bool,
}

/// Where the log must be cut off.
#[derive(Clone, Copy)]
pub(crate) struct Torn {
    /// Position of the segment in the listing.
    pub segment: usize,
    pub position: u64,
    /// Whether a valid batch follows within the same segment.
    pub followed: bool,
}

impl Recoverer<'_> {
    /// After a clean stop: only the headers after the last index entry of the last segment. `None` when anything is not
    /// as a clean stop leaves it.
    pub fn walk_tail(
        &mut self,
        snapshot: Option<&(i64, ProducerStates)>,
        epochs: &EpochCache,
    ) -> Result<Option<Walk>, OpenError> {
        let last = self.listing.segments.len() - 1;
        let found = self.listing.segments[last];
        if self.damage.iter().any(|range| range.segment == found.base_offset) {
            return Ok(None);
        }
        let (file, path) = self.open(found)?;
        let io = OpenError::io;
        let mut scan = Scan::new(file, found.len, found.base_offset, i64::MAX, 0, &[]);
        scan.follow_epoch(-1);
        let entry = self.last_index_entry(found)?;
        let mut first_offset = found.base_offset;
        let mut walk = self.walk_state(last, snapshot, epochs.clone());
        let replay_from = snapshot.map_or(self.listing.segments[0].base_offset, |(offset, _)| *offset);
        if let Some((position, last_offset)) = entry {
            scan.seek(position, found.base_offset);
            // Only a batch that is whole, and the one the entry speaks of, proves the entry.
            match scan.next().map_err(io(&path))? {
                Step::Batch { header, .. } if header.last_offset() == last_offset => {
                    first_offset = header.base_offset;
                    walk.note(&header, replay_from, self.now_ms);
                }
                _ => return Ok(None),
            }
        }
        scan.check_from(i64::MAX);
        scan.ended_at(self.proven);
        if replay_from < first_offset {
            return Ok(None);
        }
        loop {
            match scan.next().map_err(io(&path))? {
                Step::Batch { header, .. } => walk.note(&header, replay_from, self.now_ms),
                Step::Bad { .. } => return Ok(None),
                Step::End => break,
            }
        }
        walk.end = scan.expected();
        let stale = walk.epochs.entries().last().is_some_and(|entry| entry.start_offset >= walk.end);
        Ok((walk.end >= self.proven && !walk.conflict && !stale).then_some(walk))
    }

    /// Position and last offset of the batch that the last entry of a segment's index file speaks of.
    fn last_index_entry(&self, found: Found) -> Result<Option<(u64, i64)>, OpenError> {
        let path = self.shared.dir.join(crate::names::offset_index(found.base_offset));
        let file = match self.disk().open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(OpenError::Io { path, error }),
        };
        let len = file.len().map_err(OpenError::io(&path))?;
        if len < 8 || len % 8 != 0 {
            return Ok(None);
        }
        let mut entry = [0; 8];
        read_exact_at(&*file, &mut entry, len - 8).map_err(OpenError::io(&path))?;
        let (position, last_offset) = Indexes::last_of(found.base_offset, entry);
        Ok((position < found.len).then_some((position, last_offset)))
    }

    /// Walks every segment that anything unknown depends on, checking what may be torn.
    pub fn walk_all(
        &mut self,
        trusted: bool,
        snapshot: Option<&(i64, ProducerStates)>,
        epochs: Option<&EpochCache>,
    ) -> Result<Walk, OpenError> {
        let last = self.listing.segments.len() - 1;
        let from_snapshot = snapshot.map_or(0, |(offset, _)| self.listing.floor(*offset));
        let (dirty, check_from) = match self.start {
            _ if !trusted => (0, 0),
            Start::Unclean => (self.listing.floor(self.known.recovery_point), self.known.recovery_point),
            Start::Clean => (last, self.listing.segments[last].base_offset),
        };
        let first = dirty.min(from_snapshot).min(if epochs.is_some() { last } else { 0 });
        let mut walk = self.walk(first, check_from, snapshot, epochs.cloned().unwrap_or_default())?;
        if walk.conflict {
            walk = self.walk(0, check_from, snapshot, EpochCache::default())?;
        }
        Ok(walk)
    }

    fn walk_state(&self, first: usize, snapshot: Option<&(i64, ProducerStates)>, epochs: EpochCache) -> Walk {
        let fresh = || ProducerStates::new(self.options.producer_id_expiration_ms);
        Walk {
            first,
            indexes: Vec::new(),
            producers: snapshot.map_or_else(fresh, |(_, producers)| producers.clone()),
            epochs,
            end: self.listing.segments[first].base_offset,
            appendable: true,
            found: Vec::new(),
            torn: None,
            trimmed: Vec::new(),
            conflict: false,
        }
    }

    fn walk(
        &mut self,
        first: usize,
        check_from: i64,
        snapshot: Option<&(i64, ProducerStates)>,
        mut epochs: EpochCache,
    ) -> Result<Walk, OpenError> {
        epochs.truncate_end(self.listing.segments[first].base_offset);
        let mut walk = self.walk_state(first, snapshot, epochs);
        let replay_from = snapshot.map_or(0, |(offset, _)| *offset);
        let mut leader_epoch = -1;
        for at in first..self.listing.segments.len() {
            let found = self.listing.segments[at];
            let next_base = self.listing.segments.get(at + 1).map(|next| next.base_offset);
            let (file, path) = self.open(found)?;
            let upper = next_base.unwrap_or(i64::MAX);
            let mut scan = Scan::new(file, found.len, found.base_offset, upper, check_from, &self.damage);
            scan.follow_epoch(leader_epoch);
            scan.follow_epoch_from(self.proven);
            if next_base.is_none() {
                scan.ended_at(self.proven);
            }
            self.walk_segment(at, next_base, &mut scan, replay_from, &mut walk).map_err(OpenError::io(&path))?;
            self.report.scanned_bytes += found.len;
            leader_epoch = scan.leader_epoch();
            if walk.torn.is_some() {
                break;
            }
        }
        Ok(walk)
    }

    fn walk_segment(
        &self,
        at: usize,
        next_base: Option<i64>,
        scan: &mut Scan,
        replay_from: i64,
        walk: &mut Walk,
    ) -> io::Result<()> {
        let found = self.listing.segments[at];
        let mut indexes = Indexes::new(found.base_offset);
        walk.appendable = true;
        loop {
            match scan.next()? {
                Step::Batch { header, position, size } => {
                    indexes.add(&header, position, size, self.options.index_interval_bytes);
                    walk.note(&header, replay_from, self.now_ms);
                }
                // What a refused append left behind the last batch of a segment: no offset is missing.
                Step::Bad { position, offset } if next_base.is_some_and(|next| offset >= next) => {
                    walk.trimmed.push((at, position));
                    self.finish_segment(at, next_base, offset, walk);
                    break;
                }
                Step::Bad { position, offset } if offset >= self.proven => {
                    let followed = scan.resync()?.is_some();
                    walk.torn = Some(Torn { segment: at, position, followed });
                    walk.end = offset;
                    break;
                }
                Step::Bad { position, offset } => {
                    let next = scan.resync()?;
                    let (to_position, to_offset) = next.unwrap_or((found.len, next_base.unwrap_or(self.proven)));
                    walk.found.push(DamagedRange {
                        segment: found.base_offset,
                        from_position: position,
                        to_position,
                        from_offset: offset,
                        to_offset,
                    });
                    if next.is_none() {
                        scan.seek(found.len, to_offset);
                    }
                }
                Step::End => {
                    self.finish_segment(at, next_base, scan.expected(), walk);
                    break;
                }
            }
        }
        indexes.seal();
        walk.indexes.push(indexes);
        Ok(())
    }

    /// The end of a segment's file was reached, with `expected` as the next offset.
    fn finish_segment(&self, at: usize, next_base: Option<i64>, expected: i64, walk: &mut Walk) {
        let found = self.listing.segments[at];
        let at_end = |range: &&DamagedRange| range.segment == found.base_offset && range.to_position >= found.len;
        let lost = self.damage.iter().chain(&walk.found).filter(at_end).map(|range| range.to_offset).max();
        walk.end = lost.unwrap_or(expected).max(expected);
        walk.appendable = lost.is_none();
        let Some(next_base) = next_base else { return };
        // Segments follow each other without a gap as far as they were written since the last sync; only compaction, or
        // a start offset moved past the end, leaves one.
        if walk.end < next_base && walk.end >= self.proven && next_base > self.known.log_start_offset {
            walk.torn = Some(Torn { segment: at, position: found.len, followed: false });
        } else {
            walk.end = next_base;
        }
    }
}

impl Walk {
    fn note(&mut self, header: &BatchHeader, replay_from: i64, now_ms: i64) {
        if header.base_offset >= replay_from {
            self.producers.update(header, now_ms);
        }
        let epoch = header.partition_leader_epoch;
        self.conflict |= epoch >= 0 && epoch < self.epochs.latest();
        self.epochs.assign(epoch, header.base_offset);
    }
}
