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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, Method, StatusCode};
    use spillgate_actors::core::advice::ErrorKind;

    use super::*;
    use crate::cache::CacheOptions;
    use crate::cache::fate::Fate;
    use crate::cache::memory::MemoryStore;

    fn asks(cache: &Cache) -> Pending {
        let (method, url) = (Method::GET, "http://a.example/".parse().unwrap());
        let (headers, mode) = (HeaderMap::new(), CacheMode::Default);
        match cache.look(Ask { method, url, headers, mode, max_stale: None }) {
            Look::Send(pending) => *pending,
            look @ (Look::Serve(_) | Look::ServeAndRenew(..) | Look::Nothing) => panic!("{look:?}"),
        }
    }

    #[test]
    fn what_is_stored_stands_in_for_trouble_and_for_no_slip_or_attack() {
        let store = Arc::new(MemoryStore::new(1 << 20));
        let cache = Cache::new(CacheOptions::default(), store, [7; 32]);
        let mut headers = HeaderMap::new();
        let said = "max-age=0, stale-if-error=60";
        headers.insert("cache-control", HeaderValue::from_static(said));
        let Fate::Keep(kept) = cache.arrived(&asks(&cache), StatusCode::OK, &headers) else {
            panic!("it may be stored")
        };
        cache.keep(*kept, Bytes::from_static(b"kept"));
        let pending = asks(&cache);
        for (kind, expected) in [
            (ErrorKind::CircuitOpen, Some("circuit_open")),
            (ErrorKind::DeviceOffline, Some("device_offline")),
            (ErrorKind::TlsCertificateError, None),
            (ErrorKind::DestinationIpProhibited, None),
        ] {
            let found = stand_in(&cache, &pending, &Error::new(kind, "it failed"));
            let served = found.map(|found| found.serve(&Method::GET, &HeaderMap::new()));
            let told = served.and_then(|served| served.cache_status.detail);
            assert_eq!(told, expected, "{kind:?}");
        }
    }
}
