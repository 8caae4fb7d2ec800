//! What becomes of an answer that came: stored, passed on, or replaced by what is stored.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::header::{AGE, CONTENT_LOCATION, DATE, HeaderMap, HeaderValue};
use http::{HeaderName, Method, StatusCode};
use spillgate_actors::core::advice::ErrorKind;
use spillgate_actors::core::cache::date::Wall;
use spillgate_actors::core::cache::directives::{Directives, Extent};
use spillgate_actors::core::cache::fields::Fields as _;
use spillgate_actors::core::cache::freshness::{Exchange, Freshness, Said};
use spillgate_actors::core::cache::invalidation;
use spillgate_actors::core::cache::rules::Rules;
use spillgate_actors::core::cache::status::{CacheStatus, From};
use spillgate_actors::core::cache::storing::{Answered, Entry, Unstorable, judge};
use spillgate_actors::core::cache::updating::{self, Headed};
use spillgate_actors::core::cache::{using, vary};

use url::Url;

use crate::cache::ask::{CacheMode, Pending, is_lent};
use crate::cache::key::{Identity, Owner};
use crate::cache::page::{Lines, Stored};
use crate::cache::served::Served;
use crate::cache::tally::Tallies;
use crate::cache::{Cache, now};

/// What becomes of an answer whose head came.
#[derive(Debug)]
pub enum Fate {
    /// It is passed on, and stored once its body is whole.
    Keep(Box<Kept>),
    /// It is passed on.
    Pass(Unstorable),
    /// This takes its place; its own body is of no use.
    Replace(Replacement),
    /// It is about something that is not stored: ask again, without a condition.
    AskAgain,
}

/// A stored answer that takes the place of one that came, or did not.
#[derive(Clone)]
pub struct Replacement {
    stored: Arc<Stored>,
    own: HeaderMap,
    shared: bool,
    from: From,
    origin_status: Option<u16>,
    detail: Option<&'static str>,
    tallies: Arc<Tallies>,
}

/// An answer that is stored once its body is whole.
#[derive(Clone)]
pub struct Kept {
    key: [u8; 32],
    url: String,
    entry: Entry,
    headers: HeaderMap,
    selection: Vec<u8>,
    owner: Owner,
    began: u64,
    sets_cookie: bool,
    asked: HeaderMap,
}

impl Cache {
    /// Decides about an answer by its head, and learns from it what else it says.
    pub fn arrived(&self, pending: &Pending, status: StatusCode, headers: &HeaderMap) -> Fate {
        let (ask, now) = (&pending.ask, now());
        if status == StatusCode::NOT_MODIFIED
            && let Some(held) = pending.held.as_deref().filter(|_| pending.validating)
        {
            return self.renewed(pending, held, headers);
        }
        if is_failure(status) {
            self.troubles.note(pending, ErrorKind::HttpStatus);
        } else {
            self.troubles.end(&pending.key);
        }
        if is_failure(status)
            && let Some(mut stale) = self.instead(pending)
        {
            stale.origin_status = Some(status.as_u16());
            return Fate::Replace(stale);
        }
        if invalidation::invalidates(ask.method.as_str(), status.as_u16()) {
            self.invalidate(&ask.url, headers);
        }
        if ask.method == Method::HEAD {
            self.headed(pending, status, headers);
        }
        if ask.mode == CacheMode::NoStore {
            return Fate::Pass(Unstorable::RequestNoStore);
        }
        let exchange = Exchange { requested: pending.requested, received: now };
        let judged = judge(
            &pending.rules,
            &Answered {
                method: ask.method.as_str(),
                request: &Lines(&ask.headers),
                status: status.as_u16(),
                response: &Lines(headers),
                of_target: is_of_target(&ask.url, headers),
                exchange,
            },
        );
        match judged {
            Ok(entry) => Fate::Keep(Box::new(self.kept(pending, entry, headers))),
            Err(reason) => {
                let held = pending.held.as_deref();
                if let Some(held) = held.filter(|_| updating::outdates(status.as_u16(), reason)) {
                    self.forget(pending.key, held);
                }
                Fate::Pass(reason)
            }
        }
    }

    fn kept(&self, pending: &Pending, entry: Entry, headers: &HeaderMap) -> Kept {
        let (ask, rules) = (&pending.ask, &pending.rules);
        let mut kept = Kept::new(rules, pending, entry, headers);
        let unless_shared = self.options.identity == Identity::UnlessShared;
        if unless_shared && kept.entry.is_for_all(rules, &Lines(&ask.headers)) {
            kept.owner = None;
        }
        if ask.method != Method::GET {
            // What the request itself has made useless is older.
            kept.began = self.purges.moment();
        }
        kept
    }

    /// What is stored and may stand in for an answer that did not come.
    pub fn instead(&self, pending: &Pending) -> Option<Replacement> {
        let stored = self.held(pending)?;
        using::instead_of_error(&pending.rules, &stored.entry, &pending.wishes, now())?;
        Some(self.replacement(stored, Some("stale-if-error")))
    }

