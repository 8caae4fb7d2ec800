//! The breakers of one host, by scope.
//!
//! A scope gets its breaker when it is first needed. The table is bounded: further scopes share the
//! host's own breaker, which errs on the careful side.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::breaker::options::BreakerOptions;
use crate::breaker::remnant::Remnant;
use crate::breaker::{Breaker, Stance};
use crate::call::ScopeKey;
use crate::event::BreakerEvent;
use crate::rng::Rng;

/// The breakers of one host.
#[derive(Debug)]
pub struct Scopes {
    own: ScopeKey,
    standard: BreakerOptions,
    configured: BTreeMap<ScopeKey, BreakerOptions>,
    /// Boxed: a tree's smallest node has room for eleven, and most hosts have one.
    breakers: BTreeMap<ScopeKey, Box<Breaker>>,
}

impl Scopes {
    /// No breakers yet; `own` is the scope of the host itself.
    pub fn new(own: ScopeKey, standard: BreakerOptions) -> Self {
        Self { own, standard, configured: BTreeMap::new(), breakers: BTreeMap::new() }
    }

    /// The breaker that serves a scope, made if need be.
    pub fn serve(&mut self, scope: &ScopeKey) -> &mut Breaker {
        let scope = self.name(scope);
        let options = self.configured.get(&scope).unwrap_or(&self.standard);
        let make = || Box::new(Breaker::new(scope.clone(), options.clone()));
        self.breakers.entry(scope.clone()).or_insert_with(make)
    }

    /// Gives one scope options of its own, unless there are too many that have a breaker.
    pub fn configure(
        &mut self,
        now: Instant,
        scope: &ScopeKey,
        options: BreakerOptions,
    ) -> Option<BreakerEvent> {
        if self.name(scope) != *scope {
            // There is no room for it, and what is meant for one scope must not bind the others.
            return None;
        }
        let event = self.serve(scope).configure(now, options.clone());
        self.configured.insert(scope.clone(), options);
        event
    }

    /// Gives all scopes without options of their own these; states stay.
    pub fn reload(&mut self, now: Instant, standard: &BreakerOptions) -> Vec<BreakerEvent> {
        self.standard = standard.clone();
        let configured = &self.configured;
        let others = self.breakers.iter_mut().filter(|(scope, _)| !configured.contains_key(*scope));
        others.filter_map(|(_, breaker)| breaker.configure(now, standard.clone())).collect()
    }

    /// What must outlive them all: the scopes that are not closed.
    pub fn remnants(&self) -> impl Iterator<Item = (ScopeKey, Remnant)> {
        let left = |breaker: &Breaker| Some((breaker.scope().clone(), breaker.remnant()?));
        self.iter().filter_map(left)
    }

    /// Goes on where a scope's breaker was forgotten, if nobody has needed another meanwhile.
    pub fn resume(&mut self, scope: &ScopeKey, remnant: Remnant) {
        if !self.breakers.contains_key(scope) && self.name(scope) == *scope {
            self.serve(scope).resume(remnant);
        }
    }

    /// Lets time pass for all.
    pub fn wake(&mut self, now: Instant, rng: &mut Rng) -> Vec<BreakerEvent> {
        self.breakers.values_mut().filter_map(|breaker| breaker.wake(now, rng)).collect()
    }

    /// When [`Scopes::wake`] has something to do. O(scopes in use).
    pub fn next_wake(&self) -> Option<Instant> {
        self.breakers.values().filter_map(|breaker| breaker.next_wake()).min()
    }

    /// How the breaker that serves a scope stands.
    pub fn stance(&self, scope: &ScopeKey) -> Stance {
        let breaker = self.breaker(&self.name(scope));
        breaker.map_or(Stance::Admitting, Breaker::stance)
    }

    /// The breaker that serves a scope, if it was needed.
    pub fn serving(&self, scope: &ScopeKey) -> Option<&Breaker> {
        self.breakers.get(&self.name(scope)).map(Box::as_ref)
    }

    /// The breaker of a scope, if it was needed.
    pub fn breaker(&self, scope: &str) -> Option<&Breaker> {
        self.breakers.get(scope).map(Box::as_ref)
    }

    /// The breaker of a scope to be changed, if it was needed.
    pub fn breaker_mut(&mut self, scope: &str) -> Option<&mut Breaker> {
        self.breakers.get_mut(scope).map(Box::as_mut)
    }

    /// Whether a further scope would be kept apart.
    pub fn has_room(&self) -> bool {
        self.breakers.len() < SCOPES_MAX
    }

    /// Forgets the breaker of a scope, unless it has options of its own.
    pub fn forget(&mut self, scope: &ScopeKey) -> bool {
        !self.configured.contains_key(scope) && self.breakers.remove(scope).is_some()
    }

    /// Whether a scope was given options of its own.
    pub fn is_configured(&self, scope: &str) -> bool {
        self.configured.contains_key(scope)
    }

    /// All breakers that were needed.
    pub fn iter(&self) -> impl Iterator<Item = &Breaker> {
        self.breakers.values().map(Box::as_ref)
    }

    /// Whether nothing would be lost by forgetting them all.
    pub fn is_forgettable(&self) -> bool {
        self.configured.is_empty() && self.iter().all(Breaker::is_plain)
    }

    fn name(&self, scope: &ScopeKey) -> ScopeKey {
        let fits = self.breakers.contains_key(scope) || self.breakers.len() < SCOPES_MAX;
        if fits { scope.clone() } else { self.own.clone() }
    }
}

/// Scopes that one host keeps apart.
const SCOPES_MAX: usize = 1_000;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
mod tests {
    use super::*;

    #[test]
    fn table_is_bounded_and_the_rest_share_the_hosts_own() {
        let mut scopes = Scopes::new("host".into(), BreakerOptions::default());
        for n in 0..5_000 {
            scopes.serve(&format!("host /{n}").into());
        }
        assert_eq!(scopes.iter().count(), SCOPES_MAX + 1);
        assert_eq!(&**scopes.serve(&"host /4999".into()).scope(), "host");
        assert_eq!(&**scopes.serve(&"host /7".into()).scope(), "host /7");
        let (late, own) = (ScopeKey::from("host /late"), ScopeKey::from("host"));
        scopes.configure(Instant::now(), &late, BreakerOptions::off());
        assert!(!scopes.is_configured(&late) && !scopes.is_configured(&own));
    }
}
