//! What is not durable yet, and tickets to make it so.
//!
//! A ticket is run without holding the log, on any thread: first the files' data, then the directories that got new
//! entries, then the small files that may exist only once the data is durable (closed indexes, producer snapshots,
//! leader epochs).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use chronik_env::fs::{Disk, File, is_shortage, replace_file};
use parking_lot::Mutex;

use crate::files::{Files, HeldFile};
use crate::shared::Shared;

/// Tickets remembered. A caller that asks more often without ever reporting loses all but the first, which may be
/// running.
const MAX_TICKETS: usize = 4096;

/// The right to make everything below an offset durable. At most one ticket of a log runs at a time.
pub struct SyncTicket {
    shared: Arc<Shared>,
    end_offset: i64,
    files: Vec<Arc<dyn File>>,
    dirs: Vec<PathBuf>,
    after: Vec<After>,
    /// There was no room for all the small files: they wait for the next ticket.
    postponed: AtomicBool,
}

/// What is done once the data is durable.
#[derive(Clone)]
enum After {
    Write(PathBuf, Bytes),
    Remove(PathBuf),
}

impl After {
    fn path(&self) -> &Path {
        match self {
            After::Write(path, _) | After::Remove(path) => path,
        }
    }
}

impl SyncTicket {
    /// All below this offset is durable once [`SyncTicket::run`] has succeeded.
    pub fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// Blocks until the disk has it all, but for small files that there was no room for: those describe what is durable
    /// now, and wait for the next ticket.
    ///
    /// # Errors
    /// [A lack of open files](is_shortage) is met before anything is synced: all waits for the next ticket. After any other
    /// failure what was written is in doubt for ever: call [`crate::Log::fail`].
    pub fn run(&self) -> io::Result<()> {
        let disk = self.shared.files.disk();
        let opened = || self.dirs.iter().map(|dir| disk.open_dir(dir)).collect::<io::Result<Vec<_>>>();
        // An abandoned log has nothing to be made durable.
        let Some(dirs) = self.shared.unless_abandoned(opened) else { return Ok(()) };
        let dirs = dirs?;
        // Not even a lack of room makes a sync that failed worth another try.
        for file in &self.files {
            file.sync_data().map_err(io::Error::other)?;
        }
        dirs.iter().try_for_each(|dir| dir.sync())?;
        self.shared.unless_abandoned(|| self.write_after()).unwrap_or(Ok(()))
    }

    fn write_after(&self) -> io::Result<()> {
        let disk = self.shared.files.disk();
        for after in &self.after {
            let done = match after {
                After::Write(path, contents) => replace_file(disk, path, contents),
                After::Remove(path) => remove_if_there(disk, path),
            };
            match done {
                // The file of this name is what it was: only its successor found no room.
                Err(error) if is_shortage(&error) => {
                    self.postponed.store(true, Ordering::Release);
                    return Ok(());
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Whether small files wait for the next ticket.
    pub(crate) fn has_postponed(&self) -> bool {
        self.postponed.load(Ordering::Acquire)
    }
}

pub(crate) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Everything a log still has to sync. Each entry carries the number of the change that made it, so that a ticket
/// clears exactly what it covered.
#[derive(Default)]
pub(crate) struct Unsynced {
    changes: u64,
    /// By base offset of the segment; held open until synced.
    files: Vec<(u64, i64, HeldFile)>,
    dirs: Vec<(u64, PathBuf)>,
    after: Vec<(u64, After)>,
    /// Tickets given out: end offset, changes covered.
    tickets: Mutex<Vec<(i64, u64)>>,
}

impl Unsynced {
    /// Notes a write to the file of the segment that starts at `base_offset`.
    pub fn wrote(&mut self, base_offset: i64, file: &Arc<dyn File>, files: &Files) {
        self.changes += 1;
        match self.files.iter_mut().find(|(_, base, _)| *base == base_offset) {
            Some((change, _, _)) => *change = self.changes,
            None => self.files.push((self.changes, base_offset, files.hold(file.clone()))),
        }
    }

    /// Notes a new entry in a directory.
    pub fn entered(&mut self, dir: &Path) {
        self.changes += 1;
        self.dirs.retain(|(_, known)| known != dir);
        self.dirs.push((self.changes, dir.to_owned()));
    }

    /// Notes a small file to be replaced once all data written so far is durable.
    pub fn then_write(&mut self, path: PathBuf, contents: Vec<u8>) {
        self.then(After::Write(path, contents.into()));
    }

    pub fn then_remove(&mut self, path: PathBuf) {
        self.then(After::Remove(path));
    }

    fn then(&mut self, after: After) {
        self.changes += 1;
        self.after.retain(|(_, known)| known.path() != after.path());
        self.after.push((self.changes, after));
    }

    /// The file of a segment with unsynced data.
    pub fn file(&self, base_offset: i64) -> Option<&Arc<dyn File>> {
        self.files.iter().find(|(_, base, _)| *base == base_offset).map(|(_, _, held)| held.file())
    }

    pub fn forget_file(&mut self, base_offset: i64) {
        self.files.retain(|(_, base, _)| *base != base_offset);
    }

    pub fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.dirs.iter().map(|(_, dir)| dir.as_path())
    }

    pub fn clear_dirs(&mut self) {
        self.dirs.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.dirs.is_empty() && self.after.is_empty()
    }

    /// Forgets everything: it is durable by other means, or void. Tickets given out clear nothing any more.
    pub fn clear(&mut self) {
        *self = Unsynced { changes: self.changes, ..Unsynced::default() };
    }

    /// A ticket for all of it; `None` when there is nothing.
    pub fn ticket(&self, shared: &Arc<Shared>, end_offset: i64) -> Option<SyncTicket> {
        if self.is_empty() {
            return None;
        }
        let mut tickets = self.tickets.lock();
        if tickets.last() != Some(&(end_offset, self.changes)) {
            if tickets.len() == MAX_TICKETS {
                tickets.truncate(1);
            }
            tickets.push((end_offset, self.changes));
        }
        Some(SyncTicket {
            shared: shared.clone(),
            end_offset,
            files: self.files.iter().map(|(_, _, held)| held.file().clone()).collect(),
            dirs: self.dirs.iter().map(|(_, dir)| dir.clone()).collect(),
            after: self.after.iter().map(|(_, after)| after.clone()).collect(),
            postponed: AtomicBool::new(false),
        })
    }

    /// Clears what a ticket covered; false when it is not known.
    pub fn synced(&mut self, ticket: &SyncTicket) -> bool {
        let tickets = self.tickets.get_mut();
        let Some(at) = tickets.iter().position(|(end, _)| *end == ticket.end_offset) else { return false };
        let covered = tickets[at].1;
        tickets.drain(..=at);
        self.files.retain(|(change, _, _)| *change > covered);
        self.dirs.retain(|(change, _)| *change > covered);
        if !ticket.has_postponed() {
            self.after.retain(|(change, _)| *change > covered);
        }
        true
    }
}
