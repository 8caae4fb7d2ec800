//! A request as the actors carry it: what is sent, and what is remembered of who sent it.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Method};
use spillgate_core::advice::ErrorKind;
use spillgate_core::breaker::options::BreakerOptions;
use spillgate_core::call::{AttemptId, CallSpec, HostKey, Priority, ScopeKey, Ticket};
use spillgate_core::policy::Timeouts;
use url::Url;

use crate::answer::Head;
use crate::cache_use::CacheMark;
use crate::course::Admission;
use crate::hostname::HostName;
use crate::phases::PhaseMarks;
use crate::record::{AttemptRecord, SpanContext};
use crate::replay::Replay;
use crate::transport::{Beside, Connection, TransportError};

/// A call that passed the checks at the door.
pub(crate) struct Prepared {
    /// What the machine needs to know.
    pub(crate) spec: CallSpec,
    /// What is sent.
    pub(crate) order: Order,
    /// A body that streams once.
    pub(crate) once: Option<Replay>,
    /// Who asked.
    pub(crate) origin: Origin,
    /// The breaker of a route that the configuration gives one of its own.
    pub(crate) breaker: Option<BreakerOptions>,
}

/// What is sent, at the present hop.
#[derive(Clone)]
pub(crate) struct Order {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) safe_url: Arc<str>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Payload,
    pub(crate) host: HostName,
    /// The host's key, made once.
    pub(crate) lane: HostKey,
    pub(crate) timeouts: Timeouts,
    pub(crate) body_max: usize,
    pub(crate) redirects_max: u32,
    pub(crate) delivery: Delivery,
    pub(crate) beside: Beside,
    /// What a cache noted on the call that began the flight.
    pub(crate) mark: Option<CacheMark>,
}

/// The body, as far as it can be looked at.
#[derive(Clone)]
pub(crate) enum Payload {
    /// None.
    Empty,
    /// Whole.
    Bytes(Bytes),
    /// A stream that is kept elsewhere, and goes from attempt to attempt.
    Once,
}

/// How the answer is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Buffered, when it is whole.
    Whole,
    /// At its head, with a stream for the body.
    Stream,
}

/// Who asked for a call, and since when: what its record will need.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) ticket: Ticket,
    pub(crate) context: SpanContext,
    pub(crate) parent_span_id: Option<[u8; 8]>,
    pub(crate) method: Method,
    pub(crate) url: Arc<str>,
    pub(crate) host: HostKey,
    pub(crate) route: Option<Arc<str>>,
    pub(crate) scope: ScopeKey,
    pub(crate) priority: Priority,
    pub(crate) began: Instant,
    pub(crate) deadline: Instant,
    /// Whether the caller wants to be told all that can be.
    pub(crate) explains: bool,
}

/// One attempt, as all who handle it share it.
pub(crate) struct Trial {
    pub(crate) attempt: AttemptId,
    pub(crate) resend: u32,
    /// Whether it runs beside another of its flight.
    pub(crate) hedge: bool,
    pub(crate) context: SpanContext,
    pub(crate) marks: Arc<PhaseMarks>,
    pub(crate) order: Arc<Order>,
    pub(crate) host: HostKey,
    /// How it was let through, once it is.
    pub(crate) admission: OnceLock<Admission>,
}

/// A whole answer, as it arrived.
#[derive(Clone)]
pub(crate) struct Arrival {
    pub(crate) head: Head,
    pub(crate) body: Bytes,
}

/// What an attempt brought.
pub(crate) type Outturn = Result<Arrival, TransportError>;

/// What is known of an attempt's end, for its record.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ending {
    pub(crate) status: Option<u16>,
    pub(crate) version: Option<http::Version>,
    pub(crate) error: Option<ErrorKind>,
    pub(crate) connection: Option<Connection>,
    pub(crate) response_bytes: u64,
    pub(crate) goes_on: bool,
}

impl Payload {
    /// The bytes, when they are known.
    pub(crate) fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Empty | Self::Once => None,
        }
    }
}

impl Trial {
    /// The record of an attempt that is given up at `now`.
    pub(crate) fn cancelled(&self, now: Instant) -> Arc<AttemptRecord> {
        let error = Some(ErrorKind::Cancelled);
        self.record(now, Ending { error, ..Ending::default() })
    }

    /// The attempt's record, as it stands at `ended`.
    pub(crate) fn record(&self, ended: Instant, ending: Ending) -> Arc<AttemptRecord> {
        let request_bytes = self.order.body.bytes().map(|bytes| bytes.len() as u64);
        Arc::new(AttemptRecord {
            n: self.attempt.n,
            resend: self.resend,
            context: self.context,
            method: self.order.method.clone(),
            url: self.order.safe_url.clone(),
            host: self.host.clone(),
            began: self.marks.began(),
            ended,
            phases: self.marks.spans(ended),
            status: ending.status,
            version: ending.version,
            error: ending.error,
            connection: ending.connection,
            request_bytes,
            response_bytes: ending.response_bytes,
            hedge: self.hedge,
            chaos: self.marks.injected().cloned(),
            admission: self.admission.get().copied(),
            settlement: None,
            goes_on: ending.goes_on,
        })
    }
}
