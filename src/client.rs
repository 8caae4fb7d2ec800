//! The facade: one handle that a service keeps and clones.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use spillgate_actors::coordinator::Coordinator;
use spillgate_actors::core::advice::ErrorKind;
use spillgate_actors::error::Error;
use spillgate_actors::fetch::Fetch;
use spillgate_actors::messages::{Cancel, Drain, Drained, Reload};
use spillgate_actors::record::JournalEntry;
use spillgate_actors::snapshot::Snapshot;
use tokio::sync::{broadcast, oneshot};

use crate::breakers::Breakers;
#[cfg(feature = "sidecar")]
use crate::caching::Caching;
use crate::caching::handle::CacheHandle;
use crate::chaos::injector::{Injected, Injector};
use crate::config::Config;
use crate::engine::Engine;
use crate::lifecycle::{Debounced, Scope};
use crate::plan::ConfigPlan;
use crate::request::RequestBuilder;
use crate::turns::Places;

/// A resilient HTTP client; cheap to clone, its actors end with the last clone.
///
/// Works inside any tokio runtime, actix's included, and outside: the actors have a thread of their
/// own.
#[derive(Clone)]
pub struct Client {
    engine: Arc<Engine>,
    places: Arc<Places>,
}

impl Client {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine: Arc::new(engine), places: Arc::default() }
    }

    verbs!();

    /// Cancels a call by its number, wherever it was sent from.
    pub fn cancel(&self, ticket: spillgate_actors::core::call::Ticket) {
        self.addr().do_send(Cancel { ticket, kind: ErrorKind::Cancelled });
    }

    /// Calls that end together: dropping the scope cancels everything started in it.
    pub fn scope(&self) -> Scope {
        Scope::new(self.engine.clone())
    }

    /// Calls of which only the newest of a key is sent, after a pause of `wait` without a newer
    /// one; the others end with the kind `Superseded`.
    pub fn debounced(&self, key: impl AsRef<str>, wait: Duration) -> Debounced {
        Debounced::new(self.engine.clone(), self.places.of(key.as_ref(), wait))
    }

    /// What is stored: to look at it, to fill it, to forget it.
    pub fn cache(&self) -> CacheHandle {
        CacheHandle::new(self.engine.front().clone())
    }

    /// The registry of breakers.
    pub fn breakers(&self) -> Breakers {
        Breakers::new(self.engine.clone())
    }

    /// The coordinator's address: requests as messages, from any runtime.
    pub fn addr(&self) -> actix::Addr<Coordinator> {
        self.engine.door().addr()
    }

    /// The state of everything at this moment; costs no message.
    pub fn snapshot(&self) -> Snapshot {
        self.engine.door().snapshot()
    }

    /// A stream of all ended calls and breaker changes from here on; a slow reader loses the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<JournalEntry> {
        let (sender, receiver) = broadcast::channel(ENTRIES_MAX);
        self.engine.observe(Box::new(move |entry| drop(sender.send(entry.clone()))));
        receiver
    }

    /// Tells `observer` everything that is remembered from here on, on the reporter thread.
    #[cfg(feature = "sidecar")]
    pub(crate) fn observe(&self, observer: crate::telemetry::reporter::Observer) {
        self.engine.observe(observer);
    }

    /// The faults that are injected, and how often each was; none unless chaos was asked for.
    pub fn injected(&self) -> Vec<Injected> {
        self.engine.chaos().map(Injector::injected).unwrap_or_default()
    }

    /// Injects no more faults from here on, for good; what hangs already hangs on.
    pub fn stop_chaos(&self) {
        if let Some(chaos) = self.engine.chaos() {
            chaos.stop();
        }
    }

    /// Takes a new configuration, whole: what the builder said of hosts goes too, unless
    /// [`Config::add_host`] says it again. Breakers, queues, permits and windows stay. A setting that
    /// cannot change while the client runs is an error that names it, and then nothing changes: where
    /// the cache stores (`cache.store`, `cache.path`) and how it tells users apart (`cache.identity`).
    pub fn reload(&self, config: Config) -> Result<(), Error> {
        config.check().map_err(|error| Error::new(ErrorKind::InvalidConfig, error.to_string()))?;
        self.engine.front().caching.reload(&config)?;
        self.addr().do_send(Reload(Arc::new(ConfigPlan::new(config))));
        Ok(())
    }

    /// Whether [`Self::reload`] would take a configuration; the error names what cannot change.
    #[cfg(feature = "cli")]
    pub(crate) fn may_reload(&self, config: &Config) -> Result<(), Error> {
        self.engine.front().caching.may_reload(config)
    }

    /// Takes no more calls, waits up to `grace` for those inside, ends the rest, sends the last
    /// spans, and ends the threads.
    pub async fn shutdown(&self, grace: Duration) -> Drained {
        let drained = self.addr().send(Drain { grace }).await.unwrap_or(Drained::Cut);
        let engine = self.engine.clone();
        let (done, waited) = oneshot::channel();
        // Joining threads blocks; a thread of its own keeps that off every runtime.
        let work = move || {
            engine.end();
            let _ = done.send(());
        };
        if std::thread::Builder::new().name("spillgate-close".into()).spawn(work).is_ok() {
            let _ = waited.await;
        }
        drained
    }

    /// The cache and what goes with it.
    #[cfg(feature = "sidecar")]
    pub(crate) fn caching(&self) -> &Arc<Caching> {
        &self.engine.front().caching
    }

    /// Sends a message's request and waits for the head of its answer.
    #[cfg(feature = "sidecar")]
    pub(crate) async fn stream(
        &self,
        fetch: Fetch,
    ) -> Result<spillgate_actors::answer::StreamingResponse, Error> {
        self.engine.door().send_streaming(fetch).await
    }

    fn wrap(&self, fetch: Fetch) -> RequestBuilder {
        RequestBuilder::new(self.engine.clone(), fetch)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.snapshot();
        f.debug_struct("Client")
            .field("calls", &snapshot.calls)
            .field("hosts", &snapshot.hosts.len())
            .finish_non_exhaustive()
    }
}

/// Entries that a slow reader may lag behind.
const ENTRIES_MAX: usize = 4_096;
