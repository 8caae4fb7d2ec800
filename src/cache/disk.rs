//! The store on disk: bounded by bytes, and still there after a restart or a crash.
//!
//! A thread writes what has changed, in batches that are whole or not there; until then changes are
//! read from memory. Which pages there are, how large and how lately used, is known in memory, so a
//! miss costs no disk. Hot pages are served from memory as in a
//! [`MemoryStore`].
//!
//! A page is written as one: an address with many large variants costs their sum on each change.

mod rows;
mod table;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::cache::disk::table::{Known, Table};
use crate::cache::memory::MemoryStore;
use crate::cache::page::Page;
use crate::cache::store::{CacheStore, Keep};
use crate::cache::tally::{Evicted, Evictions};

/// How much a store on disk takes.
#[derive(Debug, Clone, Copy)]
pub struct DiskOptions {
    /// The most bytes of its file, which grows by doubling: what counts is the largest power of two
    /// that is no larger, to which come about 100 KiB of its own.
    pub bytes_max: u64,
    /// The most bytes of pages that are kept in memory as well.
    pub hot_bytes_max: u64,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self { bytes_max: 1 << 30, hot_bytes_max: 64 << 20 }
    }
}

/// Pages in a file, the least lately used of which go first.
pub struct DiskStore {
    desk: Arc<Desk>,
    hot: MemoryStore,
    page_bytes_max: AtomicU64,
    /// Held while a page is changed, so that of two changes none is lost.
    writing: Mutex<()>,
    writer: Option<JoinHandle<()>>,
}

type Key = [u8; 32];

/// What callers and the writer share.
struct Desk {
    table: Table,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    index: HashMap<Key, Slot>,
    /// Keys by their last use.
    order: BTreeMap<u64, Key>,
    bytes: u64,
    room: Room,
    /// Counts uses and changes.
    tick: u64,
    /// What is not written yet; nothing stands for a page that goes.
    dirty: HashMap<Key, Option<Arc<Page>>>,
    dirty_bytes: u64,
    evictions: Evictions,
    closing: bool,
}

/// How much there may be of everything.
#[derive(Debug, Clone, Copy, Default)]
struct Room {
    bytes_max: u64,
    page_bytes_max: u64,
    dirty_bytes_max: u64,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    bytes: u64,
    used: u64,
    changed: u64,
}

impl DiskStore {
    /// Opens a file, or makes it and the directories to it, for the user of this process alone. A
    /// store that is damaged is begun anew; a file that is none, that is open elsewhere, or that
    /// cannot be reached, is an error.
    pub fn open(path: &Path, options: DiskOptions) -> io::Result<Self> {
        let (table, known) = Table::open(path, options.bytes_max)?;
        let room = Room::of(options.bytes_max);
        let mut state = State { room, ..State::default() };
        let mut known: Vec<Known> = known;
        known.sort_unstable_by_key(|known| known.used);
        known.iter().for_each(|known| state.place(known.key, known.bytes));
        state.evict();
        let (state, changed) = (Mutex::new(state), Condvar::new());
        let desk = Arc::new(Desk { table, state, changed });
        let behind = desk.clone();
        let writer = std::thread::Builder::new().name("cache-disk".into());
        let writer = writer.spawn(move || behind.write())?;
        Ok(Self {
            desk,
            hot: MemoryStore::new(options.hot_bytes_max),
            page_bytes_max: AtomicU64::new(room.page_bytes_max),
            writing: Mutex::new(()),
            writer: Some(writer),
        })
    }

    /// What keys of a cache over this file are made with: the same after a restart.
    pub fn secret(&self) -> [u8; 32] {
        self.desk.table.secret
    }

    /// The page of a key, which counts as no use of it.
    fn peek(&self, key: &Key) -> Option<Arc<Page>> {
        let dirty = self.desk.lock().dirty.get(key).cloned();
        dirty.unwrap_or_else(|| self.desk.table.read(key).map(Arc::new))
    }

