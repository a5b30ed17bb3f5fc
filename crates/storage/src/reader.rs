//! Reading whole batches, at the same time as the writer appends.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use chronik_env::fs::{File, read_exact_at};
use chronik_protocol::batch::{BatchHeader, HEADER_LEN};

use crate::damage::DamagedRange;
use crate::error::ReadError;
use crate::scan::{Scan, Step, plausible};
use crate::segment::Segment;
use crate::shared::Shared;

/// Reads one log. Cheap to clone; takes no lock that the writer holds while it writes.
#[derive(Clone)]
pub struct LogReader {
    pub(crate) shared: Arc<Shared>,
}

/// Why an attempt failed.
enum Miss {
    /// A bad header in this segment: worth a look at the whole segment, and another attempt.
    Bad(Arc<Segment>, u64),
    Error(ReadError),
}

impl From<io::Error> for Miss {
    fn from(error: io::Error) -> Self {
        Miss::Error(ReadError::Io(error))
    }
}

impl LogReader {
    pub fn log_start_offset(&self) -> i64 {
        self.shared.log_start()
    }

    pub fn log_end_offset(&self) -> i64 {
        self.shared.end()
    }

    /// Whole batches of one segment from the one that holds offset `from` on, the file's bytes untouched: at most
    /// `max_bytes` bytes, except that with `at_least_one` the first batch comes whole whatever its size; none whose
    /// base offset is `before` or higher. Empty when there is nothing between `from` and `before`, and when the first
    /// batch is too large.
    ///
    /// One read of the file where an earlier read ended at `from`; a search through at most the index interval before
    /// it otherwise.
    pub fn read(&self, from: i64, max_bytes: usize, at_least_one: bool, before: i64) -> Result<Bytes, ReadError> {
        self.unless_removed(self.read_own(from, max_bytes, at_least_one, before))
    }

    /// What was read, unless it may be of another log in the same place by now, and so may its absence or damage.
    pub(crate) fn unless_removed<T>(&self, read: Result<T, ReadError>) -> Result<T, ReadError> {
        if self.shared.is_abandoned() {
            return Err(ReadError::Removed);
        }
        read
    }

    fn read_own(&self, from: i64, max_bytes: usize, at_least_one: bool, before: i64) -> Result<Bytes, ReadError> {
        let mut attempts_left = 3;
        loop {
            attempts_left -= 1;
            let (log_start_offset, log_end_offset) = (self.shared.log_start(), self.shared.end());
            if from < log_start_offset || from > log_end_offset {
                return Err(ReadError::OutOfRange { offset: from, log_start_offset, log_end_offset });
            }
            let before = before.min(log_end_offset);
            if from >= before {
                return Ok(Bytes::new());
            }
            match self.attempt(from, max_bytes, at_least_one, before) {
                Ok(bytes) => return Ok(bytes),
                Err(Miss::Bad(segment, _)) if attempts_left > 0 => self.shared.inspect(&segment)?,
                Err(Miss::Bad(segment, position)) => {
                    return Err(ReadError::Damaged { file: segment.path(&self.shared), position });
                }
                // Deleted by retention since the list was read: the next attempt finds the new log start.
                Err(Miss::Error(ReadError::Io(error)))
                    if error.kind() == io::ErrorKind::NotFound && attempts_left > 0 => {}
                Err(Miss::Error(error)) => return Err(error),
            }
        }
    }

    fn attempt(&self, from: i64, max_bytes: usize, at_least_one: bool, before: i64) -> Result<Bytes, Miss> {
        let segments = self.shared.segments.load();
        let damage = self.shared.damage.load();
        if let Some(range) = damage.iter().find(|range| range.from_offset <= from && from < range.to_offset) {
            return Err(self.damaged(range));
        }
        let first = segments.partition_point(|segment| segment.base_offset <= from).saturating_sub(1);
        for segment in &segments[first.min(segments.len())..] {
            if segment.base_offset >= before {
                break;
            }
            if let Some(position) = locate(&self.shared, segment, from, &damage)? {
                return self.read_at(segment, position, from, max_bytes, at_least_one, before, &damage);
            }
        }
        // Nothing but damage follows a gap: whoever reads on must hear of it, and not wait for ever.
        match damage.iter().find(|range| (from..before).contains(&range.from_offset)) {
            Some(range) => Err(self.damaged(range)),
            None => Ok(Bytes::new()),
        }
    }

    fn damaged(&self, range: &DamagedRange) -> Miss {
        let file = self.shared.dir.join(range.file_name());
        Miss::Error(ReadError::Damaged { file, position: range.from_position })
    }

