//! One request on its way through: cache, flight, upstream, answer.

use std::sync::Arc;

use futures_util::StreamExt as _;
use http::header::{
    CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, TRANSFER_ENCODING,
};
use http::{Method, Request, Response, StatusCode, Version};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use spillgate_actors::answer::StreamingResponse;
use spillgate_actors::core::advice::ErrorKind;
use spillgate_actors::core::cache::status::CacheStatus;
use spillgate_actors::error::Error;
use spillgate_actors::fetch::Fetch;
use spillgate_actors::request_body::Body;
use spillgate_actors::transport::TransportError;
use url::Url;

use crate::cache::Cache;
use crate::cache::ask::{Ask, CacheMode, Look, Pending};
use crate::cache::fate::{Fate, is_failure};
use crate::cache::served::Served;
use crate::client::Client;
use crate::sidecar::body::OutBody;
use crate::sidecar::share::{Flight, Flights, Landing, Own, Place, Shared};
use crate::sidecar::stream::SharedBody;
use crate::sidecar::{hygiene, refusal};

/// What all exchanges share.
pub(super) struct Exchanges {
    client: Client,
    cache: Arc<Cache>,
    flights: Flights,
}

impl Exchanges {
    pub(super) fn new(client: Client, cache: Arc<Cache>) -> Self {
        Self { client, cache, flights: Flights::default() }
    }

    /// Answers a request, whatever happens.
    pub(super) async fn answer(
        self: &Arc<Self>,
        upstream: &Url,
        request: Request<Incoming>,
    ) -> Response<OutBody> {
        let (mut parts, body) = request.into_parts();
        hygiene::prepare(&mut parts.headers, parts.version);
        let url = hygiene::target(upstream, &parts.uri);
        let (method, headers) = (parts.method, parts.headers);
        let ask = Ask { method, url, headers, mode: CacheMode::Default, max_stale: None };
        let mut response = match self.cache.look(ask) {
            Look::Serve(served) => of_served(*served),
            Look::ServeAndRenew(served, pending) => {
                self.renew(*pending);
                of_served(*served)
            }
            Look::Nothing => refusal::not_stored(),
            Look::Send(pending) => self.send(*pending, body).await,
        };
        hygiene::strip(response.headers_mut());
        hygiene::append_via(response.headers_mut(), Version::HTTP_11);
        response
    }

    async fn send(self: &Arc<Self>, pending: Pending, body: Incoming) -> Response<OutBody> {
        let credentials = pending.ask().headers.contains_key(http::header::AUTHORIZATION);
        if !pending.may_store() || credentials || !body.is_end_stream() {
            return self.alone(pending, in_body(body)).await;
        }
        let place = pending.place();
        let Some(seat) = self.flights.join(&place) else {
            return self.alone(pending, Body::Empty).await;
        };
        let ask = pending.ask().clone();
        let first = seat.first.is_some();
        let spare = if let Some(landing) = seat.first {
            let (exchanges, flight) = (self.clone(), seat.flight.clone());
            tokio::spawn(async move {
                let landed = exchanges.fly(&flight, &place, pending).await;
                exchanges.flights.take_off(&place);
                // Nobody may be left to hear it.
                let _ = landing.send(Some(landed));
            });
            None
        } else {
            Some(pending)
        };
        let landing = seat.flight.landed().await;
        self.land(landing, first, (&seat.flight, &ask), spare).await
    }

    /// What a landing means for one of those who waited.
    async fn land(
        self: &Arc<Self>,
        landing: Option<Landing>,
        first: bool,
        (flight, ask): (&Flight, &Ask),
        spare: Option<Pending>,
    ) -> Response<OutBody> {
        match landing {
            Some(Landing::Shared(shared)) => {
                if let Some(response) = of_shared(&shared, ask, first) {
                    return response;
                }
            }
            Some(Landing::Replaced(replacement)) if replacement.is_for(&ask.headers) => {
                return of_served(replacement.serve(&ask.method, &ask.headers));
            }
            Some(Landing::Failed(error)) => {
                let stale = spare.as_ref().and_then(|pending| self.cache.instead(pending));
                return stale.map_or_else(
                    || refusal::of_error(&error),
                    |stale| of_served(stale.serve(&ask.method, &ask.headers)),
                );
            }
            Some(Landing::Released) if first => {
                if let Some(Own { response, cache_status }) = flight.take_own() {
                    return of_own(response, cache_status);
                }
            }
            Some(Landing::Replaced(_) | Landing::Released) | None => {}
        }
        match spare {
            Some(pending) => self.alone(pending, Body::Empty).await,
            None => refusal::of_error(&Error::new(ErrorKind::Internal, "the flight was lost")),
        }
    }

