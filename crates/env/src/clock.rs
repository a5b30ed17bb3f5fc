//! Wall clock and monotonic clock.

/// Where the time comes from. Timers of the async shell use [`tokio::time`], which a simulator drives.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch. May jump either way; no safety rests on it.
    fn wall_ms(&self) -> i64;
    /// Milliseconds since some fixed point of this process. Never goes back.
    fn monotonic_ms(&self) -> u64;
}
