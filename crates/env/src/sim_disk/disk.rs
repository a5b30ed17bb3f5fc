//! The simulated disk as a [`Disk`]: names, checks and failures around the operations.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::faults::{Call, Failure};
use super::file::{SimDir, SimFile, SimLock};
use super::op::{Inode, Op};
use super::paths::{child, components, lookup, place};
use super::tree::Node;
use super::{Inner, SimDisk};
use crate::fs::{Dir, DirEntry, DirLock, Disk, File, OpenMode, Space};

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut inner = self.admit(Call::Open, path);
        inner.strike(Call::Open, path)?;
        let at = place(&inner.state.now, path)?;
        let inode = match (at.inode, mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(inode), _) if inner.state.now.contents(inode).is_none() => {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            (Some(inode), _) => inode,
            (None, OpenMode::Read | OpenMode::ReadWrite) => return Err(io::ErrorKind::NotFound.into()),
            (None, OpenMode::Create | OpenMode::CreateNew) => inner.create(at.dir, at.name, false),
        };
        *inner.handles.entry(inode).or_default() += 1;
        Ok(Arc::new(SimFile::new(self.clone(), path, inode, inner.generation, mode != OpenMode::Read)))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.admit(Call::Open, path);
        inner.strike(Call::Open, path)?;
        let mut dir = super::ROOT;
        for name in components(path)? {
            dir = match child(&inner.state.now, dir, name)? {
                Some(inode) => inode,
                None => inner.create(dir, Arc::from(name), true),
            };
        }
        match inner.state.now.dir(dir) {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.admit(Call::Entry, path);
        inner.strike(Call::Entry, path)?;
        let at = place(&inner.state.now, path)?;
        let inode = at.inode.ok_or(io::ErrorKind::NotFound)?;
        if inner.state.now.dir(inode).is_some() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        inner.execute(Op::Remove { dir: at.dir, name: at.name, inode });
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.admit(Call::Entry, path);
        inner.strike(Call::Entry, path)?;
        let at = place(&inner.state.now, path)?;
        let inode = at.inode.ok_or(io::ErrorKind::NotFound)?;
        if inner.state.now.dir(inode).is_none() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        inner.empty_dir(inode);
        inner.execute(Op::Remove { dir: at.dir, name: at.name, inode });
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.admit(Call::Entry, from);
        inner.strike(Call::Entry, from)?;
        let source = place(&inner.state.now, from)?;
        let inode = source.inode.ok_or(io::ErrorKind::NotFound)?;
        if components(to)?.starts_with(&components(from)?) {
            // Onto itself: nothing to do. Into itself: impossible.
            return if components(to)?.len() == components(from)?.len() {
                Ok(())
            } else {
                Err(io::ErrorKind::InvalidInput.into())
            };
        }
        let target = place(&inner.state.now, to)?;
        if let Some(replaced) = target.inode {
            inner.check_replaceable(inode, replaced)?;
        }
        if inner.state.has_unsynced_data(inode) && !inner.is_discarded(&target.name) {
            inner.unsynced_renames.push(to.to_owned());
        }
        inner.execute(Op::Rename {
            from_dir: source.dir,
            from_name: source.name,
            to_dir: target.dir,
            to_name: target.name,
            inode,
            replaced: target.inode,
        });
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let inner = self.0.lock();
        let now = &inner.state.now;
        let entries = now.dir(lookup(now, dir)?).ok_or(io::ErrorKind::NotADirectory)?;
        let entry = |(name, inode): (&Arc<str>, &Inode)| {
            let len = now.contents(*inode).map(|contents| contents.len() as u64);
            DirEntry { name: name.to_string(), is_dir: len.is_none(), len: len.unwrap_or(0) }
        };
        Ok(entries.iter().map(entry).collect())
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        let inner = self.0.lock();
        let now = &inner.state.now;
        let entries = now.dir(lookup(now, dir)?).ok_or(io::ErrorKind::NotADirectory)?;
        Ok(entries.keys().map(|name| name.to_string()).collect())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        match lookup(&self.0.lock().state.now, path) {
            Ok(_) => Ok(true),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn open_dir(&self, dir: &Path) -> io::Result<Box<dyn Dir>> {
        let mut inner = self.admit(Call::OpenDir, dir);
        inner.strike(Call::OpenDir, dir)?;
        let inode = lookup(&inner.state.now, dir)?;
        if inner.state.now.dir(inode).is_none() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Box::new(SimDir::new(self.clone(), dir, inode, inner.generation)))
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let inner = self.0.lock();
        lookup(&inner.state.now, path)?;
        Ok(Space { free_bytes: inner.capacity.saturating_sub(inner.used), total_bytes: inner.capacity })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        // The open file is kept by the lock, as the real one does, so that the name may go without the lock going.
        let file = self.open(path, OpenMode::Create)?;
        let mut inner = self.0.lock();
        let inode = lookup(&inner.state.now, path)?;
        if !inner.locked.insert(inode) {
            drop(inner);
            return Ok(None);
        }
        Ok(Some(Box::new(SimLock::new(self.clone(), file, inode, inner.generation))))
    }
}

