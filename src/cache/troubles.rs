//! Which addresses had no good answer a moment ago.
//!
//! What is stale and may stand in for an error does so for a short while without another question:
//! else an origin in trouble would be asked again as fast as it fails, by the next of those who came
//! at once. The first good answer ends it. It is never about what could not be answered from the
//! store.

use std::time::{Duration, Instant};

use quick_cache::sync::Cache as Table;
use spillgate_actors::core::advice::{ErrorClass, ErrorKind};
use spillgate_actors::core::cache::directives::Wishes;
use spillgate_actors::core::cache::rules::Rules;
use spillgate_actors::core::cache::using::{self, Doubt, Use};
use spillgate_actors::error::Error;

use crate::cache::ask::Pending;
use crate::cache::page::Stored;
use crate::cache::{Cache, now};

/// The addresses, and until when nobody asks about what is stale there.
pub(super) struct Troubles {
    until: Table<[u8; 32], (Instant, ErrorKind)>,
    back_off: Duration,
}

impl Troubles {
    pub(super) fn new(back_off: Duration) -> Self {
        Self { until: Table::new(TROUBLES_MAX), back_off }
    }

    /// Begins a back-off, unless one is under way.
    pub(super) fn note(&self, pending: &Pending, kind: ErrorKind) {
        if pending.held.is_some() && self.of(&pending.key).is_none() {
            self.until.insert(pending.key, (Instant::now() + self.back_off, kind));
        }
    }

    /// The origin is well.
    pub(super) fn end(&self, key: &[u8; 32]) {
        self.until.remove(key);
    }

    /// What failed, if it did a moment ago.
    fn of(&self, key: &[u8; 32]) -> Option<ErrorKind> {
        let (until, kind) = self.until.get(key)?;
        (until > Instant::now()).then_some(kind)
    }
}

impl Cache {
    /// Learns that no answer came: for a moment what is stale and may stand in for it does so without
    /// asking, unless the failure was no upstream's.
    pub fn note_failure(&self, pending: &Pending, error: &Error) {
        let is_upstreams = match error.class() {
            ErrorClass::Transient => error.kind() != ErrorKind::DeadlineExceeded,
            ErrorClass::Device
            | ErrorClass::Permanent
            | ErrorClass::Business
            | ErrorClass::Cancelled
            | ErrorClass::Rejected => false,
        };
        if is_upstreams {
            self.troubles.note(pending, error.kind());
        }
    }

    /// Why the origin is not asked about a stale answer: it failed a moment ago.
    pub(super) fn spares_origin(
        &self,
        rules: &Rules,
        used: Use,
        (key, stored): (&[u8; 32], &Stored),
        wishes: &Wishes,
    ) -> Option<ErrorKind> {
        let stands_in = match used {
            Use::WhileRenewed => true,
            Use::Validate(Doubt::Expired) => {
                let instead = using::instead_of_error(rules, &stored.entry, wishes, now());
                instead.is_some()
            }
            Use::Fresh
            | Use::Stale
            | Use::Validate(
                Doubt::NoCache | Doubt::RequestNoCache | Doubt::TooOld | Doubt::NotFreshEnough,
            ) => false,
        };
        if stands_in { self.troubles.of(key) } else { None }
    }
}

/// How long nobody asks again.
pub(super) const BACK_OFF: Duration = Duration::from_secs(1);
/// Addresses in trouble that are remembered; beyond it the origin is asked.
const TROUBLES_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use http::{HeaderMap, Method, StatusCode};

    use super::*;
    use crate::cache::CacheOptions;
    use crate::cache::ask::{Ask, CacheMode, Look};
    use crate::cache::fate::Fate;
    use crate::cache::memory::MemoryStore;

    const HOUR: Duration = Duration::from_secs(3_600);
    const FOR_ERRORS: &str = "max-age=5, stale-if-error=60";

    fn cache(back_off: Duration) -> Cache {
        let options = CacheOptions { back_off, ..CacheOptions::default() };
        Cache::new(options, Arc::new(MemoryStore::new(1 << 20)), [7; 32])
    }

    fn look(cache: &Cache, mode: CacheMode) -> Look {
        let url = "http://a.example/x".parse().unwrap();
        let (method, headers) = (Method::GET, HeaderMap::new());
        cache.look(Ask { method, url, headers, mode, max_stale: None })
    }

    fn asks(cache: &Cache) -> bool {
        matches!(look(cache, CacheMode::Default), Look::Send(_) | Look::ServeAndRenew(..))
    }

    /// Sends a request whatever is stored, and takes an answer that is nine seconds old.
    fn answer(cache: &Cache, status: u16, said: &'static str) {
        let Look::Send(pending) = look(cache, CacheMode::NoCache) else { panic!("it is sent") };
        let mut headers = HeaderMap::new();
        headers.insert("cache-control", said.parse().unwrap());
        headers.insert("age", "9".parse().unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        if let Fate::Keep(kept) = cache.arrived(&pending, status, &headers) {
            cache.keep(*kept, Bytes::new());
        }
    }

    #[test]
    fn failure_spares_the_origin_until_it_is_well() {
        for said in [FOR_ERRORS, "max-age=5, stale-while-revalidate=60"] {
            let cache = cache(HOUR);
            answer(&cache, 200, said);
            assert!(asks(&cache), "{said}: nothing failed yet");
            answer(&cache, 503, "no-store");
            let Look::Serve(served) = look(&cache, CacheMode::Default) else { panic!("{said}") };
            assert_eq!(served.cache_status.detail, Some("stale-if-error"));
            assert_eq!(served.instead_of, Some(ErrorKind::HttpStatus));
            assert!(!served.staleness.is_zero());
            answer(&cache, 200, said);
            assert!(asks(&cache), "{said}: it is well");
        }
    }

    #[test]
    fn nobody_is_spared_who_may_not_have_what_is_stale() {
        for said in ["max-age=5, stale-if-error=0", "max-age=5, must-revalidate"] {
            let cache = cache(HOUR);
            answer(&cache, 200, said);
            answer(&cache, 503, "no-store");
            assert!(asks(&cache), "{said}");
        }
        let cache = cache(Duration::ZERO);
        answer(&cache, 200, FOR_ERRORS);
        answer(&cache, 503, "no-store");
        assert!(asks(&cache), "it is off");
    }

    #[test]
    fn only_the_upstreams_failures_count() {
        for (kind, counts) in [
            (ErrorKind::ConnectionTerminated, true),
            (ErrorKind::HttpResponseTimeout, true),
            (ErrorKind::DeadlineExceeded, false),
            (ErrorKind::QueueFull, false),
            (ErrorKind::Cancelled, false),
        ] {
            let cache = cache(HOUR);
            answer(&cache, 200, FOR_ERRORS);
            let Look::Send(pending) = look(&cache, CacheMode::Default) else { panic!("{kind:?}") };
            cache.note_failure(&pending, &Error::new(kind, "failed"));
            assert_eq!(asks(&cache), !counts, "{kind:?}");
        }
    }
}
