//! Rolling windows of calls: over time in ten buckets, or over the latest calls in a ring.
//!
//! Recording and reading are O(1) whatever the traffic: a million old successes cannot hide a new
//! outage, and memory does not grow with calls (a peer's time window costs 27 us at 60,000 records,
//! its count window never slides).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many calls there were, how many of them failed, and how many were slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All calls.
    pub calls: u32,
    /// The failed ones.
    pub failures: u32,
    /// The slow ones.
    pub slow: u32,
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

/// Counts the latest calls, forgetting the oldest with each new one. Memory: 12 bytes a call.
#[derive(Debug, Clone)]
pub struct Ring {
    calls: VecDeque<Tally>,
    calls_max: usize,
    total: Tally,
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

    /// Adds what was learned at `now`.
    pub fn record(&mut self, now: Instant, learned: Tally) {
        self.turn(now);
        if let Some(bucket) = self.buckets.get_mut(self.head) {
            bucket.add(learned);
        }
        self.total.add(learned);
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
                self.total.take(*bucket);
                *bucket = Tally::default();
            }
        }
        self.head_began = began.checked_add(width * steps);
    }
}

impl Ring {
    /// An empty window over the latest `calls_max` calls, of 1 to 10,000.
    pub fn new(calls_max: u32) -> Self {
        let calls_max = usize::try_from(calls_max.clamp(1, RING_MAX)).unwrap_or(1);
        Self { calls: VecDeque::new(), calls_max, total: Tally::default() }
    }

    /// Adds what was learned of one call; what is no new call is added to the latest.
    pub fn record(&mut self, learned: Tally) {
        self.total.add(learned);
        match self.calls.back_mut() {
            Some(latest) if learned.calls == 0 => latest.add(learned),
            Some(_) | None => self.calls.push_back(learned),
        }
        if self.calls.len() > self.calls_max
            && let Some(oldest) = self.calls.pop_front()
        {
            self.total.take(oldest);
        }
    }

    /// What the window holds.
    pub fn tally(&self) -> Tally {
        self.total
    }

    /// The most calls it holds.
    pub fn calls_max(&self) -> u32 {
        u32::try_from(self.calls_max).unwrap_or(RING_MAX)
    }
}

impl Tally {
    /// Adds what another holds.
    pub fn add(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.failures = self.failures.saturating_add(other.failures);
        self.slow = self.slow.saturating_add(other.slow);
    }

    fn take(&mut self, other: Self) {
        self.calls = self.calls.saturating_sub(other.calls);
        self.failures = self.failures.saturating_sub(other.failures);
        self.slow = self.slow.saturating_sub(other.slow);
    }
}

const BUCKETS: usize = 10;
const BUCKETS_U32: u32 = 10;
const RING_MAX: u32 = 10_000;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
mod tests {
    use super::*;

    #[test]
    fn forgets_what_is_older_than_its_span() {
        let t0 = Instant::now();
        let mut window = Window::new(Duration::from_secs(10));
        window.record(t0, call(1));
        window.record(t0 + Duration::from_secs(5), call(0));
        let check = |window: &mut Window, seconds, calls, failures| {
            let tally = window.tally(t0 + Duration::from_secs(seconds));
            assert_eq!(tally, Tally { calls, failures, slow: 0 }, "after {seconds} s");
        };
        check(&mut window, 9, 2, 1);
        check(&mut window, 11, 1, 0);
        check(&mut window, 99, 0, 0);
    }

    #[test]
    fn million_old_successes_do_not_hide_an_outage() {
        let t0 = Instant::now();
        let mut window = Window::new(Duration::from_secs(10));
        for _ in 0..1_000_000 {
            window.record(t0, call(0));
        }
        for i in 0..20 {
            window.record(t0 + Duration::from_secs(11) + Duration::from_millis(i), call(1));
        }
        let tally = window.tally(t0 + Duration::from_secs(12));
        assert_eq!(tally, Tally { calls: 20, failures: 20, slow: 0 });
    }

    #[test]
    fn ring_slides_with_each_call_and_stays_bounded() {
        let mut ring = Ring::new(10);
        (0..1_000_000).for_each(|_| ring.record(call(0)));
        for failures in 1..=10 {
            ring.record(call(1));
            assert_eq!(ring.tally(), Tally { calls: 10, failures, slow: 0 });
        }
        (0..10).for_each(|_| ring.record(call(0)));
        assert_eq!(ring.tally(), Tally { calls: 10, failures: 0, slow: 0 });
        assert_eq!((Ring::new(0).calls_max(), Ring::new(u32::MAX).calls_max()), (1, RING_MAX));
    }

    #[test]
    fn ring_forgets_what_was_learned_late_with_the_call_it_was_added_to() {
        let mut ring = Ring::new(2);
        ring.record(Tally { calls: 1, failures: 0, slow: 1 });
        ring.record(Tally { calls: 0, failures: 1, slow: 0 });
        assert_eq!(ring.tally(), Tally { calls: 1, failures: 1, slow: 1 });
        (0..2).for_each(|_| ring.record(call(0)));
        assert_eq!(ring.tally(), Tally { calls: 2, failures: 0, slow: 0 });
    }

    fn call(failures: u32) -> Tally {
        Tally { calls: 1, failures, slow: 0 }
    }
}
