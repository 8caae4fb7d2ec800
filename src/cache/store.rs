//! Where answers are kept.
//!
//! A store knows pages by their key and nothing of HTTP. It bounds itself by bytes and forgets what
//! is used least; it may forget anything at any time.

use std::sync::Arc;

use bytes::Bytes;

use crate::cache::page::Page;
use crate::cache::tally::Evicted;

/// A body that is stored whole.
pub type Body = Bytes;

/// What becomes of a page that was visited.
#[derive(Debug, Clone)]
pub enum Keep {
    /// It stays.
    AsIs,
    /// This stands in its place.
    Page(Page),
    /// It is forgotten.
    Nothing,
}

/// A bounded table of pages. Methods block for no longer than a local disk takes.
pub trait CacheStore: Send + Sync + 'static {
    /// The page of a key.
    fn get(&self, key: &[u8; 32]) -> Option<Arc<Page>>;

    /// Changes the page of a key; no other change and no visit comes between.
    fn update(&self, key: [u8; 32], change: &mut dyn FnMut(Option<&Page>) -> Keep);

    /// Forgets the page of a key.
    fn remove(&self, key: &[u8; 32]);

    /// Waits until what was changed is kept for good, in a store that outlives the process.
    fn flush(&self) {}

    /// Shows each page once, as a use of none. O(pages).
    fn visit(&self, visit: &mut dyn FnMut(&Page) -> Keep);

    /// Takes so many bytes at the most from here on; what is beyond goes.
    fn resize(&self, bytes_max: u64);

    /// The most bytes that one page may take; a larger one is not stored.
    fn page_bytes_max(&self) -> u64;

    /// How many pages there are.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes they take.
    fn bytes(&self) -> u64;

    /// What had to go for others since it was opened; a store that does not count says nothing.
    fn evicted(&self) -> Evicted {
        Evicted::default()
    }
}
