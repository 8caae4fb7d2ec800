//! The cache as a service handles it: to look at what is stored, to fill it, to forget it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use spillgate_actors::fetch::Fetch;
use spillgate_actors::messages::Invalidate;

use crate::cache::Cache;
use crate::cache::ask::{Ask, CacheMode, Look};
use crate::cache::fate::Fate;
use crate::cache::now;
use crate::cache::page::Page;
use crate::cache::purge::Purge;
use crate::cache::tally::CacheTally;
use crate::caching::labels::Label;
use crate::caching::{CacheWish, Caching, Front, terms};
use crate::response::Response;

/// The cache of one client.
///
/// What it gives and takes is what is stored for requests without credentials; forgetting concerns
/// what is stored for anybody.
#[derive(Clone)]
pub struct CacheHandle {
    front: Front,
}

/// How much is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheSize {
    /// Addresses.
    pub pages: usize,
    /// Bytes, bookkeeping included.
    pub bytes: u64,
}

/// A stored answer, as a list shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct CachedAnswer {
    /// Its address, as it was asked for: its query may hold secrets.
    pub url: String,
    /// Its status.
    pub status: u16,
    /// How old it is.
    pub age: Duration,
    /// The bytes of its body.
    pub bytes: usize,
}

impl CacheHandle {
    pub(crate) fn new(front: Front) -> Self {
        Self { front }
    }

    /// What is stored for a plain request of an address, however old.
    pub fn get(&self, url: impl AsRef<str>) -> Option<Response> {
        let mode = CacheMode::OnlyIfCached;
        let (ask, terms) = self.ask(url.as_ref(), mode)?;
        let url = ask.url.clone();
        match self.front.caching.cache().peek_by(&terms.rules, ask) {
            Look::Serve(served) | Look::ServeAndRenew(served, _) => {
                Some(Label::of_hit("force-cache").serve(&self.front, &url, *served).into())
            }
            Look::Send(_) | Look::Nothing => None,
        }
    }

    /// Stores an answer as if a plain request of the address had brought it; says whether the rules
    /// let it.
    pub fn put(&self, url: impl AsRef<str>, response: impl Into<Response>) -> bool {
        let response: Response = response.into();
        let Some((ask, terms)) = self.ask(url.as_ref(), CacheMode::Reload) else { return false };
        let cache = self.front.caching.cache();
        let Look::Send(pending) = cache.peek_by(&terms.rules, ask) else { return false };
        match cache.arrived(&pending, response.status(), response.headers()) {
            Fate::Keep(kept) => {
                cache.keep(*kept, response.bytes().clone());
                true
            }
            Fate::Pass(_) | Fate::Replace(_) | Fate::AskAgain => false,
        }
    }

    /// Forgets what is named, and what of it is on its way; says how many answers were stored.
    pub fn invalidate(&self, purge: Purge) -> usize {
        self.front.caching.invalidate(purge)
    }

    /// The cache itself, for a proxy that is to answer from it by this client's configuration.
    pub fn shared(&self) -> Arc<Cache> {
        self.front.caching.cache().clone()
    }

    /// How much is stored.
    pub fn size(&self) -> CacheSize {
        let (pages, bytes) = self.front.caching.cache().size();
        CacheSize { pages, bytes }
    }

    /// What the cache has done so far; asking here counts nothing.
    pub fn tally(&self) -> CacheTally {
        self.front.caching.cache().tally()
    }

    /// Everything that is stored, as of this moment.
    pub fn export(&self) -> impl Iterator<Item = CachedAnswer> + use<> {
        let (mut answers, now) = (Vec::new(), now());
        self.front.caching.cache().visit(&mut |page: &Page| {
            answers.extend(page.variants.iter().map(|stored| CachedAnswer {
                url: page.url.clone(),
                status: stored.entry.status,
                age: stored.entry.freshness.age(now),
                bytes: stored.body.len(),
            }));
        });
        answers.into_iter()
    }

    fn ask(&self, url: &str, mode: CacheMode) -> Option<(Ask, terms::Terms)> {
        let mut fetch = Fetch::request(Method::GET, url);
        self.front.door.complete(&mut fetch);
        let wish = CacheWish { mode, ..CacheWish::default() };
        let (ask, terms) = self.front.caching.ask_of(&fetch, wish)?;
        Some((Ask { headers: HeaderMap::new(), ..ask }, terms))
    }
}

impl Caching {
    /// Forgets what is named.
    pub(crate) fn invalidate(&self, purge: Purge) -> usize {
        self.cache().purge(purge)
    }
}

impl From<Invalidate> for Purge {
    fn from(message: Invalidate) -> Self {
        match message {
            Invalidate::Url(url) => Self::Url(url),
            Invalidate::Prefix(prefix) => Self::Prefix(prefix),
            Invalidate::Tag(tag) => Self::Tag(tag),
            Invalidate::Host(host) => Self::Host(host),
            Invalidate::Everything => Self::Everything,
        }
    }
}

impl fmt::Debug for CacheHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheHandle").field("size", &self.size()).finish()
    }
}

impl fmt::Debug for CachedAnswer {
    /// Leaves the address out: it may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedAnswer")
            .field("status", &self.status)
            .field("age", &self.age)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
