//! Answers that the cache had a hand in, labelled with what it did and why.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Version;
use spillgate_actors::answer::{Head, Response};
use spillgate_actors::cache_use::{CacheHit, CacheUse};
use spillgate_actors::core::advice::ErrorKind;
use spillgate_actors::core::cache::status::{CacheStatus, From, Life};
use spillgate_actors::error::Error;
use spillgate_actors::hostname::HostName;
use spillgate_actors::record::{CallRecord, JournalEntry};
use url::Url;

use crate::cache::ask::Pending;
use crate::cache::fate::Replacement;
use crate::cache::served::Served;
use crate::caching::Front;

/// What is told of an answer beside what the cache says itself.
pub(super) struct Label {
    why_stale: &'static str,
    instead_of: Option<ErrorKind>,
    record: Option<Arc<CallRecord>>,
    origin: Option<CacheStatus>,
}

impl Label {
    /// An answer from the store; `why_stale` is why it may be stale, if it is.
    pub(super) fn of_hit(why_stale: &'static str) -> Self {
        Self { why_stale, instead_of: None, record: None, origin: None }
    }

    /// An answer in the place of an error.
    pub(super) fn instead_of(error: &Error) -> Self {
        let record = error.record().cloned();
        Self { instead_of: Some(error.kind()), record, ..Self::of_hit("stale-if-error") }
    }

    /// An answer after one of the upstream's.
    pub(super) fn after(answer: &Response) -> Self {
        let failed = answer.status().is_server_error().then_some(ErrorKind::HttpStatus);
        let record = answer.record().cloned();
        Self { instead_of: failed, record, ..Self::of_hit("stale-if-error") }
    }

    /// The upstream's own answer, stored or not.
    pub(super) fn of_origin(pending: &Pending, stored: bool) -> Self {
        let collapsed = pending.is_joined();
        let origin = Some(CacheStatus { stored, collapsed, ..pending.cache_status() });
        Self { origin, ..Self::of_hit("") }
    }

    /// A failure that is told again.
    pub(super) fn of_memory() -> Self {
        let hit = CacheStatus::hit(Life::Left(Duration::ZERO));
        let origin = CacheStatus { life: None, detail: Some("failure-memory"), ..hit };
        Self { origin: Some(origin), ..Self::of_hit("") }
    }

    /// Labels an answer that is the upstream's own.
    pub(super) fn mark(&self, response: Response) -> Response {
        let Some(status) = self.origin else { return response };
        let why = match status.from {
            From::Origin(why) => why.token(),
            From::Store => status.detail.unwrap_or_default(),
        };
        let hit = status.from == From::Store;
        let age = Duration::ZERO;
        response.cached(CacheUse { hit, stale: false, age, why, instead_of: None, status })
    }

    /// Makes an answer of what is stored, in the place of what came, or did not.
    pub(super) fn replace(
        self,
        front: &Front,
        pending: &Pending,
        stored: &Replacement,
    ) -> Response {
        let ask = pending.ask();
        let served = if pending.is_joined() {
            stored.serve(&ask.method, &ask.headers)
        } else {
            stored.serve_asker(&ask.method, &ask.headers)
        };
        self.serve(front, &ask.url, served)
    }

    /// Makes an answer of what is stored.
    pub(super) fn serve(self, front: &Front, url: &Url, served: Served) -> Response {
        let Served { status, headers, body, cache_status, age, instead_of: failed, .. } = served;
        let hit = cache_status.from == From::Store;
        let stale = hit && matches!(cache_status.life, Some(Life::Stale(_)));
        let why = match (hit, stale) {
            (false, _) => "validated",
            (true, false) => "fresh",
            (true, true) => cache_status.detail.unwrap_or(self.why_stale),
        };
        let instead_of = self.instead_of.or(failed).filter(|_| hit);
        let cache = CacheUse { hit, stale, age, why, instead_of, status: cache_status };
        let shown: Arc<str> = front.door.redacted(url).into();
        if hit && let Some(host) = HostName::of(url) {
            let hit = CacheHit { at: Instant::now(), host: host.key(), url: shown.clone(), cache };
            front.door.tell(JournalEntry::Hit(Arc::new(hit)));
        }
        let head = Head { status, version: Version::HTTP_11, headers, url: shown };
        let response = Response::new(head, body).cached(cache);
        match self.record {
            Some(record) => response.recorded(record),
            None => response,
        }
    }
}
