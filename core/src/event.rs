//! What a breaker tells the world when its state changes.

use std::fmt;
use std::time::{Duration, Instant};

use crate::advice::ErrorKind;
use crate::call::ScopeKey;

/// The three states of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum BreakerState {
    /// Calls pass.
    #[default]
    Closed,
    /// Calls are refused.
    Open,
    /// A few calls probe whether the upstream is well again.
    HalfOpen,
}

/// Whether a breaker refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BreakerMode {
    /// It does.
    #[default]
    Enforcing,
    /// It only tells when it would have opened; every call passes.
    Shadow,
}

impl BreakerState {
    /// The state's name in the field's spelling: `closed`, `open`, `half_open`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// Why a breaker opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OpenReason {
    /// That many failures in a row.
    ConsecutiveFailures {
        /// The length of the streak.
        failures: u32,
        /// What the last one was, when there was no answer.
        last: Option<ErrorKind>,
        /// What the last one answered, when there was an answer.
        status: Option<u16>,
    },
    /// Too large a share of the calls in the window failed.
    FailureRate {
        /// Failures in the window.
        failures: u32,
        /// Calls in the window.
        calls: u32,
    },
    /// Too large a share of the calls in the window was slow.
    SlowCalls {
        /// Slow calls in the window.
        slow: u32,
        /// Calls in the window.
        calls: u32,
        /// What counts as slow.
        limit: Duration,
    },
    /// A probe failed, or was slow where slow calls count.
    ProbeFailed,
    /// A probe did not end within its lease.
    ProbeExpired,
    /// An operator opened it.
    Forced,
}

impl fmt::Display for OpenReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConsecutiveFailures { failures, last, status } => {
                write!(f, "{failures} consecutive failures")?;
                match (last, status) {
                    (Some(kind), _) => write!(f, ", the last {}", kind.name()),
                    (None, Some(status)) => write!(f, ", the last status {status}"),
                    (None, None) => Ok(()),
                }
            }
            Self::FailureRate { failures, calls } => {
                write!(f, "{failures} of {calls} calls failed")
            }
            Self::SlowCalls { slow, calls, limit } => {
                write!(f, "{slow} of {calls} calls took {limit:?} or more")
            }
            Self::ProbeFailed => f.write_str("a probe failed"),
            Self::ProbeExpired => f.write_str("a probe did not answer in time"),
            Self::Forced => f.write_str("opened by an operator"),
        }
    }
}

/// A change of a breaker's state, or of the state it would have if it were enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerEvent {
    /// What shares the breaker.
    pub scope: ScopeKey,
    /// Whether it happened, or would have.
    pub mode: BreakerMode,
    /// The state before.
    pub from: BreakerState,
    /// The state after.
    pub to: BreakerState,
    /// When it changed.
    pub at: Instant,
    /// When it opened, while it is not closed.
    pub opened_at: Option<Instant>,
    /// Why it opened, while it is not closed.
    pub reason: Option<OpenReason>,
    /// When the next probe may pass, while it is open; `None` when it stays open until told.
    pub retry_at: Option<Instant>,
}
