//! The message a caller sends: one HTTP request and how it wants it treated.

mod looking;
mod treatment;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::Method;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use spillgate_core::advice::ErrorKind;
use spillgate_core::call::{BreakerUse, HedgeUse, Priority, ScopeKey, Ticket};
use url::Url;

use crate::address;
use crate::answer::Response;
use crate::cache_use::CacheMark;
use crate::deadline::{Deadline, DeadlineWish};
use crate::error::Error;
use crate::record::SpanContext;
use crate::request_body::Body;
use crate::transport::Beside;

/// One request, to be sent to a `Coordinator` or through a client.
///
/// A malformed part does not panic or get lost: the first problem is kept and becomes the answer.
#[must_use = "a fetch does nothing until it is sent"]
pub struct Fetch {
    pub(crate) ticket: Ticket,
    pub(crate) method: Method,
    /// `None` once it was taken.
    pub(crate) url: Result<Option<Url>, Error>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    pub(crate) wishes: Wishes,
    pub(crate) span: tracing::Span,
    pub(crate) parent: Option<SpanContext>,
    pub(crate) beside: Beside,
    pub(crate) mark: Option<CacheMark>,
}

/// How a caller wants its request treated; what is `None` is left to the plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wishes {
    pub(crate) priority: Priority,
    pub(crate) caller: Option<CallerName>,
    pub(crate) deadline: Option<DeadlineWish>,
    pub(crate) parent_deadline: Option<Deadline>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) read_timeout: Option<Duration>,
    pub(crate) route: Option<Arc<str>>,
    pub(crate) scope: Option<ScopeKey>,
    pub(crate) attempts_max: Option<u32>,
    pub(crate) repeat: RepeatWish,
    pub(crate) sharing: Sharing,
    pub(crate) breaker: BreakerUse,
    pub(crate) hedge: HedgeUse,
    pub(crate) replay_max: Option<usize>,
    pub(crate) explains: bool,
}

/// Who asks, in the service's own words; shown nowhere.
#[derive(Clone)]
pub(crate) struct CallerName(pub(crate) Arc<str>);

/// What a caller says about repeating its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RepeatWish {
    /// Idempotent methods and requests with a key.
    #[default]
    ByMethod,
    /// This one, whatever its method.
    Allowed,
    /// Only if nothing of it can have reached the upstream.
    IfNeverSent,
    /// Not this one.
    Forbidden,
}

/// What a caller says about sharing a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Sharing {
    /// As the plan has it.
    #[default]
    ByPlan,
    /// Alone.
    Alone,
}

/// An idempotency key: all attempts of a call carry the same one.
#[derive(Clone)]
pub struct Key(String);

impl Key {
    /// A fresh random key of 122 bits from the operating system's source (UUID version 4).
    pub fn auto() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }

    /// A key of the caller's own.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }
}

impl Fetch {
    /// A GET of `url`.
    pub fn get(url: impl AsRef<str>) -> Self {
        Self::request(Method::GET, url)
    }

    /// A HEAD of `url`.
    pub fn head(url: impl AsRef<str>) -> Self {
        Self::request(Method::HEAD, url)
    }

    /// A POST to `url`.
    pub fn post(url: impl AsRef<str>) -> Self {
        Self::request(Method::POST, url)
    }

    /// A PUT to `url`.
    pub fn put(url: impl AsRef<str>) -> Self {
        Self::request(Method::PUT, url)
    }

    /// A PATCH of `url`.
    pub fn patch(url: impl AsRef<str>) -> Self {
        Self::request(Method::PATCH, url)
    }

    /// A DELETE of `url`.
    pub fn delete(url: impl AsRef<str>) -> Self {
        Self::request(Method::DELETE, url)
    }

    /// A request of any method.
    pub fn request(method: Method, url: impl AsRef<str>) -> Self {
        Self {
            ticket: next_ticket(),
            method,
            url: address::parse(url.as_ref()).map(Some),
            headers: HeaderMap::new(),
            body: Body::Empty,
            wishes: Wishes::default(),
            span: tracing::Span::current(),
            parent: None,
            beside: Beside::default(),
            mark: None,
        }
    }

