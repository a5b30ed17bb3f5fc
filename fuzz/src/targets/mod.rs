//! The targets, one file each.

mod config;
mod frame;
mod metadata;
mod metadata_log;
mod records;
mod request;
mod response;
mod storage;

/// One kind of input.
pub struct Target {
    /// As given to `cargo xtask fuzz`.
    pub name: &'static str,
    /// Runs one input; panics, aborts or does not return when something is wrong.
    pub run: fn(&[u8]),
    /// Valid inputs to start from, small ones. The same at each call.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Bytes of input worth trying.
    pub max_len: usize,
}

/// All targets, in the order they run.
pub const TARGETS: &[Target] = &[
    Target { name: "frame", run: frame::run, seeds: frame::seeds, max_len: 4096 },
    Target { name: "request", run: request::run, seeds: request::seeds, max_len: 4096 },
    Target { name: "response", run: response::run, seeds: response::seeds, max_len: 4096 },
    Target { name: "records", run: records::run, seeds: records::seeds, max_len: 4096 },
    Target { name: "storage", run: storage::run, seeds: storage::seeds, max_len: 4096 },
    Target { name: "metadata", run: metadata::run, seeds: metadata::seeds, max_len: 4096 },
    Target { name: "metadata_log", run: metadata_log::run, seeds: metadata_log::seeds, max_len: 4096 },
    Target { name: "config", run: config::run, seeds: config::seeds, max_len: 1024 },
];

/// Takes the first bytes of an input, which steer the target; zeros where it is too short.
fn steer<const N: usize>(input: &[u8]) -> ([u8; N], &[u8]) {
    let mut head = [0; N];
    let (taken, rest) = input.split_at(N.min(input.len()));
    head[..taken.len()].copy_from_slice(taken);
    (head, rest)
}
