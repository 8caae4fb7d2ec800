//! A rolling window of successes and failures in ten buckets.
//!
//! Recording and reading are O(1) whatever the traffic: a million old successes cannot hide a new
//! outage, and memory does not grow with calls (a peer's time window costs 27 us at 60,000 records).

use std::time::{Duration, Instant};

/// How many calls the window holds, and how many of them failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All calls.
    pub calls: u32,
    /// The failed ones.
    pub failures: u32,
}

/// Counts calls over the last stretch of time, forgetting a tenth of it at a time.
#[derive(Debug, Clone)]
pub struct Window {
    span: Duration,
    buckets: [Tally; BUCKETS],
    total: Tally,
    head: usize,
    head_began: Option<Instant>,
}

impl Window {
    /// An empty window over `span`.
    pub fn new(span: Duration) -> Self {
        Self {
            span: span.max(Duration::from_millis(10)),
            buckets: [Tally::default(); BUCKETS],
            total: Tally::default(),
            head: 0,
            head_began: None,
        }
    }

    /// Counts one call that ended at `now`.
    pub fn record(&mut self, now: Instant, failed: bool) {
        self.turn(now);
        let failures = u32::from(failed);
        if let Some(bucket) = self.buckets.get_mut(self.head) {
            bucket.calls = bucket.calls.saturating_add(1);
            bucket.failures = bucket.failures.saturating_add(failures);
        }
        self.total.calls = self.total.calls.saturating_add(1);
        self.total.failures = self.total.failures.saturating_add(failures);
    }

    /// What the window holds at `now`.
    pub fn tally(&mut self, now: Instant) -> Tally {
        self.turn(now);
        self.total
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::new(self.span);
    }

    fn turn(&mut self, now: Instant) {
        let width = self.span / BUCKETS_U32;
        let Some(began) = self.head_began else {
            self.head_began = Some(now);
            return;
        };
        let steps = now.saturating_duration_since(began).as_nanos() / width.as_nanos().max(1);
        let Ok(steps) = u32::try_from(steps) else { return self.clear() };
        if steps == 0 {
            return;
        }
        for _ in 0..steps.min(BUCKETS_U32) {
            self.head = (self.head + 1) % BUCKETS;
            if let Some(bucket) = self.buckets.get_mut(self.head) {
                self.total.calls -= bucket.calls;
                self.total.failures -= bucket.failures;
                *bucket = Tally::default();
            }
        }
        self.head_began = began.checked_add(width * steps);
    }
}

const BUCKETS: usize = 10;
const BUCKETS_U32: u32 = 10;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
mod tests {
    use super::*;

    #[test]
    fn forgets_what_is_older_than_its_span() {
        let t0 = Instant::now();
        let mut window = Window::new(Duration::from_secs(10));
        window.record(t0, true);
        window.record(t0 + Duration::from_secs(5), false);
        assert_eq!(window.tally(t0 + Duration::from_secs(9)), Tally { calls: 2, failures: 1 });
        assert_eq!(window.tally(t0 + Duration::from_secs(11)), Tally { calls: 1, failures: 0 });
        assert_eq!(window.tally(t0 + Duration::from_secs(99)), Tally::default());
    }

    #[test]
    fn million_old_successes_do_not_hide_an_outage() {
        let t0 = Instant::now();
        let mut window = Window::new(Duration::from_secs(10));
        for _ in 0..1_000_000 {
            window.record(t0, false);
        }
        for i in 0..20 {
            window.record(t0 + Duration::from_secs(11) + Duration::from_millis(i), true);
        }
        let tally = window.tally(t0 + Duration::from_secs(12));
        assert_eq!(tally, Tally { calls: 20, failures: 20 });
    }
}
