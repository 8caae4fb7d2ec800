//! What a listener has done so far, in numbers.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use http::{Response, StatusCode};
use spillgate_actors::core::cache::status::{CacheStatus, From, Life, Why};

/// What became of a request, as far as the cache is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Answered from the store.
    Hit,
    /// Answered from the store, though it was no longer fresh.
    Stale,
    /// Answered from the store, after the upstream said that it still holds.
    Revalidated,
    /// Answered with what another request brought.
    Coalesced,
    /// Answered by the upstream.
    Miss,
    /// Answered by the upstream, and none of the cache's business.
    Bypass,
    /// Answered by the sidecar itself.
    Refused,
}

/// The counters of one listener.
#[derive(Default)]
pub(super) struct Counts {
    /// Answers, by outcome and by the first digit of their status.
    answers: [[AtomicU64; CLASSES]; Outcome::ALL.len()],
    pub(super) requests: Gauge,
    pub(super) connections: Gauge,
}

/// How many there are, and how many there were.
#[derive(Default)]
pub(super) struct Gauge {
    present: AtomicU64,
    total: AtomicU64,
}

/// One that is there until it is dropped.
pub(super) struct Counted {
    counts: Arc<Counts>,
    of: fn(&Counts) -> &Gauge,
}

impl Outcome {
    pub(super) const ALL: [Self; 7] = [
        Self::Hit,
        Self::Stale,
        Self::Revalidated,
        Self::Coalesced,
        Self::Miss,
        Self::Bypass,
        Self::Refused,
    ];

    /// Its name as a label.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Coalesced => "coalesced",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
            Self::Refused => "refused",
        }
    }

    /// What an answer says of itself.
    fn of<B>(response: &Response<B>) -> Self {
        let Some(status) = response.extensions().get::<CacheStatus>() else { return Self::Refused };
        match (status.from, status.life) {
            (From::Store, Some(Life::Stale(_))) => Self::Stale,
            (From::Store, Some(Life::Left(_)) | None) => Self::Hit,
            (From::Origin(_), _) if status.collapsed => Self::Coalesced,
            (From::Origin(_), _) if status.origin_status == Some(NOT_MODIFIED) => Self::Revalidated,
            (From::Origin(Why::Bypass | Why::Method), _) => Self::Bypass,
            (
                From::Origin(
                    Why::UriMiss | Why::VaryMiss | Why::Request | Why::Stale | Why::Partial,
                ),
                _,
            ) => Self::Miss,
        }
    }
}

impl Counts {
    /// Counts an answer by what it says of itself.
    pub(super) fn answered<B>(&self, response: &Response<B>) {
        let class = usize::from(response.status().as_u16() / 100);
        let of_outcome = self.answers.get(Outcome::of(response) as usize);
        if let Some(counter) = of_outcome.and_then(|classes| classes.get(class)) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// How many answers there were of each kind, but those of which there were none.
    pub(super) fn answers(&self) -> impl Iterator<Item = (Outcome, usize, u64)> {
        Outcome::ALL.into_iter().zip(&self.answers).flat_map(|(outcome, classes)| {
            let counted = classes.iter().enumerate();
            let counted = counted.map(move |(class, count)| (outcome, class, count.load(Relaxed)));
            counted.filter(|(_, _, count)| *count > 0)
        })
    }
}

impl Gauge {
    /// How many there are.
    pub(super) fn present(&self) -> u64 {
        self.present.load(Relaxed)
    }

    /// How many there were so far, these included.
    pub(super) fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }
}

impl Counted {
    /// Counts one in the gauge that is named.
    pub(super) fn at(counts: &Arc<Counts>, of: fn(&Counts) -> &Gauge) -> Self {
        let gauge = of(counts);
        gauge.present.fetch_add(1, Relaxed);
        gauge.total.fetch_add(1, Relaxed);
        Self { counts: counts.clone(), of }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.of)(&self.counts).present.fetch_sub(1, Relaxed);
    }
}

/// First digits of a status, from a 0 that none has.
const CLASSES: usize = 6;
const NOT_MODIFIED: u16 = StatusCode::NOT_MODIFIED.as_u16();