    #[allow(clippy::too_many_arguments)]
    fn read_at(
        &self,
        segment: &Arc<Segment>,
        position: u64,
        from: i64,
        max_bytes: usize,
        at_least_one: bool,
        before: i64,
        damage: &[DamagedRange],
    ) -> Result<Bytes, Miss> {
        let file = segment.file(&self.shared)?;
        let damaged_at =
            damage.iter().find(|range| range.segment == segment.base_offset && range.from_position >= position);
        let end = damaged_at.map_or(segment.size(), |range| range.from_position.min(segment.size()));
        let left = usize::try_from(end - position.min(end)).unwrap_or(usize::MAX);
        let want = max_bytes.max(if at_least_one { HEADER_LEN } else { 0 }).min(left);
        let bytes = self.pread(&*file, position, want)?;
        let limit = self.shared.upper_bound(segment.base_offset).unwrap_or_else(|| self.shared.end());
        let base_offset = segment.base_offset;
        let mut batches = Batches { base_offset, expected: base_offset, before, limit, len: 0 };
        match batches.take(&bytes, from) {
            Taken::Some if batches.len <= max_bytes || at_least_one => {
                segment.remember(batches.expected, position + batches.len as u64);
                Ok(bytes.slice(..batches.len))
            }
            Taken::None if left < HEADER_LEN => Err(Miss::Bad(segment.clone(), position)),
            Taken::Some | Taken::None => Ok(Bytes::new()),
            Taken::Partial(size) if at_least_one && size <= left => {
                let bytes = self.pread(&*file, position, size)?;
                match batches.take(&bytes, from) {
                    Taken::Some => {
                        segment.remember(batches.expected, position + size as u64);
                        Ok(bytes)
                    }
                    _ => Err(Miss::Bad(segment.clone(), position)),
                }
            }
            Taken::Partial(size) if size > left => Err(Miss::Bad(segment.clone(), position)),
            Taken::Partial(_) => Ok(Bytes::new()),
            Taken::Bad => Err(Miss::Bad(segment.clone(), position)),
        }
    }

    fn pread(&self, file: &dyn File, position: u64, len: usize) -> io::Result<Bytes> {
        if len == 0 {
            return Ok(Bytes::new());
        }
        let mut block = self.shared.files.pool().take(len);
        read_exact_at(file, &mut block.as_mut_slice()[..len], position)?;
        Ok(block.freeze(len))
    }
}

/// A run of whole batches at the front of some bytes.
struct Batches {
    base_offset: i64,
    /// The lowest offset of the next batch.
    expected: i64,
    before: i64,
    /// Offsets of the segment lie below this; a header that says otherwise is a bad one.
    limit: i64,
    len: usize,
}

enum Taken {
    /// At least one batch.
    Some,
    /// The first batch is not wanted, or not even its header is there.
    None,
    /// Only a part of the first batch, which has so many bytes.
    Partial(usize),
    Bad,
}

impl Batches {
    /// Takes what is whole and wanted; the first batch must hold `from` or a higher offset.
    fn take(&mut self, bytes: &[u8], from: i64) -> Taken {
        while let Some(header) = BatchHeader::parse(&bytes[self.len..]) {
            let Some(size) = plausible(&header, self.base_offset)
                .filter(|_| header.base_offset >= self.expected && header.last_offset() < self.limit)
            else {
                return if self.len > 0 { Taken::Some } else { Taken::Bad };
            };
            if self.len == 0 && header.last_offset() < from {
                return Taken::Bad;
            }
            if header.base_offset >= self.before {
                break;
            }
            if size > bytes.len() - self.len {
                return if self.len > 0 { Taken::Some } else { Taken::Partial(size) };
            }
            self.len += size;
            self.expected = header.next_offset();
        }
        if self.len > 0 { Taken::Some } else { Taken::None }
    }
}

/// The position of the first batch of a segment that holds `from` or a higher offset; `None` when there is none.
fn locate(shared: &Shared, segment: &Arc<Segment>, from: i64, damage: &[DamagedRange]) -> Result<Option<u64>, Miss> {
    if from <= segment.base_offset && damage.iter().all(|range| range.segment != segment.base_offset) {
        return Ok((segment.size() > 0).then_some(0));
    }
    let inside = |position| {
        damage.iter().any(|r| r.segment == segment.base_offset && (r.from_position..r.to_position).contains(&position))
    };
    if let Some(position) = segment.hint(from).filter(|position| !inside(*position)) {
        return Ok((position < segment.size()).then_some(position));
    }
    let mut scan = scan_from(shared, segment, from, damage)?;
    loop {
        match scan.next()? {
            Step::Batch { header, position, .. } if header.last_offset() >= from => return Ok(Some(position)),
            Step::Batch { .. } => {}
            Step::Bad { position, .. } => return Err(Miss::Bad(segment.clone(), position)),
            Step::End => return Ok(None),
        }
    }
}

/// A scan of a segment's headers from a batch boundary at or before the batch that holds `offset`.
pub(crate) fn scan_from(
    shared: &Shared,
    segment: &Arc<Segment>,
    offset: i64,
    damage: &[DamagedRange],
) -> io::Result<Scan> {
    let size = segment.size();
    let upper = shared.upper_bound(segment.base_offset).unwrap_or_else(|| shared.end());
    let floor = segment.with_indexes(shared, |indexes| indexes.floor(offset))?;
    let mut scan = Scan::new(segment.file(shared)?, size, segment.base_offset, upper, i64::MAX, damage);
    let position = match floor {
        Some((position, last_offset)) => {
            scan.seek_batch(position, last_offset)?;
            position
        }
        None => 0,
    };
    let passed = |range: &&DamagedRange| range.segment == segment.base_offset && range.to_offset <= offset;
    if let Some(range) = damage.iter().rfind(passed)
        && range.to_position > position
    {
        scan.seek(range.to_position, range.to_offset);
    }
    Ok(scan)
}
