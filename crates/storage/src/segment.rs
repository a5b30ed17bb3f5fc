//! One segment: a log file, its indexes and what readers remember of it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use chronik_env::fs::{File, OpenMode};
use parking_lot::{Mutex, RwLock};

use crate::index::Indexes;
use crate::names;
use crate::shared::Shared;

/// Where reads ended lately: a consumer goes on there, without a search.
const HINTS: usize = 4;

const UNKNOWN: i64 = i64::MIN;

/// A segment, shared by the writer and all readers. A truncated segment is replaced by a new value, so what a value
/// says stays true.
pub(crate) struct Segment {
    pub base_offset: i64,
    /// When this process opened or created it, in milliseconds: its age where no record has a timestamp.
    pub created_ms: i64,
    /// Bytes of whole batches; readers look no further. Only ever grows.
    size: AtomicU64,
    file: ArcSwapOption<OpenFile>,
    read: AtomicBool,
    searched: AtomicBool,
    indexes: RwLock<Slot>,
    /// The largest timestamp, once asked for while the indexes were not in memory; [`UNKNOWN`] before.
    largest: AtomicI64,
    hints: Mutex<Hints>,
}

struct OpenFile(Arc<dyn File>);

/// The indexes of a segment.
enum Slot {
    /// On disk, or to be rebuilt.
    Unloaded,
    /// Of a segment nobody appends to; may be dropped at any time.
    Loaded(Arc<Indexes>),
    /// Of the segment that is being appended to.
    Growing(Box<Indexes>),
}

#[derive(Default)]
struct Hints {
    next: usize,
    ends: [(i64, u32); HINTS],
}

impl Segment {
    pub fn new(base_offset: i64, size: u64, created_ms: i64) -> Arc<Self> {
        Arc::new(Segment {
            base_offset,
            created_ms,
            size: AtomicU64::new(size),
            file: ArcSwapOption::empty(),
            read: AtomicBool::new(false),
            searched: AtomicBool::new(false),
            indexes: RwLock::new(Slot::Unloaded),
            largest: AtomicI64::new(UNKNOWN),
            hints: Mutex::new(Hints { next: 0, ends: [(-1, 0); HINTS] }),
        })
    }

    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    /// Lets readers see up to `size`. Only the writer calls this.
    pub fn publish(&self, size: u64) {
        debug_assert!(size >= self.size.load(Ordering::Relaxed));
        self.size.store(size, Ordering::Release);
    }

    pub fn path(&self, shared: &Shared) -> PathBuf {
        shared.dir.join(names::log(self.base_offset))
    }

    /// The file, opened if need be.
    pub fn file(self: &Arc<Self>, shared: &Shared) -> io::Result<Arc<dyn File>> {
        if let Some(open) = &*self.file.load() {
            self.read.store(true, Ordering::Relaxed);
            return Ok(open.0.clone());
        }
        let file = shared.files.disk().open(&self.path(shared), OpenMode::ReadWrite)?;
        self.hold(shared, file.clone());
        Ok(file)
    }

    /// Keeps an open file for later.
    pub fn hold(self: &Arc<Self>, shared: &Shared, file: Arc<dyn File>) {
        if self.file.swap(Some(Arc::new(OpenFile(file)))).is_none() {
            shared.files.opened(self);
        }
    }

    pub fn close_file(&self) {
        self.file.store(None);
    }

    pub fn was_read(&self) -> bool {
        self.read.swap(false, Ordering::Relaxed)
    }

    pub fn was_searched(&self) -> bool {
        self.searched.swap(false, Ordering::Relaxed)
    }

