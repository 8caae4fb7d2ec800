//! What a caller can read about its own call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use spillgate_core::call::{FlightId, Generation};

use crate::cache_use::CacheUse;
use crate::course::Role;
use crate::decision::{self, Decision};
use crate::phases::Phase;
use crate::record::{CallRecord, WaitCause};

/// What happened on a call's way to its answer.
#[derive(Debug, Clone)]
pub struct CallReport {
    /// Attempts on the wire; 0 when it was refused before.
    pub attempts: u32,
    /// Whether it shared another call's answer.
    pub coalesced: bool,
    /// The time spent waiting for a slot.
    pub queue_wait: Duration,
    /// The time spent waiting before retries, because the server asked for it, for the host's own rate
    /// or for a probe's verdict.
    pub back_off: Duration,
    /// From the call to its answer.
    pub total: Duration,
    /// The time all attempts together spent in each phase.
    pub phases: PhaseTimes,
    /// The trace, in lower-case hex.
    pub trace_id: String,
    /// When the upstream wants to be asked again, if the answer says so.
    pub retry_at: Option<Instant>,
    /// What the cache did; `None` where none was in the way.
    pub cache: Option<CacheUse>,
    record: Option<Arc<CallRecord>>,
}

/// The time spent in each phase; `None` if no attempt came that far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PhaseTimes {
    /// Waiting for a connection; contains the next three.
    pub acquire: Option<Duration>,
    /// Name resolution.
    pub dns: Option<Duration>,
    /// The socket's connect.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// The request on its way out.
    pub write: Option<Duration>,
    /// Waiting for the answer's head.
    pub wait: Option<Duration>,
    /// Reading the answer's body.
    pub read: Option<Duration>,
}

impl CallReport {
    /// The report of an answer that no call brought.
    pub fn empty() -> Self {
        Self {
            attempts: 0,
            coalesced: false,
            queue_wait: Duration::ZERO,
            back_off: Duration::ZERO,
            total: Duration::ZERO,
            phases: PhaseTimes::default(),
            trace_id: String::new(),
            retry_at: None,
            cache: None,
            record: None,
        }
    }

    /// The report of a recorded call.
    pub fn of(record: &Arc<CallRecord>) -> Self {
        Self {
            attempts: u32::try_from(record.attempts.len()).unwrap_or(u32::MAX),
            coalesced: record.is_coalesced(),
            queue_wait: record.waited(WaitCause::Queue),
            back_off: record.waited_if(|cause| cause != WaitCause::Queue),
            total: record.ended.saturating_duration_since(record.began),
            phases: PhaseTimes {
                acquire: record.spent(Phase::Acquire),
                dns: record.spent(Phase::Dns),
                connect: record.spent(Phase::Tcp),
                tls: record.spent(Phase::Tls),
                write: record.spent(Phase::Write),
                wait: record.spent(Phase::Wait),
                read: record.spent(Phase::Read),
            },
            trace_id: record.context.trace_id_hex(),
            retry_at: record.retry_at,
            cache: None,
            record: Some(record.clone()),
        }
    }

    /// What was decided on the way, in order of time; put together when it is asked for.
    pub fn decisions(&self) -> Vec<Decision> {
        self.record.as_deref().map(decision::of).unwrap_or_default()
    }

    /// The flight that served it; `None` when it was refused before it came to one.
    pub fn flight(&self) -> Option<FlightId> {
        self.record.as_deref().and_then(|record| record.flight)
    }

    /// How it came to that flight.
    pub fn role(&self) -> Option<Role> {
        self.record.as_deref().and_then(|record| record.role)
    }

    /// The tokens of the host's retry budget, as last seen on the call's way.
    pub fn budget_left(&self) -> Option<f64> {
        self.record.as_deref().and_then(CallRecord::budget_left)
    }

    /// The breaker's epoch as its latest attempt was admitted or refused.
    pub fn generation(&self) -> Option<Generation> {
        self.record.as_deref().and_then(CallRecord::generation)
    }
}
