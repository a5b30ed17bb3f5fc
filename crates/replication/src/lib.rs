//! The rules of one partition's replication, as a value: offsets and replies go in, the high watermark comes out.
//!
//! Pure: no files, sockets, clock or tasks. `storage` keeps the bytes; this crate decides what may be shown and acknowledged.

mod leader;

pub use leader::{Acks, FetchRefused, Leader, ReplicaId};
