//! A tree of files and directories: what the running system sees is one, what would be found after a power cut is
//! another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::op::{Inode, Op, ROOT};

/// Contents are shared until written, so that a copy of a tree costs little.
#[derive(Clone, Debug, Hash)]
pub(super) enum Node {
    File(Arc<Vec<u8>>),
    Dir(BTreeMap<Arc<str>, Inode>),
}

#[derive(Clone, Debug, Hash)]
pub(super) struct Tree {
    /// May hold nodes no directory names: files whose entry is not there yet, or not any more.
    nodes: BTreeMap<Inode, Node>,
}

/// What became of a change at a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Nothing,
    Everything,
    /// Of a write only the length: the bytes are zero where the file was shorter.
    Length,
    /// Of a write the aligned units of the file whose bit is set, counted from the first it touches; the bits repeat
    /// after 64.
    Units {
        unit: u64,
        mask: u64,
    },
}

impl Keep {
    /// How many aligned units of the file a change touches; 1 when it is no write.
    pub(super) fn unit_count(op: &Op, unit: u64) -> u64 {
        match op {
            Op::Write { offset, data, .. } => (offset + data.len() as u64).div_ceil(unit) - offset / unit,
            _ => 1,
        }
    }

    /// What is left of `op` when of the units it touches those set in `mask` reached the disk.
    pub(super) fn units(op: &Op, unit: u64, mask: u64) -> Keep {
        let count = Keep::unit_count(op, unit);
        let all = if count >= 64 { u64::MAX } else { (1 << count) - 1 };
        match mask & all {
            0 => Keep::Nothing,
            mask if mask == all => Keep::Everything,
            mask => Keep::Units { unit, mask },
        }
    }
}

impl Default for Tree {
    fn default() -> Self {
        Tree { nodes: BTreeMap::from([(ROOT, Node::Dir(BTreeMap::new()))]) }
    }
}

impl Tree {
    pub(super) fn node(&self, inode: Inode) -> Option<&Node> {
        self.nodes.get(&inode)
    }

    pub(super) fn dir(&self, inode: Inode) -> Option<&BTreeMap<Arc<str>, Inode>> {
        match self.nodes.get(&inode) {
            Some(Node::Dir(entries)) => Some(entries),
            _ => None,
        }
    }

    pub(super) fn contents(&self, inode: Inode) -> Option<&Arc<Vec<u8>>> {
        match self.nodes.get(&inode) {
            Some(Node::File(contents)) => Some(contents),
            _ => None,
        }
    }

    /// The contents of a file for change; an unknown file starts empty, since its data may settle before its name does.
    pub(super) fn contents_mut(&mut self, inode: Inode) -> Option<&mut Vec<u8>> {
        match self.nodes.entry(inode).or_insert_with(|| Node::File(Arc::default())) {
            Node::File(contents) => Some(Arc::make_mut(contents)),
            Node::Dir(_) => None,
        }
    }

    pub(super) fn set_contents(&mut self, inode: Inode, contents: Arc<Vec<u8>>) {
        self.nodes.insert(inode, Node::File(contents));
    }

    fn dir_mut(&mut self, inode: Inode) -> Option<&mut BTreeMap<Arc<str>, Inode>> {
        match self.nodes.entry(inode).or_insert_with(|| Node::Dir(BTreeMap::new())) {
            Node::Dir(entries) => Some(entries),
            Node::File(_) => None,
        }
    }