    /// Asks for all who wait.
    async fn fly(self: &Arc<Self>, flight: &Flight, place: &Place, pending: Pending) -> Landing {
        let (pending, response) = match self.ask(pending, Body::Empty).await {
            (_, Asked::Replaced(replacement)) => return Landing::Replaced(Arc::new(replacement)),
            (_, Asked::Failed(error)) => return Landing::Failed(error),
            (pending, Asked::Came(response, fate)) => {
                let cache_status = pending.cache_status();
                let kept = match fate {
                    Some(kept) => {
                        self.flights.let_together(place);
                        Some(kept)
                    }
                    None if is_failure(response.status()) => None,
                    None => {
                        self.flights.keep_apart(place);
                        flight.leave_own(Own { response, cache_status });
                        return Landing::Released;
                    }
                };
                (kept, (response, cache_status))
            }
        };
        let (kept, (response, cache_status)) = (pending, response);
        Landing::Shared(self.share(kept, response, cache_status))
    }

    /// Reads an answer for all who want it, and stores it if it is to be.
    fn share(
        self: &Arc<Self>,
        kept: Option<crate::cache::fate::Kept>,
        response: StreamingResponse,
        cache_status: CacheStatus,
    ) -> Arc<Shared> {
        let body = SharedBody::new(self.cache.options().body_max);
        let cache_status = CacheStatus { stored: kept.is_some(), ..cache_status };
        let (status, headers) = (response.status(), response.headers().clone());
        let shared = Arc::new(Shared { status, headers, kept, body, cache_status });
        let (cache, reading) = (self.cache.clone(), shared.clone());
        // The one who asked is counted as a reader until it has joined by itself.
        let seat = shared.body.join();
        tokio::spawn(async move {
            let mut chunks = response.into_body();
            let mut seat = seat;
            let ended = loop {
                match chunks.next().await {
                    Some(Ok(chunk)) => {
                        if !reading.body.push(chunk).await {
                            return;
                        }
                        if reading.body.has_readers_beside_one() {
                            seat = None;
                        }
                    }
                    Some(Err(error)) => break Err(error),
                    None => break Ok(()),
                }
            };
            reading.body.end(ended);
            drop(seat);
            if let (Some(kept), Some(body)) = (&reading.kept, reading.whole()) {
                cache.keep(kept.clone(), body);
            }
        });
        shared
    }

    /// Asks for one client alone.
    async fn alone(self: &Arc<Self>, pending: Pending, body: Body) -> Response<OutBody> {
        let place = pending.place();
        let ask = pending.ask().clone();
        let (pending, asked) = self.ask(pending, body).await;
        match asked {
            Asked::Replaced(replacement) => of_served(replacement.serve(&ask.method, &ask.headers)),
            Asked::Failed(error) => refusal::of_error(&error),
            Asked::Came(response, None) => of_own(response, pending.cache_status()),
            Asked::Came(response, Some(kept)) => {
                self.flights.let_together(&place);
                let shared = self.share(Some(kept), response, pending.cache_status());
                of_shared(&shared, &ask, true).unwrap_or_else(|| {
                    refusal::of_error(&Error::new(ErrorKind::Internal, "the answer was lost"))
                })
            }
        }
    }

    /// Asks the upstream, and once more if it answered about something else.
    async fn ask(&self, pending: Pending, body: Body) -> (Pending, Asked) {
        let replayable = matches!(body, Body::Empty);
        let asked = self.ask_once(&pending, body).await;
        match asked {
            Some(asked) => (pending, asked),
            None if replayable => {
                let pending = pending.unconditional();
                let asked = self.ask_once(&pending, Body::Empty).await;
                (pending, asked.unwrap_or_else(|| Asked::Failed(lost())))
            }
            None => (pending, Asked::Failed(lost())),
        }
    }

