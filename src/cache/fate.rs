//! What becomes of an answer that came: stored, passed on, or replaced by what is stored.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AGE, HeaderMap};
use http::{HeaderName, Method, StatusCode};
use spillgate_actors::core::cache::directives::Extent;
use spillgate_actors::core::cache::fields::Fields as _;
use spillgate_actors::core::cache::freshness::{Exchange, Freshness, Said};
use spillgate_actors::core::cache::invalidation::{self, FURTHER_TARGETS};
use spillgate_actors::core::cache::status::{CacheStatus, From};
use spillgate_actors::core::cache::storing::{Answered, Entry, Unstorable, judge};
use spillgate_actors::core::cache::updating::{self, Headed};
use spillgate_actors::core::cache::{using, vary};

use crate::cache::ask::{CacheMode, Pending};
use crate::cache::key::Owner;
use crate::cache::page::{Lines, Stored};
use crate::cache::purge::Purge;
use crate::cache::served::Served;
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
#[derive(Debug, Clone)]
pub struct Replacement {
    stored: Arc<Stored>,
    from: From,
    origin_status: Option<u16>,
    detail: Option<&'static str>,
}

/// An answer that is stored once its body is whole.
#[derive(Debug, Clone)]
pub struct Kept {
    key: [u8; 32],
    url: String,
    entry: Entry,
    headers: HeaderMap,
    selection: Vec<u8>,
    owner: Owner,
    began: u64,
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
        if is_failure(status)
            && let Some(mut stale) = self.instead(pending)
        {
            stale.origin_status = Some(status.as_u16());
            return Fate::Replace(stale);
        }
        if invalidation::invalidates(ask.method.as_str(), status.as_u16()) {
            self.invalidate(pending, headers);
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
                exchange,
            },
        );
        match judged {
            Ok(entry) => Fate::Keep(Box::new(Kept::new(pending, entry, headers))),
            Err(reason) => Fate::Pass(reason),
        }
    }

    /// What is stored and may stand in for an answer that did not come.
    pub fn instead(&self, pending: &Pending) -> Option<Replacement> {
        let stored = self.held(pending)?;
        using::instead_of_error(&pending.rules, &stored.entry, &pending.wishes, now())?;
        let detail = Some("stale-if-error");
        Some(Replacement { stored, from: From::Store, origin_status: None, detail })
    }

    /// What is stored and may stand in, however old, where the caller takes anything: all but what
    /// says that it must not be used without the origin's word.
    pub fn anything(&self, pending: &Pending) -> Option<Replacement> {
        let stored = self.held(pending)?;
        let directives = &stored.entry.said.directives;
        if directives.must_revalidate || directives.no_cache == Extent::Whole {
            return None;
        }
        let detail = Some("fallback-stale");
        Some(Replacement { stored, from: From::Store, origin_status: None, detail })
    }

    /// What is held for a request as of this moment: renewed or forgotten meanwhile, perhaps.
    fn held(&self, pending: &Pending) -> Option<Arc<Stored>> {
        pending.held.as_ref()?;
        self.store.get(&pending.key)?.choose(pending.owner, &pending.ask.headers).cloned()
    }

    /// Stores an answer whose body is whole.
    pub fn keep(&self, kept: Kept, body: Bytes) {
        let Kept { key, url, entry, headers, selection, owner, began } = kept;
        self.put(key, &url, Stored { entry, headers, body, selection, owner, began });
    }

    fn renewed(&self, pending: &Pending, held: &Stored, headers: &HeaderMap) -> Fate {
        if !updating::is_about(&Lines(&held.headers), &Lines(headers)) {
            return Fate::AskAgain;
        }
        let stored = Arc::new(self.merged(pending, held, headers));
        let origin_status = Some(StatusCode::NOT_MODIFIED.as_u16());
        Fate::Replace(Replacement {
            stored,
            from: From::Origin(pending.why),
            origin_status,
            detail: None,
        })
    }

    /// Stores what is held with the fields of a newer answer, and returns it.
    fn merged(&self, pending: &Pending, held: &Stored, newer: &HeaderMap) -> Stored {
        let rules = &pending.rules;
        let mut headers = held.headers.clone();
        // An age is that of the answer it came with.
        headers.remove(AGE);
        let lines = Lines(newer);
        for name in newer.keys().filter(|name| updating::is_renewed(name.as_str())) {
            if !updating::is_named_by_connection(name.as_str(), &lines) {
                replace(&mut headers, name, newer);
            }
        }
        let said = Said::read(rules, &Lines(&headers));
        let exchange = Exchange { requested: pending.requested, received: now() };
        let status = held.entry.status;
        let freshness = Freshness::read(rules, status, &Lines(&headers), &said, exchange);
        let selecting = vary::selecting(&Lines(&headers));
        let selecting = selecting.unwrap_or_else(|| held.entry.selecting.clone());
        let selection = vary::selection(&selecting, &Lines(&pending.ask.headers));
        let entry = Entry { status, freshness, said, selecting };
        let body = held.body.clone();
        let (owner, began) = (pending.owner, pending.began);
        let stored = Stored { entry, headers, body, selection, owner, began };
        let forbidden = stored.entry.said.directives.no_store;
        if !forbidden && !pending.joined {
            self.put(pending.key, pending.ask.url.as_str(), stored.clone());
        }
        stored
    }

    /// Learns what the answer to a `HEAD` says of a stored answer to a `GET`.
    fn headed(&self, pending: &Pending, status: StatusCode, fields: &HeaderMap) {
        let Some(held) = pending.held.as_deref() else { return };
        let length = held.body.len() as u64;
        let lines = Lines(&held.headers);
        match updating::headed(&lines, length, status.as_u16(), &Lines(fields)) {
            Headed::Unrelated => {}
            Headed::Changed => self.store.remove(&pending.key),
            Headed::Renewed => drop(self.merged(pending, held, fields)),
        }
    }

    /// Forgets what an unsafe request has made useless, for whomever it was stored.
    fn invalidate(&self, pending: &Pending, headers: &HeaderMap) {
        let target = &pending.ask.url;
        let further = FURTHER_TARGETS.iter().filter_map(|name| headers.get(*name)?.to_str().ok());
        let further = further.filter_map(|location| target.join(location).ok());
        let further = further.filter(|url| url.origin() == target.origin());
        let all = further.chain([target.clone()]);
        for mut url in all {
            url.set_fragment(None);
            self.store.remove(&self.keys.address(&url));
            self.purges.add(Purge::Url(url.into()));
        }
    }
}

