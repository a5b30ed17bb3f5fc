//! The world as the binary meets it: the kernel's files and sockets, the machine's clocks, a thread for each worker.
//!
//! Owns every thread of the process. Never decides anything: which worker, which file, when to stop is the caller's
//! business.

mod clock;
mod disk;
mod net;
mod tasks;
mod usage;

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

pub use clock::RealClock;
pub use disk::RealDisk;
pub use net::RealNet;
pub use tasks::{RealTasks, StopSignal, stop_signal};

use crate::Env;
use crate::random::Random;

/// How many threads the process gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Workers, each a thread with its own runtime; at least 1 is started.
    pub workers: usize,
    /// Threads for work that blocks on the disk; at least 1 is started.
    pub blocking_threads: usize,
    /// Threads for syncs; at least 1 is started.
    pub sync_threads: usize,
}

impl Default for Options {
    /// One worker a core; a few threads that may block, which wait for the device and not for a core.
    fn default() -> Self {
        Options { workers: available_parallelism().map_or(1, NonZero::get), blocking_threads: 2, sync_threads: 4 }
    }
}

/// The real world. The second value is what [`Env::tasks`] points to, for the owner of the process: it runs the main
/// future ([`RealTasks::run`]) and ends the threads ([`RealTasks::shutdown`]).
///
/// # Errors
/// The operating system refused a thread or a runtime.
pub fn env(options: &Options) -> io::Result<(Env, Arc<RealTasks>)> {
    let tasks = Arc::new(RealTasks::start(options)?);
    let env = Env {
        clock: Arc::new(RealClock::default()),
        random: Random::from_os(),
        disk: Arc::new(RealDisk),
        net: Arc::new(RealNet),
        tasks: Arc::clone(&tasks) as _,
    };
    Ok((env, tasks))
}

/// Raises the limit of open files of this process as far as it may go without privileges. Returns the limit now in
/// force; `u64::MAX` where there is none.
pub fn raise_open_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        // macOS refuses "no limit" for files; what was there stays.
        Err(_) => limit.current.unwrap_or(u64::MAX),
    }
}
