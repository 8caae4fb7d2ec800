//! The answer a caller gets: whole, or as a head with a body that still runs.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use spillgate_core::advice::ErrorKind;

use crate::body::BodyReader;
use crate::cache_use::{CacheUse, Joined};
use crate::error::Error;
use crate::record::CallRecord;
use crate::report::CallReport;

/// A whole answer.
#[derive(Clone)]
pub struct Response {
    head: Head,
    body: Bytes,
    record: Option<Arc<CallRecord>>,
    cache: Option<CacheUse>,
    joined: Option<Box<Joined>>,
}

/// Status, version and headers of an answer.
#[derive(Clone)]
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// The protocol version spoken.
    pub version: Version,
    /// The headers.
    pub headers: HeaderMap,
    /// Where the answer came from, after redirects, with secret parts redacted.
    pub url: Arc<str>,
}

/// An answer whose body still runs; the slot is held until it ends or is dropped.
pub struct StreamingResponse {
    head: Head,
    body: BodyReader,
    record: Arc<CallRecord>,
}

/// What a head tells, of a type with a field `head`.
macro_rules! head_accessors {
    () => {
        /// The status.
        pub fn status(&self) -> StatusCode {
            self.head.status
        }

        /// The protocol version spoken.
        pub fn version(&self) -> Version {
            self.head.version
        }

        /// The headers.
        pub fn headers(&self) -> &HeaderMap {
            &self.head.headers
        }

        /// Where the answer came from, after redirects, with secret parts redacted.
        pub fn url(&self) -> &str {
            &self.head.url
        }
    };
}

impl Response {
    /// A whole answer from its parts.
    pub fn new(head: Head, body: Bytes) -> Self {
        Self { head, body, record: None, cache: None, joined: None }
    }

    /// Starts an answer made by the service itself, for a fallback.
    pub fn builder() -> ResponseBuilder {
        ResponseBuilder::default()
    }

    /// The same answer with the record of its call.
    #[must_use]
    pub fn recorded(mut self, record: Arc<CallRecord>) -> Self {
        self.record = Some(record);
        self
    }

    /// The same answer with what a cache did about its call.
    #[must_use]
    pub fn cached(mut self, cache: CacheUse) -> Self {
        self.cache = Some(cache);
        self
    }

    /// The same answer with what one who joined its flight is told.
    #[must_use]
    pub(crate) fn joining(mut self, joined: Option<Joined>) -> Self {
        self.joined = joined.map(Box::new);
        self
    }

    /// What one who joined its flight is told beside it; `None` for the call that began the flight.
    pub fn joined(&self) -> Option<&Joined> {
        self.joined.as_deref()
    }

    /// Status, version and headers alone.
    pub fn into_head(self) -> Head {
        self.head
    }

    head_accessors!();

    /// The body.
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// The body as UTF-8 text.
    pub fn text(&self) -> Result<String, Error> {
        String::from_utf8(self.body.to_vec()).map_err(|cause| {
            let at = cause.utf8_error().valid_up_to();
            Error::new(ErrorKind::Decode, format!("the body is no UTF-8 text from byte {at} on"))
        })
    }

    /// What happened on the way; `None` for an answer the service made itself.
    pub fn record(&self) -> Option<&Arc<CallRecord>> {
        self.record.as_ref()
    }

    /// What happened on the way; empty for an answer the service made itself.
    pub fn report(&self) -> CallReport {
        let mut report = self.record.as_ref().map_or_else(CallReport::empty, CallReport::of);
        report.cache = self.cache;
        report
    }

    /// Turns a status of 400 and above into an error.
    pub fn error_for_status(self) -> Result<Self, Error> {
        match self.head.error(self.record.as_ref()) {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }
}

impl Head {
    fn error(&self, record: Option<&Arc<CallRecord>>) -> Option<Error> {
        if !(self.status.is_client_error() || self.status.is_server_error()) {
            return None;
        }
        let error = Error::new(ErrorKind::HttpStatus, format!("the answer is {}", self.status))
            .after_status(Some(self.status));
        let Some(record) = record else { return Some(error) };
        let error = error.at(record.method.clone(), self.url.clone());
        let error = error.in_scope(record.scope.clone()).until(record.retry_at);
        Some(error.recorded(record.clone()))
    }
}

impl StreamingResponse {
    /// An answer whose body still runs.
    pub(crate) fn new(head: Head, body: BodyReader, record: Arc<CallRecord>) -> Self {
        Self { head, body, record }
    }

    head_accessors!();

    /// What happened up to the head.
    pub fn report(&self) -> CallReport {
        CallReport::of(&self.record)
    }

    /// The record up to the head.
    pub fn record(&self) -> &Arc<CallRecord> {
        &self.record
    }

    /// The next chunk; `None` at the end of a whole body, and after an error.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, Error>> {
        self.body.chunk().await
    }

    /// The body as a stream of chunks.
    pub fn into_body(self) -> BodyReader {
        self.body
    }

    /// Turns a status of 400 and above into an error; the body is dropped then.
    pub fn error_for_status(self) -> Result<Self, Error> {
        match self.head.error(Some(&self.record)) {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }
}

/// Makes an answer without an upstream.
#[derive(Default)]
pub struct ResponseBuilder {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl ResponseBuilder {
    /// Sets the status; 200 by default, and 500 for a number that is no status.
    pub fn status(mut self, status: impl TryInto<StatusCode>) -> Self {
        self.status = status.try_into().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self
    }

    /// Adds a header; one that is malformed is left out.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        if let (Ok(name), Ok(value)) = (name.try_into(), value.try_into()) {
            self.headers.append(name, value);
        }
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The answer.
    pub fn build(self) -> Response {
        let Self { status, headers, body } = self;
        let head = Head { status, version: Version::HTTP_11, headers, url: "".into() };
        Response::new(head, body)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.head.status)
            .field("url", &self.head.url)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StreamingResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamingResponse")
            .field("status", &self.head.status)
            .field("url", &self.head.url)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ResponseBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBuilder").field("status", &self.status).finish_non_exhaustive()
    }
}
