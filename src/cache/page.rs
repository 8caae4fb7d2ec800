//! What is stored for one address: answers, told apart by the requests that they are for.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use spillgate_actors::core::cache::fields::Fields;
use spillgate_actors::core::cache::storing::Entry;
use spillgate_actors::core::cache::vary;

use crate::cache::key::Owner;

/// The answers of one address, the newest first.
#[derive(Clone)]
pub struct Page {
    /// The address.
    pub url: String,
    /// The answers.
    pub variants: Vec<Arc<Stored>>,
}

/// A stored answer.
#[derive(Clone)]
pub struct Stored {
    /// What the rules remember of it.
    pub entry: Entry,
    /// Its fields, without those of one hop.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// What its request said in the fields that chose it.
    pub selection: Vec<u8>,
    /// Whose it is.
    pub owner: Owner,
    /// When its request began, on the cache's own count: a later one is never overwritten.
    pub began: u64,
}

/// How much one address may hold.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The most answers of one owner.
    pub variants_max: usize,
    /// The most bytes of all answers together.
    pub bytes_max: u64,
}

impl Bounds {
    fn answers_max(&self) -> usize {
        self.variants_max.saturating_mul(OWNERS_MAX)
    }
}

/// A message's header as the rules read it.
pub struct Lines<'a>(pub &'a HeaderMap);

impl Fields for Lines<'_> {
    fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.get_all(name).into_iter().map(http::HeaderValue::as_bytes)
    }
}

impl Page {
    /// An address without answers.
    pub fn new(url: String) -> Self {
        Self { url, variants: Vec::new() }
    }

    /// The same address with other answers.
    pub fn with(&self, variants: Vec<Arc<Stored>>) -> Self {
        Self { url: self.url.clone(), variants }
    }

    /// The newest answer that is for a request of this owner.
    pub fn choose(&self, owner: Owner, request: &HeaderMap) -> Option<&Arc<Stored>> {
        let mut own = self.variants.iter().filter(|stored| stored.owner == owner);
        own.find(|stored| stored.is_for(request))
    }

    /// The page with an answer in the place of those for the same requests, the newest first; an
    /// older answer changes nothing. Beyond the bounds the oldest go.
    pub fn put(&self, stored: &Arc<Stored>, bounds: &Bounds) -> Self {
        let replaced = |old: &&Arc<Stored>| stored.replaces(old);
        if self.variants.iter().filter(replaced).any(|old| old.began > stored.began) {
            return self.clone();
        }
        let others = self.variants.iter().filter(|old| !stored.replaces(old)).cloned();
        let mut variants: Vec<Arc<Stored>> = others.collect();
        if PAGE_BYTES + self.url.len() as u64 + stored.bytes() > bounds.bytes_max {
            // For what cannot stay in any case the others need not go.
            return self.with(variants);
        }
        // What was asked for earlier stands behind, or it would be chosen first.
        let at = variants.partition_point(|old| old.began > stored.began);
        variants.insert(at, stored.clone());
        let mut of_owner = 0;
        variants.retain(|old| {
            let counted = old.owner == stored.owner;
            of_owner += usize::from(counted);
            !counted || of_owner <= bounds.variants_max
        });
        let mut bytes = PAGE_BYTES + self.url.len() as u64;
        let fit = variants.iter().take_while(|old| {
            bytes = bytes.saturating_add(old.bytes());
            bytes <= bounds.bytes_max
        });
        let fit = fit.count().min(bounds.answers_max());
        variants.truncate(fit);
        self.with(variants)
    }

    /// The page without one answer.
    pub fn without(&self, stored: &Stored) -> Self {
        let is_other = |old: &&Arc<Stored>| !old.is_same(stored);
        self.with(self.variants.iter().filter(is_other).cloned().collect())
    }

    /// What the page takes, in bytes, with its bookkeeping.
    pub fn bytes(&self) -> u64 {
        let variants = self.variants.iter().map(|stored| stored.bytes());
        PAGE_BYTES + self.url.len() as u64 + variants.sum::<u64>()
    }
}

impl Stored {
    /// Whether a request is one that it is for.
    pub fn is_for(&self, request: &HeaderMap) -> bool {
        let names = &self.entry.selecting;
        names.is_empty() || vary::selection(names, &Lines(request)) == self.selection
    }

    /// Whether it is for the same requests as another.
    fn replaces(&self, other: &Self) -> bool {
        self.owner == other.owner
            && self.entry.selecting == other.entry.selecting
            && self.selection == other.selection
    }

    /// Whether it is that very answer.
    fn is_same(&self, other: &Self) -> bool {
        self.began == other.began && self.replaces(other)
    }

    fn bytes(&self) -> u64 {
        let fields = self.headers.iter();
        let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES);
        let selecting = self.entry.selecting.iter().map(|name| name.len() + FIELD_BYTES);
        let head = fields.sum::<usize>() + selecting.sum::<usize>() + self.selection.len();
        (head + self.body.len()) as u64 + PAGE_BYTES
    }
}

impl fmt::Debug for Page {
    /// Leaves the address out: its query may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("variants", &self.variants).finish_non_exhaustive()
    }
}

impl fmt::Debug for Stored {
    /// Leaves fields and body out, and what chose it: they may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Stored");
        shown.field("entry", &self.entry).field("bytes", &self.body.len());
        shown.field("began", &self.began).finish_non_exhaustive()
    }
}

/// What a page or an answer takes beside its text: tables, counters and the index.
const PAGE_BYTES: u64 = 512;
const FIELD_BYTES: usize = 64;
/// For so many owners an address holds as many answers as one may have: a search goes through all.
const OWNERS_MAX: usize = 32;
