//! What the writer of a log and its readers share.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

use arc_swap::ArcSwap;
use chronik_env::fs::read_file;
use parking_lot::{Mutex, RwLock};

use crate::damage::DamagedRange;
use crate::files::Files;
use crate::index::Indexes;
use crate::names;
use crate::scan::{Scan, Step};
use crate::segment::Segment;
use crate::summary::{self, Fingerprint, Summaries, Summary};

/// The readable state of one log.
pub(crate) struct Shared {
    pub files: Files,
    pub dir: PathBuf,
    /// By base offset, ascending. The last one may be appended to.
    pub segments: ArcSwap<Vec<Arc<Segment>>>,
    /// Ascending, disjoint.
    pub damage: ArcSwap<Vec<DamagedRange>>,
    log_start: AtomicI64,
    end: AtomicI64,
    index_interval: AtomicU32,
    /// `index-summaries`, once read.
    summaries: Mutex<Option<Summaries>>,
    /// Set once the directory is about to go. Held shared while files are written by their names.
    abandoned: RwLock<bool>,
    /// The same for readers, which take no lock.
    was_abandoned: AtomicBool,
}

impl Shared {
    pub fn new(files: Files, dir: PathBuf, index_interval: u32) -> Self {
        Shared {
            files,
            dir,
            segments: ArcSwap::default(),
            damage: ArcSwap::default(),
            log_start: AtomicI64::new(0),
            end: AtomicI64::new(0),
            index_interval: AtomicU32::new(index_interval),
            summaries: Mutex::new(None),
            abandoned: RwLock::new(false),
            was_abandoned: AtomicBool::new(false),
        }
    }

    pub fn log_start(&self) -> i64 {
        self.log_start.load(Ordering::Acquire)
    }

    pub fn set_log_start(&self, offset: i64) {
        self.log_start.store(offset, Ordering::Release);
    }

    /// The log end offset.
    pub fn end(&self) -> i64 {
        self.end.load(Ordering::Acquire)
    }

    pub fn set_end(&self, offset: i64) {
        self.end.store(offset, Ordering::Release);
    }

    pub fn abandon(&self) {
        let mut abandoned = self.abandoned.write();
        *abandoned = true;
        self.was_abandoned.store(true, Ordering::Release);
    }

