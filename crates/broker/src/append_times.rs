//! When the records of a partition were appended, so that a lag in records is also one in seconds.
//!
//! Samples, not every append: a second apart when new, a quarter of their age apart when old, with what lies between drawn
//! straight. A week takes about 100 of them.

use std::collections::VecDeque;

use chronik_protocol::types::Offset;

const APART_MS: i64 = 1_000;
const MOST: usize = 128;
/// What part of its age a sample may lie from the next.
const PART: i64 = 4;

#[derive(Clone, Copy)]
struct Sample {
    offset: Offset,
    time_ms: i64,
}

#[derive(Default)]
pub(crate) struct AppendTimes {
    /// Ascending in both.
    samples: VecDeque<Sample>,
    /// The newest append, where it was too soon after the last sample to be one.
    skipped: Option<Sample>,
}

impl AppendTimes {
    /// A batch with this base offset is appended now.
    pub(crate) fn note(&mut self, offset: Offset, now_ms: i64) {
        let sample = Sample { offset, time_ms: now_ms };
        if self.samples.back().is_some_and(|last| now_ms < last.time_ms - APART_MS) {
            // The clock was put back: what it said before is no use any more.
            self.samples.retain(|sample| sample.time_ms <= now_ms);
            self.skipped = None;
        }
        let Some(last) = self.samples.back() else { return self.push(sample) };
        if offset <= last.offset {
            return;
        }
        if now_ms - last.time_ms < APART_MS {
            self.skipped = Some(sample);
            return;
        }
        // What came before a pause did not come in the course of it.
        if let Some(skipped) = self.skipped.take().filter(|skipped| now_ms - skipped.time_ms >= APART_MS) {
            self.push(skipped);
        }
        self.push(sample);
    }

    fn push(&mut self, sample: Sample) {
        if self.samples.len() >= MOST {
            self.thin(sample.time_ms);
        }
        self.samples.push_back(sample);
    }

    /// About when the record at `offset` was appended, in milliseconds; `None` when that was before all that is known.
    pub(crate) fn at(&self, offset: Offset) -> Option<i64> {
        let after = self.samples.partition_point(|sample| sample.offset <= offset);
        let before = self.samples.get(after.checked_sub(1)?)?;
        let Some(next) = self.samples.get(after).or(self.skipped.as_ref()) else { return Some(before.time_ms) };
        if next.offset <= offset {
            return Some(next.time_ms);
        }
        let (offsets, time) = (next.offset - before.offset, next.time_ms - before.time_ms);
        let part = (offset - before.offset) as f64 / offsets as f64;
        Some(before.time_ms + (time as f64 * part) as i64)
    }

    fn thin(&mut self, now_ms: i64) {
        let mut kept: VecDeque<Sample> = VecDeque::with_capacity(MOST);
        for (i, sample) in self.samples.iter().enumerate() {
            let needed = match (kept.back(), self.samples.get(i + 1)) {
                (Some(last), Some(next)) => next.time_ms - last.time_ms > (now_ms - next.time_ms) / PART,
                _ => true,
            };
            if needed {
                kept.push_back(*sample);
            }
        }
        while kept.len() >= MOST {
            kept.pop_front();
        }
        self.samples = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_of_appends_is_told_within_a_quarter_of_its_age() {
        let mut times = AppendTimes::default();
        let week_s = 7 * 24 * 3600;
        for second in 0..=week_s {
            times.note(second * 10, second * 1_000);
            assert!(times.samples.len() <= MOST);
        }
        for second in (0..=week_s).step_by(997) {
            let (known, age_ms) = (times.at(second * 10).expect("since the start"), (week_s - second) * 1_000);
            assert!((known - second * 1_000).abs() <= age_ms / PART + APART_MS, "{second}: {known}");
        }
    }

    #[test]
    fn a_burst_between_two_samples_is_spread_over_their_time() {
        let mut times = AppendTimes::default();
        times.note(100, 5_000);
        times.note(150, 5_400);
        times.note(300, 6_300);
        assert_eq!(times.at(99), None);
        assert_eq!(times.at(100), Some(5_000));
        assert_eq!(times.at(200), Some(5_650));
        assert_eq!(times.at(900), Some(6_300));
    }

    #[test]
    fn a_burst_before_a_pause_is_not_spread_over_the_pause() {
        const DAY_MS: i64 = 24 * 3600 * 1_000;
        let mut times = AppendTimes::default();
        (0..50).for_each(|n| times.note(100 + n, 5_000 + 10 * n));
        assert_eq!(times.at(149), Some(5_490), "nothing has come since");
        times.note(150, DAY_MS);
        assert_eq!(times.at(149), Some(5_490));
        assert_eq!(times.at(125).map(|ms| ms / 100), Some(52));
        assert_eq!(times.at(150), Some(DAY_MS));
    }

    #[test]
    fn a_clock_that_is_put_back_is_followed() {
        let mut times = AppendTimes::default();
        times.note(1, 1_000);
        times.note(2, 9_000);
        times.note(3, 3_000);
        assert_eq!((times.at(1), times.at(2), times.at(3)), (Some(1_000), Some(2_000), Some(3_000)));
        times.note(4, 5_000);
        assert_eq!(times.at(4), Some(5_000), "it is sampled again");
    }
}
