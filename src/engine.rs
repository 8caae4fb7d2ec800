//! What a client shares with everything that it hands out: the door, the reporter, and how they end.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use spillgate_actors::door::Door;

use crate::caching::Front;
use crate::chaos::injector::Injector;
use crate::telemetry::reporter::{Observer, Reporter};

/// The threads of one client, which run until the last clone of it is gone or it is shut down.
pub(crate) struct Engine {
    front: Front,
    reporter: ArcSwapOption<Reporter>,
    export_timeout: Duration,
    chaos: Option<Arc<Injector>>,
}

impl Engine {
    pub(crate) fn new(front: Front, reporter: Reporter, export_timeout: Duration) -> Self {
        let reporter = ArcSwapOption::from_pointee(reporter);
        Self { front, reporter, export_timeout, chaos: None }
    }

    /// The same with what injects its faults.
    pub(crate) fn with_chaos(self, chaos: Option<Arc<Injector>>) -> Self {
        Self { chaos, ..self }
    }

    /// The way to the actors.
    pub(crate) fn door(&self) -> &Door {
        &self.front.door
    }

    /// The door with the cache before it.
    pub(crate) fn front(&self) -> &Front {
        &self.front
    }

    /// What injects faults, if anything does.
    pub(crate) fn chaos(&self) -> Option<&Injector> {
        self.chaos.as_deref()
    }

    /// Tells `observer` every entry of the journal from here on.
    pub(crate) fn observe(&self, observer: Observer) {
        if let Some(reporter) = &*self.reporter.load() {
            reporter.observe(observer);
        }
    }

    /// Ends the actors, sends the last spans, and ends the reporter; blocks until that is done.
    pub(crate) fn end(&self) {
        self.front.door.close();
        if let Some(reporter) = self.reporter.swap(None).and_then(Arc::into_inner)
            && let Err(error) = reporter.shutdown(self.export_timeout)
        {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}