    /// The number by which `Cancel` names this call.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Adds a header.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        let Ok(name) = name.try_into() else {
            return self.spoil("a header's name is malformed; expected an RFC 9110 token");
        };
        let Ok(value) = value.try_into() else {
            let problem = format!(
                "the value of header `{name}` is malformed; expected visible characters without line breaks"
            );
            return self.spoil(problem);
        };
        self.headers.append(name, value);
        self
    }

    /// Adds headers; a name given before is replaced.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        let mut replaced: Option<HeaderName> = None;
        for (name, value) in headers {
            match name {
                Some(name) => {
                    self.headers.insert(name.clone(), value);
                    replaced = Some(name);
                }
                None => {
                    if let Some(name) = &replaced {
                        self.headers.append(name.clone(), value);
                    }
                }
            }
        }
        self
    }

    /// Adds pairs to the query.
    pub fn query<K: AsRef<str>, V: AsRef<str>>(
        mut self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        if let Ok(Some(url)) = &mut self.url {
            url.query_pairs_mut().extend_pairs(pairs);
        }
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// Streams the body, as it comes; the call is never shared.
    ///
    /// What passes is kept up to [`replay_max`](Self::replay_max), for retries and redirects; beyond
    /// it the attempt under way is the last. An error of the stream ends the call with the kind
    /// [`ErrorKind::RequestBody`].
    pub fn body_stream<E>(
        self,
        stream: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    ) -> Self
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.body(Body::stream(stream))
    }

    /// Keeps so many bytes of a streamed body for another attempt, 64 KiB unless told otherwise; 0
    /// allows another only if nothing of the body was sent.
    pub fn replay_max(mut self, bytes: usize) -> Self {
        self.wishes.replay_max = Some(bytes);
        self
    }

    /// Sends a bearer token.
    pub fn bearer_auth(self, token: impl fmt::Display) -> Self {
        self.secret_header(AUTHORIZATION, format!("Bearer {token}"))
    }

    /// Sends a user name and password.
    pub fn basic_auth(self, user: impl fmt::Display, password: Option<impl fmt::Display>) -> Self {
        let password = password.map(|password| password.to_string()).unwrap_or_default();
        self.secret_header(AUTHORIZATION, crate::userinfo::basic(&format!("{user}:{password}")))
    }

    /// Bounds each attempt, from its start to its last byte; for a stream, to its head.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.wishes.timeout = Some(timeout);
        self.refuse_zero(timeout, "an attempt timeout")
    }

    /// Bounds name resolution, connect and TLS handshake together.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.wishes.connect_timeout = Some(timeout);
        self.refuse_zero(timeout, "a connect timeout")
    }

    /// Bounds the gap between two chunks of the body.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.wishes.read_timeout = Some(timeout);
        self.refuse_zero(timeout, "a read timeout")
    }

    /// Bounds the whole call: queueing, retries, back-off and body included.
    pub fn deadline(mut self, deadline: impl Into<DeadlineWish>) -> Self {
        let wish = deadline.into();
        self.wishes.deadline = Some(wish);
        match wish {
            DeadlineWish::In(budget) => self.refuse_zero(budget, "a deadline"),
            DeadlineWish::At(_) => self,
        }
    }

    /// Bounds the call by a parent's deadline too, whichever is earlier.
    pub fn within(mut self, parent: Deadline) -> Self {
        self.wishes.parent_deadline = Some(parent);
        self
    }

    /// Sets its place in the queue.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.wishes.priority = priority;
        self
    }

    /// Says on whose behalf it is sent, such as a tenant: of the calls to a host that are equally
    /// urgent, each caller's take turns. Those that name none are one caller's. The name is shown
    /// nowhere.
    pub fn caller(mut self, caller: impl Into<Arc<str>>) -> Self {
        self.wishes.caller = Some(CallerName(caller.into()));
        self
    }

    /// Gives the path a low-cardinality name, such as `/users/{id}`: spans, metrics and the scope of
    /// the breaker use it.
    pub fn route(mut self, route: impl Into<Arc<str>>) -> Self {
        self.wishes.route = Some(route.into());
        self
    }

    /// Shares the breaker of this name, whatever the host.
    pub fn scope(mut self, scope: impl Into<ScopeKey>) -> Self {
        self.wishes.scope = Some(scope.into());
        self
    }

    /// Sends the key with all attempts, which makes any method repeatable.
    pub fn idempotency_key(self, key: Key) -> Self {
        self.secret_header(HeaderName::from_static("idempotency-key"), key.0)
    }

    /// Makes a span of the caller's the parent of the call's span.
    pub fn parent(mut self, parent: Option<SpanContext>) -> Self {
        self.parent = parent.or(self.parent);
        self
    }

    /// Keeps the first problem, which becomes the call's answer.
    pub fn spoil(mut self, problem: impl Into<String>) -> Self {
        if self.url.is_ok() {
            self.url = Err(Error::new(ErrorKind::InvalidRequest, problem));
        }
        self
    }

    fn host(&self) -> Option<&str> {
        self.url.as_ref().ok()?.as_ref()?.host_str()
    }

    fn secret_header(mut self, name: HeaderName, value: String) -> Self {
        let Ok(mut value) = HeaderValue::try_from(value) else {
            return self.spoil(format!(
                "the value of header `{name}` is malformed; expected visible characters without line breaks"
            ));
        };
        value.set_sensitive(true);
        self.headers.insert(name, value);
        self
    }

    fn refuse_zero(self, value: Duration, what: &str) -> Self {
        if !value.is_zero() {
            return self;
        }
        self.spoil(format!("{what} of 0s leaves no time at all; expected more than zero"))
    }
}

impl actix::Message for Fetch {
    type Result = Result<Response, Error>;
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch")
            .field("ticket", &self.ticket)
            .field("method", &self.method)
            .field("host", &self.host())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl fmt::Debug for CallerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerName(..)")
    }
}

fn next_ticket() -> Ticket {
    Ticket(TICKETS.fetch_add(1, Ordering::Relaxed))
}

/// Tickets are unique in the process, so that a caller knows its own before it sends.
static TICKETS: AtomicU64 = AtomicU64::new(1);
