//! What is remembered of a call: plain data that becomes spans, metrics and log lines later.
//!
//! The record is made once, after the answer, and goes over a bounded channel to the reporter
//! thread; nothing in it is secret.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Version};
use spillgate_core::advice::ErrorKind;
use spillgate_core::call::{FlightId, HostKey, Priority, ScopeKey, Ticket};
use spillgate_core::event::BreakerEvent;

use crate::phases::{Phase, PhaseSpan};
use crate::transport::Connection;

/// What goes to the reporter thread.
#[derive(Debug, Clone)]
pub enum JournalEntry {
    /// A call ended.
    Call(Arc<CallRecord>),
    /// A flight ended whose first caller had left before.
    Flight(Arc<FlightRecord>),
    /// A breaker changed its state.
    Breaker(BreakerEvent),
}

/// The identity of a span, as W3C Trace Context has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanContext {
    /// The trace; never all zero.
    pub trace_id: [u8; 16],
    /// The span; never all zero.
    pub span_id: [u8; 8],
    /// Whether the trace is recorded.
    pub sampled: bool,
}

impl SpanContext {
    /// The trace id in lower-case hex.
    pub fn trace_id_hex(&self) -> String {
        hex(&self.trace_id)
    }

    /// The span id in lower-case hex.
    pub fn span_id_hex(&self) -> String {
        hex(&self.span_id)
    }

    /// The value of the `traceparent` header that names this span as the parent.
    pub fn traceparent(&self) -> String {
        let flags = if self.sampled { "01" } else { "00" };
        format!("00-{}-{}-{flags}", self.trace_id_hex(), self.span_id_hex())
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Everything that is remembered of one call.
#[derive(Debug, Clone)]
pub struct CallRecord {
    /// The caller's number.
    pub ticket: Ticket,
    /// The flight that served it, if it came that far.
    pub flight: Option<FlightId>,
    /// The call's own span.
    pub context: SpanContext,
    /// The span id of the service's span around the call, within the same trace.
    pub parent_span_id: Option<[u8; 8]>,
    /// The call span of the flight's leader, when this call only shared its answer.
    pub leader: Option<SpanContext>,
    /// The method.
    pub method: Method,
    /// The URL with secret parts redacted.
    pub url: Arc<str>,
    /// Scheme, host and port.
    pub host: HostKey,
    /// The low-cardinality name of the path.
    pub route: Option<Arc<str>>,
    /// What shared the breaker.
    pub scope: ScopeKey,
    /// The call's priority.
    pub priority: Priority,
    /// When the caller sent it.
    pub began: Instant,
    /// When its answer was given (for a stream: when the stream ended).
    pub ended: Instant,
    /// What it waited for between attempts and before the first, in order of time.
    pub waits: Vec<Wait>,
    /// Its attempts, in order; shared by all calls of the flight.
    pub attempts: Vec<Arc<AttemptRecord>>,
    /// The final status, when there was an answer.
    pub status: Option<u16>,
    /// The final error, when there was none.
    pub error: Option<ErrorKind>,
    /// When the upstream wants to be asked again, if the answer says so.
    pub retry_at: Option<Instant>,
    /// What was decided on the way, in order of time.
    pub decisions: Vec<Decision>,
}

/// What a flight went on to do after its first caller had left: the rest of that call's story.
///
/// The attempts of a flight are told in the trace of the call that began it, which is where
/// `traceparent` pointed; here are those that its own record came too early for.
#[derive(Debug, Clone)]
pub struct FlightRecord {
    /// The flight.
    pub flight: FlightId,
    /// The span of the call that began it.
    pub leader: SpanContext,
    /// The URL of that call, with secret parts redacted.
    pub url: Arc<str>,
    /// The low-cardinality name of that call's path.
    pub route: Option<Arc<str>>,
    /// The attempts since, in order.
    pub attempts: Vec<Arc<AttemptRecord>>,
}

/// A stretch of waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// What for.
    pub cause: WaitCause,
    /// Since when.
    pub from: Instant,
    /// Until when.
    pub to: Instant,
}

/// What a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WaitCause {
    /// A slot: the span `queue`.
    Queue,
    /// The time before a retry, or until the upstream wants to be asked again: `back-off`.
    BackOff,
}

/// What is remembered of one attempt.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    /// Its number within the flight, from 1.
    pub n: u32,
    /// How many attempts of the same hop went before: `http.request.resend_count`.
    pub resend: u32,
    /// Its CLIENT span, whose id went out in `traceparent`.
    pub context: SpanContext,
    /// The method.
    pub method: Method,
    /// The URL with secret parts redacted.
    pub url: Arc<str>,
    /// Scheme, host and port.
    pub host: HostKey,
    /// When it began.
    pub began: Instant,
    /// When it ended.
    pub ended: Instant,
    /// The phases that took place, in order.
    pub phases: Vec<PhaseSpan>,
    /// The status, when there was an answer.
    pub status: Option<u16>,
    /// The protocol version, when there was an answer.
    pub version: Option<Version>,
    /// The error, when there was none or its body broke.
    pub error: Option<ErrorKind>,
    /// The connection, where known.
    pub connection: Option<Connection>,
    /// Bytes of the request's body.
    pub request_bytes: Option<u64>,
    /// Decoded bytes of the answer's body.
    pub response_bytes: u64,
    /// Whether it was a breaker's probe.
    pub probe: bool,
    /// The fault that was injected into it, in words.
    pub chaos: Option<Arc<str>>,
    /// Whether it went on for other callers when this was recorded: a [`FlightRecord`] tells its end.
    pub goes_on: bool,
}

/// A decision on a call's way, with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// When it was taken.
    pub at: Instant,
    /// What was decided, in words without secrets, such as `retry in 180 ms`.
    pub text: String,
}

impl CallRecord {
    /// The time spent waiting for `cause`.
    pub fn waited(&self, cause: WaitCause) -> Duration {
        self.waits.iter().filter(|wait| wait.cause == cause).map(|wait| wait.to - wait.from).sum()
    }

    /// The time all attempts together spent in `phase`; `None` if none came that far.
    pub fn spent(&self, phase: Phase) -> Option<Duration> {
        let spans = self.attempts.iter().flat_map(|attempt| &attempt.phases);
        spans
            .filter(|span| span.phase == phase)
            .map(|span| span.to - span.from)
            .reduce(|a, b| a + b)
    }

    /// Whether the call shared another's flight.
    pub fn is_coalesced(&self) -> bool {
        self.leader.is_some()
    }
}
