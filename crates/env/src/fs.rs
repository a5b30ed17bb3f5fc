//! Files and directories behind one small trait: the real disk, or one that forgets what was not synced.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How [`Disk::open`] treats a file that is there, or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Must exist; read only.
    Read,
    /// Must exist; read and write.
    ReadWrite,
    /// Created empty when missing; read and write.
    Create,
    /// Must not exist; read and write.
    CreateNew,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The last component of the path.
    pub name: String,
    pub is_dir: bool,
    /// Length in bytes; 0 for a directory.
    pub len: u64,
}

/// Whether a call failed for want of something that may be there later, room on the disk or open files, and changed nothing
/// but perhaps bytes past what counts. Not of a sync: there every failure is final.
pub fn is_shortage(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    error.kind() == io::ErrorKind::StorageFull || matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// Free and total bytes of the file system that holds a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub free_bytes: u64,
    pub total_bytes: u64,
}

/// An exclusive lock on a file, released when dropped (and by the death of the process).
pub trait DirLock: Send + Sync {}

/// A file system. Paths are absolute or relative to the process; they never come from a client unchecked.
pub trait Disk: Send + Sync + 'static {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Creates a directory and its missing parents. Entries are durable after [`Disk::sync_dir`] of each parent.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Atomically replaces `to`. Durable after [`Disk::sync_dir`] of the parent(s).
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// The entries of a directory, sorted by name. Lengths may be left 0 where the caller asks only for names.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    /// The names in a directory, sorted, without looking at each entry.
    fn names(&self, dir: &Path) -> io::Result<Vec<String>>;
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Opens a directory to sync it: before its entries are changed, where a lack of open files must find them unchanged.
    fn open_dir(&self, dir: &Path) -> io::Result<Box<dyn Dir>>;
    /// Opens and syncs a directory. A lack of open files has changed nothing, and the next call may do it.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.open_dir(dir)?.sync()
    }
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Takes an exclusive lock, creating the file; `None` when another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>>;
}

/// An open directory.
pub trait Dir: Send + Sync {
    /// Makes its entries (creations, renames, removals) durable. A failure leaves in doubt which of them are, and is never
    /// [a shortage](is_shortage), whatever the disk calls it.
    fn sync(&self) -> io::Result<()>;
}

/// An open file. Positional and shared: no cursor, no interior buffer.
pub trait File: Send + Sync {
    /// Reads at most `buf.len()` bytes; 0 at or past the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `parts`, one after the other, from `offset` on. After an error an unknown prefix was written.
    fn write_all_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes the contents and the length durable. A failure is final: what was written since the last success is in doubt for ever.
    fn sync_data(&self) -> io::Result<()>;
}

/// Reads exactly `buf.len()` bytes or fails with `UnexpectedEof`.
pub fn read_exact_at(file: &dyn File, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match file.read_at(buf, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                buf = &mut buf[n..];
                offset += n as u64;
            }
        }
    }
    Ok(())
}

/// The whole of a file of at most `limit` bytes; `None` when it does not exist.
pub fn read_file(disk: &dyn Disk, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let len = file.len()?;
    if len > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{} has {len} bytes, more than {limit}", path.display()),
        ));
    }
    let mut buf = vec![0; len as usize];
    read_exact_at(&*file, &mut buf, 0)?;
    Ok(Some(buf))
}

/// Replaces a file so that a crash leaves the old contents or the new, never a mixture: temporary file, sync, rename, sync directory.
pub fn replace_file(disk: &dyn Disk, path: &Path, contents: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    let tmp: PathBuf = dir.join(name);
    let opened = disk.open_dir(dir)?;
    let file = disk.open(&tmp, OpenMode::Create)?;
    file.set_len(0)?;
    file.write_all_at(&[contents], 0)?;
    file.sync_data()?;
    disk.rename(&tmp, path)?;
    opened.sync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        let of = |number| is_shortage(&io::Error::from_raw_os_error(number));
        let (not_found, eio, enfile, emfile, enospc) = (2, 5, 23, 24, 28);
        assert_eq!([enfile, emfile, enospc, not_found, eio].map(of), [true, true, true, false, false]);
    }
}
