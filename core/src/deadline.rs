//! Deadlines: a point in time after which an answer is of no more use.
//!
//! A child deadline never exceeds its parent's: what is left is handed down, so that nothing below
//! works for a caller that has gone (Google SRE book, "Addressing Cascading Failures").

use std::time::{Duration, Instant};

/// The instant by which a whole call must have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Instant);

impl Deadline {
    /// A deadline at a given instant.
    pub fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// A deadline `budget` after `now`; saturates far in the future instead of overflowing.
    pub fn from_now(now: Instant, budget: Duration) -> Self {
        Self(saturating_add(now, budget))
    }

    /// The instant itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// What is left at `now`; zero once passed.
    pub fn left(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    /// The earlier of this deadline and `max` after `now`.
    pub fn child_at(self, now: Instant, max: Duration) -> Self {
        self.min(Self::from_now(now, max))
    }

    /// Whether the deadline has passed at `now`.
    pub fn has_passed(self, now: Instant) -> bool {
        self.0 <= now
    }
}

/// Adds without overflow: what does not fit becomes thirty years from `now`.
pub fn saturating_add(now: Instant, delay: Duration) -> Instant {
    let capped = delay.min(FAR);
    now.checked_add(capped).unwrap_or(now)
}

const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn child_never_exceeds_its_parent() {
        let now = epoch();
        let parent = Deadline::from_now(now, Duration::from_secs(2));
        assert_eq!(parent.child_at(now, Duration::from_secs(5)), parent);
        let child = parent.child_at(now, Duration::from_secs(1));
        assert_eq!(child.left(now), Duration::from_secs(1));
    }

    #[test]
    fn huge_budgets_saturate() {
        let now = epoch();
        let deadline = Deadline::from_now(now, Duration::MAX);
        assert!(!deadline.has_passed(now));
        assert_eq!(deadline.left(now), FAR);
    }

    #[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
    fn epoch() -> Instant {
        Instant::now()
    }
}
