//! Any bytes as a request frame.

use bytes::Bytes;
use chronik_protocol::frame;

use super::request;
use crate::budget;

/// Decoded requests are larger than their bytes: an empty element of an array is 1 to 2 bytes on the wire and a struct in memory, and a
/// vector that grows holds its elements twice.
pub(super) const PER_BYTE: usize = 256;
pub(super) const FIXED: usize = 16 * 1024;

pub(super) fn run(input: &[u8]) {
    let frame = Bytes::copy_from_slice(input);
    budget::proportional(input.len(), PER_BYTE, FIXED, || {
        if let Err(error) = frame::parse_request(frame) {
            // The text goes to the log, whatever the frame held.
            assert!(error.to_string().len() < 4096, "a peer fills the log: {error}");
        }
    });
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> =
        request::samples().map(|(key, version, body)| request::frame(key, version, &body)).collect();
    // ApiVersions of a version to come, an unknown API, half a header.
    seeds.push(request::frame(18, 99, &[]));
    seeds.push(request::frame(9999, 0, &[]));
    seeds.push(vec![0, 3, 0]);
    seeds
}
