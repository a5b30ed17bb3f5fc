//! A small wire toolkit and a harness for tests that speak raw bytes to a broker.
//!
//! Owns: its own encoder, decoder, record batches and response parsers, so that it shares no mistake with the broker's codec.
//! Never: names a crate of the broker, decides what a right answer is (that is the tests' part).

pub mod api;
pub mod batch;
pub mod broker;
pub mod codec;
pub mod conn;
pub mod dec;
pub mod enc;
pub mod errors;
pub mod producer;
pub mod requests;
pub mod responses;