    async fn ask_once(&self, pending: &Pending, body: Body) -> Option<Asked> {
        let ask = pending.ask();
        let mut headers = ask.headers.clone();
        pending.prepare(&mut headers);
        // What is decoded here would not be what the client is told it gets.
        headers
            .entry(http::header::ACCEPT_ENCODING)
            .or_insert(HeaderValue::from_static("identity"));
        let fetch =
            Fetch::request(ask.method.clone(), ask.url.as_str()).headers(headers).body(body);
        let response = match self.client.stream(fetch.no_coalesce()).await {
            Ok(response) => response,
            Err(error) => {
                let stale = self.cache.instead(pending);
                return Some(stale.map_or_else(|| Asked::Failed(error), Asked::Replaced));
            }
        };
        match self.cache.arrived(pending, response.status(), response.headers()) {
            Fate::Keep(kept) => Some(Asked::Came(response, Some(*kept))),
            Fate::Pass(_) => Some(Asked::Came(response, None)),
            Fate::Replace(replacement) => Some(Asked::Replaced(replacement)),
            Fate::AskAgain => None,
        }
    }

    /// Renews what was served stale, once however many ask.
    fn renew(self: &Arc<Self>, pending: Pending) {
        let place = pending.place();
        let Some(seat) = self.flights.join(&place) else { return };
        let Some(landing) = seat.first else { return };
        let exchanges = self.clone();
        tokio::spawn(async move {
            let landed = exchanges.fly(&seat.flight, &place, pending).await;
            if let Landing::Shared(shared) = &landed
                && let Some(mut reader) = shared.body.join()
            {
                while reader.next().await.is_some() {}
            }
            exchanges.flights.take_off(&place);
            let _ = landing.send(Some(landed));
        });
    }
}

/// What asking the upstream came to.
enum Asked {
    Came(StreamingResponse, Option<crate::cache::fate::Kept>),
    Replaced(crate::cache::fate::Replacement),
    Failed(Error),
}

fn lost() -> Error {
    Error::new(
        ErrorKind::HttpProtocolError,
        "the upstream answered about something that was not asked",
    )
}

fn in_body(body: Incoming) -> Body {
    if body.is_end_stream() {
        return Body::Empty;
    }
    let chunks = body.into_data_stream().map(|chunk| {
        chunk.map_err(|cause| TransportError::sent(ErrorKind::Cancelled).caused_by(cause))
    });
    Body::Stream(Box::pin(chunks))
}

fn of_served(served: Served) -> Response<OutBody> {
    let Served { status, headers, body, cache_status, .. } = served;
    let mut response = Response::new(OutBody::Whole(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    tell(response.headers_mut(), cache_status);
    response
}

fn of_own(upstream: StreamingResponse, cache_status: CacheStatus) -> Response<OutBody> {
    let (status, headers) = (upstream.status(), upstream.headers().clone());
    let bodiless = headers.get(CONTENT_LENGTH).is_some_and(|length| length == "0");
    let body = if bodiless {
        OutBody::Whole(bytes::Bytes::new())
    } else {
        OutBody::Own(upstream.into_body())
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().remove(TRANSFER_ENCODING);
    tell(response.headers_mut(), cache_status);
    response
}

/// The answer for one of several; `None` if it is not for this one.
fn of_shared(shared: &Shared, ask: &Ask, first: bool) -> Option<Response<OutBody>> {
    let reader = shared.join(&ask.headers)?;
    let mut headers = shared.headers.clone();
    if !first {
        // A cookie is for the one who asked.
        headers.remove(SET_COOKIE);
    }
    let mut response = Response::new(OutBody::Shared(reader));
    *response.status_mut() = shared.status;
    if ask.method == Method::GET && shared.status == StatusCode::OK {
        // A condition or a part is judged by the head alone.
        if let Some(not_modified) = not_modified(&headers, ask) {
            response = not_modified;
        }
    }
    headers.remove(TRANSFER_ENCODING);
    if response.status() == StatusCode::NOT_MODIFIED {
        headers.remove(CONTENT_LENGTH);
    }
    *response.headers_mut() = headers;
    let cache_status = CacheStatus { collapsed: !first, ..shared.cache_status };
    tell(response.headers_mut(), cache_status);
    Some(response)
}

fn not_modified(headers: &HeaderMap, ask: &Ask) -> Option<Response<OutBody>> {
    use spillgate_actors::core::cache::conditions::{Condition, evaluate};
    let now = crate::cache::now();
    let (request, answer) =
        (crate::cache::page::Lines(&ask.headers), crate::cache::page::Lines(headers));
    match evaluate(&request, &answer, now) {
        Condition::Send => None,
        Condition::NotModified => {
            let mut response = Response::new(OutBody::Whole(bytes::Bytes::new()));
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            Some(response)
        }
    }
}

fn tell(headers: &mut HeaderMap, cache_status: CacheStatus) {
    if let Ok(value) = HeaderValue::try_from(cache_status.to_string()) {
        headers.append(HeaderName::from_static("cache-status"), value);
    }
}