    /// What is stored and may stand in, however old, where the caller takes anything: all but what
    /// says that it must not be used without the origin's word.
    pub fn anything(&self, pending: &Pending) -> Option<Replacement> {
        let stored = self.held(pending)?;
        let validated = stored.entry.said.directives.no_cache == Extent::Whole;
        if validated || using::forbids_stale(&pending.rules, &stored.entry) {
            return None;
        }
        Some(self.replacement(stored, Some("fallback-stale")))
    }

    fn replacement(&self, stored: Arc<Stored>, detail: Option<&'static str>) -> Replacement {
        let (own, shared, from) = (HeaderMap::new(), true, From::Store);
        let tallies = self.tallies.clone();
        Replacement { stored, own, shared, from, origin_status: None, detail, tallies }
    }

    /// What is held for a request as of this moment: renewed or forgotten meanwhile, perhaps.
    fn held(&self, pending: &Pending) -> Option<Arc<Stored>> {
        let owner = pending.held.as_ref()?.owner;
        let request = &pending.ask.headers;
        let stored = self.store.get(&pending.key)?.choose(owner, request)?.clone();
        let own = owner == pending.owner;
        (own || is_lent(&pending.rules, &stored, request)).then_some(stored)
    }

    /// Stores an answer whose body is whole.
    pub fn keep(&self, kept: Kept, body: Bytes) {
        let Kept { key, url, entry, headers, selection, owner, began, asked, .. } = kept;
        let stored = Stored { entry, headers, body, selection, owner, began };
        self.put(key, &url, (stored, None), &asked);
    }

    fn renewed(&self, pending: &Pending, held: &Stored, headers: &HeaderMap) -> Fate {
        if !updating::is_about(&Lines(&held.headers), &Lines(headers)) {
            return Fate::AskAgain;
        }
        if pending.stores {
            self.tallies.revalidated.fetch_add(1, Relaxed);
        }
        let origin_status = Some(StatusCode::NOT_MODIFIED.as_u16());
        let from = From::Origin(pending.why);
        let replacement = self.merged(pending, held, headers);
        Fate::Replace(Replacement { from, origin_status, ..replacement })
    }

    /// Brings what is held up to date with a newer answer's fields, as far as it may be stored.
    fn merged(&self, pending: &Pending, held: &Stored, newer: &HeaderMap) -> Replacement {
        let rules = &pending.rules;
        let mut headers = held.headers.clone();
        // Both are of the answer that they came with.
        headers.remove(AGE);
        headers.remove(DATE);
        let lines = Lines(newer);
        for name in newer.keys().filter(|name| updating::is_renewed(name.as_str())) {
            if !updating::is_named_by_connection(name.as_str(), &lines) {
                replace(&mut headers, name, newer);
            }
        }
        let received = now();
        date(&mut headers, received);
        let exchange = Exchange { requested: pending.requested, received };
        let status = held.entry.status;
        let said = Said::read(rules, &Lines(&headers));
        let own = take_own(rules, &mut headers, &said.directives);
        let answered = Answered {
            method: "GET",
            request: &Lines(&pending.ask.headers),
            status,
            response: &Lines(&headers),
            of_target: false,
            exchange,
        };
        let judged = judge(rules, &answered);
        let reason = judged.as_ref().err().copied();
        let mut entry = judged.unwrap_or_else(|_| {
            let freshness = Freshness::read(rules, status, &Lines(&headers), &said, exchange);
            Entry { status, freshness, said, selecting: held.entry.selecting.clone() }
        });
        // The body was chosen by what chose it then, whatever the origin goes by since.
        entry.selecting.extend(held.entry.selecting.iter().cloned());
        entry.selecting.sort_unstable();
        entry.selecting.dedup();
        let selection = vary::selection(&entry.selecting, &Lines(&pending.ask.headers));
        // What came for one user's credentials says nothing to all, unless it says so itself.
        let of_all = entry.is_for_all(rules, &Lines(&pending.ask.headers));
        let foreign = pending.owner != held.owner && !of_all;
        let (body, owner, began) = (held.body.clone(), held.owner, pending.began);
        let stored = Stored { entry, headers, body, selection, owner, began };
        match reason {
            None if foreign || !pending.stores => {}
            None => {
                let (key, url) = (pending.key, pending.ask.url.as_str());
                self.put(key, url, (stored.clone(), Some(held)), &pending.ask.headers);
            }
            Some(reason) if updating::outdates(status, reason) => self.forget(pending.key, held),
            Some(_) => {}
        }
        let shared = reason.is_none() && !foreign;
        Replacement { own, shared, ..self.replacement(Arc::new(stored), None) }
    }

    /// Learns what the answer to a `HEAD` says of a stored answer to a `GET`.
    fn headed(&self, pending: &Pending, status: StatusCode, newer: &HeaderMap) {
        let Some(held) = pending.held.as_deref() else { return };
        let length = held.body.len() as u64;
        let lines = Lines(&held.headers);
        match updating::headed(&lines, length, status.as_u16(), &Lines(newer)) {
            Headed::Unrelated => {}
            Headed::Changed => self.forget(pending.key, held),
            Headed::Renewed => drop(self.merged(pending, held, newer)),
        }
    }
}

