//! Which leader epoch began at which offset (KIP-101, KIP-279, KIP-320), and `leader-epoch-checkpoint`.

use std::fmt::Write;
use std::path::Path;

use chronik_env::fs::Disk;

use crate::checkpoint::{self, CheckpointError, number};

pub(crate) const FILE_NAME: &str = "leader-epoch-checkpoint";

/// One epoch and the offset of its first batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEntry {
    pub epoch: i32,
    pub start_offset: i64,
}

/// The epochs of one log. Invariant: epochs and start offsets both strictly increase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochCache {
    entries: Vec<EpochEntry>,
}

impl EpochCache {
    /// Reads the checkpoint; `None` when there is none.
    pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<EpochCache>, CheckpointError> {
        let mut cache = EpochCache::default();
        let found = checkpoint::read(disk, &dir.join(FILE_NAME), |fields| {
            let [epoch, start_offset] = fields else { return false };
            let (Some(epoch), Some(start_offset)) = (number(epoch), number(start_offset)) else { return false };
            let increases =
                cache.entries.last().is_none_or(|last| last.epoch < epoch && last.start_offset < start_offset);
            cache.entries.push(EpochEntry { epoch, start_offset });
            increases
        })?;
        Ok(found.then_some(cache))
    }

    /// The checkpoint's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut text = format!("0\n{}\n", self.entries.len());
        for entry in &self.entries {
            _ = writeln!(text, "{} {}", entry.epoch, entry.start_offset);
        }
        text.into_bytes()
    }

    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// The newest epoch of any batch; -1 = none.
    pub fn latest(&self) -> i32 {
        self.entries.last().map_or(-1, |entry| entry.epoch)
    }

    /// Notes a batch of `epoch` at `offset`; true when that began an epoch. Older epochs change nothing.
    pub(crate) fn assign(&mut self, epoch: i32, offset: i64) -> bool {
        if epoch <= self.latest() {
            return false;
        }
        self.entries.push(EpochEntry { epoch, start_offset: offset });
        true
    }

    /// Forgets epochs that began at or after `offset`; true when there were any.
    pub(crate) fn truncate_end(&mut self, offset: i64) -> bool {
        let keep = self.entries.partition_point(|entry| entry.start_offset < offset);
        let changes = keep < self.entries.len();
        self.entries.truncate(keep);
        changes
    }

    /// Forgets epochs that ended at or before `offset`; the one in force there now begins there. True when anything
    /// changed.
    pub(crate) fn truncate_start(&mut self, offset: i64) -> bool {
        let Some(in_force) = self.entries.partition_point(|entry| entry.start_offset <= offset).checked_sub(1) else {
            return false;
        };
        if self.entries[in_force].start_offset == offset && in_force == 0 {
            return false;
        }
        self.entries[in_force].start_offset = offset;
        self.entries.drain(..in_force);
        true
    }

    /// KIP-320's question, as Kafka answers it: the largest epoch not above `asked` and where it ended. `current` is
    /// the epoch of the leader of now, whose first batch may not have come. `(-1, -1)` when `asked` is negative or
    /// newer than all known; for an epoch older than all known, itself and the first known start offset.
    pub fn end_offset_for(&self, asked: i32, current: i32, log_end_offset: i64) -> (i32, i64) {
        let newest = self.latest().max(current);
        if asked < 0 || asked > newest {
            return (-1, -1);
        }
        if asked == newest {
            return (asked, log_end_offset);
        }
        let next = self.entries.partition_point(|entry| entry.epoch <= asked);
        let end = self.entries.get(next).map_or(log_end_offset, |entry| entry.start_offset);
        let epoch = next.checked_sub(1).map_or(asked, |floor| self.entries[floor].epoch);
        (epoch, end)
    }
}
