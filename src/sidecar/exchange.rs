//! One request on its way through: cache, flight, upstream, answer.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::StreamExt as _;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, Version};
use hyper::body::Body as _;
use spillgate_actors::answer::StreamingResponse;
use spillgate_actors::core::advice::ErrorKind;
use spillgate_actors::core::cache::status::CacheStatus;
use spillgate_actors::error::Error;
use spillgate_actors::fetch::Fetch;
use spillgate_actors::request_body::Body;
use spillgate_actors::transport::Interim;

use crate::cache::Cache;
use crate::cache::ask::{Ask, CacheMode, Look, Pending};
use crate::cache::audience::Audience;
use crate::cache::fate::{Fate, Kept, Replacement, is_failure};
use crate::client::Client;
use crate::sidecar::body::OutBody;
use crate::sidecar::hygiene::{Flaw, Pseudonym};
use crate::sidecar::manner::Manner;
use crate::sidecar::refusal::{late, lost};
use crate::sidecar::response::{ends, of_own, of_served, of_shared};
use crate::sidecar::share::{
    Flight, Flights, Landing, Landings, Leaving, Own, Place, Shared, Told,
};
use crate::sidecar::stream::SharedBody;
use crate::sidecar::tally::Tallies;
use crate::sidecar::target::{Duty, Target};
use crate::sidecar::terms::{Terms, stand_in};
use crate::sidecar::tunnel::{Passage, Standing, Tunnels};
use crate::sidecar::upload::Upload;
use crate::sidecar::{hygiene, refusal, target, tunnel};

/// What all exchanges share.
pub(super) struct Exchanges {
    client: Client,
    cache: Arc<Cache>,
    terms: Terms,
    flights: Flights,
    name: Pseudonym,
    pub(super) tunnels: Tunnels,
    pub(super) tallies: Arc<Tallies>,
}

