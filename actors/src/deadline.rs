//! Deadlines against the real clock.

use std::time::{Duration, Instant};

use spillgate_core::deadline as pure;

/// The instant by which a whole call must have ended: queueing, retries and body included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pure::Deadline);

/// How a caller names its deadline: as a time from the moment of sending, or as an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadlineWish {
    /// This long after the call is sent.
    In(Duration),
    /// At an instant, mostly inherited from a parent.
    At(Deadline),
}

impl Deadline {
    /// A deadline that long from this moment.
    pub fn after(budget: Duration) -> Self {
        Self(pure::Deadline::from_now(Instant::now(), budget))
    }

    /// A deadline at an instant.
    pub fn at(instant: Instant) -> Self {
        Self(pure::Deadline::at(instant))
    }

    /// A deadline for a part of the work: at most `max` from this moment, never after the parent.
    #[must_use]
    pub fn child(self, max: Duration) -> Self {
        Self(self.0.child_at(Instant::now(), max))
    }

    /// What is left; zero once passed.
    pub fn left(self) -> Duration {
        self.0.left(Instant::now())
    }

    /// The instant itself.
    pub fn instant(self) -> Instant {
        self.0.instant()
    }
}

impl From<Duration> for DeadlineWish {
    fn from(budget: Duration) -> Self {
        Self::In(budget)
    }
}

impl From<Deadline> for DeadlineWish {
    fn from(deadline: Deadline) -> Self {
        Self::At(deadline)
    }
}
