//! The only door to the world: clock, chance, tasks, sockets, files and large blocks of memory, real or simulated.
//!
//! Everything above this crate takes time, randomness, disk and network as values it was given, so a whole broker
//! replays from a seed. This crate knows nothing about Kafka.

pub mod block;
pub mod clock;
pub mod fs;
pub mod net;
pub mod random;
pub mod real;
pub mod sim_disk;
pub mod task;

use std::sync::Arc;

/// All a broker needs of the world. One per broker instance: several may share a process.
#[derive(Clone)]
pub struct Env {
    pub clock: Arc<dyn clock::Clock>,
    pub random: random::Random,
    pub disk: Arc<dyn fs::Disk>,
    pub net: Arc<dyn net::Net>,
    pub tasks: Arc<dyn task::Tasks>,
}