    /// Carries out a change in full. Returns the file or directory that lost its name by it, which stays as a nameless
    /// node.
    pub(super) fn apply(&mut self, op: &Op) -> Option<Inode> {
        match op {
            Op::Create { dir, name, inode, is_dir } => {
                self.create_node(*inode, *is_dir);
                self.dir_mut(*dir)?.insert(Arc::clone(name), *inode)
            }
            Op::Remove { dir, name, inode } => {
                let entries = self.dir_mut(*dir)?;
                if entries.get(name) != Some(inode) {
                    return None;
                }
                entries.remove(name)
            }
            Op::Rename { from_dir, from_name, to_dir, to_name, inode, .. } => {
                let entries = self.dir_mut(*from_dir)?;
                if entries.get(from_name) == Some(inode) {
                    entries.remove(from_name);
                } else {
                    // An earlier rename of the same file may not have reached this tree, and a file has one name.
                    entries.retain(|_, named| named != inode);
                }
                let replaced = self.dir_mut(*to_dir)?.insert(Arc::clone(to_name), *inode);
                replaced.filter(|replaced| replaced != inode)
            }
            Op::Write { inode, offset, data } => {
                write(self.contents_mut(*inode)?, *offset, data);
                None
            }
            Op::SetLen { inode, len } => {
                self.contents_mut(*inode)?.resize(*len as usize, 0);
                None
            }
            Op::SyncData { .. } | Op::SyncDir { .. } | Op::FailedSync { .. } => None,
        }
    }

    /// Carries out what is kept of a change.
    pub(super) fn apply_part(&mut self, op: &Op, keep: Keep) {
        match (op, keep) {
            (_, Keep::Everything) => {
                self.apply(op);
            }
            (Op::Write { inode, offset, data }, _) => {
                if let Some(contents) = self.contents_mut(*inode) {
                    write_part(contents, *offset, data, keep);
                }
            }
            // Without its name, but a later rename may give it another.
            (Op::Create { inode, is_dir, .. }, _) => self.create_node(*inode, *is_dir),
            _ => {}
        }
    }

    fn create_node(&mut self, inode: Inode, is_dir: bool) {
        let node = || if is_dir { Node::Dir(BTreeMap::new()) } else { Node::File(Arc::default()) };
        self.nodes.entry(inode).or_insert_with(node);
    }

    /// Forgets a file, or a directory with all below it.
    pub(super) fn forget(&mut self, inode: Inode) {
        if let Some(Node::Dir(entries)) = self.nodes.remove(&inode) {
            for child in entries.into_values() {
                self.forget(child);
            }
        }
    }

    /// Forgets what cannot be reached from the root.
    pub(super) fn prune(&mut self) {
        let mut reached = BTreeSet::new();
        let mut open = vec![ROOT];
        while let Some(inode) = open.pop() {
            if reached.insert(inode) {
                assert!(self.nodes.contains_key(&inode), "inode {inode} has a name and nothing else");
                open.extend(self.dir(inode).into_iter().flat_map(BTreeMap::values));
            }
        }
        self.nodes.retain(|inode, _| reached.contains(inode));
    }

    pub(super) fn highest_inode(&self) -> Inode {
        self.nodes.keys().next_back().copied().unwrap_or(ROOT)
    }

    /// Bytes in files.
    pub(super) fn bytes(&self) -> u64 {
        let len = |node: &Node| if let Node::File(contents) = node { contents.len() as u64 } else { 0 };
        self.nodes.values().map(len).sum()
    }
}

fn write(contents: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let start = offset as usize;
    let end = start + data.len();
    if contents.len() < end {
        contents.resize(end, 0);
    }
    contents[start..end].copy_from_slice(data);
}

fn write_part(contents: &mut Vec<u8>, offset: u64, data: &[u8], keep: Keep) {
    let end = offset + data.len() as u64;
    match keep {
        Keep::Nothing => {}
        Keep::Everything => write(contents, offset, data),
        Keep::Length => {
            if (contents.len() as u64) < end {
                contents.resize(end as usize, 0);
            }
        }
        Keep::Units { unit, mask } => {
            let mut start = offset;
            while start < end {
                let index = start / unit - offset / unit;
                let stop = ((start / unit + 1) * unit).min(end);
                if mask >> (index % 64) & 1 == 1 {
                    write(contents, start, &data[(start - offset) as usize..(stop - offset) as usize]);
                }
                start = stop;
            }
        }
    }
}
