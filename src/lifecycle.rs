//! What ends calls besides their answers: a scope that closes, a newer call that takes their place.
//!
//! All three are for user interfaces and handlers that outlive their reason: a widget that is
//! disposed, a search box that is typed into, an answer that comes after its successor's.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use spillgate_actors::fetch::Fetch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::engine::Engine;
use crate::request::RequestBuilder;
use crate::turns::Place;

/// Calls that end together: dropping the scope cancels everything that was started in it.
pub struct Scope {
    engine: Arc<Engine>,
    token: CancellationToken,
    _cancel: DropGuard,
}

impl Scope {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        let token = CancellationToken::new();
        let cancel = token.clone().drop_guard();
        Self { engine, token, _cancel: cancel }
    }

    verbs!();

    /// The token that is cancelled when the scope ends, for work that is no call.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    fn wrap(&self, fetch: Fetch) -> RequestBuilder {
        RequestBuilder::new(self.engine.clone(), fetch).cancel_on(&self.token)
    }
}

/// A slot for the newest answer: an older one that comes late is discarded and counted.
///
/// ```
/// let latest = spillgate::Latest::new();
/// let older = latest.begin();
/// let newer = latest.begin();
/// assert!(newer.publish("b"));
/// assert!(!older.publish("a"), "it was overtaken");
/// assert_eq!(latest.get(), Some("b"));
/// assert_eq!(latest.discarded(), 1);
/// ```
pub struct Latest<T> {
    inner: Arc<LatestInner<T>>,
}

struct LatestInner<T> {
    begun: AtomicU64,
    discarded: AtomicU64,
    value: ArcSwapOption<(u64, T)>,
}

/// The right to publish, as long as nothing newer has begun.
pub struct LatestGuard<T> {
    inner: Arc<LatestInner<T>>,
    generation: u64,
}

impl<T> Latest<T> {
    /// An empty slot.
    pub fn new() -> Self {
        let (begun, discarded) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { inner: Arc::new(LatestInner { begun, discarded, value: ArcSwapOption::empty() }) }
    }

    /// Begins something newer than all that has begun before.
    pub fn begin(&self) -> LatestGuard<T> {
        let generation = self.inner.begun.fetch_add(1, Ordering::AcqRel) + 1;
        LatestGuard { inner: self.inner.clone(), generation }
    }

    /// How many answers came too late.
    pub fn discarded(&self) -> u64 {
        self.inner.discarded.load(Ordering::Relaxed)
    }
}

impl<T: Clone> Latest<T> {
    /// The newest answer so far.
    pub fn get(&self) -> Option<T> {
        self.inner.value.load().as_ref().map(|value| value.1.clone())
    }
}

impl<T> LatestGuard<T> {
    /// Publishes, unless something newer has begun; says whether it did.
    pub fn publish(self, value: T) -> bool {
        let Self { inner, generation } = self;
        let fresh = Arc::new((generation, value));
        let is_newest = || inner.begun.load(Ordering::Acquire) == generation;
        let published = is_newest() && {
            let previous = inner.value.rcu(|held| match held {
                Some(held) if held.0 > generation => Some(held.clone()),
                _ => Some(fresh.clone()),
            });
            previous.is_none_or(|held| held.0 <= generation)
        };
        if !published {
            inner.discarded.fetch_add(1, Ordering::Relaxed);
        }
        published
    }

    /// Whether nothing newer has begun.
    pub fn is_newest(&self) -> bool {
        self.inner.begun.load(Ordering::Acquire) == self.generation
    }
}

/// Calls of one key of which only the newest is sent, after a pause without a newer one.
///
/// For search as you type: a superseded call ends at once with the kind `Superseded`, and if it was
/// still waiting, nothing was sent for it.
pub struct Debounced {
    engine: Arc<Engine>,
    place: Place,
}

impl Debounced {
    pub(crate) fn new(engine: Arc<Engine>, place: Place) -> Self {
        Self { engine, place }
    }

    verbs!();

    fn wrap(&self, fetch: Fetch) -> RequestBuilder {
        RequestBuilder::new(self.engine.clone(), fetch).debounced(self.place.clone())
    }
}

impl<T> Default for Latest<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Latest<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T> fmt::Debug for Latest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latest").field("discarded", &self.discarded()).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for LatestGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LatestGuard").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("ended", &self.token.is_cancelled()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Debounced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Debounced").field("wait", &self.place.wait).finish_non_exhaustive()
    }
}
