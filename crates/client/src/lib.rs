//! A small Kafka client: one connection, one call at a time or several in flight.
//!
//! Used where the project talks to a broker itself: simulation, tests, tools. Knows nothing of a broker's state.

mod connection;

pub use connection::{CallError, Connection};
