//! Ordinary behaviour, byte by byte: order, silence, waiting, limits, sessions, ids, idempotence, offsets by time.
//!
//! Runs against brokers it starts, or with `CHRONIK_WIRE_BOOTSTRAP` set against Apache Kafka.

mod client;
mod consume;
mod offsets;
mod produce;
mod topics;
mod versions;
