//! Tasks and the few threads that may block.

use crate::net::BoxFuture;

/// Work that may block on the disk.
pub type Job = Box<dyn FnOnce() + Send + 'static>;

/// Spawning. In the binary there is one single-threaded runtime a core and a few blocking threads; in simulation there is one
/// runtime and blocking work runs inline, at a later turn of the event loop.
pub trait Tasks: Send + Sync + 'static {
    /// How many workers there are; at least 1.
    fn workers(&self) -> usize;
    /// Runs a future on a worker (`worker` is taken modulo [`Tasks::workers`]).
    fn spawn_on(&self, worker: usize, future: BoxFuture<'static, ()>);
    /// Runs a future on the control plane's runtime.
    fn spawn_control(&self, future: BoxFuture<'static, ()>);
    /// Runs a job on a blocking thread, in the order given as far as threads are free. Never runs inside this call.
    fn run_blocking(&self, job: Job);
    /// As [`Tasks::run_blocking`], on threads kept for syncs, so that no long job delays an acknowledgement.
    fn run_sync(&self, job: Job) {
        self.run_blocking(job);
    }
}
