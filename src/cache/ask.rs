//! A request at the cache: answered from the store, or sent on with what the cache adds.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::header::{HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{HeaderName, Method};
use spillgate_actors::cache_use::CacheMark;
use spillgate_actors::core::cache::conditions::{self, CONDITIONS, Validators};
use spillgate_actors::core::cache::date::Wall;
use spillgate_actors::core::cache::directives::Wishes;
use spillgate_actors::core::cache::rules::Rules;
use spillgate_actors::core::cache::status::{CacheStatus, Why};
use spillgate_actors::core::cache::using::{self, Doubt, Use};
use spillgate_actors::core::cache::vary;
use url::Url;

use crate::cache::key::{Identity, Owner, names_user_beside_cookie};
use crate::cache::page::{Lines, Page, Stored};
use crate::cache::regime::{RuleBook, regime_of};
use crate::cache::served::Served;
use crate::cache::{Cache, now};

/// How a request treats the cache, after the Fetch standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CacheMode {
    /// As the rules have it.
    #[default]
    Default,
    /// Neither from the store nor into it.
    NoStore,
    /// Not from the store, but into it.
    Reload,
    /// Not without asking the origin whether what is stored is still good.
    NoCache,
    /// From the store, however old; from the origin if there is nothing.
    ForceCache,
    /// From the store, however old, or not at all.
    OnlyIfCached,
}

/// A request, as the cache sees it.
#[derive(Clone)]
pub struct Ask {
    /// The method.
    pub method: Method,
    /// The address, without fragment.
    pub url: Url,
    /// The fields.
    pub headers: HeaderMap,
    /// How the cache is to be treated.
    pub mode: CacheMode,
    /// How stale an answer may be, beside what the request's fields say.
    pub max_stale: Option<Duration>,
}

/// What the cache makes of a request.
#[derive(Debug)]
pub enum Look {
    /// It has the answer.
    Serve(Box<Served>),
    /// It has an answer that should be renewed meanwhile.
    ServeAndRenew(Box<Served>, Box<Pending>),
    /// The origin must be asked.
    Send(Box<Pending>),
    /// The request takes nothing but what is stored, and there is nothing.
    Nothing,
}

/// A request that goes to the origin.
#[derive(Debug)]
pub struct Pending {
    pub(super) ask: Ask,
    pub(super) rules: Arc<Rules>,
    pub(super) key: [u8; 32],
    pub(super) owner: Owner,
    pub(super) wishes: Wishes,
    pub(super) why: Why,
    /// What is stored for it, stale or in doubt.
    pub(super) held: Option<Arc<Stored>>,
    /// Whether it asks the origin about what is held.
    pub(super) validating: bool,
    /// Whether nobody waits for it: it asks for all of it, whatever its caller wanted.
    pub(super) renewing: bool,
    /// The request fields that are known to choose among the answers of its address.
    pub(super) selecting: Vec<String>,
    pub(super) began: u64,
    pub(super) requested: Wall,
    /// Whether it asked itself or shares what another asked before it.
    pub(super) part: Part,
    /// Whether it is the one of all who share the answer that stores it.
    pub(super) stores: bool,
}

/// A request's part in a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Asked,
    Joined,
}

impl Cache {
    /// Looks for an answer, by the cache's own rules.
    pub fn look(&self, ask: Ask) -> Look {
        self.look_by(&self.book, ask)
    }

    /// Looks for an answer, by rules that hold for this request and what comes of it.
    pub fn look_by(&self, book: &RuleBook, ask: Ask) -> Look {
        let look = self.peek_by(book, ask);
        match &look {
            Look::Serve(served) | Look::ServeAndRenew(served, _) => self.note_hit(served),
            Look::Send(pending) if pending.is_miss() => {
                self.tallies.misses.fetch_add(1, Relaxed);
            }
            Look::Send(_) | Look::Nothing => {}
        }
        look
    }

    /// A request was answered by what was looked for without counting it.
    pub(crate) fn note_hit(&self, served: &Served) {
        self.tallies.hit(!served.staleness.is_zero());
    }