    fn load(&self, key: &Key) -> Option<Arc<Page>> {
        let (dirty, changed) = self.desk.lock().seek(key)?;
        if let Some(page) = dirty {
            return Some(page);
        }
        let page = self.desk.table.read(key).map(Arc::new);
        let mut state = self.desk.lock();
        let same = state.index.get(key).is_some_and(|slot| slot.changed == changed);
        match &page {
            // What has changed meanwhile must not be covered by what it was.
            Some(page) if same && !state.dirty.contains_key(key) => {
                self.hot.update(*key, &mut |_| Keep::Page(Page::clone(page)));
            }
            // What does not read back is not there.
            None if same && !state.dirty.contains_key(key) => state.forget(*key),
            Some(_) | None => {}
        }
        page
    }

    /// Makes a change known; the writer brings it to disk.
    fn change(&self, key: Key, kept: Keep) {
        let page = match kept {
            Keep::AsIs => return,
            Keep::Nothing => None,
            Keep::Page(page) => Some(page).filter(|page| page.bytes() <= self.page_bytes_max()),
        };
        let mut state = self.desk.lock();
        // The disk sets the pace of those who write.
        state = self
            .desk
            .changed
            .wait_while(state, |state| {
                state.dirty_bytes > state.room.dirty_bytes_max && !state.closing
            })
            .unwrap_or_else(PoisonError::into_inner);
        self.hot.remove(&key);
        match page {
            // What is not known is not on disk either.
            None if !state.index.contains_key(&key) => return,
            None => state.forget(key),
            Some(page) => {
                state.place(key, page.bytes());
                state.soil(key, Some(Arc::new(page)));
                state.evict().iter().for_each(|evicted| self.hot.remove(evicted));
            }
        }
        self.desk.changed.notify_all();
    }
}

impl CacheStore for DiskStore {
    fn get(&self, key: &Key) -> Option<Arc<Page>> {
        let Some(page) = self.hot.get(key) else { return self.load(key) };
        self.desk.lock().touch(key);
        Some(page)
    }

    fn update(&self, key: Key, change: &mut dyn FnMut(Option<&Page>) -> Keep) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.change(key, change(self.get(&key).as_deref()));
    }

    fn remove(&self, key: &Key) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.change(*key, Keep::Nothing);
    }

    fn flush(&self) {
        // Else others could go on writing for as long as they like.
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.desk.settle();
    }

    fn visit(&self, visit: &mut dyn FnMut(&Page) -> Keep) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let keys: Vec<Key> = self.desk.lock().index.keys().copied().collect();
        for key in keys {
            if let Some(page) = self.peek(&key) {
                self.change(key, visit(&page));
            }
        }
        // What is forgotten on purpose must not come back after a crash.
        self.desk.settle();
    }

    /// A file that is larger becomes smaller when it is opened again.
    fn resize(&self, bytes_max: u64) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let room = Room::of(bytes_max);
        self.page_bytes_max.store(room.page_bytes_max, Relaxed);
        let mut state = self.desk.lock();
        state.room = room;
        state.evict().iter().for_each(|evicted| self.hot.remove(evicted));
        self.desk.changed.notify_all();
    }

    fn page_bytes_max(&self) -> u64 {
        self.page_bytes_max.load(Relaxed)
    }

    fn len(&self) -> usize {
        self.desk.lock().index.len()
    }

    fn bytes(&self) -> u64 {
        self.desk.lock().bytes
    }

    fn evicted(&self) -> Evicted {
        self.desk.lock().evictions.read()
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        self.desk.lock().closing = true;
        self.desk.changed.notify_all();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all that has changed is on disk.
    fn settle(&self) {
        drop(self.changed.wait_while(self.lock(), |state| !state.dirty.is_empty()));
    }

    /// Writes batch after batch until the store is closed and all is written.
    fn write(&self) {
        loop {
            let idle = |state: &mut State| state.dirty.is_empty() && !state.closing;
            let state = self.changed.wait_while(self.lock(), idle);
            let state = state.unwrap_or_else(PoisonError::into_inner);
            if state.dirty.is_empty() {
                return;
            }
            let batch = state.batch();
            drop(state);
            let written = self.table.write(&batch);
            let mut state = self.lock();
            for (key, page, _) in &batch {
                state.wash(*key, page.as_ref());
                if written.is_err() && !state.dirty.contains_key(key) {
                    // What could not be written is not there; what it replaced may still be.
                    state.drop_slot(key);
                }
            }
            drop(state);
            if let Err(error) = written {
                tracing::warn!(%error, "the cache could not be written to disk");
            }
            self.changed.notify_all();
        }
    }
}

