//! The facade: one handle that a service keeps and clones.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::Method;
use spillgate_actors::coordinator::Coordinator;
use spillgate_actors::core::advice::ErrorKind;
use spillgate_actors::door::Door;
use spillgate_actors::error::Error;
use spillgate_actors::fetch::Fetch;
use spillgate_actors::messages::{Cancel, Drain, Drained, Reload};
use spillgate_actors::record::JournalEntry;
use spillgate_actors::snapshot::Snapshot;
use tokio::sync::{broadcast, oneshot};

use crate::breakers::Breakers;
use crate::builder::ClientBuilder;
use crate::config::Config;
use crate::lifecycle::{Debounced, Places, Scope};
use crate::plan::ConfigPlan;
use crate::request::RequestBuilder;
use crate::telemetry::reporter::{Observer, Reporter};

/// A resilient HTTP client; cheap to clone, its actors end with the last clone.
///
/// Works inside any tokio runtime, actix's included, and outside: the actors have a thread of their
/// own.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    door: Door,
    reporter: ArcSwapOption<Reporter>,
    export_timeout: Duration,
    places: Places,
}

impl Client {
    /// A client with the standard pipeline: see `docs/defaults.md` for each number and its why.
    ///
    /// # Panics
    ///
    /// When the operating system refuses a thread; [`ClientBuilder::build`] returns that as an error.
    #[expect(clippy::panic, reason = "as `std::thread::spawn` does, and documented")]
    pub fn standard() -> Self {
        Self::builder().build().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a client that differs from the standard.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    pub(crate) fn assemble(door: Door, reporter: Reporter, export_timeout: Duration) -> Self {
        let reporter = ArcSwapOption::from_pointee(reporter);
        Self {
            inner: Arc::new(Inner { door, reporter, export_timeout, places: Places::default() }),
        }
    }

    /// A GET of `url`.
    pub fn get(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.wrap(Fetch::get(url))
    }

    /// A HEAD of `url`.
    pub fn head(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.wrap(Fetch::head(url))
    }

    /// A POST to `url`.
    pub fn post(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.wrap(Fetch::post(url))
    }

    /// A PUT to `url`.
    pub fn put(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.wrap(Fetch::put(url))
    }

    /// A PATCH of `url`.
    pub fn patch(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.wrap(Fetch::patch(url))
    }

    /// A DELETE of `url`.
    pub fn delete(&self, url: impl AsRef<str>) -> RequestBuilder {
        self.wrap(Fetch::delete(url))
    }

    /// A request of any method.
    pub fn request(&self, method: Method, url: impl AsRef<str>) -> RequestBuilder {
        self.wrap(Fetch::request(method, url))
    }

    /// Cancels a call by its number, wherever it was sent from.
    pub fn cancel(&self, ticket: spillgate_actors::core::call::Ticket) {
        self.addr().do_send(Cancel { ticket, kind: ErrorKind::Cancelled });
    }

    /// Calls that end together: dropping the scope cancels everything started in it.
    pub fn scope(&self) -> Scope {
        Scope::new(self.clone())
    }

    /// Calls of which only the newest of a key is sent, after a pause of `wait` without a newer
    /// one; the others end with the kind `Superseded`.
    pub fn debounced(&self, key: impl AsRef<str>, wait: Duration) -> Debounced {
        Debounced::new(self.clone(), self.inner.places.of(key.as_ref(), wait))
    }

    /// The registry of breakers.
    pub fn breakers(&self) -> Breakers {
        Breakers::new(self.clone())
    }

    /// The coordinator's address: requests as messages, from any runtime.
    pub fn addr(&self) -> actix::Addr<Coordinator> {
        self.inner.door.addr()
    }

    /// The state of everything at this moment; costs no message.
    pub fn snapshot(&self) -> Snapshot {
        self.inner.door.snapshot()
    }

    /// A stream of all ended calls and breaker changes from here on; a slow reader loses the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<JournalEntry> {
        let (sender, receiver) = broadcast::channel(ENTRIES_MAX);
        self.observe(Box::new(move |entry| drop(sender.send(entry.clone()))));
        receiver
    }

    /// Takes a new configuration; breakers, queues, permits and windows stay.
    pub fn reload(&self, config: Config) -> Result<(), Error> {
        config.check().map_err(|error| Error::new(ErrorKind::InvalidConfig, error.to_string()))?;
        self.addr().do_send(Reload(Arc::new(ConfigPlan::new(config))));
        Ok(())
    }

    /// Takes no more calls, waits up to `grace` for those inside, ends the rest, sends the last
    /// spans, and ends the threads.
    pub async fn shutdown(&self, grace: Duration) -> Drained {
        let drained = self.addr().send(Drain { grace }).await.unwrap_or(Drained::Cut);
        let inner = self.inner.clone();
        let (done, waited) = oneshot::channel();
        // Joining threads blocks; a thread of its own keeps that off every runtime.
        let work = move || {
            inner.door.close();
            if let Some(reporter) = inner.reporter.swap(None).and_then(Arc::into_inner)
                && let Err(error) = reporter.shutdown(inner.export_timeout)
            {
                tracing::warn!(%error, "the last spans were not exported");
            }
            let _ = done.send(());
        };
        if std::thread::Builder::new().name("spillgate-close".into()).spawn(work).is_ok() {
            let _ = waited.await;
        }
        drained
    }

    pub(crate) fn door(&self) -> &Door {
        &self.inner.door
    }

    pub(crate) fn observe(&self, observer: Observer) {
        if let Some(reporter) = &*self.inner.reporter.load() {
            reporter.observe(observer);
        }
    }

    fn wrap(&self, fetch: Fetch) -> RequestBuilder {
        RequestBuilder::new(self.clone(), fetch)
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
