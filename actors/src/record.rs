//! What is remembered of a call: plain data that becomes spans, metrics and log lines later.
//!
//! The record is made once, after the answer, and goes over a bounded channel to the reporter
//! thread; nothing in it is secret.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Version};
use spillgate_core::advice::ErrorKind;
use spillgate_core::call::{FlightId, Generation, HostKey, Priority, ScopeKey, Ticket};
use spillgate_core::event::BreakerEvent;
use spillgate_core::verdict::{Finality, Grounds};

use crate::cache_use::CacheHit;
use crate::course::{Admission, Note, NoteKind, Role, Settlement, Standing};
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
    /// A cache answered a call by itself.
    Hit(Arc<CacheHit>),
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
        // Made for each attempt: one allocation, and no formatting machinery for 24 bytes.
        let mut text = String::with_capacity("00-".len() + 32 + "-".len() + 16 + "-01".len());
        text.push_str("00-");
        push_hex(&mut text, &self.trace_id);
        text.push('-');
        push_hex(&mut text, &self.span_id);
        text.push_str(if self.sampled { "-01" } else { "-00" });
        text
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    push_hex(&mut text, bytes);
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    text.extend(halves.filter_map(|half| char::from_digit(half.into(), 16)));
}

/// Everything that is remembered of one call.
#[derive(Debug, Clone)]
pub struct CallRecord {
    /// The caller's number.
    pub ticket: Ticket,
    /// The flight that served it, if it came that far.
    pub flight: Option<FlightId>,
    /// How it came to that flight.
    pub role: Option<Role>,
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
    /// When its answer is of no more use.
    pub deadline: Instant,
    /// When its answer was given (for a stream: when the stream ended).
    pub ended: Instant,
    /// What it waited for between attempts and before the first, in order of time.
    pub waits: Vec<Wait>,
    /// Its attempts, in the order in which they were sent; shared by all calls of the flight.
    pub attempts: Vec<Arc<AttemptRecord>>,
    /// The final status, when there was an answer.
    pub status: Option<u16>,
    /// The final error, when there was none.
    pub error: Option<ErrorKind>,
    /// When the upstream wants to be asked again, if the answer says so.
    pub retry_at: Option<Instant>,
    /// Why no further attempt was made, when that was decided.
    pub finality: Option<Finality>,
    /// What its refusal rests on, when it was refused.
    pub grounds: Grounds,
    /// What happened besides attempts and waits, in order of time.
    pub notes: Vec<Note>,
    /// Notes that found no room.
    pub notes_left_out: u32,
    /// Whether its caller asked for all that can be told.
    pub explains: bool,
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
    /// The time before a retry: `back-off`.
    BackOff,
    /// The time until the upstream wants to be asked again, by its `Retry-After`.
    RetryAfter,
    /// What the upstream asked of other calls too, or its quota.
    Pace,
    /// The host's own rate.
    Rate,
    /// The verdict of a breaker's probe.
    Verdict,
}

impl WaitCause {
    /// The cause in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::BackOff => "back-off",
            Self::RetryAfter => "retry-after",
            Self::Pace => "pace",
            Self::Rate => "rate",
            Self::Verdict => "verdict",
        }
    }

    /// The name of its span: `queue` for slots, else `back-off`.
    pub fn span_name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::BackOff | Self::RetryAfter | Self::Pace | Self::Rate | Self::Verdict => {
                "back-off"
            }
        }
    }
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
    /// Whether it ran beside another attempt that was slow.
    pub hedge: bool,
    /// The fault that was injected into it, in words.
    pub chaos: Option<Arc<str>>,
    /// How it was let through the gates; `None` if that was not known yet.
    pub admission: Option<Admission>,
    /// What its host decided about it; `None` while it runs.
    pub settlement: Option<Settlement>,
    /// Whether it went on for other callers when this was recorded: a [`FlightRecord`] tells its end.
    pub goes_on: bool,
}

impl CallRecord {
    /// The time spent waiting for `cause`.
    pub fn waited(&self, cause: WaitCause) -> Duration {
        self.waited_if(|other| other == cause)
    }

    /// The time spent waiting for causes that hold.
    pub fn waited_if(&self, holds: impl Fn(WaitCause) -> bool) -> Duration {
        let waits = self.waits.iter().filter(|wait| holds(wait.cause));
        waits.map(|wait| wait.to - wait.from).sum()
    }

    /// The time all attempts together spent in `phase`; `None` if none came that far.
    pub fn spent(&self, phase: Phase) -> Option<Duration> {
        let spans = self.attempts.iter().flat_map(|attempt| &attempt.phases);
        spans
            .filter(|span| span.phase == phase)
            .map(|span| span.to - span.from)
            .reduce(|a, b| a + b)
    }

    /// The flight's last known budget, in tokens; `None` if no host was asked.
    pub fn budget_left(&self) -> Option<f64> {
        let of_notes = self.refused().map(|(at, standing)| (at, standing.tokens));
        let of_attempts = self.attempts.iter().flat_map(|attempt| {
            let admitted = attempt.admission.map(|admission| (attempt.began, admission.tokens));
            let settled = attempt.settlement.map(|settled| (attempt.ended, settled.tokens));
            admitted.into_iter().chain(settled)
        });
        of_notes.chain(of_attempts).max_by_key(|(at, _)| *at).map(|(_, tokens)| tokens)
    }

    /// The breaker's epoch as the latest attempt was admitted or refused.
    pub fn generation(&self) -> Option<Generation> {
        let of_notes = self.refused().filter_map(|(at, standing)| Some((at, standing.generation?)));
        let of_attempts = self.attempts.iter().filter_map(|attempt| {
            let generation = attempt.admission?.generation?;
            Some((attempt.began, generation))
        });
        of_notes.chain(of_attempts).max_by_key(|(at, _)| *at).map(|(_, generation)| generation)
    }

    /// When a host refused the flight, and how it stood then.
    fn refused(&self) -> impl Iterator<Item = (Instant, &Standing)> {
        self.notes.iter().filter_map(|note| match &note.what {
            NoteKind::Refused { standing, .. } => Some((note.at, standing)),
            NoteKind::Hedged { .. }
            | NoteKind::Outrun
            | NoteKind::Redirected { .. }
            | NoteKind::Ranked { .. }
            | NoteKind::Queued { .. }
            | NoteKind::Shared { .. } => None,
        })
    }

    /// Whether nothing was decided that its spans do not show: sent once, answered once.
    pub fn is_plain(&self) -> bool {
        let is_first = |attempt: &Arc<AttemptRecord>| attempt.resend == 0 && !attempt.is_probe();
        !self.explains
            && self.notes.is_empty()
            && self.error.is_none()
            && self.finality.is_none_or(|finality| finality == Finality::Settled)
            && self.attempts.len() == 1
            && self.attempts.iter().all(is_first)
    }

    /// Whether the call shared another's flight.
    pub fn is_coalesced(&self) -> bool {
        self.leader.is_some()
    }
}

impl AttemptRecord {
    /// Whether it was a breaker's probe.
    pub fn is_probe(&self) -> bool {
        self.admission.is_some_and(|admission| admission.probe)
    }
}
