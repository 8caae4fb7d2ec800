//! What a host tells the world: changes of its breakers, its numbers, and what it leaves behind.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use spillgate_core::breaker::{Breaker, Stance};
use spillgate_core::call::ScopeKey;
use spillgate_core::event::{BreakerEvent, BreakerMode, BreakerState};

use crate::host::Host;
use crate::messages::{Left, ScopeOpened};
use crate::record::JournalEntry;

impl Host {
    pub(super) fn announce(&mut self, event: BreakerEvent) {
        let breaker = self.machine.scopes().breaker(&event.scope);
        let state = breaker.map_or(BreakerState::Closed, Breaker::state);
        self.publish_scope(&event.scope);
        tracing::info!(
            scope = &*event.scope,
            shadow = event.mode == BreakerMode::Shadow,
            from = event.from.name(),
            to = event.to.name(),
            reason = event.reason.map(|reason| reason.to_string()),
            "breaker changed its state"
        );
        if let (BreakerState::Open, Some(coordinator)) = (state, self.demand.scope_opened.upgrade())
        {
            let (scope, until) = (event.scope.clone(), event.retry_at);
            coordinator.do_send(ScopeOpened { scope, until });
        }
        self.seams.journal.write(JournalEntry::Breaker(event));
    }

    /// Publishes how a scope stands, and with the host's own all its routes that are known or held by
    /// it: an order that opens the host opens them.
    pub(super) fn publish_scope(&self, scope: &ScopeKey) {
        let (now, scopes) = (Instant::now(), self.machine.scopes());
        let registry = &self.seams.registry;
        let state = scopes.breaker(scope).map_or(BreakerState::Closed, Breaker::state);
        registry.publish(scope, &self.key, state, self.machine.stance(now, scope));
        let all = scopes.iter().filter(|_| *scope == self.key);
        for breaker in all.filter(|breaker| breaker.scope() != scope) {
            let (one, stance) = (breaker.scope(), self.machine.stance(now, breaker.scope()));
            if stance != Stance::Admitting || registry.scope(one).is_some() {
                registry.publish(one, &self.key, breaker.state(), stance);
            }
        }
    }

    /// A route has a breaker of its own: who calls it finds that from here on.
    pub(super) fn split(&self, scope: &ScopeKey) {
        let (state, stance) = (BreakerState::Closed, Stance::Admitting);
        self.seams.registry.publish(scope, &self.key, state, stance);
        tracing::info!(scope = &**scope, "a route fails alone and has a breaker of its own");
    }

    pub(super) fn merged(&self, scope: &ScopeKey) {
        self.seams.registry.drop_scope(scope);
        tracing::info!(scope = &**scope, "a route is well and shares its host's breaker again");
    }

    pub(super) fn publish(&self) {
        self.idle.store(self.machine.is_idle(Instant::now()), Relaxed);
        let Some(card) = &self.card else { return };
        card.slots_max.store(self.machine.slots().slots_max(), Relaxed);
        let milli = (self.machine.tokens() * 1000.0).clamp(0.0, f64::from(u32::MAX));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        card.tokens_milli.store(milli as u64, Relaxed);
    }

    /// Takes back what is published of breakers that are closed, and hands over what is left of the
    /// others; their cards go on refusing.
    pub(super) fn leave(&self) {
        let closed = |scope: &ScopeKey| {
            let breaker = self.machine.scopes().breaker(scope);
            breaker.is_none_or(|breaker| breaker.remnant().is_none())
        };
        let all = self.machine.scopes().iter().map(Breaker::scope).chain([&self.key]);
        all.filter(|scope| closed(scope)).for_each(|scope| self.seams.registry.drop_scope(scope));
        let scopes: Vec<_> = self.machine.scopes().remnants().collect();
        if !scopes.is_empty()
            && let Some(coordinator) = self.demand.left.upgrade()
        {
            coordinator.do_send(Left { keeper: self.key.clone(), scopes });
        }
    }
}
