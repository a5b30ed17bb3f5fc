//! Gates: calls that wait until a test lets them go on, so that what happens meanwhile is chosen rather than hoped for.

use std::path::Path;
use std::sync::Arc;

use parking_lot::{Condvar, MutexGuard};

use super::faults::Call;
use super::{Inner, SimDisk};

/// Holds up all calls of one kind on some paths, before they do anything, until it is dropped. Only for real threads: in a
/// simulation there is but one, and nobody would go on.
#[must_use]
pub struct Gate {
    disk: SimDisk,
    id: u64,
}

impl Gate {
    /// How many calls wait.
    pub fn held_up(&self) -> usize {
        self.disk.0.lock().gates.iter().find(|gate| gate.id == self.id).map_or(0, |gate| gate.held_up)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let mut inner = self.disk.0.lock();
        for gate in inner.gates.extract_if(.., |gate| gate.id == self.id) {
            gate.opened.notify_all();
        }
    }
}

pub(super) struct Closed {
    id: u64,
    call: Call,
    path_contains: String,
    held_up: usize,
    opened: Arc<Condvar>,
}

impl SimDisk {
    /// Holds up all calls of a kind on paths whose text contains this.
    pub fn hold_up(&self, call: Call, path_contains: &str) -> Gate {
        let mut inner = self.0.lock();
        inner.last_gate += 1;
        let id = inner.last_gate;
        let path_contains = path_contains.to_owned();
        inner.gates.push(Closed { id, call, path_contains, held_up: 0, opened: Arc::default() });
        Gate { disk: self.clone(), id }
    }

    /// The disk for one call, once no gate holds it up.
    pub(super) fn admit(&self, call: Call, path: &Path) -> MutexGuard<'_, Inner> {
        let mut inner = self.0.lock();
        let stops = |gate: &&mut Closed| gate.call == call && path.to_string_lossy().contains(&gate.path_contains);
        while let Some(gate) = inner.gates.iter_mut().find(stops) {
            gate.held_up += 1;
            let (id, opened) = (gate.id, gate.opened.clone());
            opened.wait_while(&mut inner, |inner| inner.gates.iter().any(|gate| gate.id == id));
        }
        inner
    }
}