    /// The same for one who only wants to know: it counts as nobody's request.
    pub(crate) fn peek_by(&self, book: &RuleBook, mut ask: Ask) -> Look {
        if names_user(&ask.url) {
            // Credentials in the address are in no field that could keep users apart.
            ask.mode = CacheMode::NoStore;
        }
        let mut wishes = Wishes::read(&Lines(&ask.headers));
        wishes.max_stale = wishes.max_stale.max(ask.max_stale);
        wishes.no_cache |= ask.mode == CacheMode::NoCache;
        wishes.only_if_cached |= ask.mode == CacheMode::OnlyIfCached;
        let owner = self.keys.owner(&ask.headers);
        let rules = book.of(owner);
        let mut place = Place {
            key: self.keys.address(&ask.url, regime_of(rules)),
            owner,
            rules: rules.clone(),
            selecting: Vec::new(),
            // Before anything is read: what is purged after that is not to be renewed.
            began: self.purges.moment(),
            now: now(),
        };
        if let Some(why) = avoids(&ask, &wishes) {
            return absent(ask, place, (wishes, why, None));
        }
        let page = self.store.get(&place.key);
        let newest = page.as_ref().and_then(|page| page.variants.first());
        place.selecting = newest.map(|stored| stored.entry.selecting.clone()).unwrap_or_default();
        let held = page.as_ref().and_then(|page| self.found(page, &place, &ask.headers)).cloned();
        let Some(stored) = held else {
            let why = if page.is_some() { Why::VaryMiss } else { Why::UriMiss };
            return absent(ask, place, (wishes, why, None));
        };
        let used = decide(rules, ask.mode, (&stored, &wishes), place.now);
        let serve = || Box::new(Served::from_stored(&stored, &ask.method, &ask.headers, place.now));
        if let Some(failed) = self.spares_origin(rules, used, (&place.key, &stored), &wishes) {
            return Look::Serve(Box::new((*serve()).in_place_of(failed)));
        }
        match used {
            Use::Fresh | Use::Stale => Look::Serve(serve()),
            Use::WhileRenewed => {
                let served = serve();
                let found = (wishes, Why::Stale, Some(stored.clone()));
                let pending = Pending::new(ask, place, found);
                Look::ServeAndRenew(served, Box::new(Pending { renewing: true, ..pending }))
            }
            Use::Validate(doubt) => {
                let why = match doubt {
                    Doubt::Expired | Doubt::NoCache => Why::Stale,
                    Doubt::RequestNoCache | Doubt::TooOld | Doubt::NotFreshEnough => Why::Request,
                };
                absent(ask, place, (wishes, why, Some(stored)))
            }
        }
    }

    /// The answer that a request may have, as far as who asks is concerned.
    fn found<'a>(
        &self,
        page: &'a Page,
        place: &Place,
        request: &HeaderMap,
    ) -> Option<&'a Arc<Stored>> {
        let shares = self.options.identity == Identity::UnlessShared && place.owner.is_some();
        page.choose(place.owner, request).or_else(|| {
            let stored = page.choose(None, request).filter(|_| shares)?;
            is_lent(&place.rules, stored, request).then_some(stored)
        })
    }
}

/// Whether what nobody in particular owns is for a request with credentials, too.
pub(super) fn is_lent(rules: &Rules, stored: &Stored, request: &HeaderMap) -> bool {
    stored.entry.is_for_all(rules, &Lines(request)) || !names_user_beside_cookie(request)
}

/// What becomes of a request that the store does not answer.
fn absent(ask: Ask, place: Place, found: Found) -> Look {
    let for_the_cache = found.1 != Why::Method || ask.mode == CacheMode::OnlyIfCached;
    if found.0.only_if_cached && for_the_cache {
        return Look::Nothing;
    }
    Look::Send(Box::new(Pending::new(ask, place, found)))
}

/// What a look is about.
struct Place {
    key: [u8; 32],
    owner: Owner,
    rules: Arc<Rules>,
    selecting: Vec<String>,
    began: u64,
    now: Wall,
}

type Found = (Wishes, Why, Option<Arc<Stored>>);

/// What to do with a stored answer, by the caller's wish or by the rules.
fn decide(rules: &Rules, mode: CacheMode, (stored, wishes): (&Stored, &Wishes), now: Wall) -> Use {
    match mode {
        CacheMode::ForceCache | CacheMode::OnlyIfCached => Use::Fresh,
        CacheMode::NoCache => Use::Validate(Doubt::RequestNoCache),
        CacheMode::Default | CacheMode::NoStore | CacheMode::Reload => {
            using::decide(rules, &stored.entry, wishes, now)
        }
    }
}

