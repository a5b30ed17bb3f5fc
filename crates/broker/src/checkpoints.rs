//! The directory-wide checkpoint files: how far each log is known to be durable, and where it starts.
//!
//! They are keyed by name, as Kafka's are, so an entry must be gone from the disk before its directory may stand for another topic.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use chronik_protocol::types::{Offset, PartitionId};
use chronik_storage::Checkpointed;
use chronik_storage::checkpoint::{self, CheckpointError};
use parking_lot::Mutex;

use crate::data_dir::DataDir;

type ByPartition = BTreeMap<(String, PartitionId), Offset>;

pub(crate) struct Checkpoints {
    dir: Arc<DataDir>,
    entries: Mutex<Entries>,
    /// Held while files are written, so that an older state never replaces a newer one.
    writing: Mutex<()>,
}

#[derive(Clone, Default)]
struct Entries {
    recovery_point: ByPartition,
    log_start: ByPartition,
    /// Whether this is not what the files say.
    changed: bool,
}

impl Checkpoints {
    /// Reads the files of a data directory.
    pub(crate) fn open(dir: Arc<DataDir>) -> Result<Self, CheckpointError> {
        let read = |name| checkpoint::read_offsets(&**dir.disk(), &dir.path().join(name));
        let entries = Entries {
            recovery_point: read(checkpoint::RECOVERY_POINT)?,
            log_start: read(checkpoint::LOG_START)?,
            changed: false,
        };
        Ok(Checkpoints { entries: Mutex::new(entries), writing: Mutex::new(()), dir })
    }

    /// What is known of a partition; zeros when nothing is.
    pub(crate) fn get(&self, topic: &str, index: PartitionId) -> Checkpointed {
        let name = (topic.to_owned(), index);
        let entries = self.entries.lock();
        let of = |offsets: &ByPartition| offsets.get(&name).copied().unwrap_or(0);
        Checkpointed { log_start_offset: of(&entries.log_start), recovery_point: of(&entries.recovery_point) }
    }

    /// Notes what is durable now; on disk with the next [`Checkpoints::write`].
    pub(crate) fn note(&self, topic: &str, index: PartitionId, recovery_point: Offset, log_start: Offset) {
        let name = (topic.to_owned(), index);
        let mut entries = self.entries.lock();
        let before = entries.recovery_point.insert(name.clone(), recovery_point);
        entries.changed |= before != Some(recovery_point);
        let before = entries.log_start.insert(name, log_start);
        entries.changed |= before != Some(log_start);
    }

    /// Forgets a partition; on disk with the next [`Checkpoints::write`].
    pub(crate) fn forget(&self, topic: &str, index: PartitionId) {
        let name = (topic.to_owned(), index);
        let mut entries = self.entries.lock();
        let known = entries.recovery_point.remove(&name).is_some();
        entries.changed |= entries.log_start.remove(&name).is_some() || known;
    }

    /// Writes both files, durably, unless they are as they should be.
    pub(crate) fn write(&self) -> io::Result<()> {
        let _writing = self.writing.lock();
        let entries = {
            let mut entries = self.entries.lock();
            if !entries.changed {
                return Ok(());
            }
            entries.changed = false;
            entries.clone()
        };
        let written = self.write_files(&entries);
        if written.is_err() {
            self.entries.lock().changed = true;
        }
        written
    }

    fn write_files(&self, entries: &Entries) -> io::Result<()> {
        let write = |name, offsets| checkpoint::write_offsets(&**self.dir.disk(), &self.dir.path().join(name), offsets);
        write(checkpoint::RECOVERY_POINT, &entries.recovery_point)?;
        write(checkpoint::LOG_START, &entries.log_start)
    }
}
