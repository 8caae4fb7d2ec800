//! What an unsafe request makes useless (RFC 9111 section 4.4), for whomever it was stored.

use http::{HeaderMap, StatusCode};
use spillgate_actors::core::cache::invalidation::{self, FURTHER_TARGETS};
use url::Url;

use crate::cache::Cache;
use crate::cache::ask::Pending;
use crate::cache::purge::Purge;
use crate::cache::regime::REGIMES;

impl Cache {
    /// A request was answered by leading elsewhere, which is no error: if it may change things, what
    /// is stored for its target is useless.
    pub fn taken(&self, pending: &Pending) {
        let ask = &pending.ask;
        if invalidation::invalidates(ask.method.as_str(), StatusCode::FOUND.as_u16()) {
            self.invalidate(&ask.url, &HeaderMap::new());
        }
    }

    /// Forgets what an unsafe request has made useless, for whomever it was stored.
    pub(super) fn invalidate(&self, target: &Url, headers: &HeaderMap) {
        let further = FURTHER_TARGETS.iter().filter_map(|name| headers.get(*name)?.to_str().ok());
        let further = further.filter_map(|location| target.join(location).ok());
        let further = further.filter(|url| url.origin() == target.origin());
        let all = further.chain([target.clone()]);
        for mut url in all {
            url.set_fragment(None);
            let keys = REGIMES.map(|regime| self.keys.address(&url, regime));
            let keys: Vec<[u8; 32]> = keys.collect();
            // Remembered first, or what is on its way could be put between.
            self.purges.add(Purge::Url(url.into()));
            keys.iter().for_each(|key| self.store.remove(key));
        }
    }
}
