//! The store in memory: bounded by bytes, gone with the process.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};

use crate::cache::page::Page;
use crate::cache::store::{CacheStore, Keep};
use crate::cache::tally::{Evicted, Evictions};

/// Pages in memory, the least useful of which go first.
pub struct MemoryStore {
    pages: Pages,
    evictions: Arc<Evictions>,
    page_bytes_max: AtomicU64,
    /// Held while a page is changed, so that of two changes none is lost; reading takes no lock of
    /// ours.
    writing: Mutex<()>,
}

type Pages = Cache<[u8; 32], Arc<Page>, ByBytes, DefaultHashBuilder, Counting>;

#[derive(Clone)]
struct ByBytes;

/// Counts what has to go for others.
#[derive(Clone, Default)]
struct Counting(Arc<Evictions>);

impl Weighter<[u8; 32], Arc<Page>> for ByBytes {
    fn weight(&self, _: &[u8; 32], page: &Arc<Page>) -> u64 {
        page.bytes()
    }
}

impl Lifecycle<[u8; 32], Arc<Page>> for Counting {
    /// What goes is dropped once the index is free again.
    type RequestState = Vec<Arc<Page>>;

    fn before_evict(&self, _: &mut Self::RequestState, _: &[u8; 32], page: &mut Arc<Page>) {
        self.0.add(page.bytes());
    }

    fn on_evict(&self, state: &mut Self::RequestState, _: [u8; 32], page: Arc<Page>) {
        state.push(page);
    }
}

impl MemoryStore {
    /// An empty store that takes so many bytes.
    pub fn new(bytes_max: u64) -> Self {
        let pages = usize::try_from(bytes_max / PAGE_BYTES_GUESS).unwrap_or(PAGES_GUESS_MAX);
        let pages = pages.clamp(PAGES_GUESS_MIN, PAGES_GUESS_MAX);
        let mut options = OptionsBuilder::new();
        options.estimated_items_capacity(pages).weight_capacity(bytes_max).shards(SHARDS);
        let (hasher, life) = (DefaultHashBuilder::default(), Counting::default());
        let evictions = life.0.clone();
        // None is unset, so this is never the other way.
        let pages = match options.build() {
            Ok(options) => Cache::with_options(options, ByBytes, hasher, life),
            Err(_) => Cache::with(pages, bytes_max, ByBytes, hasher, life),
        };
        let page_bytes_max = AtomicU64::new(page_bytes_max(bytes_max));
        Self { pages, evictions, page_bytes_max, writing: Mutex::new(()) }
    }

    fn change(&self, key: [u8; 32], kept: Keep) {
        match kept {
            Keep::AsIs => {}
            Keep::Page(page) => self.pages.insert(key, Arc::new(page)),
            Keep::Nothing => drop(self.pages.remove(&key)),
        }
    }
}

impl CacheStore for MemoryStore {
    fn get(&self, key: &[u8; 32]) -> Option<Arc<Page>> {
        self.pages.get(key)
    }

    fn update(&self, key: [u8; 32], change: &mut dyn FnMut(Option<&Page>) -> Keep) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.change(key, change(self.pages.get(&key).as_deref()));
    }

    fn remove(&self, key: &[u8; 32]) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.pages.remove(key);
    }

    fn visit(&self, visit: &mut dyn FnMut(&Page) -> Keep) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let pages: Vec<([u8; 32], Arc<Page>)> = self.pages.iter().collect();
        for (key, page) in pages {
            self.change(key, visit(&page));
        }
    }

    fn resize(&self, bytes_max: u64) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.page_bytes_max.store(page_bytes_max(bytes_max), Relaxed);
        self.pages.set_capacity(bytes_max);
    }

    fn page_bytes_max(&self) -> u64 {
        self.page_bytes_max.load(Relaxed)
    }

    fn len(&self) -> usize {
        self.pages.len()
    }

    fn bytes(&self) -> u64 {
        self.pages.weight()
    }

    fn evicted(&self) -> Evicted {
        self.evictions.read()
    }
}

/// A shard takes no page that is larger than most of it.
fn page_bytes_max(bytes_max: u64) -> u64 {
    bytes_max / SHARDS as u64 / 10 * 9
}

/// What a page is thought to take, to size the index.
const PAGE_BYTES_GUESS: u64 = 8 << 10;
const PAGES_GUESS_MIN: usize = 64;
const PAGES_GUESS_MAX: usize = 1 << 20;
/// Parts of the index, each with a lock of its own and its share of the bytes.
const SHARDS: usize = 8;
