//! Failures on demand: by rule, for a test that wants one in a certain place, or by chance, for a simulation.

use std::io;
use std::path::Path;

use super::dice::Dice;

/// `EIO` of Linux and macOS, the error of a failing device.
const EIO: i32 = 5;

/// The calls that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Opening, locking and creating directories.
    Open,
    /// Opening a directory to sync it.
    OpenDir,
    Read,
    /// Writes and changes of length.
    Write,
    /// Renames and removals.
    Entry,
    SyncData,
    SyncDir,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An I/O error. A write has written a random prefix. After a sync of a file a random part of what was dirty is on
    /// the disk and the rest never will be, though it is still read back and the next sync succeeds (Rebello et al.,
    /// "Can Applications Recover from fsync Failures?", USENIX ATC 2020). A failed sync of a directory leaves its
    /// changes unsynced.
    Eio,
    /// No space left, for this call.
    NoSpace,
    /// A sync that says it succeeded and did nothing; other calls are not affected.
    Lie,
}

/// A failure in a certain place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub call: Call,
    /// Only paths whose text contains this; empty for all.
    pub path_contains: String,
    /// Matching calls that succeed first.
    pub after: u64,
    /// Matching calls that fail then; `u64::MAX` for a device that stays broken.
    pub times: u64,
    pub failure: Failure,
}

/// Failures by chance, each in parts per million of the calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chances {
    pub read_error_ppm: u32,
    pub write_error_ppm: u32,
    pub sync_error_ppm: u32,
    pub lying_sync_ppm: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    pub(super) rules: Vec<Rule>,
    pub(super) chances: Chances,
}

impl Faults {
    /// Whether this call fails, and how. Counts it.
    pub(super) fn strike(&mut self, call: Call, path: &Path, dice: &mut Dice) -> Option<Failure> {
        let mut struck = None;
        for rule in &mut self.rules {
            if rule.call != call || rule.times == 0 || !path.to_string_lossy().contains(&rule.path_contains) {
                continue;
            }
            if rule.after > 0 {
                rule.after -= 1;
            } else if struck.is_none() {
                rule.times = if rule.times == u64::MAX { u64::MAX } else { rule.times - 1 };
                struck = Some(rule.failure);
            }
        }
        struck.or_else(|| self.chance(call, dice))
    }

    fn chance(&self, call: Call, dice: &mut Dice) -> Option<Failure> {
        let chances = &self.chances;
        match call {
            Call::Read => dice.chance(chances.read_error_ppm).then_some(Failure::Eio),
            Call::Write => dice.chance(chances.write_error_ppm).then_some(Failure::Eio),
            Call::SyncData | Call::SyncDir if dice.chance(chances.lying_sync_ppm) => Some(Failure::Lie),
            Call::SyncData | Call::SyncDir => dice.chance(chances.sync_error_ppm).then_some(Failure::Eio),
            Call::Open | Call::OpenDir | Call::Entry => None,
        }
    }
}

impl Failure {
    /// The error the caller sees; `None` for a lie.
    pub(super) fn error(self) -> Option<io::Error> {
        match self {
            Failure::Eio => Some(io::Error::from_raw_os_error(EIO)),
            Failure::NoSpace => Some(io::ErrorKind::StorageFull.into()),
            Failure::Lie => None,
        }
    }
}
