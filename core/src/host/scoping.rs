//! Which breaker an attempt asks and tells: its scope's, or that of a route that was split off.

use std::time::Instant;

use crate::breaker::options::BreakerKind;
use crate::breaker::{Breaker, Stance};
use crate::call::ScopeKey;
use crate::host::{Action, Host, Running};
use crate::learning::Rule;
use crate::outcome::{Evidence, Neutral, Outcome};
use crate::verdict::Offer;
use crate::window::Tally;

impl Host {
    /// What shares the breaker of an attempt as things stand.
    pub(super) fn scope_of(&self, offer: &Offer) -> ScopeKey {
        match &offer.class {
            Some(class) if self.scopes.breaker(class).is_some() => class.clone(),
            Some(_) => self.key.clone(),
            None => offer.scope.clone(),
        }
    }

    /// How a scope stands: who opens a host by order means all its routes with it.
    pub fn stance(&self, now: Instant, scope: &ScopeKey) -> Stance {
        let own = self.scopes.breaker(&self.key);
        match own.map_or(Stance::Admitting, |own| own.forced_stance(now)) {
            Stance::Admitting => self.scopes.stance(scope),
            refusing @ Stance::Refusing { .. } => refusing,
        }
    }

    /// Tells the breaker that admitted an attempt what it came to, and learns of its route.
    pub(super) fn tell_breaker(&mut self, now: Instant, running: &Running, evidence: &Evidence) {
        let Some(pass) = running.pass else { return };
        if let Some(class) = &running.offer.class {
            let is_split = self.learn(now, class, evidence);
            let scope = self.scope_of(&running.offer);
            if scope != running.scope {
                // Its route was split off or joined again meanwhile: the one breaker did not admit
                // it, and the other is not meant.
                if let Some(breaker) = self.scopes.breaker_mut(&running.scope) {
                    breaker.give_back(pass);
                }
                if !is_split && self.scopes.breaker(&scope).is_some_and(Breaker::is_plain) {
                    let event = self.record(now, &scope, evidence);
                    self.announce(event);
                }
                return;
            }
        }
        let breaker = self.scopes.serve(&running.scope);
        let event = breaker.record(now, pass, evidence, &mut self.rng);
        self.announce(event);
    }

    /// Takes back the routes that have been well for long.
    pub(super) fn rejoin(&mut self, now: Instant) {
        let scopes = &self.scopes;
        let is_closed = |class: &ScopeKey| scopes.breaker(class).is_none_or(Breaker::is_plain);
        for class in self.learning.rejoin(now, is_closed) {
            if self.scopes.forget(&class) {
                self.actions.push_back(Action::Merged(class));
            }
        }
    }

    /// Counts a call of a route, and says whether that splits it off.
    fn learn(&mut self, now: Instant, class: &ScopeKey, evidence: &Evidence) -> bool {
        let options = &self.policy.breaker;
        if !options.learn || options.kind == BreakerKind::Off || !self.scopes.has_room() {
            return false;
        }
        let rule = Rule { failure_rate: options.failure_rate, window: options.window };
        if self.scopes.breaker(class).is_some() && !self.learning.is_apart(class) {
            if self.scopes.is_configured(class) {
                // Somebody else gave it one, which it keeps.
                return false;
            }
            // It has one from before this host was forgotten, or from an operator's order.
            self.learning.adopt(now, class, rule);
        }
        let failures = match evidence.outcome {
            Outcome::Failure if options.ignores(evidence) => return false,
            Outcome::Success => 0,
            Outcome::Failure | Outcome::Neutral(Neutral::Throttled) => 1,
            Outcome::Neutral(_) => return false,
        };
        let learned = Tally { calls: 1, failures, slow: 0 };
        let Some(known) = self.learning.record(now, class, learned, rule) else { return false };
        self.split(now, class, known, evidence);
        true
    }

    /// Gives a route a breaker of its own, which knows what is known of the route.
    fn split(&mut self, now: Instant, class: &ScopeKey, known: Tally, failure: &Evidence) {
        self.scopes.serve(class);
        self.actions.push_back(Action::Split(class.clone()));
        let told = u64::from(known.calls.min(TOLD_MAX));
        let failures = told * u64::from(known.failures) / u64::from(known.calls.max(1));
        let success = Evidence::of_status(200, None);
        for n in 0..told {
            let evidence = if n < told - failures { &success } else { failure };
            let event = self.record(now, class, evidence);
            self.announce(event);
        }
    }
}

/// Calls that the breaker of a route is told of when it is made, in their proportion.
const TOLD_MAX: u32 = 100;
