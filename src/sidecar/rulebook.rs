//! Whose rules of caching hold for a request.

use crate::cache::Cache;
use crate::cache::ask::{Ask, CacheMode, Look};
use crate::client::Client;

/// Whose rules hold for a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rulebook {
    /// Those that the cache was made with.
    Cache,
    /// Those of the client's configuration, for each host and route, as it is reloaded.
    Policy,
}

impl Rulebook {
    /// Looks into a cache by the rules that hold for the request.
    pub(super) fn look(self, cache: &Cache, client: &Client, mut ask: Ask) -> Look {
        if self == Self::Cache {
            return cache.look(ask);
        }
        let Some(rules) = client.rules_of(&ask.url, &ask.method) else {
            // The cache has no part in it.
            ask.mode = CacheMode::NoStore;
            return cache.look(ask);
        };
        cache.look_by(&rules, ask)
    }
}
