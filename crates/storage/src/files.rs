//! What the logs of one broker share: the disk, the pool of read blocks, and limits on open files and on indexes in
//! memory.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use chronik_env::block::BlockPool;
use chronik_env::fs::{Disk, File};
use parking_lot::Mutex;

use crate::segment::Segment;

/// Open segment files of all logs together.
pub const DEFAULT_OPEN_FILES: u64 = 4096;
/// Bytes of sealed segments' indexes in memory, of all logs together.
pub const DEFAULT_INDEX_BYTES: u64 = 64 << 20;

/// Shared by all logs of a broker; cheap to clone.
///
/// A segment's file is opened on first use and closed again when too many are open and it is the one not used for
/// longest (second chance). A file with unsynced data is held open by its log besides; where as many are as the limit
/// allows, [`crate::Log::should_sync`] says so.
#[derive(Clone)]
pub struct Files(Arc<Inner>);

struct Inner {
    disk: Arc<dyn Disk>,
    pool: BlockPool,
    open: Mutex<Clock>,
    indexes: Mutex<Clock>,
    /// Files that logs hold open because they wait for a sync.
    unsynced: Arc<AtomicU64>,
    open_files: u64,
}

/// A file that waits for a sync, counted for as long as it does.
pub(crate) struct HeldFile {
    file: Arc<dyn File>,
    count: Arc<AtomicU64>,
}

impl HeldFile {
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }
}

impl Drop for HeldFile {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Files {
    pub fn new(disk: Arc<dyn Disk>, pool: BlockPool) -> Self {
        Files::with_limits(disk, pool, DEFAULT_OPEN_FILES, DEFAULT_INDEX_BYTES)
    }

    pub fn with_limits(disk: Arc<dyn Disk>, pool: BlockPool, open_files: u64, index_bytes: u64) -> Self {
        let clock = |limit| Mutex::new(Clock { queue: VecDeque::new(), total: 0, limit });
        let (open, indexes) = (clock(open_files), clock(index_bytes));
        Files(Arc::new(Inner { disk, pool, open, indexes, unsynced: Arc::default(), open_files }))
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.0.disk
    }

    pub(crate) fn pool(&self) -> &BlockPool {
        &self.0.pool
    }

    /// Counts a file as one that waits for a sync.
    pub(crate) fn hold(&self, file: Arc<dyn File>) -> HeldFile {
        self.0.unsynced.fetch_add(1, Ordering::Relaxed);
        HeldFile { file, count: self.0.unsynced.clone() }
    }

    /// Whether as many files wait for a sync as may be open besides.
    pub(crate) fn too_many_unsynced(&self) -> bool {
        self.0.unsynced.load(Ordering::Relaxed) >= self.0.open_files
    }

    /// Counts a file that was opened, and closes others beyond the limit.
    pub(crate) fn opened(&self, segment: &Arc<Segment>) {
        self.0.open.lock().admit(segment, 1, Segment::was_read, Segment::close_file);
    }

    /// Counts an index that was loaded, and drops others beyond the limit.
    pub(crate) fn indexed(&self, segment: &Arc<Segment>, bytes: u64) {
        self.0.indexes.lock().admit(segment, bytes, Segment::was_searched, Segment::drop_indexes);
    }
}

/// Second-chance eviction. Invariant: `total` is the sum of the queue's costs.
struct Clock {
    queue: VecDeque<(Weak<Segment>, u64)>,
    total: u64,
    limit: u64,
}

impl Clock {
    fn admit(&mut self, segment: &Arc<Segment>, cost: u64, used: impl Fn(&Segment) -> bool, evict: impl Fn(&Segment)) {
        let mut second_chances = self.queue.len();
        while self.total + cost > self.limit
            && let Some((candidate, size)) = self.queue.pop_front()
        {
            match candidate.upgrade() {
                Some(segment) if second_chances > 0 && used(&segment) => {
                    second_chances -= 1;
                    self.queue.push_back((candidate, size));
                    continue;
                }
                Some(segment) => evict(&segment),
                None => {}
            }
            self.total -= size;
        }
        self.queue.push_back((Arc::downgrade(segment), cost));
        self.total += cost;
    }
}
