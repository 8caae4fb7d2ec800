//! How fast a lane's slots come free, and what that means for whoever comes last.
//!
//! A call that cannot be served before its deadline is told so at once, when there still is time to
//! do something else. The mean is of the time that slots were taken lately, whatever with.

use std::time::Duration;

/// The service rate of one lane.
#[derive(Debug, Clone, Copy, Default)]
pub struct Turnover {
    mean: Duration,
    samples: u32,
}

impl Turnover {
    /// A slot was taken for this long.
    pub fn record(&mut self, taken: Duration) {
        self.samples = self.samples.saturating_add(1);
        let weight = (1.0 / f64::from(self.samples)).max(WEIGHT);
        self.mean = self.mean.mul_f64(1.0 - weight) + taken.min(TAKEN_MAX).mul_f64(weight);
    }

    /// The least wait of a call behind `ahead` others when all `slots` are taken, as if one came free
    /// at once; `None` until known.
    pub fn wait(&self, ahead: usize, slots: u32) -> Option<Duration> {
        let known = self.samples >= SAMPLES_MIN && slots > 0;
        let turns = u32::try_from(ahead).unwrap_or(u32::MAX);
        known.then(|| self.mean.saturating_mul(turns) / slots)
    }
}

/// What the latest sample weighs in the mean.
const WEIGHT: f64 = 0.1;
/// Samples before a prediction is made.
const SAMPLES_MIN: u32 = 10;
/// A slot that a stream held for hours says nothing of the next.
const TAKEN_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_is_turns_times_the_time_of_a_turn() {
        let mut turnover = Turnover::default();
        (0..9).for_each(|_| turnover.record(Duration::from_millis(600)));
        assert_eq!(turnover.wait(100, 6), None);
        turnover.record(Duration::from_millis(600));
        let check = |ahead, slots, expected_ms: u64| {
            let wait = turnover.wait(ahead, slots).expect("it is known").as_secs_f64();
            let expected = Duration::from_millis(expected_ms).as_secs_f64();
            assert!((wait - expected).abs() < 1e-3, "{ahead} of {slots}: {wait}");
        };
        check(0, 6, 0);
        check(60, 6, 6_000);
        check(60, 1, 36_000);
        assert_eq!(turnover.wait(1, 0), None);
        assert!(turnover.wait(usize::MAX, 1) > Some(Duration::from_secs(1_000_000)));
    }

    #[test]
    fn mean_follows_the_latest() {
        let mut turnover = Turnover::default();
        (0..100).for_each(|_| turnover.record(Duration::from_secs(3_600)));
        assert_eq!(turnover.wait(1, 1), Some(TAKEN_MAX));
        (0..100).for_each(|_| turnover.record(Duration::from_millis(10)));
        assert!(turnover.wait(1, 1) < Some(Duration::from_millis(20)));
    }
}
