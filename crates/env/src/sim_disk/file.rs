//! Open files and locks of the simulated disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::MutexGuard;

use super::faults::{Call, Failure};
use super::op::{Inode, Op};
use super::{Inner, SimDisk};
use crate::fs::{Dir, DirLock, File};

pub(super) struct SimFile {
    disk: SimDisk,
    /// As opened; for rules of failure and gates only.
    path: PathBuf,
    inode: Inode,
    generation: u64,
    writable: bool,
}

impl SimFile {
    pub(super) fn new(disk: SimDisk, path: &Path, inode: Inode, generation: u64, writable: bool) -> Self {
        SimFile { disk, path: path.to_owned(), inode, generation, writable }
    }

    /// Runs a call on the disk, unless the file was opened before a crash.
    fn with<T>(&self, call: Call, run: impl FnOnce(&mut Inner) -> io::Result<T>) -> io::Result<T> {
        self.with_inner(self.disk.admit(call, &self.path), run)
    }

    fn with_inner<T>(
        &self,
        mut inner: MutexGuard<'_, Inner>,
        run: impl FnOnce(&mut Inner) -> io::Result<T>,
    ) -> io::Result<T> {
        if inner.generation != self.generation {
            return Err(io::ErrorKind::StaleNetworkFileHandle.into());
        }
        run(&mut inner)
    }

    fn strike(&self, call: Call, inner: &mut Inner) -> Option<Failure> {
        let Inner { faults, dice, .. } = inner;
        faults.strike(call, &self.path, dice)
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }

    /// Writes as much of `data` as there is room for, and says whether that was all.
    fn write(&self, inner: &mut Inner, data: &[u8], offset: u64) -> bool {
        let len = inner.state.now.contents(self.inode).map_or(0, |contents| contents.len() as u64);
        let room = inner.capacity.saturating_sub(inner.used).saturating_add(len).max(len);
        let fits = room.saturating_sub(offset).min(data.len() as u64);
        if fits > 0 {
            inner.used += (offset + fits).saturating_sub(len);
            inner.execute(Op::Write { inode: self.inode, offset, data: Arc::from(&data[..fits as usize]) });
        }
        fits == data.len() as u64
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(Call::Read, |inner| {
            if let Some(error) = self.strike(Call::Read, inner).and_then(Failure::error) {
                return Err(error);
            }
            let contents = inner.state.now.contents(self.inode).ok_or(io::ErrorKind::NotFound)?;
            let start = offset.min(contents.len() as u64) as usize;
            let n = buf.len().min(contents.len() - start);
            buf[..n].copy_from_slice(&contents[start..start + n]);
            Ok(n)
        })
    }

    fn write_all_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        self.check_writable()?;
        self.with(Call::Write, |inner| {
            let data = parts.concat();
            match self.strike(Call::Write, inner).and_then(Failure::error) {
                None if self.write(inner, &data, offset) => Ok(()),
                None => Err(io::ErrorKind::StorageFull.into()),
                Some(error) => {
                    let written = inner.dice.below(data.len() as u64 + 1) as usize;
                    self.write(inner, &data[..written], offset);
                    Err(error)
                }
            }
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with_inner(self.disk.0.lock(), |inner| {
            Ok(inner.state.now.contents(self.inode).map_or(0, |contents| contents.len() as u64))
        })
    }

    /// Longer lengths take space at once: there are no holes.
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.with(Call::Write, |inner| {
            if let Some(error) = self.strike(Call::Write, inner).and_then(Failure::error) {
                return Err(error);
            }
            let before = inner.state.now.contents(self.inode).map_or(0, |contents| contents.len() as u64);
            if len == before {
                return Ok(());
            }
            if len > before && len - before > inner.capacity.saturating_sub(inner.used) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            inner.used = inner.used - before + len;
            inner.execute(Op::SetLen { inode: self.inode, len });
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(Call::SyncData, |inner| match self.strike(Call::SyncData, inner) {
            None => {
                inner.execute(Op::SyncData { inode: self.inode });
                Ok(())
            }
            Some(failure) => match failure.error() {
                None => Ok(()),
                Some(error) => {
                    let seed = inner.dice.next();
                    inner.execute(Op::FailedSync { inode: self.inode, seed });
                    Err(error)
                }
            },
        })
    }
}

/// A directory opened to sync it.
pub(super) struct SimDir {
    disk: SimDisk,
    /// As opened; for rules of failure and gates only.
    path: PathBuf,
    inode: Inode,
    generation: u64,
}

impl SimDir {
    pub(super) fn new(disk: SimDisk, path: &Path, inode: Inode, generation: u64) -> Self {
        SimDir { disk, path: path.to_owned(), inode, generation }
    }
}

impl Dir for SimDir {
    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.admit(Call::SyncDir, &self.path);
        if inner.generation != self.generation {
            return Err(io::ErrorKind::StaleNetworkFileHandle.into());
        }
        if inner.strike(Call::SyncDir, &self.path).map_err(io::Error::other)?.is_none() {
            inner.execute(Op::SyncDir { dir: self.inode });
        }
        Ok(())
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut inner = self.disk.0.lock();
        if inner.generation != self.generation {
            return;
        }
        if let Some(count) = inner.handles.get_mut(&self.inode) {
            *count -= 1;
            if *count == 0 {
                inner.handles.remove(&self.inode);
                inner.free_if_unused(self.inode);
            }
        }
    }
}

pub(super) struct SimLock {
    disk: SimDisk,
    inode: Inode,
    generation: u64,
    _file: Arc<dyn File>,
}

impl SimLock {
    pub(super) fn new(disk: SimDisk, file: Arc<dyn File>, inode: Inode, generation: u64) -> Self {
        SimLock { disk, inode, generation, _file: file }
    }
}

impl DirLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut inner = self.disk.0.lock();
        if inner.generation == self.generation {
            inner.locked.remove(&self.inode);
        }
    }
}
