//! How fast something is, over the last seconds, and how long it must wait when it is too fast: Kafka's rule, on its windows.

use std::collections::VecDeque;

/// The windows a rate is taken over: `quota.window.num` of `quota.window.size.seconds` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) count: usize,
    pub(crate) size_ms: i64,
}

impl Windows {
    /// What a quota lets through in all windows but the one under way.
    pub(crate) fn most(self, quota: f64) -> f64 {
        quota * (self.count.saturating_sub(1) as f64) * (self.size_ms as f64 / 1e3)
    }
}

struct Window {
    began_ms: i64,
    sum: f64,
}

/// A sum over the windows that are not too old.
#[derive(Default)]
pub(crate) struct Rate {
    /// Oldest first.
    windows: VecDeque<Window>,
}

impl Rate {
    /// Counts `amount` at `now_ms`, which may be negative to take back what was counted.
    pub(crate) fn record(&mut self, windows: Windows, now_ms: i64, amount: f64) {
        self.drop_old(windows, now_ms);
        match self.windows.back_mut() {
            Some(last) if now_ms - last.began_ms < windows.size_ms => last.sum += amount,
            _ => self.windows.push_back(Window { began_ms: now_ms, sum: amount }),
        }
    }

    /// Per second. Time that is too short for a rate counts as all windows but one.
    pub(crate) fn per_second(&mut self, windows: Windows, now_ms: i64) -> f64 {
        self.drop_old(windows, now_ms);
        let Some(oldest) = self.windows.front() else { return 0.0 };
        let sum: f64 = self.windows.iter().map(|window| window.sum).sum();
        let elapsed_ms = (now_ms - oldest.began_ms).max(0);
        let missing = (windows.count as i64 - 1 - elapsed_ms / windows.size_ms).max(0);
        let span_ms = elapsed_ms + missing * windows.size_ms;
        sum * 1e3 / span_ms.max(1) as f64
    }

    /// How long to wait until the rate is back at the quota, in milliseconds; 0 when it is not above.
    pub(crate) fn throttle_ms(&mut self, windows: Windows, now_ms: i64, quota: f64) -> i64 {
        let rate = self.per_second(windows, now_ms);
        if rate <= quota {
            return 0;
        }
        let oldest_ms = self.windows.front().map_or(now_ms, |window| window.began_ms);
        let elapsed_ms = (now_ms - oldest_ms).max(0);
        let missing = (windows.count as i64 - 1 - elapsed_ms / windows.size_ms).max(0);
        let span_ms = (elapsed_ms + missing * windows.size_ms) as f64;
        // The sum divided by a span longer by this is the quota.
        ((rate - quota) / quota * span_ms).round() as i64
    }

    fn drop_old(&mut self, windows: Windows, now_ms: i64) {
        let oldest = now_ms - windows.size_ms * windows.count as i64;
        while self.windows.front().is_some_and(|window| window.began_ms <= oldest) {
            self.windows.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: Windows = Windows { count: 11, size_ms: 1_000 };

    #[test]
    fn a_burst_waits_until_its_average_is_the_quota() {
        let mut rate = Rate::default();
        rate.record(WINDOWS, 0, 20_000.0);
        // Ten windows count although no time has passed: 2,000 a second, twice the quota.
        assert_eq!(rate.per_second(WINDOWS, 0), 2_000.0);
        assert_eq!(rate.throttle_ms(WINDOWS, 0, 1_000.0), 10_000);
        assert_eq!(rate.throttle_ms(WINDOWS, 0, 2_000.0), 0);
    }

    #[test]
    fn what_is_older_than_all_windows_is_forgotten() {
        let mut rate = Rate::default();
        rate.record(WINDOWS, 0, 5_000.0);
        assert!(rate.per_second(WINDOWS, 10_999) > 0.0);
        assert_eq!(rate.per_second(WINDOWS, 11_000), 0.0);
        assert!(rate.windows.is_empty());
    }

    #[test]
    fn a_client_that_waits_as_told_keeps_to_its_quota() {
        for quota in [1_000.0, 10_000.0, 250_000.0] {
            let (mut rate, mut now_ms, mut sent) = (Rate::default(), 0i64, 0.0);
            while now_ms < 600_000 {
                rate.record(WINDOWS, now_ms, quota);
                sent += quota;
                now_ms += rate.throttle_ms(WINDOWS, now_ms, quota).max(1);
            }
            let reached = sent * 1e3 / now_ms as f64;
            assert!(reached <= quota * 1.15, "{quota}: {reached}");
        }
    }

    #[test]
    fn no_more_windows_are_kept_than_count() {
        let mut rate = Rate::default();
        for now_ms in (0..100_000).step_by(10) {
            rate.record(WINDOWS, now_ms, 1.0);
            assert!(rate.windows.len() <= WINDOWS.count);
        }
        assert!((rate.per_second(WINDOWS, 100_000) - 100.0).abs() < 10.0);
    }

    #[test]
    fn what_is_taken_back_does_not_count() {
        let mut rate = Rate::default();
        rate.record(WINDOWS, 0, 700.0);
        rate.record(WINDOWS, 0, -700.0);
        assert_eq!(rate.per_second(WINDOWS, 5), 0.0);
    }
}
