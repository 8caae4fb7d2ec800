//! The share that a breaker admits after it has closed, as a number that is kept up to date.

use std::time::{Duration, Instant};

/// The share of one breaker.
#[derive(Debug)]
pub(crate) struct Ramp {
    last_end: Instant,
    span: Duration,
    share: f64,
    as_of: Instant,
    owed: f64,
    passed: Option<Instant>,
}

impl Ramp {
    pub(crate) fn new(now: Instant, span: Duration) -> Option<Self> {
        let ramp =
            Self { last_end: now + span, span, share: 0.1, as_of: now, owed: 0.0, passed: None };
        (!span.is_zero()).then_some(ramp)
    }

    /// Until when a call is refused; `None` lets it pass.
    pub(crate) fn refuses(&mut self, now: Instant) -> Option<Instant> {
        self.owed += self.share_at(now);
        let next = self.passed.map(|passed| passed + Duration::from_secs(1));
        if let Some(next) = next.filter(|next| *next > now && self.owed < 1.0) {
            return Some(next.min(self.end()));
        }
        // What one call leaves over is saved, but no more than one call's worth.
        self.owed = (self.owed - 1.0).clamp(0.0, 1.0);
        self.passed = Some(now);
        None
    }

    pub(crate) fn move_by(&mut self, now: Instant, up: bool) {
        let share = self.share_at(now);
        self.share = if up { share * 1.2 } else { share / 1.2 }.clamp(0.1, 1.0);
        self.as_of = now;
    }

    pub(crate) fn end(&self) -> Instant {
        let left = self.span.mul_f64((1.0 - self.share) / 0.9);
        self.last_end.min(self.as_of + left)
    }

    fn share_at(&self, now: Instant) -> f64 {
        let grown = 0.9 * (now - self.as_of).as_secs_f64() / self.span.as_secs_f64();
        (self.share + grown).min(1.0)
    }
}
