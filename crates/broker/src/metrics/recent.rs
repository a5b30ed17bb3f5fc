//! How long requests took lately, for the quantiles that dashboards of Kafka show: those are of recent requests, not of all.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

/// How long a window is filled. Quantiles are of the current one and the one before.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);

/// Each power of two of microseconds is divided so often: a quantile is at most 1/8 too large.
const DIVISIONS: usize = 8;
/// Up to 2³¹ µs, some 36 minutes.
const BUCKETS: usize = 32 * DIVISIONS;

/// Durations by size, of the last one to two minutes.
pub(super) struct Recent {
    windows: [Box<[AtomicU32]>; 2],
    current: AtomicUsize,
}

impl Default for Recent {
    fn default() -> Self {
        let window = || (0..BUCKETS).map(|_| AtomicU32::new(0)).collect();
        Recent { windows: [window(), window()], current: AtomicUsize::new(0) }
    }
}

impl Recent {
    pub(super) fn observe(&self, took: Duration) {
        let window = &self.windows[self.current.load(Ordering::Relaxed)];
        window[bucket(took)].fetch_add(1, Ordering::Relaxed);
    }

    /// Begins a new window; the older of the two is forgotten.
    pub(super) fn turn(&self) {
        let next = 1 - self.current.load(Ordering::Relaxed);
        self.windows[next].iter().for_each(|count| count.store(0, Ordering::Relaxed));
        self.current.store(next, Ordering::Relaxed);
    }

    /// Milliseconds that a share of the requests, for each of `shares`, did not exceed. `None` when there were none.
    pub(super) fn quantiles<const N: usize>(&self, shares: [f64; N]) -> Option<[f64; N]> {
        let [one, other] = &self.windows;
        let load = |count: &AtomicU32| u64::from(count.load(Ordering::Relaxed));
        let counts: Vec<u64> = one.iter().zip(other).map(|(a, b)| load(a) + load(b)).collect();
        let all: u64 = counts.iter().sum();
        if all == 0 {
            return None;
        }
        Some(shares.map(|share| {
            let mut left = ((all as f64 * share).ceil() as u64).clamp(1, all);
            let reached = counts.iter().position(|count| {
                let reached = *count >= left;
                left = left.saturating_sub(*count);
                reached
            });
            upper_us(reached.unwrap_or(BUCKETS - 1)) as f64 / 1e3
        }))
    }
}

fn bucket(took: Duration) -> usize {
    let us = took.as_micros().min(u128::from(u32::MAX >> 1)) as usize;
    if us < DIVISIONS {
        return us;
    }
    let shift = us.ilog2() - DIVISIONS.ilog2();
    DIVISIONS * (shift as usize + 1) + ((us >> shift) - DIVISIONS)
}

/// The largest duration of a bucket, in microseconds.
fn upper_us(bucket: usize) -> u64 {
    if bucket < DIVISIONS {
        return bucket as u64;
    }
    let (shift, part) = (bucket / DIVISIONS - 1, bucket % DIVISIONS);
    (((DIVISIONS + part + 1) as u64) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_and_hold_what_they_say() {
        for us in (0..4_000_000).step_by(7).chain([u64::from(u32::MAX >> 1), u64::MAX >> 12]) {
            let at = bucket(Duration::from_micros(us));
            let us = us.min(u64::from(u32::MAX >> 1));
            assert!(us <= upper_us(at) && (at == 0 || us > upper_us(at - 1)), "{us} in bucket {at}");
            assert!(upper_us(at) <= us + us / 8, "{us} counts as {}", upper_us(at));
        }
    }

    #[test]
    fn quantiles_are_of_what_was_seen_lately() {
        const SHARES: [f64; 3] = [0.5, 0.99, 1.0];
        let recent = Recent::default();
        assert_eq!(recent.quantiles(SHARES), None);
        (1..=100).for_each(|ms| recent.observe(Duration::from_millis(ms)));
        let near = |found: [f64; 3], expected: [f64; 3]| {
            let close = found.iter().zip(expected).all(|(found, expected)| (expected..expected * 1.13).contains(found));
            assert!(close, "{found:?}, not {expected:?}");
        };
        near(recent.quantiles(SHARES).expect("some"), [50.0, 99.0, 100.0]);
        recent.turn();
        (0..10_000).for_each(|_| recent.observe(Duration::from_millis(1)));
        near(recent.quantiles(SHARES).expect("some"), [1.0, 1.0, 100.0]);
        recent.turn();
        near(recent.quantiles(SHARES).expect("some"), [1.0, 1.0, 1.0]);
        recent.turn();
        assert_eq!(recent.quantiles(SHARES), None);
    }
}
