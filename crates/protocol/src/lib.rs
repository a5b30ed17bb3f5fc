//! Kafka's wire and log formats: bounded decoding of requests, encoding of responses, record batches, compression, error codes.
//!
//! Pure: no sockets, no state, no decisions. The only crate that names the generated message types' library.

pub mod api;
pub mod batch;
pub mod builder;
pub mod compression;
pub mod error;
pub mod frame;
pub mod records;
pub mod request;
pub mod types;
pub mod validate;

pub use kafka_protocol::messages;
pub use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
pub use uuid::Uuid;
