//! Tasks and the few threads that may block.

use tokio::sync::oneshot;

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
    /// What this process has used of the machine; `None` where that is not known.
    fn usage(&self) -> Option<Usage> {
        None
    }
}

/// What a process has used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    pub resident_bytes: u64,
    /// Processor time of all threads.
    pub cpu_seconds: f64,
    pub open_files: u64,
}

/// Starts work on a blocking thread. The future is its result, `None` when it panicked or the threads are gone.
pub fn blocking<T, W>(tasks: &dyn Tasks, work: W) -> impl Future<Output = Option<T>> + Send + use<T, W>
where
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    let (done, result) = oneshot::channel();
    tasks.run_blocking(Box::new(move || {
        // Nobody waits when the caller was dropped.
        let _ = done.send(work());
    }));
    async move { result.await.ok() }
}
