//! The threads of the process: workers and the control plane with a single-threaded runtime each, and a few that may
//! block.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::{Options, usage};
use crate::net::BoxFuture;
use crate::task::{Job, Tasks, Usage};

/// A set of running threads. Dropping it without [`RealTasks::shutdown`] ends them too, without waiting for them.
pub struct RealTasks {
    workers: Vec<Handle>,
    control: Handle,
    queue: Arc<Queue>,
    /// Syncs have threads of their own.
    syncs: Arc<Queue>,
    running: Mutex<Running>,
}

/// What is needed to end the threads; empty after a shutdown.
#[derive(Default)]
struct Running {
    /// Dropping one ends the runtime that waits for it.
    runtime_stops: Vec<oneshot::Sender<()>>,
    runtimes: Vec<JoinHandle<()>>,
    blocking: Vec<JoinHandle<()>>,
}

impl RealTasks {
    /// Starts the threads `worker-0..`, `control` and `blocking-0..`.
    ///
    /// # Errors
    /// The operating system refused a thread or a runtime; what was started is ended.
    pub fn start(options: &Options) -> io::Result<Self> {
        let mut running = Running::default();
        let workers = (0..options.workers.max(1))
            .map(|n| start_runtime(format!("worker-{n}"), &mut running))
            .collect::<io::Result<_>>()?;
        let control = start_runtime("control".to_owned(), &mut running)?;
        let tasks =
            RealTasks { workers, control, queue: Arc::default(), syncs: Arc::default(), running: Mutex::new(running) };
        let lanes =
            [("blocking", &tasks.queue, options.blocking_threads), ("sync", &tasks.syncs, options.sync_threads)];
        for (name, queue, threads) in lanes {
            for n in 0..threads.max(1) {
                let queue = Arc::clone(queue);
                let thread = thread::Builder::new().name(format!("{name}-{n}")).spawn(move || queue.serve())?;
                tasks.running.lock().blocking.push(thread);
            }
        }
        Ok(tasks)
    }

    /// Runs a future on the control plane's runtime and blocks the calling thread until it is done. `None` when it
    /// panicked or the threads were shut down first. Not to be called from a thread of these tasks.
    pub fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.control.spawn(async move {
            // The receiver waits below and goes away only after it has the value.
            let _ = sender.send(future.await);
        });
        receiver.recv().ok()
    }

    /// Ends all threads and waits for them: first the runtimes, dropping the futures they hold, then the blocking
    /// threads, after they ran the jobs already queued. Later futures and jobs are dropped unrun. Not to be called from
    /// a thread of these tasks.
    pub fn shutdown(&self) {
        let running = std::mem::take(&mut *self.running.lock());
        drop(running.runtime_stops);
        join(running.runtimes);
        self.queue.close();
        self.syncs.close();
        join(running.blocking);
    }
}

impl Drop for RealTasks {
    fn drop(&mut self) {
        self.queue.close();
        self.syncs.close();
    }
}

impl Tasks for RealTasks {
    fn workers(&self) -> usize {
        self.workers.len()
    }

    fn spawn_on(&self, worker: usize, future: BoxFuture<'static, ()>) {
        self.workers[worker % self.workers.len()].spawn(future);
    }

    fn spawn_control(&self, future: BoxFuture<'static, ()>) {
        self.control.spawn(future);
    }

    fn run_blocking(&self, job: Job) {
        self.queue.push(job);
    }

    fn run_sync(&self, job: Job) {
        self.syncs.push(job);
    }

    fn usage(&self) -> Option<Usage> {
        usage::of_this_process()
    }
}

/// A thread with a runtime of its own, which lives until its stop is dropped.
fn start_runtime(name: String, running: &mut Running) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = thread::Builder::new().name(name).spawn(move || {
        // An error means that the other end was dropped, which is how it tells us to stop.
        let _ = runtime.block_on(stopped);
        runtime.shutdown_background();
    })?;
    running.runtime_stops.push(stop);
    running.runtimes.push(thread);
    Ok(handle)
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        // A panic in a task or job is caught before it could end a thread; there is nothing to add to its message.
        let _ = thread.join();
    }
}

/// Jobs for the blocking threads, first in first out. Not bounded here: who submits holds a permit or has one job in
/// flight.
#[derive(Default)]
struct Queue {
    state: Mutex<QueueState>,
    wake: Condvar,
}

#[derive(Default)]
struct QueueState {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Queue {
    fn push(&self, job: Job) {
        let mut state = self.state.lock();
        if state.closed {
            // The job may own senders whose drop runs code of others: not under this lock.
            drop(state);
            drop(job);
            return;
        }
        state.jobs.push_back(job);
        drop(state);
        self.wake.notify_one();
    }

    fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_all();
    }

    /// Runs jobs until the queue is closed and empty. A job that panics ends alone.
    fn serve(&self) {
        while let Some(job) = self.next() {
            // What the job shared is the submitter's to distrust: its answer will be missing.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            self.wake.wait(&mut state);
        }
    }
}

/// The signal that asked the process to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    Interrupt,
    Terminate,
}

/// Waits for SIGINT or SIGTERM. Once called, neither ends the process by itself any more.
///
/// # Errors
/// The handlers could not be installed.
pub async fn stop_signal() -> io::Result<StopSignal> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        biased;
        _ = terminate.recv() => Ok(StopSignal::Terminate),
        _ = interrupt.recv() => Ok(StopSignal::Interrupt),
    }
}
