//! The words between the two machines: what a coordinator offers and what a host answers.
//!
//! They stand apart from both because neither machine imports the other.

use std::time::{Duration, Instant};

use crate::advice::ErrorKind;
use crate::call::{AttemptId, BreakerUse, HedgeUse, HostKey, Repeat, ScopeKey};

/// One attempt, offered to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Which attempt of which flight.
    pub attempt: AttemptId,
    /// Counts the offers of one coordinator; a host takes each number once.
    pub serial: u64,
    /// The upstream it is sent to; its slots are the host's own only if the host is that upstream.
    pub lane: HostKey,
    /// What shares the breaker.
    pub scope: ScopeKey,
    /// The name of the route's own breaker, should it get one.
    pub class: Option<ScopeKey>,
    /// When the flight's last waiter gives up.
    pub deadline: Instant,
    /// The least time in which an attempt is of use; zero sends it regardless.
    pub useful_min: Duration,
    /// What the host's own knowledge may raise that to; a call with more time left is always sent.
    pub useful_max: Duration,
    /// How many attempts of this hop went before.
    pub resend: u32,
    /// What it costs the retry budget.
    pub cost: Cost,
    /// The most attempts of this hop; `None` leaves it to the host.
    pub attempts_max: Option<u32>,
    /// The time for one attempt; `None` leaves it to the host.
    pub timeout: Option<Duration>,
    /// Whether the attempt may be repeated.
    pub repeat: Repeat,
    /// Whether the breaker is consulted.
    pub breaker: BreakerUse,
    /// Whether it may be hedged.
    pub hedge: HedgeUse,
    /// Of a hedge: what it runs beside.
    pub beside: Option<Beside>,
}

/// What a hedge runs beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beside {
    /// The number of the slow attempt of the same flight.
    pub n: u32,
    /// The slots of its lane that were taken when it was offered.
    pub taken: u32,
    /// All slots of that lane.
    pub slots_max: u32,
}

/// What a host decides about an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Deliver what the attempt brought.
    Done(Finality),
    /// Offer the flight again, if somebody waits that long; its slot is free.
    RetryAt(Retry),
    /// It was not sent; no slot was taken.
    Refused(Refusal),
}

/// Leave to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// When it is offered again.
    pub at: Instant,
    /// When the server wants to be asked again, if it said so.
    pub hint: Option<Instant>,
    /// What the retry costs once it is sent.
    pub cost: Cost,
}

/// What an attempt costs the retry budget, paid when it is sent and never before: a retry that is
/// abandoned or refused on its way costs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cost {
    /// Nothing: it is a first attempt, or the one before provably never reached the upstream.
    Free,
    /// What an extra attempt costs.
    Token,
    /// What an extra attempt costs after the server asked to be asked less.
    Throttled,
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
    /// Its body was a stream of which more was sent than is kept.
    BodyGone,
    /// The retry budget is empty.
    BudgetSpent,
    /// The next attempt could not end before the deadline; the server's own wish, if it had one.
    DeadlineNear {
        /// When the server wants to be asked again.
        retry_at: Option<Instant>,
    },
    /// The breaker is open.
    CircuitOpen,
    /// The next attempt found no room to wait in.
    QueueFull,
    /// This machine has had no network for too long to wait for it.
    DeviceOffline,
}

impl Finality {
    /// The reason in words, for the decisions of a call.
    pub fn words(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::AttemptsSpent => "no retry: all attempts are used up",
            Self::NotRepeatable => "no retry: the request must not be repeated",
            Self::BodyGone => "no retry: more of the body was sent than is kept to send it again",
            Self::BudgetSpent => "no retry: the retry budget is empty",
            Self::DeadlineNear { .. } => "no retry: the deadline is too near",
            Self::CircuitOpen => "no retry: the circuit is open",
            Self::QueueFull => "no retry: the queue is full",
            Self::DeviceOffline => "no retry: this device is offline",
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
    /// What it rests on.
    pub grounds: Grounds,
}

impl Refusal {
    /// A refusal that its gate explains.
    pub fn by(gate: Gate, until: Option<Instant>) -> Self {
        Self { gate, until, grounds: Grounds::Gate }
    }
}

/// What a refusal rests on, for the decisions of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Grounds {
    /// The gate says it all.
    #[default]
    Gate,
    /// Too little time is left until the deadline.
    TimeLeft {
        /// How much is left.
        left: Duration,
        /// The least that is of use.
        needed: Duration,
    },
    /// A quota that the server told of is used up.
    Quota,
}

/// What stands between a queued flight and the wire, in the order it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gate {
    /// Too little time is left.
    Deadline,
    /// The server asked to be left alone, or its quota is used up.
    Pace,
    /// The user's own rate is used up.
    Rate,
    /// All slots are taken.
    Slot,
    /// The retry budget is empty.
    Budget,
    /// The breaker is open.
    Breaker,
    /// The breaker's probes are away, and callers wait for their verdict.
    Probe,
    /// A hedge that calls have not earned, for which too many slots are in use, or that would probe.
    Hedge,
    /// This machine has no network; the coordinator asks it before any host.
    Device,
}

impl Gate {
    /// The error of a call that this gate refuses for good.
    pub fn error_kind(self) -> ErrorKind {
        match self {
            Self::Deadline => ErrorKind::DeadlineExceeded,
            Self::Pace | Self::Rate => ErrorKind::RateLimited,
            Self::Slot => ErrorKind::QueueFull,
            Self::Budget | Self::Hedge => ErrorKind::Overloaded,
            Self::Breaker | Self::Probe => ErrorKind::CircuitOpen,
            Self::Device => ErrorKind::DeviceOffline,
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
    /// Another attempt of its flight answered first.
    Outrun,
}