impl Inner {
    /// Fails when a fault says so. `Some` means: pretend it worked.
    pub(super) fn strike(&mut self, call: Call, path: &Path) -> io::Result<Option<Failure>> {
        match self.faults.strike(call, path, &mut self.dice) {
            None => Ok(None),
            Some(failure) => match failure.error() {
                Some(error) => Err(error),
                None => Ok(Some(failure)),
            },
        }
    }

    /// Carries out and records one operation.
    pub(super) fn execute(&mut self, op: Op) {
        if let Some(freed) = self.state.apply(&op) {
            self.nameless.insert(freed);
            self.free_if_unused(freed);
        }
        if let Some(history) = &mut self.recording {
            history.ops.push(op);
        }
    }

    fn create(&mut self, dir: Inode, name: Arc<str>, is_dir: bool) -> Inode {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.execute(Op::Create { dir, name, inode, is_dir });
        inode
    }

    /// Removes all below a directory, deepest first, one operation each.
    fn empty_dir(&mut self, dir: Inode) {
        let entries: Vec<(Arc<str>, Inode)> =
            self.state.now.dir(dir).into_iter().flatten().map(|(name, inode)| (Arc::clone(name), *inode)).collect();
        for (name, inode) in entries {
            self.empty_dir(inode);
            self.execute(Op::Remove { dir, name, inode });
        }
    }

    fn check_replaceable(&self, source: Inode, target: Inode) -> io::Result<()> {
        match (self.state.now.node(source), self.state.now.node(target)) {
            (Some(Node::File(_)), Some(Node::Dir(_))) => Err(io::ErrorKind::IsADirectory.into()),
            (Some(Node::Dir(_)), Some(Node::File(_))) => Err(io::ErrorKind::NotADirectory.into()),
            (_, Some(Node::Dir(entries))) if !entries.is_empty() => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            _ => Ok(()),
        }
    }

    fn is_discarded(&self, name: &str) -> bool {
        !self.discard_suffix.is_empty() && name.ends_with(&self.discard_suffix)
    }

    /// Gives back the space of a file that has neither a name nor a user.
    pub(super) fn free_if_unused(&mut self, inode: Inode) {
        if self.handles.contains_key(&inode) || !self.nameless.remove(&inode) {
            return;
        }
        self.used -= self.state.now.contents(inode).map_or(0, |contents| contents.len() as u64);
        self.state.now.forget(inode);
    }

    /// The file at a path.
    pub(super) fn file_at(&self, path: &Path) -> io::Result<Inode> {
        let inode = lookup(&self.state.now, path)?;
        self.state.now.contents(inode).map(|_| inode).ok_or(io::ErrorKind::IsADirectory.into())
    }
}
