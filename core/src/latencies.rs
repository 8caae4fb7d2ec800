//! How long the routes of a host usually take: the live p95 of what succeeded.
//!
//! Never learned from timeouts: they would teach it the timeout. A hundred successes come first; the
//! p95 is worked out once in a while and not for each call.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::call::ScopeKey;
use crate::latency::Latency;

/// The latencies of one host's scopes, at most 2 KB each.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    /// Boxed: a tree's smallest node has room for eleven, and most hosts have one.
    of: BTreeMap<ScopeKey, Box<Route>>,
}

#[derive(Debug, Clone)]
struct Route {
    latency: Latency,
    p95: Duration,
}

impl Latencies {
    /// Counts one success.
    pub fn record(&mut self, scope: &ScopeKey, took: Duration) {
        if self.of.len() >= SCOPES_MAX && !self.of.contains_key(scope) {
            return;
        }
        let latency = Latency::fading_at(FADE_AT);
        let make = || Box::new(Route { latency, p95: Duration::ZERO });
        let route = self.of.entry(scope.clone()).or_insert_with(make);
        route.latency.record(took);
        if route.latency.samples().is_multiple_of(REFRESH_ONE_IN) {
            route.p95 = route.latency.quantile(0.95);
        }
    }

    /// The time in which 95 of 100 successes of a scope were there; `None` until it is known.
    pub fn p95(&self, scope: &ScopeKey) -> Option<Duration> {
        let route = self.of.get(scope)?;
        (route.latency.samples() >= SAMPLES_MIN).then_some(route.p95)
    }
}

/// Successes before a p95 is believed.
const SAMPLES_MIN: u32 = 100;
/// Successes after which old ones count half.
const FADE_AT: u32 = 1_000;
/// Successes between two looks at the histogram.
const REFRESH_ONE_IN: u32 = 20;
/// Scopes whose latencies are kept apart; the others have none.
const SCOPES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p95_is_known_after_a_hundred_successes_and_follows_them() {
        let (mut latencies, scope) = (Latencies::default(), ScopeKey::from("a"));
        (0..99).for_each(|_| latencies.record(&scope, Duration::from_millis(100)));
        assert_eq!(latencies.p95(&scope), None);
        latencies.record(&scope, Duration::from_millis(100));
        let known = latencies.p95(&scope).expect("a hundred are enough");
        assert!(known >= Duration::from_millis(100) && known <= Duration::from_millis(113));
        (0..2_000).for_each(|_| latencies.record(&scope, Duration::from_millis(10)));
        assert!(latencies.p95(&scope) < Some(Duration::from_millis(12)));
        assert_eq!(latencies.p95(&"b".into()), None);
    }

    #[test]
    fn table_is_bounded() {
        let mut latencies = Latencies::default();
        for n in 0..1_000 {
            latencies.record(&format!("{n}").into(), Duration::from_millis(1));
        }
        assert_eq!(latencies.of.len(), SCOPES_MAX);
    }
}
