//! What a disk can be asked to change, in a form that can be kept, replayed and dropped.

use std::sync::Arc;

/// Number of a file or directory; never used again for another one.
pub type Inode = u64;

/// The directory all paths start from.
pub const ROOT: Inode = 0;

/// One change or one sync, as recorded. Reads are not recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Create {
        dir: Inode,
        name: Arc<str>,
        inode: Inode,
        is_dir: bool,
    },
    Remove {
        dir: Inode,
        name: Arc<str>,
        inode: Inode,
    },
    Rename {
        from_dir: Inode,
        from_name: Arc<str>,
        to_dir: Inode,
        to_name: Arc<str>,
        inode: Inode,
        /// What `to_name` meant before.
        replaced: Option<Inode>,
    },
    Write {
        inode: Inode,
        /// Byte position in the file.
        offset: u64,
        data: Arc<[u8]>,
    },
    SetLen {
        inode: Inode,
        len: u64,
    },
    SyncData {
        inode: Inode,
    },
    SyncDir {
        dir: Inode,
    },
    /// A sync of a file that failed: a part of what was dirty reached the disk, the rest never will.
    FailedSync {
        inode: Inode,
        /// Decides which part.
        seed: u64,
    },
}

impl Op {
    /// Whether it changes the contents of a file.
    pub fn is_data(&self) -> bool {
        matches!(self, Op::Write { .. } | Op::SetLen { .. })
    }

    /// Whether it changes the entries of a directory.
    pub fn is_entry(&self) -> bool {
        matches!(self, Op::Create { .. } | Op::Remove { .. } | Op::Rename { .. })
    }
}
