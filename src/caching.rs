//! The cache in front of the actors: a stored answer costs the caller no message.
//!
//! Everything happens in the caller's own task. What cannot be answered goes through the door as
//! any call does, so breaker, pace, queue and budget apply to renewals too; what comes back is
//! stored once, by the first of those who share it to hear it.

mod failures;
pub(crate) mod handle;
mod labels;
pub(crate) mod renewals;
pub(crate) mod storage;
pub(crate) mod terms;
pub(crate) mod views;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use http::header::SET_COOKIE;
use http::{HeaderMap, Method, StatusCode};
use spillgate_actors::answer::Response;
use spillgate_actors::cache_use::CacheMark;
use spillgate_actors::core::advice::ErrorKind;
use spillgate_actors::core::cache::using;
use spillgate_actors::core::verdict::Finality;
use spillgate_actors::door::Door;
use spillgate_actors::error::Error;
use spillgate_actors::fetch::Fetch;
use url::Url;

use crate::cache::Cache;
use crate::cache::ask::{Ask, CacheMode, Look, Pending};
use crate::cache::fate::{Fate, Replacement, is_failure};
use crate::caching::failures::Failures;
use crate::caching::labels::Label;
use crate::caching::renewals::Renewals;
use crate::caching::terms::{Terms, TermsBook};

/// The cache of one client, and what goes with it.
pub(crate) struct Caching {
    cache: OnceLock<Arc<Cache>>,
    secret: [u8; 32],
    book: ArcSwap<TermsBook>,
    renewals: Renewals,
    failures: Failures,
}

/// A door with a cache before it.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) door: Door,
    pub(crate) caching: Arc<Caching>,
}

/// How a call wants the cache treated.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CacheWish {
    pub(crate) mode: CacheMode,
    pub(crate) max_stale: Option<std::time::Duration>,
    /// Whether any stored answer is better than none.
    pub(crate) fallback_stale: bool,
}

impl Caching {
    /// What holds for a request; `None` if the cache is off for it.
    pub(crate) fn terms(&self, url: &Url, method: &Method, route: Option<&str>) -> Option<Terms> {
        self.book.load().terms(url, method, route)
    }

    /// What the cache is asked for a request; `None` if it has no part in it.
    fn ask_of(&self, fetch: &Fetch, wish: CacheWish) -> Option<(Ask, Terms)> {
        let url = fetch.url()?;
        let terms = self.terms(url, fetch.method(), fetch.route_name())?;
        let reads = matches!(*fetch.method(), Method::GET | Method::HEAD);
        if reads && !fetch.is_bodiless() {
            return None;
        }
        let CacheWish { mode, max_stale, .. } = wish;
        let (method, headers) = (fetch.method().clone(), fetch.header_map().clone());
        Some((Ask { method, url: url.clone(), headers, mode, max_stale }, terms))
    }
}

/// Answers a request from the cache, or sends it.
pub(crate) async fn send(front: &Front, fetch: Fetch, wish: CacheWish) -> Result<Response, Error> {
    // What waits is on the heap: a hit, and whoever holds its future, do without.
    match look(front, fetch, wish) {
        Looked::Answered(answer) => *answer,
        Looked::Past(fetch) => Box::pin(front.door.send(*fetch)).await,
        Looked::Asks(asking) => Box::pin(forward(front, *asking)).await,
    }
}

/// What a look into the cache came to.
enum Looked {
    Answered(Box<Result<Response, Error>>),
    /// The cache has no part in it.
    Past(Box<Fetch>),
    Asks(Box<Asking>),
}

/// A request that the cache could not answer.
struct Asking {
    fetch: Fetch,
    pending: Pending,
    fallback_stale: bool,
    terms: Terms,
}

