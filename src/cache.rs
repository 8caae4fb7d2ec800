//! The HTTP cache: what was answered before, for whom, and what to make of it.
//!
//! The rules are core's; this module holds the answers and applies them. It works on heads and whole
//! bodies and sends nothing itself: whoever asks it sends what it cannot answer, and tells it what
//! came. A hit is served in the asker's own task.

pub mod ask;
pub mod audience;
#[cfg(feature = "cache-disk")]
pub mod disk;
pub mod fate;
pub mod key;
pub mod memory;
mod outdating;
pub mod page;
pub mod purge;
pub mod regime;
pub mod served;
pub mod store;
pub mod tally;
mod troubles;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use spillgate_actors::core::cache::date::Wall;
use spillgate_actors::core::cache::rules::Rules;
use spillgate_actors::core::cache::updating;
use url::Url;

use crate::cache::key::{Identity, Keys};
use crate::cache::page::{Bounds, Lines, Page, Stored};
use crate::cache::purge::{Purge, Purges};
use crate::cache::regime::{PartitionRules, REGIMES, RuleBook};
use crate::cache::store::{CacheStore, Keep};
use crate::cache::tally::{CacheTally, Tallies};
use crate::cache::troubles::{BACK_OFF, Troubles};

/// What a cache is made of.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// The rules.
    pub rules: Rules,
    /// How requests with credentials are kept apart.
    pub identity: Identity,
    /// By which rules answers to requests with credentials are stored for their owner.
    pub partitions: PartitionRules,
    /// The largest body that is stored; larger ones pass through.
    pub body_max: usize,
    /// The most answers for one address and one owner, told apart by `Vary`.
    pub variants_max: usize,
    /// How long after a failure nobody asks about what is stale and may stand in for it; zero asks
    /// each time.
    pub back_off: Duration,
}

/// An HTTP cache; cheap to share.
pub struct Cache {
    options: CacheOptions,
    book: RuleBook,
    store: Arc<dyn CacheStore>,
    keys: Keys,
    purges: Purges,
    troubles: Troubles,
    tallies: Arc<Tallies>,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            identity: Identity::ByCredentials,
            partitions: PartitionRules::Shared,
            body_max: 8 << 20,
            variants_max: 32,
            back_off: BACK_OFF,
        }
    }
}

impl Cache {
    /// An empty cache over a store; `secret` keys the digests of credentials.
    pub fn new(options: CacheOptions, store: Arc<dyn CacheStore>, secret: [u8; 32]) -> Self {
        let book = RuleBook::new(options.rules.clone(), options.partitions);
        let (keys, purges) = (Keys::new(secret, options.identity), Purges::default());
        let (troubles, tallies) = (Troubles::new(options.back_off), Arc::default());
        Self { options, book, store, keys, purges, troubles, tallies }
    }

    /// The settings.
    pub fn options(&self) -> &CacheOptions {
        &self.options
    }

    /// Forgets what a purge names, and what of it is still on its way; returns how many answers.
    ///
    /// One address is found by its key; for anything else all pages are looked at, on disk, too.
    pub fn purge(&self, purge: Purge) -> usize {
        purge.spelled().iter().map(|purge| self.purge_spelled(purge)).sum()
    }

    fn purge_spelled(&self, named: &Purge) -> usize {
        let mut forgotten = 0;
        self.purges.add(named.clone());
        let mut look = |page: &Page| {
            let left: Vec<Arc<Stored>> =
                page.variants.iter().filter(|stored| !named.names(page, stored)).cloned().collect();
            forgotten += page.variants.len() - left.len();
            if left.len() == page.variants.len() {
                return Keep::AsIs;
            }
            if left.is_empty() { Keep::Nothing } else { Keep::Page(page.with(left)) }
        };
        if let Purge::Url(url) = named
            && let Ok(url) = Url::parse(url)
        {
            for key in REGIMES.map(|regime| self.keys.address(&url, regime)) {
                self.store.update(key, &mut |page| page.map_or(Keep::AsIs, &mut look));
            }
            self.store.flush();
        } else {
            self.store.visit(&mut look);
        }
        forgotten
    }

    /// Takes so many bytes at the most from here on; what is beyond goes.
    pub fn resize(&self, bytes_max: u64) {
        self.store.resize(bytes_max);
    }

    /// How many addresses are stored, and how many bytes they take.
    pub fn size(&self) -> (usize, u64) {
        (self.store.len(), self.store.bytes())
    }

    /// What it has done so far, and how much it holds.
    pub fn tally(&self) -> CacheTally {
        let (pages, bytes) = self.size();
        let evicted = self.store.evicted();
        CacheTally {
            evicted: evicted.pages,
            evicted_bytes: evicted.bytes,
            pages: pages as u64,
            bytes,
            ..self.tallies.read()
        }
    }

    /// Shows each page once. O(pages).
    pub fn visit(&self, look: &mut dyn FnMut(&Page)) {
        self.store.visit(&mut |page: &Page| {
            look(page);
            Keep::AsIs
        });
    }

    /// Everything that is stored for an address, whoever asked.
    pub fn stored(&self, url: &Url) -> Vec<Arc<Stored>> {
        let mut found = Vec::new();
        self.store.visit(&mut |page: &Page| {
            if page.url == url.as_str() {
                found.extend(page.variants.iter().cloned());
            }
            Keep::AsIs
        });
        found
    }

    /// Puts an answer in the place of what is stored for the same requests, and of `old`. An error
    /// never takes the place of what is still good for the request that it answers.
    fn put(
        &self,
        key: [u8; 32],
        url: &str,
        (stored, old): (Stored, Option<&Stored>),
        asked: &HeaderMap,
    ) {
        if stored.body.len() > self.options.body_max {
            return;
        }
        let stored = Arc::new(stored);
        let bytes_max = self.store.page_bytes_max();
        let bounds = Bounds { variants_max: self.options.variants_max, bytes_max };
        let mut kept = false;
        self.store.update(key, &mut |page: Option<&Page>| {
            // Asked within the change: a purge that comes later finds what is put here.
            if self.purges.concern(url, &stored) {
                return Keep::AsIs;
            }
            let Some(page) = page else {
                let page = Page::new(url.to_owned()).put(&stored, &bounds);
                kept = !page.variants.is_empty();
                return if kept { Keep::Page(page) } else { Keep::AsIs };
            };
            let chosen = page.choose(stored.owner, asked);
            if chosen.is_some_and(|chosen| !self.displaces(chosen, &stored)) {
                return Keep::AsIs;
            }
            let page = old.map_or_else(|| page.clone(), |old| page.without(old));
            let page = page.put(&stored, &bounds);
            kept = page.variants.iter().any(|other| Arc::ptr_eq(other, &stored));
            if page.variants.is_empty() { Keep::Nothing } else { Keep::Page(page) }
        });
        self.tallies.stored.fetch_add(u64::from(kept), Relaxed);
    }

    fn displaces(&self, old: &Stored, new: &Stored) -> bool {
        let old = (&old.entry, &Lines(&old.headers));
        updating::displaces(&self.options.rules, old, new.entry.status, now())
    }

    /// Forgets one answer.
    fn forget(&self, key: [u8; 32], stored: &Stored) {
        self.store.update(key, &mut |page: Option<&Page>| {
            let Some(page) = page else { return Keep::AsIs };
            let left = page.without(stored);
            if left.variants.is_empty() { Keep::Nothing } else { Keep::Page(left) }
        });
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What time it is.
pub(crate) fn now() -> Wall {
    Wall(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests;
