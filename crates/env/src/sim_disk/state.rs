//! The two trees of a disk and the changes that are in one but not yet for certain in the other.

use std::collections::BTreeSet;

use super::cut::Cut;
use super::dice::Dice;
use super::op::{Inode, Op};
use super::tree::{Keep, Tree};

/// Unsynced changes kept apart; beyond these the oldest half settles by itself, as a kernel's writeback would do.
const MAX_PENDING: usize = 16 * 1024;

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    /// What the running system sees.
    pub(super) now: Tree,
    /// What is certain to survive.
    pub(super) durable: Tree,
    /// Changes in `now` that may or may not survive, oldest first.
    pub(super) pending: Vec<Op>,
}

impl State {
    /// Carries out an operation of the running system. Returns the inode that lost its name by it.
    pub(super) fn apply(&mut self, op: &Op) -> Option<Inode> {
        match op {
            Op::SyncData { inode } => {
                self.settle(*inode, |_| true);
                None
            }
            Op::SyncDir { dir } => {
                self.settle(*dir, |_| true);
                None
            }
            Op::FailedSync { inode, seed } => {
                let mut dice = Dice::new(*seed);
                self.settle(*inode, |_| dice.coin());
                None
            }
            change => {
                let freed = self.now.apply(change);
                self.pending.push(change.clone());
                if self.pending.len() > MAX_PENDING {
                    self.write_back();
                }
                freed
            }
        }
    }

    /// Takes the pending changes of a file or directory off the list; those `reached` says yes to become durable.
    ///
    /// A rename between two directories is one change, so it takes along what came before it in either; and a removal
    /// takes along what was done to the removed file or inside the removed directory.
    fn settle(&mut self, target: Inode, mut reached: impl FnMut(&Op) -> bool) {
        let mut targets = BTreeSet::from([target]);
        let mut covered = vec![false; self.pending.len()];
        for (op, covered) in self.pending.iter().zip(&mut covered).rev() {
            *covered = match op {
                Op::Write { inode, .. } | Op::SetLen { inode, .. } => targets.contains(inode),
                Op::Create { dir, .. } | Op::Remove { dir, .. } => targets.contains(dir),
                Op::Rename { from_dir, to_dir, .. } => targets.contains(from_dir) || targets.contains(to_dir),
                Op::SyncData { .. } | Op::SyncDir { .. } | Op::FailedSync { .. } => false,
            };
            match op {
                Op::Remove { inode, .. } if *covered => {
                    targets.insert(*inode);
                }
                Op::Rename { from_dir, to_dir, replaced, .. } if *covered => {
                    targets.extend([*from_dir, *to_dir]);
                    targets.extend(replaced);
                }
                _ => {}
            }
        }
        let mut covered = covered.into_iter();
        let pending = std::mem::take(&mut self.pending);
        for op in pending {
            if !covered.next().unwrap_or(false) {
                self.pending.push(op);
            } else if reached(&op) {
                self.make_durable(&op);
            }
        }
    }

    fn write_back(&mut self) {
        let newer = self.pending.split_off(self.pending.len() / 2);
        for op in std::mem::replace(&mut self.pending, newer) {
            self.make_durable(&op);
        }
    }

    fn make_durable(&mut self, op: &Op) {
        if let Some(freed) = self.durable.apply(op) {
            self.durable.forget(freed);
        }
    }

    /// The highest number in use.
    pub(super) fn highest_inode(&self) -> Inode {
        let pending = self.pending.iter().map(|op| match op {
            Op::Create { inode, .. } | Op::Write { inode, .. } | Op::SetLen { inode, .. } => *inode,
            _ => 0,
        });
        pending.chain([self.now.highest_inode(), self.durable.highest_inode()]).max().unwrap_or(0)
    }

    /// Whether some of a file's contents are not certain to survive.
    pub(super) fn has_unsynced_data(&self, file: Inode) -> bool {
        self.pending.iter().any(|op| match op {
            Op::Write { inode, .. } | Op::SetLen { inode, .. } => *inode == file,
            _ => false,
        })
    }

    /// The disk as it is found after the machine stopped here.
    pub(super) fn after(&self, cut: Cut, seed: u64) -> State {
        if cut == Cut::Process {
            let mut state = self.clone();
            state.now.prune();
            return state;
        }
        self.after_keeping(&cut.choose(&self.pending, seed))
    }

    /// The disk as found when of each pending change this much had reached it.
    pub(super) fn after_keeping(&self, keep: &[Keep]) -> State {
        let mut tree = self.durable.clone();
        for (op, keep) in self.pending.iter().zip(keep) {
            tree.apply_part(op, *keep);
        }
        tree.prune();
        State { now: tree.clone(), durable: tree, pending: Vec::new() }
    }
}
