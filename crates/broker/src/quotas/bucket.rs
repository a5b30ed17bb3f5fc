//! A bucket of tokens that fills at the rate of a quota: how changes of topics are paced (KIP-599).

/// The most tokens are what the quota gives in all windows.
pub(crate) struct Bucket {
    tokens: f64,
    filled_ms: i64,
}

impl Bucket {
    /// A full one.
    pub(crate) fn full(now_ms: i64, burst: f64) -> Self {
        Bucket { tokens: burst, filled_ms: now_ms }
    }

    /// Takes tokens, which may leave fewer than none.
    pub(crate) fn take(&mut self, now_ms: i64, quota: f64, burst: f64, tokens: f64) {
        self.fill(now_ms, quota, burst);
        self.tokens = (self.tokens - tokens).min(burst);
    }

    /// How long until there are tokens again, in milliseconds; 0 when there are.
    pub(crate) fn wait_ms(&mut self, now_ms: i64, quota: f64, burst: f64) -> i64 {
        self.fill(now_ms, quota, burst);
        if self.tokens >= 0.0 { 0 } else { (-self.tokens / quota * 1e3).round() as i64 }
    }

    fn fill(&mut self, now_ms: i64, quota: f64, burst: f64) {
        let elapsed_s = (now_ms - self.filled_ms).max(0) as f64 / 1e3;
        self.tokens = (self.tokens + quota * elapsed_s).min(burst);
        self.filled_ms = self.filled_ms.max(now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_paid_for_afterwards() {
        let (quota, burst) = (5.0, 50.0);
        let mut bucket = Bucket::full(0, burst);
        bucket.take(0, quota, burst, 60.0);
        assert_eq!(bucket.wait_ms(0, quota, burst), 2_000);
        assert_eq!(bucket.wait_ms(1_500, quota, burst), 500);
        assert_eq!(bucket.wait_ms(2_000, quota, burst), 0);
    }

    #[test]
    fn it_holds_no_more_than_a_burst() {
        let mut bucket = Bucket::full(0, 10.0);
        bucket.take(1_000_000, 5.0, 10.0, 20.0);
        assert_eq!(bucket.wait_ms(1_000_000, 5.0, 10.0), 2_000);
    }
}
