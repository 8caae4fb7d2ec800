//! The error a caller sees: what went wrong, whose move it is, and when to come back.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use http::{Method, StatusCode};
use spillgate_core::advice::{Advice, ErrorClass, ErrorKind};
use spillgate_core::call::ScopeKey;

use crate::phases::Phase;
use crate::record::CallRecord;
use crate::report::CallReport;
use crate::transport::TransportError;

/// Why a call has no answer; cheap to clone, free of secrets.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

/// What a caller did not get, in detail; made by [`Error::new`] and the setters.
#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    place: Option<(Method, Arc<str>)>,
    phase: Option<Phase>,
    scope: Option<ScopeKey>,
    retry_at: Option<Instant>,
    last_status: Option<StatusCode>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    record: Option<Arc<CallRecord>>,
}

impl Error {
    /// An error of this kind, with a sentence that names what was wrong and what was expected.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            place: None,
            phase: None,
            scope: None,
            retry_at: None,
            last_status: None,
            source: None,
            record: None,
        }))
    }

    /// The error of an attempt that failed.
    pub fn of_transport(failure: &TransportError) -> Self {
        let error = Self::new(failure.kind, describe(failure.kind));
        error.with(|inner| {
            inner.phase = failure.phase;
            inner.source.clone_from(&failure.source);
        })
    }

    /// The same error, naming the request.
    #[must_use]
    pub fn at(self, method: Method, url: Arc<str>) -> Self {
        self.with(|inner| inner.place = Some((method, url)))
    }

    /// The same error, naming what shares the breaker.
    #[must_use]
    pub fn in_scope(self, scope: ScopeKey) -> Self {
        self.with(|inner| inner.scope = Some(scope))
    }

    /// The same error, saying when asking again makes sense.
    #[must_use]
    pub fn until(self, retry_at: Option<Instant>) -> Self {
        self.with(|inner| inner.retry_at = retry_at)
    }

    /// The same error, with the status of the last answer there was.
    #[must_use]
    pub fn after_status(self, status: Option<StatusCode>) -> Self {
        self.with(|inner| inner.last_status = status)
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(self, source: Arc<dyn StdError + Send + Sync>) -> Self {
        self.with(|inner| inner.source = Some(source))
    }

    /// The same error with the record of its call.
    #[must_use]
    pub fn recorded(self, record: Arc<CallRecord>) -> Self {
        self.with(|inner| inner.record = Some(record))
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whose move it is.
    pub fn class(&self) -> ErrorClass {
        match (self.0.kind, self.0.last_status) {
            (ErrorKind::HttpStatus, Some(status)) => ErrorClass::of_status(status.as_u16()),
            (kind, _) => kind.class(),
        }
    }

    /// What a user interface should show and offer.
    pub fn advice(&self) -> Advice {
        match (self.0.kind, self.0.last_status) {
            (ErrorKind::HttpStatus, Some(status)) => Advice::of_status(status.as_u16()),
            (kind, _) => kind.advice(),
        }
    }

    /// The sentence that says what was wrong, without the request and its cause.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// When asking again makes sense, if that is known.
    pub fn retry_at(&self) -> Option<Instant> {
        self.0.retry_at
    }

    /// What shares the breaker that the call went through.
    pub fn scope(&self) -> Option<&str> {
        self.0.scope.as_deref()
    }

    /// The phase in which the last attempt failed.
    pub fn phase(&self) -> Option<Phase> {
        self.0.phase
    }

    /// Whether the scope's breaker refused the call.
    pub fn is_circuit_open(&self) -> bool {
        self.0.kind == ErrorKind::CircuitOpen
    }

    /// Whether time ran out: the call's, an attempt's, a connect's or a body's.
    pub fn is_timeout(&self) -> bool {
        matches!(
            self.0.kind,
            ErrorKind::DeadlineExceeded
                | ErrorKind::HttpResponseTimeout
                | ErrorKind::ConnectionTimeout
                | ErrorKind::ConnectionReadTimeout
        )
    }

    /// The status of the last answer there was, even if a later attempt failed otherwise.
    pub fn last_status(&self) -> Option<StatusCode> {
        self.0.last_status
    }

    /// What happened on the way; `None` when the call never entered the client.
    pub fn report(&self) -> Option<CallReport> {
        self.0.record.as_ref().map(CallReport::of)
    }

    /// The record of the call, if it entered the client.
    pub fn record(&self) -> Option<&Arc<CallRecord>> {
        self.0.record.as_ref()
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

/// A sentence for kinds that come without one.
pub(crate) fn describe(kind: ErrorKind) -> String {
    kind.name().replace('_', " ")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((method, url)) = &self.0.place {
            write!(f, "{method} {url}: ")?;
        }
        f.write_str(&self.0.message)?;
        if let Some(phase) = self.0.phase {
            write!(f, " (during {})", phase.span_name())?;
        }
        if let Some(source) = &self.0.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("scope", &self.0.scope)
            .field("phase", &self.0.phase)
            .field("last_status", &self.0.last_status)
            .field("source", &self.0.source.as_ref().map(ToString::to_string))
            .finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