/// What is written at once: the page, or nothing for one that goes, and its last use.
type Change = (Key, Option<Arc<Page>>, u64);

impl Room {
    fn of(bytes_max: u64) -> Self {
        let file_bytes = 1 << bytes_max.max(FILE_BYTES_MIN).ilog2();
        let bytes_max = file_bytes / 100 * FILL_PERCENT;
        Self {
            bytes_max,
            page_bytes_max: (bytes_max / PAGE_SHARE).min(PAGE_BYTES_MAX),
            dirty_bytes_max: (file_bytes / DIRTY_SHARE).min(DIRTY_BYTES_MAX),
        }
    }
}

impl State {
    /// The page of a key if it is in memory, and the count of its last change.
    fn seek(&mut self, key: &Key) -> Option<(Option<Arc<Page>>, u64)> {
        self.touch(key);
        let slot = self.index.get(key)?;
        Some((self.dirty.get(key).cloned().flatten(), slot.changed))
    }

    fn touch(&mut self, key: &Key) {
        let Some(slot) = self.index.get_mut(key) else { return };
        self.tick += 1;
        self.order.remove(&slot.used);
        slot.used = self.tick;
        self.order.insert(slot.used, *key);
    }

    fn place(&mut self, key: Key, bytes: u64) {
        self.drop_slot(&key);
        self.tick += 1;
        self.bytes += bytes;
        self.order.insert(self.tick, key);
        self.index.insert(key, Slot { bytes, used: self.tick, changed: self.tick });
    }

    fn drop_slot(&mut self, key: &Key) {
        if let Some(slot) = self.index.remove(key) {
            self.order.remove(&slot.used);
            self.bytes = self.bytes.saturating_sub(slot.bytes);
        }
    }

    fn forget(&mut self, key: Key) {
        self.drop_slot(&key);
        self.soil(key, None);
    }

    /// Lets the least lately used go until the rest fits.
    fn evict(&mut self) -> Vec<Key> {
        let mut evicted = Vec::new();
        while self.bytes > self.room.bytes_max {
            let Some((_, key)) = self.order.pop_first() else { break };
            self.evictions.add(self.index.get(&key).map_or(0, |slot| slot.bytes));
            self.forget(key);
            evicted.push(key);
        }
        evicted
    }

    fn soil(&mut self, key: Key, page: Option<Arc<Page>>) {
        self.dirty_bytes += page.as_ref().map_or(0, |page| page.bytes());
        if let Some(Some(old)) = self.dirty.insert(key, page) {
            self.dirty_bytes = self.dirty_bytes.saturating_sub(old.bytes());
        }
    }

    /// Takes note that a change is written, unless another came meanwhile.
    fn wash(&mut self, key: Key, written: Option<&Arc<Page>>) {
        let same = match (self.dirty.get(&key), written) {
            (Some(Some(dirty)), Some(written)) => Arc::ptr_eq(dirty, written),
            (Some(None), None) => true,
            (Some(_) | None, _) => false,
        };
        if same {
            self.dirty.remove(&key);
            let bytes = written.map_or(0, |page| page.bytes());
            self.dirty_bytes = self.dirty_bytes.saturating_sub(bytes);
        }
    }

    fn batch(&self) -> Vec<Change> {
        let used = |key: &Key| self.index.get(key).map_or(0, |slot| slot.used);
        let changes = self.dirty.iter().map(|(key, page)| (*key, page.clone(), used(key)));
        changes.collect()
    }
}

/// How much of the file pages may fill: the rest is for what a batch replaces and for what lies
/// between rows.
const FILL_PERCENT: u64 = 40;
/// The least that a file takes.
const FILE_BYTES_MIN: u64 = 1 << 20;
/// A page takes at most this part of the store, or so many bytes.
const PAGE_SHARE: u64 = 16;
const PAGE_BYTES_MAX: u64 = 64 << 20;
/// How much may wait to be written before those who write wait.
const DIRTY_BYTES_MAX: u64 = 4 << 20;
const DIRTY_SHARE: u64 = 32;

#[cfg(test)]
mod tests;
