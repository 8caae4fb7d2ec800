//! A request on its way to being sent.

use std::error::Error as StdError;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use spillgate_actors::answer::{self, StreamingResponse};
use spillgate_actors::core::advice::ErrorKind;
use spillgate_actors::core::call::{HedgeUse, Priority, ScopeKey, Ticket};
use spillgate_actors::deadline::DeadlineWish;
use spillgate_actors::error::Error;
use spillgate_actors::fetch::{Fetch, Key};
use spillgate_actors::request_body::Body;
use tokio_util::sync::CancellationToken;

use crate::cache::ask::CacheMode;
use crate::caching::views::{Views, glance};
use crate::caching::{self, CacheWish};
use crate::context;
use crate::engine::Engine;
use crate::response::Response;
use crate::telemetry::parent::parent_of_current;
use crate::turns::Place;

/// A request of a client; nothing happens until it is sent.
#[must_use = "a request does nothing until it is sent"]
pub struct RequestBuilder {
    engine: Arc<Engine>,
    fetch: Fetch,
    wish: CacheWish,
    fallback: Option<Fallback>,
    cancels: Vec<CancellationToken>,
    place: Option<Place>,
}

type Fallback = Box<dyn FnOnce(&Error) -> answer::Response + Send>;

impl RequestBuilder {
    pub(crate) fn new(engine: Arc<Engine>, fetch: Fetch) -> Self {
        let (cancels, wish) = (Vec::new(), CacheWish::default());
        Self { engine, fetch, wish, fallback: None, cancels, place: None }
    }

    /// Adds a header.
    pub fn header<N, V>(self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        self.map(|fetch| fetch.header(name, value))
    }

    /// Adds headers; a name given before is replaced.
    pub fn headers(self, headers: HeaderMap) -> Self {
        self.map(|fetch| fetch.headers(headers))
    }

    /// Adds what `query` serialises to, such as `&[("q", "rust")]` or a struct, to the query.
    pub fn query<T: Serialize + ?Sized>(self, query: &T) -> Self {
        let pairs = serde_urlencoded::to_string(query);
        self.map(|fetch| match pairs {
            Ok(text) => fetch.query(url::form_urlencoded::parse(text.as_bytes())),
            Err(_) => fetch.spoil("the query cannot be encoded; expected pairs or a flat struct"),
        })
    }

    /// Sends `form` as an HTML form.
    pub fn form<T: Serialize + ?Sized>(self, form: &T) -> Self {
        let text = serde_urlencoded::to_string(form);
        self.map(|fetch| match text {
            Ok(text) => fetch.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(text),
            Err(_) => fetch.spoil("the form cannot be encoded; expected pairs or a flat struct"),
        })
    }

    /// Sends `json` as JSON.
    pub fn json<T: Serialize + ?Sized>(self, json: &T) -> Self {
        let text = serde_json::to_vec(json);
        self.map(|fetch| match text {
            Ok(text) => fetch.header(CONTENT_TYPE, "application/json").body(text),
            Err(_) => fetch.spoil("the body cannot be encoded as JSON; expected string keys"),
        })
    }