/// Why a request is sent on without a look at what is stored, if it is.
fn avoids(ask: &Ask, wishes: &Wishes) -> Option<Why> {
    if !matches!(ask.method, Method::GET | Method::HEAD) {
        return Some(Why::Method);
    }
    let told = match ask.mode {
        CacheMode::NoStore | CacheMode::Reload => true,
        CacheMode::Default
        | CacheMode::NoCache
        | CacheMode::ForceCache
        | CacheMode::OnlyIfCached => false,
    };
    let bypassed = told || wishes.no_store || conditions::is_for_the_origin(&Lines(&ask.headers));
    bypassed.then_some(Why::Bypass)
}

impl Pending {
    fn new(ask: Ask, place: Place, (wishes, why, held): Found) -> Self {
        let Place { key, owner, rules, selecting, began, now: requested } = place;
        let validators =
            held.as_ref().map(|held| !Validators::read(&Lines(&held.headers)).is_empty());
        let validating = validators.unwrap_or_default() && ask.method == Method::GET;
        let (part, renewing, stores) = (Part::Asked, false, true);
        Self {
            ask,
            rules,
            key,
            owner,
            wishes,
            why,
            held,
            validating,
            renewing,
            selecting,
            began,
            requested,
            part,
            stores,
        }
    }

    /// Where the answer would be stored, whose it would be, and which of the answers that are known
    /// there: who has the same may wait for it.
    pub fn place(&self) -> (([u8; 32], Owner), Vec<u8>) {
        let lane = vary::selection(&self.selecting, &Lines(&self.ask.headers));
        ((self.key, self.owner), lane)
    }

    /// The request as the cache sees it.
    pub fn ask(&self) -> &Ask {
        &self.ask
    }

    /// Whether an answer to it could be stored at all.
    pub fn may_store(&self) -> bool {
        self.ask.method == Method::GET && self.why != Why::Bypass
            || self.ask.mode == CacheMode::Reload
    }

    /// Whether what is stored might have answered it: not a request that goes by the store.
    fn is_miss(&self) -> bool {
        match self.why {
            Why::Method | Why::Bypass => false,
            Why::UriMiss | Why::VaryMiss | Why::Stale | Why::Request | Why::Partial => true,
        }
    }

    /// Why it is sent, for `Cache-Status`.
    pub fn cache_status(&self) -> CacheStatus {
        CacheStatus::forwarded(self.why)
    }

    /// Asks about what is held, in the fields that go to the origin, instead of what the caller holds.
    pub fn prepare(&self, headers: &mut HeaderMap) {
        if self.validating || self.renewing {
            CONDITIONS.iter().for_each(|name| drop(headers.remove(*name)));
        }
        let Some(held) = self.held.as_ref().filter(|_| self.validating) else { return };
        let lines = Lines(&held.headers);
        let Validators { etag, modified } = Validators::read(&lines);
        set(headers, IF_NONE_MATCH, etag);
        set(headers, IF_MODIFIED_SINCE, modified);
    }

    /// What is left on its flight for those who join it.
    pub fn mark(&self) -> CacheMark {
        CacheMark::new(self.began, self.requested)
    }

    /// The same request, whose answer another asked for before it.
    #[must_use]
    pub fn joined(mut self, mark: Option<&CacheMark>) -> Self {
        if let Some(mark) = mark {
            self.began = self.began.min(mark.began);
            self.requested = self.requested.min(mark.requested);
        }
        self.part = Part::Joined;
        self
    }

    /// The same request as the one of all who share its answer that stores it, or another of them.
    #[must_use]
    pub fn storing(mut self, stores: bool) -> Self {
        self.stores = stores;
        self
    }

    /// Whether it is the one that stores the answer.
    pub fn is_storing(&self) -> bool {
        self.stores
    }

    /// Whether another asked for its answer.
    pub fn is_joined(&self) -> bool {
        self.part == Part::Joined
    }

    /// Whether anything is stored for it, good or not.
    pub fn holds_anything(&self) -> bool {
        self.held.is_some()
    }

    /// Whether it asks the origin about what is held.
    pub fn is_validating(&self) -> bool {
        self.validating
    }

    /// The same request without a question about what is held, for an answer that was about
    /// something else.
    #[must_use]
    pub fn unconditional(mut self) -> Self {
        self.validating = false;
        self
    }
}

impl fmt::Debug for Ask {
    /// Leaves the address and the fields out: they may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, mode, max_stale, .. } = self;
        let mut shown = f.debug_struct("Ask");
        shown.field("method", method).field("mode", mode).field("max_stale", max_stale);
        shown.finish_non_exhaustive()
    }
}

fn names_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<&[u8]>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value).ok()) {
        headers.insert(name, value);
    }
}