    /// Runs `f`, which goes by the names of the log's files, unless the directory may be another log's by now.
    pub fn unless_abandoned<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        let abandoned = self.abandoned.read();
        (!*abandoned).then(f)
    }

    /// As [`Shared::unless_abandoned`] would tell, without waiting for what writes files now.
    pub fn is_abandoned(&self) -> bool {
        self.was_abandoned.load(Ordering::Acquire)
    }

    pub fn index_interval(&self) -> u32 {
        self.index_interval.load(Ordering::Relaxed)
    }

    pub fn set_index_interval(&self, bytes: u32) {
        self.index_interval.store(bytes, Ordering::Relaxed);
    }

    /// Runs `f` on the summaries, reading the file if it has not been.
    pub fn with_summaries<R>(&self, f: impl FnOnce(&mut Summaries) -> R) -> io::Result<R> {
        let mut summaries = self.summaries.lock();
        if summaries.is_none() {
            *summaries = Some(summary::read(self.files.disk(), &self.dir)?);
        }
        Ok(f(summaries.get_or_insert_default()))
    }

    /// What the closing of a segment left, if it had `size` bytes then. The file is not kept in memory for a single
    /// segment.
    pub fn summary(&self, base_offset: i64, size: u64) -> io::Result<Option<Summary>> {
        let find = |all: &Summaries| all.get(&base_offset).filter(|summary| summary.log_size == size).copied();
        let mut summaries = self.summaries.lock();
        if let Some(summaries) = &*summaries {
            return Ok(find(summaries));
        }
        let read = summary::read(self.files.disk(), &self.dir)?;
        let found = find(&read);
        if self.segments.load().len() > 1 {
            *summaries = Some(read);
        }
        Ok(found)
    }

    /// The first `size` bytes' indexes, from their files where those are as they were written, else from the log.
    pub fn load_indexes(&self, segment: &Arc<Segment>, size: u64) -> io::Result<Indexes> {
        if size == 0 {
            return Ok(Indexes::new(segment.base_offset));
        }
        if let Some(indexes) = self.read_indexes(segment.base_offset, size)? {
            return Ok(indexes);
        }
        let (indexes, found) = self.scan_indexes(segment, size)?;
        if !found.is_empty() {
            self.note_damage(segment, &found);
        }
        Ok(indexes)
    }

    fn read_indexes(&self, base_offset: i64, size: u64) -> io::Result<Option<Indexes>> {
        let Some(summary) = self.summary(base_offset, size)? else { return Ok(None) };
        let (offsets_len, times_len) = summary.index_len();
        let Some(offsets) = self.read_whole(names::offset_index(base_offset), offsets_len)? else { return Ok(None) };
        let Some(times) = self.read_whole(names::time_index(base_offset), times_len)? else { return Ok(None) };
        if Fingerprint::of(&offsets) != summary.offset_index || Fingerprint::of(&times) != summary.time_index {
            return Ok(None);
        }
        let max = (summary.max_timestamp, summary.max_timestamp_offset);
        Ok(Indexes::decode(base_offset, &offsets, &times, size, max))
    }

    /// A file of at most `limit` bytes; `None` when it is missing or longer.
    fn read_whole(&self, name: String, limit: u64) -> io::Result<Option<Vec<u8>>> {
        match read_file(self.files.disk(), &self.dir.join(name), limit) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok(None),
            other => other,
        }
    }

    /// Indexes and damage of a segment's first `size` bytes, from their headers.
    fn scan_indexes(&self, segment: &Arc<Segment>, size: u64) -> io::Result<(Indexes, Vec<DamagedRange>)> {
        let upper = self.upper_bound(segment.base_offset);
        let file = segment.file(self)?;
        let mut scan = Scan::new(
            file,
            size,
            segment.base_offset,
            upper.unwrap_or_else(|| self.end()),
            i64::MAX,
            &self.damage.load(),
        );
        let mut indexes = Indexes::new(segment.base_offset);
        let mut found = Vec::new();
        loop {
            match scan.next()? {
                Step::Batch { header, position, size } => indexes.add(&header, position, size, self.index_interval()),
                Step::End => break,
                Step::Bad { position, offset } => {
                    if upper.is_some_and(|upper| offset >= upper) {
                        break;
                    }
                    let next = scan.resync()?;
                    let (to_position, to_offset) = next.unwrap_or((size, upper.unwrap_or_else(|| self.end())));
                    let to_offset = to_offset.max(offset);
                    let range = DamagedRange {
                        segment: segment.base_offset,
                        from_position: position,
                        to_position,
                        from_offset: offset,
                        to_offset,
                    };
                    found.push(range);
                    if next.is_none() {
                        break;
                    }
                }
            }
        }
        indexes.seal();
        Ok((indexes, found))
    }

    /// Scans a segment in which a read met a bad header, and remembers what is damaged.
    pub fn inspect(&self, segment: &Arc<Segment>) -> io::Result<()> {
        let (_, found) = self.scan_indexes(segment, segment.size())?;
        self.note_damage(segment, &found);
        Ok(())
    }

    fn note_damage(&self, segment: &Arc<Segment>, found: &[DamagedRange]) {
        // A segment that was truncated or deleted meanwhile was scanned in vain.
        if self.is_abandoned() || !self.segments.load().iter().any(|current| Arc::ptr_eq(current, segment)) {
            return;
        }
        for range in found {
            tracing::error!(
                file = %segment.path(self).display(),
                from_position = range.from_position,
                to_position = range.to_position,
                from_offset = range.from_offset,
                to_offset = range.to_offset,
                "damaged bytes in the log"
            );
        }
        self.damage.rcu(|known| {
            let mut all = Vec::clone(known);
            all.extend(found);
            all.sort_unstable();
            all.dedup();
            all
        });
    }

    /// Base offset of the segment after the one that starts at `base_offset`.
    pub fn upper_bound(&self, base_offset: i64) -> Option<i64> {
        let segments = self.segments.load();
        let next = segments.partition_point(|segment| segment.base_offset <= base_offset);
        segments.get(next).map(|segment| segment.base_offset)
    }
}