    /// Sets the body: bytes, text, or a stream.
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.map(|fetch| fetch.body(body))
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
        self.map(|fetch| fetch.body_stream(stream))
    }

    /// Keeps so many bytes of a streamed body for another attempt, 64 KiB unless told otherwise; 0
    /// allows another only if nothing of the body was sent.
    pub fn replay_max(self, bytes: usize) -> Self {
        self.map(|fetch| fetch.replay_max(bytes))
    }

    /// Sends a bearer token.
    pub fn bearer_auth(self, token: impl fmt::Display) -> Self {
        self.map(|fetch| fetch.bearer_auth(token))
    }

    /// Sends a user name and password.
    pub fn basic_auth(self, user: impl fmt::Display, password: Option<impl fmt::Display>) -> Self {
        self.map(|fetch| fetch.basic_auth(user, password))
    }

    /// Bounds each attempt, from its start to its last byte; for a stream, to its head.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.map(|fetch| fetch.timeout(timeout))
    }

    /// Bounds name resolution, connect and TLS handshake together.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.map(|fetch| fetch.connect_timeout(timeout))
    }

    /// Bounds the gap between two chunks of the body.
    pub fn read_timeout(self, timeout: Duration) -> Self {
        self.map(|fetch| fetch.read_timeout(timeout))
    }

    /// Bounds the whole call: queueing, retries, back-off and body included.
    pub fn deadline(self, deadline: impl Into<DeadlineWish>) -> Self {
        self.map(|fetch| fetch.deadline(deadline))
    }

    /// Sets its place in the queue.
    pub fn priority(self, priority: Priority) -> Self {
        self.map(|fetch| fetch.priority(priority))
    }

    /// Says on whose behalf it is sent, such as a tenant: of the calls to a host that are equally
    /// urgent, each caller's take turns. Those that name none are one caller's. The name is shown
    /// nowhere.
    pub fn caller(self, caller: impl Into<Arc<str>>) -> Self {
        self.map(|fetch| fetch.caller(caller))
    }

    /// Gives the path a low-cardinality name, such as `/users/{id}`: spans, metrics and the scope of
    /// the breaker use it.
    pub fn route(self, route: impl Into<Arc<str>>) -> Self {
        self.map(|fetch| fetch.route(route))
    }

    /// Shares the breaker of this name, whatever the host.
    pub fn scope(self, scope: impl Into<ScopeKey>) -> Self {
        self.map(|fetch| fetch.scope(scope))
    }

    /// Sends the key with all attempts, which makes any method repeatable.
    pub fn idempotency_key(self, key: Key) -> Self {
        self.map(|fetch| fetch.idempotency_key(key))
    }

    /// Allows this many retries, each an attempt beyond the first.
    pub fn retries(self, retries: u32) -> Self {
        self.map(|fetch| fetch.retries(retries))
    }

    /// Sends it once.
    pub fn no_retry(self) -> Self {
        self.map(Fetch::no_retry)
    }

    /// Says that sending it twice does no harm, whatever the method.
    pub fn allow_retry(self) -> Self {
        self.map(Fetch::allow_retry)
    }

    /// Never shares another call's answer.
    pub fn no_coalesce(self) -> Self {
        self.map(Fetch::no_coalesce)
    }

    /// Neither asks nor tells the breaker.
    pub fn no_breaker(self) -> Self {
        self.map(Fetch::no_breaker)
    }

    /// Says whether a slow attempt gets a second one beside it, and when: `Hedge::live()`,
    /// `Hedge::after(delay)` or `Hedge::off()`. The first usable answer wins.
    ///
    /// Only requests that may be repeated are hedged, one call in twenty at most, and none while
    /// slots are scarce. A hedge counts as one of the call's attempts, and a stream has none.
    pub fn hedge(self, hedge: impl Into<HedgeUse>) -> Self {
        self.map(|fetch| fetch.hedge(hedge))
    }

    /// Notes for the report what is not noted of every call: how many were ahead in the queue and who
    /// joined, and shows every decision in the call's span.
    pub fn explain(self) -> Self {
        self.map(Fetch::explain)
    }

    /// Answers with this instead of an error; a panic in it leaves the error.
    pub fn fallback<R: Into<answer::Response>>(
        mut self,
        fallback: impl FnOnce(&Error) -> R + Send + 'static,
    ) -> Self {
        self.fallback = Some(Box::new(|error| fallback(error).into()));
        self
    }

    /// Says how the cache is to be treated; without it as the rules have it.
    pub fn cache_mode(mut self, mode: CacheMode) -> Self {
        self.wish.mode = mode;
        self
    }

    /// Takes an answer that has been stale for up to this long, without asking the upstream.
    pub fn max_stale(mut self, staleness: Duration) -> Self {
        self.wish.max_stale = Some(staleness);
        self
    }

    /// Takes any stored answer, however old, before an error or a 500, 502, 503 or 504; but none that
    /// says `must-revalidate` or `no-cache`. It comes before [`fallback`](Self::fallback).
    pub fn fallback_stale(mut self) -> Self {
        self.wish.fallback_stale = true;
        self
    }

    /// Cancels the call when the token is cancelled; several tokens each do.
    pub fn cancel_on(mut self, token: &CancellationToken) -> Self {
        self.cancels.push(token.clone());
        self
    }

    /// Waits its turn at a debounced key before it is sent.
    pub(crate) fn debounced(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// The number by which the message `Cancel` names this call.
    pub fn ticket(&self) -> Ticket {
        self.fetch.ticket()
    }

    /// The request as a message, for [`Client::addr`](crate::Client::addr); it inherits deadline and
    /// parent span from here, wherever it is sent from.
    ///
    /// Fallbacks, tokens and debouncing belong to [`RequestBuilder::send`] and stay behind.
    pub fn into_message(self) -> Fetch {
        inherit(self.fetch)
    }

    /// Sends it and waits for the whole answer; dropping the future cancels the wish.
    ///
    /// A final answer of 4xx or 5xx is an `Ok`; see [`Response::error_for_status`].
    pub async fn send(self) -> Result<Response, Error> {
        let Self { engine, fetch, wish, fallback, cancels, place } = self;
        let work = caching::send(engine.front(), inherit(told(fetch, wish.mode)), wish);
        let answer = unless_superseded(place, unless_cancelled(&cancels, work)).await;
        match (answer, fallback) {
            (Ok(response), _) => Ok(response.into()),
            (Err(error), Some(fallback)) => instead(error, fallback).map(Response::from),
            (Err(error), None) => Err(error),
        }
    }

    /// Shows what is stored at once, and what is fresh when it comes; for user interfaces.
    pub fn watch(self) -> Views {
        Views::new(move || {
            let mut request = self;
            let stored = glance(request.engine.front(), &mut request.fetch, request.wish);
            // Otherwise the stored answer would do once more.
            if matches!(request.wish.mode, CacheMode::Default | CacheMode::ForceCache) {
                request.wish.mode = CacheMode::NoCache;
            }
            (stored.map(Response::from), Box::pin(request.send()))
        })
    }

    /// Sends it and waits for the head of the answer; the body comes as a stream.
    ///
    /// Never coalesced. The slot is held, and the breaker waits for its verdict, until the body
    /// ends, stalls or is dropped.
    pub async fn send_streaming(self) -> Result<StreamingResponse, Error> {
        let Self { engine, fetch, cancels, place, .. } = self;
        let work = engine.door().send_streaming(inherit(fetch));
        unless_superseded(place, unless_cancelled(&cancels, work)).await
    }

    fn map(mut self, change: impl FnOnce(Fetch) -> Fetch) -> Self {
        self.fetch = change(self.fetch);
        self
    }
}