fn look(front: &Front, mut fetch: Fetch, wish: CacheWish) -> Looked {
    let answered = |answer| Looked::Answered(Box::new(answer));
    front.door.complete(&mut fetch);
    let caching = &front.caching;
    let Some((ask, terms)) = caching.ask_of(&fetch, wish) else {
        if wish.mode == CacheMode::OnlyIfCached && fetch.url().is_some() {
            return answered(Err(not_cached()));
        }
        return Looked::Past(Box::new(fetch));
    };
    let url = ask.url.clone();
    match caching.cache().look_by(&terms.rules, ask) {
        Look::Serve(served) => {
            let why = if wish.mode == CacheMode::Default { "max-stale" } else { "force-cache" };
            answered(Ok(Label::of_hit(why).serve(front, &url, *served)))
        }
        Look::ServeAndRenew(served, pending) => {
            renew(front, &fetch, *pending, terms);
            answered(Ok(Label::of_hit("stale-while-revalidate").serve(front, &url, *served)))
        }
        Look::Nothing => answered(Err(not_cached())),
        Look::Send(pending) => {
            if let Some(known) = caching.recall(front, &pending, &terms) {
                return answered(known);
            }
            let (pending, fallback_stale) = (*pending, wish.fallback_stale);
            Looked::Asks(Box::new(Asking { fetch, pending, fallback_stale, terms }))
        }
    }
}

/// Sends what the cache could not answer, and makes of the answer what the rules have it.
async fn forward(front: &Front, asking: Asking) -> Result<Response, Error> {
    let Asking { fetch, pending, fallback_stale, terms } = asking;
    // What is asked about may turn out to be something else: then it is asked for outright.
    let outright = if pending.is_validating() { fetch.again() } else { None };
    let mark = pending.mark();
    let asked = fetch.edit_headers(|headers| pending.prepare(headers)).marked(mark.clone());
    let way = Way { front, fallback_stale, terms: &terms };
    match way.answer(pending, &mark, front.door.send(asked).await) {
        Made::Answer(answer) => *answer,
        Made::Again(pending) => {
            let Some(fetch) = outright else { return Err(lost()) };
            let mark = pending.mark();
            match way.answer(*pending, &mark, front.door.send(fetch.marked(mark.clone())).await) {
                Made::Answer(answer) => *answer,
                Made::Again(_) => Err(lost()),
            }
        }
    }
}

/// How one call's answers are taken.
struct Way<'a> {
    front: &'a Front,
    fallback_stale: bool,
    terms: &'a Terms,
}

/// What an answer, or its absence, came to.
enum Made {
    Answer(Box<Result<Response, Error>>),
    Again(Box<Pending>),
}

impl Way<'_> {
    fn answer(&self, pending: Pending, mark: &CacheMark, answer: Result<Response, Error>) -> Made {
        match answer {
            Ok(response) => self.came(shared(pending, mark, &response), response),
            Err(error) => Made::Answer(Box::new(self.failed(&pending, error))),
        }
    }

    fn failed(&self, pending: &Pending, error: Error) -> Result<Response, Error> {
        let caching = &self.front.caching;
        caching.failures.note_error(pending, &error, self.terms.failures);
        caching.cache().note_failure(pending, &error);
        let budgeted =
            || caching.cache().instead(pending).filter(|_| using::is_covered(error.kind()));
        let any = || caching.cache().anything(pending).filter(|_| self.fallback_stale);
        match budgeted().or_else(any) {
            Some(stale) => Ok(Label::instead_of(&error).replace(self.front, pending, &stale)),
            None => Err(error),
        }
    }

    fn came(&self, pending: Pending, response: Response) -> Made {
        let caching = &self.front.caching;
        caching.failures.note_answer(&pending, &response, self.terms.failures);
        let status = response.status();
        if is_redirected(&response) {
            // What came is another address's: nothing is learned from it about this one, but that
            // what may change things was taken.
            caching.cache().taken(&pending);
            if status == StatusCode::NOT_MODIFIED && pending.is_validating() {
                return Made::Again(Box::new(pending.unconditional()));
            }
            return self.pass(&pending, response);
        }
        let headers = whole_headers(&response);
        match caching.cache().arrived(&pending, status, &headers) {
            Fate::Keep(kept) if pending.is_storing() && !is_judged_bad(&response) => {
                let body = response.bytes().clone();
                caching.cache().keep(*kept, body);
                Made::answer(Label::of_origin(&pending, true).mark(response))
            }
            Fate::Keep(_) => Made::answer(Label::of_origin(&pending, false).mark(response)),
            Fate::Pass(_) => self.pass(&pending, response),
            Fate::Replace(replacement) => {
                Made::answer(self.replaced(&pending, &response, &replacement))
            }
            Fate::AskAgain => Made::Again(Box::new(pending.unconditional())),
        }
    }

    /// Gives an answer on that is not stored, unless anything stored is better.
    fn pass(&self, pending: &Pending, response: Response) -> Made {
        let cache = self.front.caching.cache();
        let stale = cache.anything(pending).filter(|_| self.fallback_stale);
        match stale.filter(|_| is_failure(response.status())) {
            Some(stale) => Made::answer(self.replaced(pending, &response, &stale)),
            None => Made::answer(Label::of_origin(pending, false).mark(response)),
        }
    }

    fn replaced(&self, pending: &Pending, by: &Response, stored: &Replacement) -> Response {
        Label::after(by).replace(self.front, pending, stored)
    }
}

