//! What was decided on a call's way, typed and in words.
//!
//! Decisions are put together from a call's record when somebody asks for them, so that a call that
//! nobody asks about pays for none. Each is one line of plain English with its numbers; hosts and
//! scopes come redacted from the record, and headers, bodies and queries never come here.

mod composing;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;
use std::time::Duration;

use spillgate_core::advice::ErrorKind;
use spillgate_core::call::{FlightId, Generation, HostKey, Priority, ScopeKey};
use spillgate_core::event::OpenReason;
use spillgate_core::verdict::{Cost, Finality, Gate, Grounds};

use crate::course::Role;
use crate::record::{CallRecord, WaitCause};

/// The decisions of a call, in order of time; the last one tells how many more there were.
pub fn of(record: &CallRecord) -> Vec<Decision> {
    composing::compose(record)
}

/// A decision on a call's way.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// When it was taken, from the call's beginning.
    pub at: Duration,
    /// The attempt it speaks of; `None` when it is about the call.
    pub attempt: Option<u32>,
    /// What was decided.
    pub what: DecisionKind,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq)]
pub enum DecisionKind {
    /// The call came to a flight.
    Entered {
        /// The flight.
        flight: FlightId,
        /// How it came to it.
        role: Role,
        /// The call's own priority.
        priority: Priority,
        /// The time until its deadline.
        deadline: Duration,
        /// The attempt that was on the wire for others.
        under_way: Option<u32>,
    },
    /// The flight had others before it; told of a call that explains.
    Queued {
        /// How many of its host waited at its rank or above.
        ahead: usize,
    },
    /// Another call joined the flight; told of a call that explains.
    Shared {
        /// How many wait for the flight.
        waiters: usize,
    },
    /// Callers who came or left moved the flight in the queue.
    Ranked {
        /// The rank before.
        from: Priority,
        /// The rank after.
        to: Priority,
    },
    /// A wait is over.
    Waited {
        /// What for.
        cause: WaitCause,
        /// Since when, from the call's beginning.
        from: Duration,
        /// How long.
        length: Duration,
    },
    /// Every gate let the attempt through: deadline, pace, rate, slot, budget, breaker.
    Passed {
        /// The breaker's epoch; `None` when the breaker was not asked.
        generation: Option<Generation>,
        /// Whether it was a breaker's probe.
        probe: bool,
        /// What it cost the retry budget.
        cost: Cost,
        /// The tokens left.
        tokens: f64,
    },
    /// A fault was injected into the attempt on purpose.
    Injected {
        /// Which, in words.
        fault: Arc<str>,
    },
    /// A gate did not let the attempt through.
    Refused {
        /// Which.
        gate: Gate,
        /// How long until asking again makes sense.
        retry_in: Option<Duration>,
        /// What it rests on.
        grounds: Grounds,
        /// What shares the breaker.
        scope: ScopeKey,
        /// The breaker's epoch, where there is a breaker.
        generation: Option<Generation>,
        /// Why that breaker is open or probes.
        reason: Option<OpenReason>,
        /// The tokens left.
        tokens: f64,
    },
    /// The attempt goes out beside another that is slow.
    Hedged {
        /// The number of the slow one.
        beside: u32,
    },
    /// Another attempt answered first, and this one is called back.
    Outrun,
    /// The attempt ended.
    Ended {
        /// The status, when there was an answer.
        status: Option<u16>,
        /// The error, when there was none or its body broke.
        error: Option<ErrorKind>,
        /// How long it took.
        took: Duration,
    },
    /// The host gives leave for another attempt.
    Retry {
        /// How long from here.
        delay: Duration,
        /// How long from here the server wants to be left alone, if it said so.
        wish: Option<Duration>,
        /// What it will cost the retry budget.
        cost: Cost,
        /// The tokens left before that.
        tokens: f64,
    },
    /// The answer led elsewhere and is followed.
    Redirected {
        /// Scheme, host and port of the next hop.
        host: HostKey,
    },
    /// There is no further attempt.
    NoRetry {
        /// Why.
        finality: Finality,
        /// Attempts of this hop so far.
        attempts: u32,
        /// The time left until the call's deadline.
        left: Duration,
        /// When the server wants to be asked again, from here.
        retry_in: Option<Duration>,
        /// The tokens left, if a host was asked.
        tokens: Option<f64>,
        /// What shares the breaker.
        scope: ScopeKey,
    },
    /// The call was answered.
    Answered {
        /// With what status.
        status: u16,
        /// Attempts on the wire.
        attempts: u32,
        /// The tokens left, if a host was asked.
        tokens: Option<f64>,
    },
    /// The call failed.
    Failed {
        /// What went wrong.
        kind: ErrorKind,
        /// What a refusal rests on.
        grounds: Grounds,
        /// How long until asking again makes sense, if that is known.
        retry_in: Option<Duration>,
        /// What shares the breaker.
        scope: ScopeKey,
        /// Attempts on the wire.
        attempts: u32,
        /// The tokens left, if a host was asked.
        tokens: Option<f64>,
    },
    /// There was more than is kept.
    LeftOut {
        /// How many decisions more.
        count: u32,
    },
}

impl DecisionKind {
    /// The kind in lower case, for machines.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Entered { .. } => "entered",
            Self::Queued { .. } => "queued",
            Self::Shared { .. } => "shared",
            Self::Ranked { .. } => "ranked",
            Self::Waited { .. } => "waited",
            Self::Passed { .. } => "passed",
            Self::Injected { .. } => "injected",
            Self::Refused { .. } => "refused",
            Self::Hedged { .. } => "hedged",
            Self::Outrun => "outrun",
            Self::Ended { .. } => "ended",
            Self::Retry { .. } => "retry",
            Self::Redirected { .. } => "redirected",
            Self::NoRetry { .. } => "no_retry",
            Self::Answered { .. } => "answered",
            Self::Failed { .. } => "failed",
            Self::LeftOut { .. } => "left_out",
        }
    }

    /// Whether it says more than that all went its usual way: what spans show unless a call explains.
    pub fn is_notable(&self) -> bool {
        match self {
            Self::Ranked { .. }
            | Self::Injected { .. }
            | Self::Refused { .. }
            | Self::Hedged { .. }
            | Self::Outrun
            | Self::Retry { .. }
            | Self::Redirected { .. }
            | Self::NoRetry { .. }
            | Self::Failed { .. }
            | Self::LeftOut { .. } => true,
            Self::Passed { probe, .. } => *probe,
            Self::Entered { .. }
            | Self::Queued { .. }
            | Self::Shared { .. }
            | Self::Waited { .. }
            | Self::Ended { .. }
            | Self::Answered { .. } => false,
        }
    }
}
