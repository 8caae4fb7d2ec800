//! The words between the two machines: what a coordinator offers and what a host answers.
//!
//! They stand apart from both because neither machine imports the other.

use std::time::{Duration, Instant};

use crate::advice::ErrorKind;
use crate::call::{AttemptId, BreakerUse, Repeat, ScopeKey};

/// One attempt, offered to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Which attempt of which flight.
    pub attempt: AttemptId,
    /// Counts the offers of one coordinator; a host takes each number once.
    pub serial: u64,
    /// What shares the breaker.
    pub scope: ScopeKey,
    /// When the flight's last waiter gives up.
    pub deadline: Instant,
    /// The least time in which an attempt is of use.
    pub useful_min: Duration,
    /// How many attempts of this hop went before.
    pub resend: u32,
    /// The most attempts of this hop; `None` leaves it to the host.
    pub attempts_max: Option<u32>,
    /// The time for one attempt; `None` leaves it to the host.
    pub timeout: Option<Duration>,
    /// Whether the attempt may be repeated.
    pub repeat: Repeat,
    /// Whether the breaker is consulted.
    pub breaker: BreakerUse,
}

/// What a host decides about an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Deliver what the attempt brought.
    Done(Finality),
    /// Offer the flight again at this time; its slot is free.
    RetryAt(Instant),
    /// It was not sent; no slot was taken.
    Refused(Refusal),
}

/// Why an attempt is the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finality {
    /// Another attempt could not do better.
    Settled,
    /// All attempts are used up.
    AttemptsSpent,
    /// The request must not be repeated.
    NotRepeatable,
    /// The retry budget is empty.
    BudgetSpent,
    /// The next attempt could not end before the deadline; the server's own wish, if it had one.
    DeadlineNear {
        /// When the server wants to be asked again.
        retry_at: Option<Instant>,
    },
    /// The breaker is open.
    CircuitOpen,
}

impl Finality {
    /// The reason in words, for the decisions of a call.
    pub fn words(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::AttemptsSpent => "no retry: all attempts are used up",
            Self::NotRepeatable => "no retry: the request must not be repeated",
            Self::BudgetSpent => "no retry: the retry budget is empty",
            Self::DeadlineNear { .. } => "no retry: the deadline is too near",
            Self::CircuitOpen => "no retry: the circuit is open",
        }
    }
}

/// Why an attempt was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The gate that refused.
    pub gate: Gate,
    /// When asking again makes sense; `None` is until told.
    pub until: Option<Instant>,
}

/// What stands between a queued flight and the wire, in the order it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gate {
    /// Too little time is left.
    Deadline,
    /// The server asked to be left alone.
    Pace,
    /// All slots are taken.
    Slot,
    /// The breaker is open.
    Breaker,
}

impl Gate {
    /// The error of a call that this gate refuses for good.
    pub fn error_kind(self) -> ErrorKind {
        match self {
            Self::Deadline => ErrorKind::DeadlineExceeded,
            Self::Pace => ErrorKind::RateLimited,
            Self::Slot => ErrorKind::QueueFull,
            Self::Breaker => ErrorKind::CircuitOpen,
        }
    }
}

/// Why a running attempt is called back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AbortCause {
    /// Its last waiter left of its own will.
    Cancelled,
    /// Its last waiter's deadline passed: the upstream was too slow for everybody.
    Deadline,
}
