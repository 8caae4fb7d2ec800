//! What a cache has done so far, in numbers.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The numbers of one cache at one moment; all but the last two only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CacheTally {
    /// Requests that what is stored answered, stale or not.
    pub hits: u64,
    /// Requests that it answered past its lifetime, those in the place of an error included.
    pub stale: u64,
    /// Requests that might have been answered so, but were sent on.
    pub misses: u64,
    /// Stored answers that their origin found to be still good.
    pub revalidated: u64,
    /// Answers that were stored.
    pub stored: u64,
    /// Addresses that had to go for others.
    pub evicted: u64,
    /// The bytes of these.
    pub evicted_bytes: u64,
    /// Addresses that are stored.
    pub pages: u64,
    /// The bytes that they take, bookkeeping included.
    pub bytes: u64,
}

/// What a cache counts by itself.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    pub(super) hits: AtomicU64,
    pub(super) stale: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) revalidated: AtomicU64,
    pub(super) stored: AtomicU64,
}

/// What had to go for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evicted {
    /// Pages.
    pub pages: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The same, while it is counted.
#[derive(Debug, Default)]
pub(super) struct Evictions {
    pages: AtomicU64,
    bytes: AtomicU64,
}

impl Tallies {
    /// A request was answered from the store.
    pub(super) fn hit(&self, stale: bool) {
        self.hits.fetch_add(1, Relaxed);
        self.stale.fetch_add(u64::from(stale), Relaxed);
    }

    /// The numbers, with those of the store still to come.
    pub(super) fn read(&self) -> CacheTally {
        let Self { hits, stale, misses, revalidated, stored } = self;
        CacheTally {
            hits: hits.load(Relaxed),
            stale: stale.load(Relaxed),
            misses: misses.load(Relaxed),
            revalidated: revalidated.load(Relaxed),
            stored: stored.load(Relaxed),
            ..CacheTally::default()
        }
    }
}

impl Evictions {
    pub(super) fn add(&self, bytes: u64) {
        self.pages.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn read(&self) -> Evicted {
        Evicted { pages: self.pages.load(Relaxed), bytes: self.bytes.load(Relaxed) }
    }
}