/// Tells caches on the way what the mode means for them, unless the caller does.
fn told(fetch: Fetch, mode: CacheMode) -> Fetch {
    let directive = match mode {
        CacheMode::Default | CacheMode::ForceCache | CacheMode::OnlyIfCached => return fetch,
        CacheMode::NoCache => HeaderValue::from_static("max-age=0"),
        CacheMode::NoStore | CacheMode::Reload => HeaderValue::from_static("no-cache"),
    };
    fetch.edit_headers(|headers| {
        headers.entry(CACHE_CONTROL).or_insert(directive);
    })
}

/// Adds what the call inherits from the task it is sent in.
fn inherit(fetch: Fetch) -> Fetch {
    let fetch = fetch.parent(parent_of_current());
    match context::inherited() {
        Some(deadline) => fetch.within(deadline),
        None => fetch,
    }
}

/// The fallback's answer, with the report of the call it stands in for.
fn instead(error: Error, fallback: Fallback) -> Result<answer::Response, Error> {
    let made = std::panic::catch_unwind(AssertUnwindSafe(|| fallback(&error)));
    let Ok(response) = made else { return Err(error) };
    match error.record() {
        Some(record) => Ok(response.recorded(record.clone())),
        None => Ok(response),
    }
}

async fn unless_cancelled<T>(
    tokens: &[CancellationToken],
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    if tokens.is_empty() {
        return work.await;
    }
    let any = futures_util::future::select_all(tokens.iter().map(|t| Box::pin(t.cancelled())));
    tokio::select! {
        biased;
        _ = any => Err(Error::new(ErrorKind::Cancelled, "the caller's token was cancelled")),
        answer = work => answer,
    }
}

/// Lets a debounced call wait, and ends it when a newer one takes its place.
async fn unless_superseded<T>(
    place: Option<Place>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Some(place) = place else { return work.await };
    let mut turn = place.take_turn();
    let pause = turn.pause();
    tokio::select! {
        biased;
        () = turn.superseded() => {
            Err(Error::new(ErrorKind::Superseded, "a newer call of the same key took its place"))
        }
        answer = async { tokio::time::sleep(pause).await; work.await } => answer,
    }
}

impl fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBuilder").field("fetch", &self.fetch).finish_non_exhaustive()
    }
}
