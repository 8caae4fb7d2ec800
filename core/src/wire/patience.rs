//! How long a peer may keep a connection waiting that has begun to say or to take something.
//!
//! Each second of waiting costs a second, and so many bytes give one back, up to the grace there was
//! at first. A peer that is silent for longer than the grace has used it up, and so has one that
//! drips for long; one that keeps the rate may go on for ever. Time in which nobody waits for the
//! peer costs nothing: it is not to blame for a slow upstream.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// What is left of the patience with one peer.
#[derive(Debug, Clone)]
pub struct Patience {
    terms: Terms,
    left: Duration,
    since: Option<Instant>,
}

/// How patient one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long a peer may be silent.
    pub grace: Duration,
    /// How many bytes make up for a second.
    pub bytes_a_second: NonZeroU32,
}

impl Patience {
    /// All of it.
    pub fn new(terms: Terms) -> Self {
        Self { terms, left: terms.grace, since: None }
    }

    /// Waits from here on, if it does not already, and says until when.
    pub fn wait(&mut self, now: Instant) -> Instant {
        *self.since.get_or_insert(now) + self.left
    }

    /// Something came, or went out, and the waiting is over.
    pub fn moved(&mut self, now: Instant, bytes: usize) {
        let waited = self.since.take().map_or(Duration::ZERO, |since| now.duration_since(since));
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let earned = Duration::from_secs(u64::from(bytes)) / self.terms.bytes_a_second.get();
        let left = self.left.saturating_sub(waited);
        self.left = left.saturating_add(earned).min(self.terms.grace);
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
mod tests {
    use super::*;

    const TERMS: Terms =
        Terms { grace: Duration::from_secs(10), bytes_a_second: NonZeroU32::new(240).unwrap() };

    /// How long it lasts with one that says so much every so often, within an hour.
    fn lasts(every: Duration, bytes: usize) -> Option<Duration> {
        let begin = Instant::now();
        let mut patience = Patience::new(TERMS);
        let mut now = begin;
        while now < begin + Duration::from_secs(3_600) {
            let until = patience.wait(now);
            if until < now + every {
                return Some(until - begin);
            }
            now += every;
            patience.moved(now, bytes);
        }
        None
    }

    #[test]
    fn silence_is_borne_for_the_grace_and_dripping_for_as_long_as_it_adds_up() {
        let second = Duration::from_secs(1);
        for (every, bytes, expected) in [
            (11 * second, 1_000_000, Some(10 * second)),
            (second, 0, Some(10 * second)),
            (second, 240, None),
            (10 * second, 2_400, None),
            (second, 120, Some(19 * second)),
        ] {
            let lasted = lasts(every, bytes);
            let near = match (lasted, expected) {
                (Some(lasted), Some(expected)) => lasted.abs_diff(expected) <= second,
                (lasted, expected) => lasted == expected,
            };
            assert!(near, "{bytes} bytes every {every:?}: {lasted:?} for {expected:?}");
        }
    }

    #[test]
    fn time_in_which_nobody_waits_costs_nothing() {
        let begin = Instant::now();
        let mut patience = Patience::new(TERMS);
        patience.moved(begin + Duration::from_secs(3_600), 1);
        let later = begin + Duration::from_secs(7_200);
        assert_eq!(patience.wait(later), later + TERMS.grace);
        assert_eq!(patience.wait(later + TERMS.grace / 2), later + TERMS.grace);
    }
}
