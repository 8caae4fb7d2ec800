//! By which settings a proxy's cache answers: those of its client, host by host and route by route,
//! where it is the client's own cache; else those that the cache was made with.

use std::sync::Arc;

use spillgate_actors::core::cache::using;
use spillgate_actors::error::Error;

use crate::cache::Cache;
use crate::cache::ask::{Ask, CacheMode, Look, Pending};
use crate::cache::fate::Replacement;
use crate::caching::Caching;
use crate::client::Client;

/// Where settings are looked up.
pub(super) struct Terms(Option<Arc<Caching>>);

impl Terms {
    pub(super) fn of(client: &Client, cache: &Arc<Cache>) -> Self {
        let caching = client.caching();
        Self(Arc::ptr_eq(caching.cache(), cache).then(|| caching.clone()))
    }

    /// Looks for an answer by the settings that hold for the request.
    pub(super) fn look(&self, cache: &Cache, mut ask: Ask) -> Look {
        let Some(caching) = &self.0 else { return cache.look(ask) };
        // Routes go by the path alone: a client of a proxy names none.
        if let Some(terms) = caching.terms(&ask.url, &ask.method, None) {
            return cache.look_by(terms.rules(), ask);
        }
        ask.mode = CacheMode::NoStore;
        cache.look(ask)
    }
}

/// What is stored and may stand in for an error, labelled with that.
pub(super) fn stand_in(cache: &Cache, pending: &Pending, error: &Error) -> Option<Replacement> {
    if !using::is_covered(error.kind()) {
        return None;
    }
    Some(cache.instead(pending)?.because(error.kind().name()))
}