impl Replacement {
    /// The answer for one request.
    pub fn serve(&self, method: &Method, request: &HeaderMap) -> Served {
        let served = Served::from_stored(&self.stored, method, request, now());
        let Self { from, origin_status, detail, .. } = *self;
        let cache_status = CacheStatus { from, origin_status, detail, ..served.cache_status };
        Served { cache_status, ..served }
    }

    /// Whether another request would be answered by it.
    pub fn is_for(&self, request: &HeaderMap) -> bool {
        self.stored.is_for(request)
    }
}

impl Kept {
    fn new(pending: &Pending, entry: Entry, headers: &HeaderMap) -> Self {
        let mut kept = HeaderMap::with_capacity(headers.len());
        let lines = Lines(headers);
        for name in headers.keys() {
            if updating::is_kept(name.as_str(), &lines, &entry) {
                replace(&mut kept, name, headers);
            }
        }
        let selection = vary::selection(&entry.selecting, &Lines(&pending.ask.headers));
        let url = pending.ask.url.as_str().to_owned();
        let (key, owner, began) = (pending.key, pending.owner, pending.began);
        Self { key, url, entry, headers: kept, selection, owner, began }
    }

    /// The request fields that chose the answer.
    pub fn selecting(&self) -> &[String] {
        &self.entry.selecting
    }

    /// Whether another request would be answered by it.
    pub fn is_for(&self, request: &HeaderMap) -> bool {
        vary::selection(&self.entry.selecting, &Lines(request)) == self.selection
    }

    /// Whether it sets a cookie, which is for its own caller alone.
    pub fn sets_cookie(&self) -> bool {
        Lines(&self.headers).has("set-cookie")
    }
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
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
