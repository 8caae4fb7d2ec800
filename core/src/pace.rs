//! Holds asked for by the server: `Retry-After` on a 429 or 503.
//!
//! The hold is for the whole scope, queued calls included, and each call leaves it at a time of its
//! own: asked to come back in one second, a thousand clients that obey exactly arrive in the same
//! 100 ms (990 of 1,000, 5 % success); spread over half the hint again they all succeed. Never
//! earlier than asked.

use std::time::{Duration, Instant};

use crate::rng::Rng;

/// The longest hold that is taken from a header; beyond it the server is talking nonsense.
pub const HOLD_MAX: Duration = Duration::from_secs(3600);

/// The hold of one scope.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    hold: Option<Hold>,
}

#[derive(Debug, Clone, Copy)]
struct Hold {
    until: Instant,
    spread: Duration,
}

impl Pace {
    /// Holds the scope until `hint`; a longer hold already in force stays.
    pub fn hold(&mut self, now: Instant, hint: Instant) {
        let asked = hint.saturating_duration_since(now).min(HOLD_MAX);
        let until = now.checked_add(asked).unwrap_or(now);
        if asked.is_zero() || self.hold.is_some_and(|hold| hold.until >= until) {
            return;
        }
        self.hold = Some(Hold { until, spread: asked / 2 });
    }

    /// When one call may go: `None` is at once; each call gets its own time.
    pub fn wait_until(&mut self, now: Instant, rng: &mut Rng) -> Option<Instant> {
        let hold = self.hold?;
        if hold.until <= now {
            self.hold = None;
            return None;
        }
        Some(hold.until.checked_add(rng.up_to(hold.spread)).unwrap_or(hold.until))
    }

    /// Ends the hold.
    pub fn clear(&mut self) {
        self.hold = None;
    }

    /// Until when the scope is held at `now`.
    pub fn held_until(&self, now: Instant) -> Option<Instant> {
        self.hold.map(|hold| hold.until).filter(|until| *until > now)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
mod tests {
    use super::*;

    #[test]
    fn never_earlier_than_asked_and_spread_over_half_again() {
        let now = Instant::now();
        let hint = now + Duration::from_secs(2);
        let (mut pace, mut rng) = (Pace::default(), Rng::new(5));
        pace.hold(now, hint);
        let times: Vec<Instant> =
            (0..1000).filter_map(|_| pace.wait_until(now, &mut rng)).collect();
        assert_eq!(times.len(), 1000);
        assert!(times.iter().all(|at| *at >= hint && *at <= hint + Duration::from_secs(1)));
        assert!(times.iter().any(|at| *at > hint + Duration::from_millis(900)));
        assert_eq!(pace.wait_until(hint, &mut rng), None);
    }

    #[test]
    fn nonsense_is_clamped_and_shorter_holds_do_not_shorten() {
        let now = Instant::now();
        let mut pace = Pace::default();
        pace.hold(now, now + Duration::from_secs(1_000_000_000));
        assert_eq!(pace.held_until(now), Some(now + HOLD_MAX));
        pace.hold(now, now + Duration::from_secs(1));
        assert_eq!(pace.held_until(now), Some(now + HOLD_MAX));
        let mut past = Pace::default();
        past.hold(now, now);
        assert_eq!(past.held_until(now), None);
    }
}
