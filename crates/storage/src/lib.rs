//! One partition's log on disk, in Kafka's own layout: segments, sparse indexes, producer state, leader epochs,
//! recovery and retention, and the checkpoint files of a data directory.
//!
//! This crate knows record batches by their 61-byte header and nothing of requests, replicas or networks. It has no
//! clock, no threads and no disk of its own: time is an argument, blocking syncs are handed out as [`SyncTicket`]s, and
//! every byte goes through [`chronik_env::fs`].

pub mod checkpoint;
mod cut;
mod damage;
pub mod epochs;
mod error;
mod files;
mod index;
mod listing;
mod log;
mod names;
mod options;
pub mod partition_metadata;
mod producer_snapshot;
pub mod producers;
mod reader;
mod recovery;
mod repair;
mod retention;
mod scan;
mod segment;
mod shared;
mod summary;
mod sync;
mod timestamps;
mod truncate;
pub mod unclean;
mod walk;

pub use damage::DamagedRange;
pub use error::{AppendError, ChangeError, OpenError, ReadError};
pub use files::{DEFAULT_INDEX_BYTES, DEFAULT_OPEN_FILES, Files};
pub use log::Log;
pub use options::{Checkpointed, LogOptions, Start};
pub use producers::{ProducerStates, SequenceError, Verdict};
pub use reader::LogReader;
pub use recovery::Recovery;
pub use retention::Retained;
pub use sync::SyncTicket;
pub use timestamps::TimestampedOffset;
