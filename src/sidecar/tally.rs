//! What a proxy has done so far, in numbers.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// The numbers at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Requests received.
    pub requests: u64,
    /// Requests answered from the store.
    pub hits: u64,
    /// Requests sent on to an upstream, refreshes included.
    pub forwarded: u64,
    /// Requests that wait for another's answer.
    pub waiting: u64,
    /// Connections that are open.
    pub connections: u64,
    /// Tunnels that are open.
    pub tunnels: u64,
    /// Tunnels that were opened.
    pub tunnels_opened: u64,
}

impl Tally {
    /// Adds the numbers of another.
    pub(super) fn add(&mut self, other: Self) {
        let Self { requests, hits, forwarded, waiting, connections, tunnels, tunnels_opened } =
            other;
        self.requests += requests;
        self.hits += hits;
        self.forwarded += forwarded;
        self.waiting += waiting;
        self.connections += connections;
        self.tunnels += tunnels;
        self.tunnels_opened += tunnels_opened;
    }
}

/// The same, while it is counted.
#[derive(Default)]
pub(super) struct Tallies {
    pub(super) requests: AtomicU64,
    pub(super) hits: AtomicU64,
    pub(super) forwarded: AtomicU64,
    waiting: AtomicU64,
    tunnels: AtomicU64,
    tunnels_opened: AtomicU64,
}

/// Counts one that is there until it is dropped.
pub(super) struct Present<'a>(&'a AtomicU64);

impl Tallies {
    pub(super) fn waits(&self) -> Present<'_> {
        Present::at(&self.waiting)
    }

    pub(super) fn tunnels(&self) -> Present<'_> {
        self.tunnels_opened.fetch_add(1, Relaxed);
        Present::at(&self.tunnels)
    }

    pub(super) fn read(&self) -> Tally {
        let Self { requests, hits, forwarded, waiting, tunnels, tunnels_opened } = self;
        Tally {
            requests: requests.load(Relaxed),
            hits: hits.load(Relaxed),
            forwarded: forwarded.load(Relaxed),
            waiting: waiting.load(Relaxed),
            connections: 0,
            tunnels: tunnels.load(Relaxed),
            tunnels_opened: tunnels_opened.load(Relaxed),
        }
    }
}

impl<'a> Present<'a> {
    fn at(counter: &'a AtomicU64) -> Self {
        counter.fetch_add(1, Relaxed);
        Self(counter)
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