impl Replacement {
    /// The answer for one request.
    pub fn serve(&self, method: &Method, request: &HeaderMap) -> Served {
        let served = Served::from_stored(&self.stored, method, request, now());
        let Self { from, origin_status, detail, .. } = *self;
        if from == From::Store && !served.staleness.is_zero() {
            self.tallies.stale.fetch_add(1, Relaxed);
        }
        let cache_status = CacheStatus { from, origin_status, detail, ..served.cache_status };
        Served { cache_status, ..served }
    }

    /// The answer for the one who asked, with what came for it alone.
    pub fn serve_asker(&self, method: &Method, request: &HeaderMap) -> Served {
        let mut served = self.serve(method, request);
        for (name, value) in &self.own {
            served.headers.append(name.clone(), value.clone());
        }
        served
    }

    /// The same with a reason, in a word, for `Cache-Status`.
    #[must_use]
    pub fn because(self, detail: &'static str) -> Self {
        Self { detail: Some(detail), ..self }
    }

    /// Whether another request would be answered by it.
    pub fn is_for(&self, request: &HeaderMap) -> bool {
        self.stored.is_for(request)
    }

    /// Whether others may have it: not if the origin's word was for the one who asked.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// The fields that came for the one who asked alone, such as a cookie; [`Self::serve`] leaves
    /// them out.
    pub fn own(&self) -> &HeaderMap {
        &self.own
    }
}

impl Kept {
    fn new(rules: &Rules, pending: &Pending, entry: Entry, headers: &HeaderMap) -> Self {
        let mut kept = HeaderMap::with_capacity(headers.len());
        let lines = Lines(headers);
        for name in headers.keys() {
            if updating::is_kept(rules, name.as_str(), &lines, &entry.said.directives) {
                replace(&mut kept, name, headers);
            }
        }
        let selection = vary::selection(&entry.selecting, &Lines(&pending.ask.headers));
        let url = pending.ask.url.as_str().to_owned();
        let (key, owner, began) = (pending.key, pending.owner, pending.began);
        date(&mut kept, entry.freshness.received);
        let (headers, asked) = (kept, pending.ask.headers.clone());
        let sets_cookie = lines.has("set-cookie");
        Self { key, url, entry, headers, selection, owner, began, sets_cookie, asked }
    }

    /// The fields that are stored: those that others may have.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The request fields that chose the answer.
    pub fn selecting(&self) -> &[String] {
        &self.entry.selecting
    }

    /// Whether another request would be answered by it.
    pub fn is_for(&self, request: &HeaderMap) -> bool {
        vary::selection(&self.entry.selecting, &Lines(request)) == self.selection
    }

    /// Whether it sets a cookie and does not say that all may have it: what the rules store of it is
    /// for later, and those who ask meanwhile ask for themselves.
    pub fn is_for_one(&self) -> bool {
        self.sets_cookie && !self.entry.said.directives.public
    }

    /// Whether it sets a cookie, which is for its own caller alone.
    pub fn sets_cookie(&self) -> bool {
        self.sets_cookie
    }
}

impl fmt::Debug for Replacement {
    /// Leaves the fields that came for one out: they may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replacement").field("stored", &self.stored).finish_non_exhaustive()
    }
}

impl fmt::Debug for Kept {
    /// Leaves address, fields and what chose it out: they may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("entry", &self.entry).finish_non_exhaustive()
    }
}

/// Takes out the fields that are not stored: they are for the one who asked.
fn take_own(rules: &Rules, headers: &mut HeaderMap, said: &Directives) -> HeaderMap {
    let kept = |name: &HeaderName| updating::is_kept(rules, name.as_str(), &Lines(headers), said);
    let own = headers.iter().filter(|(name, _)| !kept(name));
    let own: HeaderMap = own.map(|(name, value)| (name.clone(), value.clone())).collect();
    own.keys().for_each(|name| drop(headers.remove(name)));
    own
}

/// Says when an answer was made if it does not say so itself (RFC 9110 section 6.6.1).
fn date(headers: &mut HeaderMap, received: Wall) {
    if let Ok(received) = HeaderValue::try_from(received.to_string()) {
        headers.entry(DATE).or_insert(received);
    }
}

/// Whether an answer says that it is what a `GET` of the address would have had.
fn is_of_target(target: &Url, headers: &HeaderMap) -> bool {
    let location = headers.get(CONTENT_LOCATION).and_then(|location| location.to_str().ok());
    location.and_then(|location| target.join(location).ok()).is_some_and(|url| url == *target)
}

/// Puts all lines of a field in the place of those that were there.
fn replace(into: &mut HeaderMap, name: &HeaderName, from: &HeaderMap) {
    into.remove(name);
    for value in from.get_all(name) {
        into.append(name, value.clone());
    }
}

/// Whether a status is one that `stale-if-error` is about (RFC 5861 section 4).
pub fn is_failure(status: StatusCode) -> bool {
    using::is_failure(status.as_u16())
}
