//! A recorded run, and the disks its interruptions would leave.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::SimDisk;
use super::cut::Cut;
use super::dice::Dice;
use super::op::Op;
use super::state::State;
use super::tree::Tree;

/// How many images already seen in a row make a boundary count as exhausted.
const RETRIES: usize = 48;

/// What a disk did since recording began, and what it held then.
#[derive(Clone)]
pub struct History {
    pub(super) base: State,
    pub(super) ops: Vec<Op>,
}

impl History {
    /// The operations in order. Boundary n is the moment after the first n of them.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// A cursor at boundary 0.
    pub fn replay(&self) -> Replay<'_> {
        Replay { ops: &self.ops, state: self.base.clone(), boundary: 0 }
    }
}

/// Walks a history boundary by boundary.
#[derive(Clone)]
pub struct Replay<'a> {
    ops: &'a [Op],
    state: State,
    boundary: usize,
}

impl<'a> Replay<'a> {
    /// How many operations have been carried out.
    pub fn boundary(&self) -> usize {
        self.boundary
    }

    /// Carries out the next operation and returns it; `None` at the end.
    pub fn step(&mut self) -> Option<&'a Op> {
        let op = self.ops.get(self.boundary)?;
        // A file that lost its name may still be open: the history has no closes, so it stays until an image is taken.
        self.state.apply(op);
        self.boundary += 1;
        Some(op)
    }

    /// How many changes are unsynced here.
    pub fn pending(&self) -> usize {
        self.state.pending.len()
    }

    /// A new disk as found after the machine stopped here. It shares nothing with this cursor.
    pub fn image(&self, cut: Cut, seed: u64) -> SimDisk {
        SimDisk::from_state(self.state.after(cut, seed), seed)
    }

    /// Up to `count` new disks as power cuts at this boundary would leave them, no two alike: each of [`Cut::POWER`] in
    /// turn, and [`Cut::Mixed`] after each. Fewer when no more can be found; one when all is synced.
    pub fn images(&self, seed: u64, count: usize) -> impl Iterator<Item = (Cut, SimDisk)> + use<'_, 'a> {
        let mut seen = BTreeSet::new();
        let mut dice = Dice::new(seed);
        // The mixture reaches what no other cut does, so it has every other turn.
        let mut cuts = Cut::POWER.into_iter().flat_map(|cut| [cut, Cut::Mixed]).cycle();
        let retries = if self.state.pending.is_empty() { 1 } else { RETRIES };
        std::iter::from_fn(move || {
            for _ in 0..retries {
                let cut = cuts.next()?;
                let state = self.state.after_keeping(&cut.choose(&self.state.pending, dice.next()));
                if seen.insert(fingerprint(&state.now)) {
                    return Some((cut, SimDisk::from_state(state, dice.next())));
                }
            }
            None
        })
        .take(count)
    }
}

fn fingerprint(tree: &Tree) -> u64 {
    let mut hasher = DefaultHasher::new();
    tree.hash(&mut hasher);
    hasher.finish()
}