impl Made {
    fn answer(response: Response) -> Self {
        Self::Answer(Box::new(Ok(response)))
    }
}

/// Renews what was served stale, unless that is under way: in the background, as the last of all.
fn renew(front: &Front, fetch: &Fetch, pending: Pending, terms: Terms) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let Some(fetch) = fetch.again() else { return };
    let Some(turn) = front.caching.renewals.begin(pending.place()) else { return };
    let front = front.clone();
    runtime.spawn(async move {
        let fetch = fetch.in_background();
        let asking = Asking { fetch, pending, fallback_stale: false, terms };
        let done = Box::pin(forward(&front, asking)).await;
        // Whoever asks next learns what came of it; the turn ends only when it is stored.
        drop(done);
        drop(turn);
    });
}

/// A request as its answer shows it: one that joined another's flight or not, and whether it is the
/// one of all who share the answer that stores it. That is the first to hear it, for the one that
/// asked may have left.
fn shared(pending: Pending, mark: &CacheMark, response: &Response) -> Pending {
    let joined = response.record().is_some_and(|record| record.leader.is_some());
    let wants = pending.ask().mode != CacheMode::NoStore;
    if !joined {
        return pending.storing(wants && mark.take());
    }
    let mark = response.joined().map(|joined| &joined.mark);
    let stores = wants && mark.is_some_and(CacheMark::take);
    pending.joined(mark).storing(stores)
}

/// The answer's headers as the upstream sent them: what decides whether it is stored.
fn whole_headers(response: &Response) -> Cow<'_, HeaderMap> {
    let mut headers = Cow::Borrowed(response.headers());
    if let Some(joined) = response.joined().filter(|joined| !joined.cookies.is_empty()) {
        for cookie in &joined.cookies {
            headers.to_mut().append(SET_COOKIE, cookie.clone());
        }
    }
    headers
}

/// Whether an answer was brought by a redirect.
fn is_redirected(response: &Response) -> bool {
    let attempts = response.record().map(|record| record.attempts.as_slice()).unwrap_or_default();
    match (attempts.first(), attempts.last()) {
        // All attempts of one hop share their text.
        (Some(first), Some(last)) => !Arc::ptr_eq(&first.url, &last.url),
        (None, _) | (_, None) => false,
    }
}

/// Whether the service's own classifier found a good status to be a failure.
fn is_judged_bad(response: &Response) -> bool {
    let finality = response.record().and_then(|record| record.finality);
    let looks_good = !(response.status().is_client_error() || response.status().is_server_error());
    looks_good && finality.is_some_and(|finality| finality != Finality::Settled)
}

fn not_cached() -> Error {
    Error::new(ErrorKind::NotCached, "nothing is stored for this request; nothing was sent")
}

fn lost() -> Error {
    let text = "the upstream answered about something that was not asked";
    Error::new(ErrorKind::HttpProtocolError, text)
}
