//! The broker: listeners, the API table, handlers, partitions, waiting fetches, HTTP.
//!
//! Everything asynchronous lives here. What may be decided without I/O is decided in the pure crates; file formats belong to
//! `storage`, consensus to `quorum`.

mod api;
mod append_times;
mod broker;
mod checkpoints;
mod connection;
mod data_dir;
mod directories;
mod fetch_session;
mod groups;
mod handlers;
mod http;
mod initial_topics;
mod input;
mod listener;
mod live_settings;
mod loggers;
mod maintenance;
mod metering;
mod metrics;
mod offset_expiry;
mod partition;
mod partitions;
mod producer_ids;
mod quotas;
mod readable;
mod recovery;
mod request_memory;
mod topics;
mod unclean;

pub use broker::{Broker, StartError};
pub use data_dir::{DataDirError, Identity};
pub use loggers::{LogLevel, Loggers, NoLoggers, ROOT_LOGGER};