    /// Runs `f` on the indexes, loading them if need be.
    pub fn with_indexes<R>(self: &Arc<Self>, shared: &Shared, f: impl FnOnce(&Indexes) -> R) -> io::Result<R> {
        match &*self.indexes.read() {
            Slot::Growing(indexes) => return Ok(f(indexes)),
            Slot::Loaded(indexes) => {
                self.searched.store(true, Ordering::Relaxed);
                return Ok(f(indexes));
            }
            Slot::Unloaded => {}
        }
        let size = self.size();
        let loaded = Arc::new(shared.load_indexes(self, size)?);
        self.keep_indexes(shared, loaded.clone(), size);
        Ok(f(&loaded))
    }

    /// Keeps indexes that cover `size` bytes, unless there are others or the segment has grown.
    pub fn keep_indexes(self: &Arc<Self>, shared: &Shared, loaded: Arc<Indexes>, size: u64) {
        let memory = loaded.memory();
        {
            let mut slot = self.indexes.write();
            if !matches!(*slot, Slot::Unloaded) || self.size() != size {
                return;
            }
            *slot = Slot::Loaded(loaded);
        }
        shared.files.indexed(self, memory);
    }

    /// The largest timestamp of any batch in milliseconds, -1 = none.
    pub fn max_timestamp(self: &Arc<Self>, shared: &Shared) -> io::Result<i64> {
        if !matches!(*self.indexes.read(), Slot::Unloaded) {
            return self.with_indexes(shared, Indexes::max_timestamp);
        }
        let known = self.largest.load(Ordering::Relaxed);
        if known != UNKNOWN {
            return Ok(known);
        }
        let largest = match shared.summary(self.base_offset, self.size())? {
            Some(summary) => summary.max_timestamp,
            None => self.with_indexes(shared, Indexes::max_timestamp)?,
        };
        self.largest.store(largest, Ordering::Relaxed);
        Ok(largest)
    }

    /// Makes the indexes ready to be added to. Only the writer calls this, before it writes to the file.
    pub fn grow_indexes(self: &Arc<Self>, shared: &Shared) -> io::Result<()> {
        if matches!(*self.indexes.read(), Slot::Growing(_)) {
            return Ok(());
        }
        let indexes = self.with_indexes(shared, Indexes::clone)?;
        *self.indexes.write() = Slot::Growing(Box::new(indexes));
        self.largest.store(UNKNOWN, Ordering::Relaxed);
        Ok(())
    }

    /// Changes the growing indexes; `None` when they are not growing.
    pub fn change_indexes<R>(&self, f: impl FnOnce(&mut Indexes) -> R) -> Option<R> {
        match &mut *self.indexes.write() {
            Slot::Growing(indexes) => Some(f(indexes)),
            _ => None,
        }
    }

    /// Seals growing indexes, which may be dropped from then on, and returns them.
    pub fn seal_indexes(self: &Arc<Self>, shared: &Shared) -> Option<Arc<Indexes>> {
        let sealed = {
            let mut slot = self.indexes.write();
            match std::mem::replace(&mut *slot, Slot::Unloaded) {
                Slot::Growing(mut indexes) => {
                    indexes.seal();
                    Arc::new(*indexes)
                }
                other => {
                    *slot = other;
                    return None;
                }
            }
        };
        self.keep_indexes(shared, sealed.clone(), self.size());
        Some(sealed)
    }

    pub fn drop_indexes(&self) {
        let mut slot = self.indexes.write();
        if matches!(*slot, Slot::Loaded(_)) {
            *slot = Slot::Unloaded;
        }
    }

    /// The position of the batch that starts at `offset`, if a read ended there lately.
    pub fn hint(&self, offset: i64) -> Option<u64> {
        let hints = self.hints.lock();
        hints.ends.iter().find(|(end, _)| *end == offset).map(|(_, position)| u64::from(*position))
    }

    /// Remembers that the batch before `offset` ends at `position`.
    pub fn remember(&self, offset: i64, position: u64) {
        let mut hints = self.hints.lock();
        if hints.ends.iter().all(|(end, _)| *end != offset) {
            let at = hints.next;
            hints.ends[at] = (offset, position as u32);
            hints.next = (at + 1) % HINTS;
        }
    }
}
