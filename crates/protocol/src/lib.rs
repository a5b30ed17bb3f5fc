//! Kafka's wire and log formats: bounded decoding of requests, encoding of responses, record batches, compression, error codes.
//!
//! Pure: no sockets, no state, no decisions. The only crate that names the generated message types' library.

pub mod batch;
pub mod types;
