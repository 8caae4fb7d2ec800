//! A rate that the user sets: a token bucket, as the generic cell rate algorithm.
//!
//! One instant is the whole state: when the bucket would be full again. It needs no timer that
//! refills it, and a refusal says exactly when the next token is there.

use std::time::{Duration, Instant};

/// A bound on attempts over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateOptions {
    /// Attempts a second in the long run.
    pub per_second: f64,
    /// Attempts that may go at once after a pause.
    pub burst: u32,
}

/// The bucket of one host.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    interval: Duration,
    tolerance: Duration,
    full_at: Option<Instant>,
}

impl Rate {
    /// A full bucket; a rate that is no rate is taken as the nearest that is one.
    pub fn new(options: RateOptions) -> Self {
        let RateOptions { per_second, burst } = options;
        let interval = Duration::try_from_secs_f64(1.0 / per_second).unwrap_or(INTERVAL_MAX);
        let interval = interval.clamp(Duration::from_nanos(1), INTERVAL_MAX);
        let tolerance = interval.saturating_mul(burst.clamp(1, BURST_MAX) - 1);
        Self { interval, tolerance, full_at: None }
    }

    /// Whether an attempt may go, or when the next may.
    pub fn ready(&self, now: Instant) -> Result<(), Instant> {
        let due = self.full_at.and_then(|full_at| full_at.checked_sub(self.tolerance));
        match due.filter(|due| *due > now) {
            Some(due) => Err(due),
            None => Ok(()),
        }
    }

    /// Takes the token of an attempt that goes.
    pub fn take(&mut self, now: Instant) {
        let from = self.full_at.map_or(now, |full_at| full_at.max(now));
        self.full_at = from.checked_add(self.interval);
    }

    /// Takes new options; what was taken stays taken.
    pub fn configure(&mut self, options: RateOptions) {
        *self = Self { full_at: self.full_at, ..Self::new(options) };
    }
}

/// The slowest rate is one attempt an hour.
const INTERVAL_MAX: Duration = Duration::from_secs(3_600);
/// A burst above this is no bound.
const BURST_MAX: u32 = 1_000_000;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
mod tests {
    use super::*;

    #[test]
    fn burst_goes_at_once_and_the_rest_evenly() {
        let t0 = Instant::now();
        let mut rate = Rate::new(RateOptions { per_second: 10.0, burst: 3 });
        let mut now = t0;
        let mut gone_ms = Vec::new();
        for _ in 0..6 {
            if let Err(until) = rate.ready(now) {
                assert!(until > now);
                now = until;
            }
            assert_eq!(rate.ready(now), Ok(()));
            rate.take(now);
            gone_ms.push((now - t0).as_millis());
        }
        assert_eq!(gone_ms, [0, 0, 0, 100, 200, 300]);
    }

    #[test]
    fn pause_fills_the_bucket_and_no_more() {
        let t0 = Instant::now();
        let mut rate = Rate::new(RateOptions { per_second: 1.0, burst: 2 });
        for seconds in [0, 3_600, 7_200] {
            let now = t0 + Duration::from_secs(seconds);
            (0..2).for_each(|_| {
                assert_eq!(rate.ready(now), Ok(()));
                rate.take(now);
            });
            assert_eq!(rate.ready(now), Err(now + Duration::from_secs(1)));
        }
    }

    #[test]
    fn nonsense_is_taken_as_the_nearest_rate() {
        let now = Instant::now();
        for (per_second, wait) in [
            (f64::NAN, INTERVAL_MAX),
            (-1.0, INTERVAL_MAX),
            (0.0, INTERVAL_MAX),
            (1e-300, INTERVAL_MAX),
            (f64::INFINITY, Duration::from_nanos(1)),
        ] {
            let mut rate = Rate::new(RateOptions { per_second, burst: 0 });
            rate.take(now);
            assert_eq!(rate.ready(now), Err(now + wait), "{per_second}");
        }
        let mut wide = Rate::new(RateOptions { per_second: 0.0, burst: u32::MAX });
        (0..1_000).for_each(|_| wide.take(now));
        assert_eq!(wide.ready(now), Ok(()));
    }

    #[test]
    fn new_options_keep_what_was_taken() {
        let now = Instant::now();
        let mut rate = Rate::new(RateOptions { per_second: 1.0, burst: 1 });
        rate.take(now);
        rate.configure(RateOptions { per_second: 10.0, burst: 1 });
        let due = now + Duration::from_secs(1);
        assert_eq!(rate.ready(now), Err(due));
        rate.take(due);
        assert_eq!(rate.ready(due), Err(due + Duration::from_millis(100)), "at the new rate");
    }
}
