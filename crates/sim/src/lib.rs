//! A broker and its clients in one process under one seed: simulated clock, network and disk, faults, and checkers.
//!
//! A seed replays: the same seed gives the same trace, line by line. Nothing here ships.

mod clients;
mod history;
pub mod lone;
mod scenario;
mod world;

pub use scenario::{Outcome, run};