impl Exchanges {
    pub(super) fn new(client: Client, cache: Arc<Cache>) -> Self {
        let (flights, name) = (Flights::default(), Pseudonym::fresh());
        let terms = Terms::of(&client, &cache);
        let tallies: Arc<Tallies> = Arc::default();
        let tunnels = Tunnels::new(client.clone(), tallies.clone());
        Self { client, cache, terms, flights, name, tunnels, tallies }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Answers a request, whatever happens.
    pub(super) async fn answer(
        self: &Arc<Self>,
        duty: &Duty,
        request: Request<Upload>,
        interim: Option<Interim>,
        standing: &Standing,
    ) -> Response<OutBody> {
        self.tallies.requests.fetch_add(1, Relaxed);
        let (mut parts, body) = request.into_parts();
        let passage = Passage::wished(&mut parts, &body);
        let switch = passage.as_ref().and_then(Passage::protocol);
        let mut response = match hygiene::flaw(&parts, &self.name)
            .map_or_else(|| target::of(&duty.role, &parts), Err)
        {
            Err(flaw) => refusal::of_flaw(flaw),
            Ok(Target::Tunnel(_)) if passage.is_none() => refusal::of_flaw(Flaw::Tunnel),
            Ok(Target::Answer(url) | Target::Tunnel(url)) => {
                let manner = Manner::take(&mut parts.headers, duty.repeats, interim);
                hygiene::prepare(&mut parts.headers);
                self.name.append_via(&mut parts.headers, parts.version);
                let (method, headers) = (parts.method, parts.headers);
                let ask = Ask { method, url, headers, mode: CacheMode::Default, max_stale: None };
                match passage {
                    Some(passage) => {
                        self.tunnels.open(ask, passage, &manner, (duty.tunnels, standing)).await
                    }
                    None => self.respond(ask, body, manner).await,
                }
            }
        };
        hygiene::strip(response.headers_mut());
        tunnel::keep_switch(&mut response, switch);
        self.name.append_via(response.headers_mut(), Version::HTTP_11);
        if parts.version < Version::HTTP_2 && ends(&response) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn respond(
        self: &Arc<Self>,
        ask: Ask,
        body: Upload,
        manner: Manner,
    ) -> Response<OutBody> {
        match self.terms.look(&self.cache, ask) {
            Look::Serve(served) => {
                self.tallies.hits.fetch_add(1, Relaxed);
                of_served(*served)
            }
            Look::ServeAndRenew(served, pending) => {
                self.tallies.hits.fetch_add(1, Relaxed);
                self.renew(*pending, manner.for_refresh());
                of_served(*served)
            }
            Look::Nothing => refusal::not_stored(),
            Look::Send(pending) => self.send(*pending, body, manner).await,
        }
    }

    async fn send(
        self: &Arc<Self>,
        pending: Pending,
        body: Upload,
        manner: Manner,
    ) -> Response<OutBody> {
        let credentials = pending.ask().headers.contains_key(http::header::AUTHORIZATION);
        if !pending.may_store() || credentials || !body.is_end_stream() {
            return self.alone(pending, manner.body(body), manner).await;
        }
        let place = pending.place();
        let Some(mut seat) = self.flights.join(&place) else {
            return self.alone(pending, Body::Empty, manner).await;
        };
        let ask = pending.ask().clone();
        // For a client that does not wait until the end.
        let stale = || stand_in(&self.cache, &pending, &late());
        let stale = manner.is_bounded().then(stale).flatten();
        let first = seat.first.is_some();
        let spare = if let Some(landings) = seat.first.take() {
            let (exchanges, flight) = (self.clone(), seat.flight.clone());
            // The flight is not bounded by the time of the one who began it.
            let manner = manner.for_all();
            tokio::spawn(async move {
                tokio::select! {
                    landed = exchanges.fly(&flight, &place, pending, &manner) => {
                        exchanges.end(&place, &landings, landed);
                    }
                    () = exchanges.flights.abandoned(&place, &landings) => {}
                }
            });
            None
        } else {
            Some(pending)
        };
        let waits = self.tallies.waits();
        let Some(landing) = manner.in_time(seat.landed()).await else {
            let refused = || refusal::of_error(&late());
            let serve = |stale: Replacement| of_served(stale.serve(&ask.method, &ask.headers));
            return stale.map_or_else(refused, serve);
        };
        drop(waits);
        self.land(landing, (first, &seat.flight, &ask), spare, manner).await
    }

    /// What a landing means for one of those who waited.
    async fn land(
        self: &Arc<Self>,
        landing: Option<Landing>,
        (first, flight, ask): (bool, &Flight, &Ask),
        spare: Option<Pending>,
        manner: Manner,
    ) -> Response<OutBody> {
        match landing {
            Some(Landing::Shared(shared)) if first || !shared.is_for_one() => {
                if let Some(response) = of_shared(&shared, ask, first) {
                    return response;
                }
            }
            Some(Landing::Replaced(replacement)) if first => {
                return of_served(replacement.serve_asker(&ask.method, &ask.headers));
            }
            Some(Landing::Replaced(replacement))
                if replacement.is_shared() && replacement.is_for(&ask.headers) =>
            {
                return of_served(replacement.serve(&ask.method, &ask.headers));
            }
            Some(Landing::Failed(error)) => {
                let stale = spare.as_ref();
                let stale = stale.and_then(|pending| stand_in(&self.cache, pending, &error));
                return stale.map_or_else(
                    || refusal::of_error(&error),
                    |stale| of_served(stale.serve(&ask.method, &ask.headers)),
                );
            }
            Some(Landing::Released) if first => {
                if let Some(own) = flight.take_own() {
                    return of_own(own);
                }
            }
            Some(Landing::Shared(_) | Landing::Replaced(_) | Landing::Released) | None => {}
        }
        match spare {
            Some(pending) => self.alone(pending, Body::Empty, manner).await,
            None => refusal::of_error(&Error::new(ErrorKind::Internal, "the flight was lost")),
        }
    }

    /// Asks for all who wait.
    async fn fly(
        self: &Arc<Self>,
        flight: &Flight,
        place: &Place,
        pending: Pending,
        manner: &Manner,
    ) -> Landing {
        match self.ask(pending, Body::Empty, manner).await {
            (_, Asked::Replaced(replacement)) => Landing::Replaced(Arc::new(replacement)),
            (_, Asked::Failed(error)) => Landing::Failed(error),
            (pending, Asked::Came(response, fate)) => {
                let cache_status = pending.cache_status();
                let told = match fate {
                    Some(kept) => {
                        self.flights.let_together(place);
                        Some(Told::Kept(kept))
                    }
                    None if is_failure(response.status()) => {
                        let audience = Audience::of(&pending, response.headers());
                        audience.map(Box::new).map(Told::Failure)
                    }
                    None => None,
                };
                let Some(told) = told else {
                    self.flights.keep_apart(place, response.status());
                    let behind = manner.behind();
                    flight.leave_own(Own { response, cache_status, behind });
                    return Landing::Released;
                };
                let leaving = self.flights.leaving(flight, place);
                Landing::Shared(self.share(told, response, cache_status, Some(leaving)))
            }
        }
    }

    /// Tells those who wait. An answer that all may have is joined until it is stored: whoever came
    /// in between would find neither.
    fn end(&self, place: &Place, landings: &Landings, landed: Landing) {
        let shared = matches!(landed, Landing::Shared(_));
        // Nobody may be left to hear it.
        let _ = landings.send(Some(landed));
        if !shared {
            self.flights.take_off(place);
        }
    }

    /// Reads an answer for all who want it, and stores it if it is to be.
    fn share(
        self: &Arc<Self>,
        audience: Told,
        response: StreamingResponse,
        cache_status: CacheStatus,
        leaving: Option<Leaving>,
    ) -> Arc<Shared> {
        let body = SharedBody::new(self.cache.options().body_max);
        let stored = matches!(audience, Told::Kept(_));
        let cache_status = CacheStatus { stored, ..cache_status };
        let (status, headers) = (response.status(), response.headers().clone());
        let shared = Arc::new(Shared { status, headers, audience, body, cache_status });
        let (exchanges, reading) = (self.clone(), shared.clone());
        tokio::spawn(async move {
            read(response, &reading.body).await;
            if let (Some(kept), Some(body)) = (reading.kept(), reading.whole()) {
                exchanges.cache.keep(Kept::clone(kept), body);
            }
            drop(leaving);
        });
        shared
    }

    /// Asks for one client alone.
    async fn alone(
        self: &Arc<Self>,
        pending: Pending,
        body: Body,
        manner: Manner,
    ) -> Response<OutBody> {
        let place = pending.place();
        let ask = pending.ask().clone();
        let (pending, asked) = self.ask(pending, body, &manner).await;
        match asked {
            Asked::Replaced(replacement) => {
                of_served(replacement.serve_asker(&ask.method, &ask.headers))
            }
            Asked::Failed(error) => refusal::of_error(&error),
            Asked::Came(response, None) => {
                let (cache_status, behind) = (pending.cache_status(), manner.behind());
                of_own(Own { response, cache_status, behind })
            }
            Asked::Came(response, Some(kept)) => {
                self.flights.let_together(&place);
                let told = Told::Kept(kept);
                let shared = self.share(told, response, pending.cache_status(), None);
                of_shared(&shared, &ask, true).unwrap_or_else(|| {
                    refusal::of_error(&Error::new(ErrorKind::Internal, "the answer was lost"))
                })
            }
        }
    }

    /// Asks the upstream, and once more if it answered about something else.
    async fn ask(&self, pending: Pending, body: Body, manner: &Manner) -> (Pending, Asked) {
        let replayable = matches!(body, Body::Empty);
        let asked = self.ask_once(&pending, body, manner).await;
        match asked {
            Some(asked) => (pending, asked),
            None if replayable => {
                let pending = pending.unconditional();
                let asked = self.ask_once(&pending, Body::Empty, manner).await;
                (pending, asked.unwrap_or_else(|| Asked::Failed(lost())))
            }
            None => (pending, Asked::Failed(lost())),
        }
    }

    async fn ask_once(&self, pending: &Pending, body: Body, manner: &Manner) -> Option<Asked> {
        self.tallies.forwarded.fetch_add(1, Relaxed);
        let ask = pending.ask();
        let mut headers = ask.headers.clone();
        pending.prepare(&mut headers);
        // What is decoded here would not be what the client is told it gets.
        headers
            .entry(http::header::ACCEPT_ENCODING)
            .or_insert(HeaderValue::from_static("identity"));
        let fetch =
            Fetch::request(ask.method.clone(), ask.url.as_str()).headers(headers).body(body);
        let response = match self.client.stream(manner.apply(fetch).no_coalesce()).await {
            Ok(response) => response,
            Err(error) => {
                self.cache.note_failure(pending, &error);
                let stale = stand_in(&self.cache, pending, &error);
                return Some(stale.map_or_else(|| Asked::Failed(error), Asked::Replaced));
            }
        };
        match self.cache.arrived(pending, response.status(), response.headers()) {
            Fate::Keep(kept) => Some(Asked::Came(response, Some(kept))),
            Fate::Pass(_) => Some(Asked::Came(response, None)),
            Fate::Replace(replacement) => Some(Asked::Replaced(replacement)),
            Fate::AskAgain => None,
        }
    }

    /// Renews what was served stale, once however many ask.
    fn renew(self: &Arc<Self>, pending: Pending, manner: Manner) {
        let place = pending.place();
        let Some(mut seat) = self.flights.join(&place) else { return };
        let Some(landings) = seat.first.take() else { return };
        let exchanges = self.clone();
        tokio::spawn(async move {
            let landed = exchanges.fly(&seat.flight, &place, pending, &manner).await;
            if let Landing::Shared(shared) = &landed
                && let Some(mut reader) = shared.body.join()
            {
                while reader.next().await.is_some() {}
            }
            exchanges.end(&place, &landings, landed);
        });
    }
}

/// Reads a body for all who read along, until it ends or nobody does.
async fn read(response: StreamingResponse, body: &SharedBody) {
    let mut chunks = response.into_body();
    let ended = loop {
        match chunks.next().await {
            Some(Ok(chunk)) => {
                if !body.push(chunk).await {
                    return;
                }
            }
            Some(Err(error)) => break Err(error),
            None => break Ok(()),
        }
    };
    body.end(ended);
}

/// What asking the upstream came to.
enum Asked {
    Came(StreamingResponse, Option<Box<Kept>>),
    Replaced(Replacement),
    Failed(Error),
}
