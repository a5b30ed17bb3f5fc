//! A disk in memory that forgets what was not synced, fails when told to, and can be replayed.
//!
//! # What it promises and what it takes away
//!
//! There are two trees. The running system sees one; the other holds what survives a power cut for certain. A change is
//! made in the first and waits in a list until a sync carries it to the second:
//!
//! - [`File::sync_data`](crate::fs::File::sync_data) carries over the writes and lengths of that file, not its name;
//! - [`Disk::sync_dir`](crate::fs::Disk::sync_dir) carries over the creations, renames and removals in that directory,
//!   not the contents of the files, and not the directory's own name in its parent;
//! - nothing else makes anything durable. Real file systems often do more (ext4 makes a new file's name durable with
//!   its first sync); code that needs it would be right on one of them only.
//!
//! A power cut ([`Cut`]) keeps all that is durable and some of the waiting changes: none, all, a prefix, a random
//! choice, writes torn at sectors or pages, lengths without contents, contents without names, later changes without
//! earlier ones.
//!
//! # Where it is kinder than the world
//!
//! - A rename is atomic, also between directories. A sync of either directory makes it durable and, with it, what was
//!   done before in both.
//! - What survives half is zero or old, never foreign bytes; sectors are written whole; what is durable does not rot by
//!   itself (but see [`SimDisk::damage`]).
//! - There are no permissions, no links, no inodes to run out of, no delays; directories take no space.
//! - `..` is refused in paths; relative paths start at the root.
//!
//! Equal seeds and equal calls give equal results, failures included. One mutex guards the whole disk.

mod cut;
mod dice;
mod disk;
mod faults;
mod file;
mod gate;
mod history;
mod op;
mod paths;
mod state;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

pub use cut::{Cut, PAGE, SECTOR};
pub use faults::{Call, Chances, Failure, Rule};
pub use gate::Gate;
pub use history::{History, Replay};
pub use op::{Inode, Op, ROOT};

use dice::Dice;
use faults::Faults;
use gate::Closed;
use state::State;

/// Bytes a disk holds unless told otherwise.
const DEFAULT_CAPACITY: u64 = 1 << 40;

/// A simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<Inner>>);

struct Inner {
    state: State,
    /// Grows at each crash; files opened before are dead.
    generation: u64,
    next_inode: Inode,
    /// How many open files each inode has.
    handles: BTreeMap<Inode, usize>,
    /// Open files without a name, which take space until closed.
    nameless: BTreeSet<Inode>,
    locked: BTreeSet<Inode>,
    /// Bytes in files that have a name or are open.
    used: u64,
    capacity: u64,
    faults: Faults,
    gates: Vec<Closed>,
    last_gate: u64,
    dice: Dice,
    recording: Option<History>,
    unsynced_renames: Vec<PathBuf>,
    discard_suffix: String,
}

impl SimDisk {
    /// An empty disk. The seed decides by how much failing calls fail, and which calls fail by chance.
    pub fn new(seed: u64) -> Self {
        SimDisk::from_state(State::default(), seed)
    }

    fn from_state(state: State, seed: u64) -> Self {
        // Numbers of nodes still to come must not meet those in the trees or among the unsynced changes.
        let next_inode = state.highest_inode() + 1;
        let used = state.now.bytes();
        SimDisk(Arc::new(Mutex::new(Inner {
            state,
            generation: 0,
            next_inode,
            handles: BTreeMap::new(),
            nameless: BTreeSet::new(),
            locked: BTreeSet::new(),
            used,
            capacity: DEFAULT_CAPACITY,
            faults: Faults::default(),
            gates: Vec::new(),
            last_gate: 0,
            dice: Dice::new(seed),
            recording: None,
            unsynced_renames: Vec::new(),
            discard_suffix: String::new(),
        })))
    }

    /// Stops the machine and starts it again: open files are dead, locks are free, contents are what `cut` leaves.
    /// Recording, when on, starts anew.
    pub fn crash(&self, cut: Cut) {
        let mut inner = self.0.lock();
        let seed = inner.dice.next();
        inner.state = inner.state.after(cut, seed);
        inner.generation += 1;
        inner.handles.clear();
        inner.nameless.clear();
        inner.locked.clear();
        inner.used = inner.state.now.bytes();
        if inner.recording.is_some() {
            inner.recording = Some(History { base: inner.state.clone(), ops: Vec::new() });
        }
    }

    /// An independent disk, as this one would be found after `cut`. This one goes on as if nothing had happened.
    pub fn image(&self, cut: Cut, seed: u64) -> SimDisk {
        SimDisk::from_state(self.0.lock().state.after(cut, seed), seed)
    }

    /// Keeps every operation from now on, with its data.
    pub fn record(&self) {
        let mut inner = self.0.lock();
        inner.recording = Some(History { base: inner.state.clone(), ops: Vec::new() });
    }

    /// How many operations are recorded: the boundary at which the disk stands now.
    pub fn boundary(&self) -> usize {
        self.0.lock().recording.as_ref().map_or(0, |history| history.ops.len())
    }

    /// What was recorded; empty when recording is off.
    pub fn history(&self) -> History {
        let inner = self.0.lock();
        inner.recording.clone().unwrap_or_else(|| History { base: inner.state.clone(), ops: Vec::new() })
    }

    /// Adds a rule by which calls fail.
    pub fn fail(&self, rule: Rule) {
        self.0.lock().faults.rules.push(rule);
    }

    /// How many rules have not made all the calls fail that they were to.
    pub fn unmet_rules(&self) -> usize {
        self.0.lock().faults.rules.iter().filter(|rule| rule.times > 0).count()
    }

    /// Takes all rules and chances of failure back.
    pub fn heal(&self) {
        self.0.lock().faults = Faults::default();
    }

    pub fn set_chances(&self, chances: Chances) {
        self.0.lock().faults.chances = chances;
    }

    /// Bytes of file contents the disk holds. May be less than is used: then nothing can be written until something is
    /// removed.
    pub fn set_capacity(&self, bytes: u64) {
        self.0.lock().capacity = bytes;
    }

    /// Changes a file at rest, behind the back of the running system: bit rot, a stale or truncated copy. Both trees
    /// get the result, and unsynced writes to the file are in it.
    ///
    /// # Errors
    /// The path names no file.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut inner = self.0.lock();
        let inode = inner.file_at(path)?;
        inner.state.apply(&Op::SyncData { inode });
        let mut contents = inner.state.now.contents(inode).map(|contents| contents.to_vec()).unwrap_or_default();
        let before = contents.len() as u64;
        change(&mut contents);
        inner.used = inner.used - before + contents.len() as u64;
        let contents = Arc::new(contents);
        inner.state.now.set_contents(inode, Arc::clone(&contents));
        inner.state.durable.set_contents(inode, contents);
        Ok(())
    }

    /// Names ending so are on their way out: [`SimDisk::unsynced_renames`] does not mind a rename to one.
    pub fn set_discard_suffix(&self, suffix: &str) {
        suffix.clone_into(&mut self.0.lock().discard_suffix);
    }

    /// Files that were renamed while some of their contents was unsynced, by their new paths. After a power cut such a
    /// name can stand for an empty file, so a file that replaces another, or is trusted by its name, must be synced
    /// first.
    pub fn unsynced_renames(&self) -> Vec<PathBuf> {
        self.0.lock().unsynced_renames.clone()
    }
}
