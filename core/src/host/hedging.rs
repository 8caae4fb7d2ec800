//! When an attempt is to be hedged, and whether its hedge may be sent.
//!
//! Asked twice: when a hedge is due, so that the coordinator is not bothered in vain, and when it is
//! offered. Each scope earns its own hedges and knows its own latency; all of them also pay from the
//! host's retry budget. A hedge never probes, nor goes while a breaker's ramp lasts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::breaker::Breaker;
use crate::call::{AttemptId, BreakerUse, HedgeDelay, HedgeUse, ScopeKey};
use crate::hedge::{Hedge, HedgeOptions, Hedging};
use crate::host::{Action, Host, Running};
use crate::outcome::{Evidence, Outcome};
use crate::verdict::{AbortCause, Cost, Offer};

/// The hedges of one host's scopes, about 1 KB each; a scope has them once a call wants one.
#[derive(Debug)]
pub(super) struct Hedges {
    own: ScopeKey,
    options: HedgeOptions,
    of: BTreeMap<ScopeKey, Hedge>,
    due: BTreeSet<(Instant, AttemptId)>,
}

impl Hedges {
    /// None yet; `own` is the scope of the host itself.
    pub(super) fn new(own: ScopeKey, options: Option<HedgeOptions>) -> Self {
        let options = options.unwrap_or_default();
        Self { own, options, of: BTreeMap::new(), due: BTreeSet::new() }
    }

    /// Takes new options; what was earned stays.
    pub(super) fn configure(&mut self, options: Option<HedgeOptions>) {
        self.options = options.unwrap_or_default();
        self.of.values_mut().for_each(|hedge| hedge.configure(self.options));
    }

    /// Forgets when an attempt was to be hedged.
    pub(super) fn forget(&mut self, attempt: AttemptId, due: Option<Instant>) {
        if let Some(due) = due {
            self.due.remove(&(due, attempt));
        }
    }

    /// When the next hedge is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    fn serve(&mut self, scope: &ScopeKey) -> &mut Hedge {
        let name = self.name(scope);
        self.of.entry(name).or_insert_with(|| Hedge::new(self.options))
    }

    fn of(&self, scope: &ScopeKey) -> Option<&Hedge> {
        self.of.get(&self.name(scope))
    }

    fn of_mut(&mut self, scope: &ScopeKey) -> Option<&mut Hedge> {
        let name = self.name(scope);
        self.of.get_mut(&name)
    }

    fn name(&self, scope: &ScopeKey) -> ScopeKey {
        let fits = self.of.contains_key(scope) || self.of.len() < SCOPES_MAX;
        if fits { scope.clone() } else { self.own.clone() }
    }
}

impl Host {
    /// An attempt starts: a hedge is paid for, a first attempt earns; says when its hedge is due.
    pub(super) fn begin_hedging(&mut self, now: Instant, offer: &Offer) -> Option<Instant> {
        if offer.beside.is_some() {
            self.hedges.serve(&offer.scope).spend();
            return None;
        }
        let delay = self.hedge_delay(offer);
        let hedge = match delay {
            Some(_) => Some(self.hedges.serve(&offer.scope)),
            None => self.hedges.of_mut(&offer.scope),
        };
        let hedge = hedge?;
        if offer.resend == 0 {
            hedge.earn();
        }
        let due = hedge.due(now, offer.repeat, delay?)?;
        self.hedges.due.insert((due, offer.attempt));
        Some(due)
    }

    /// Asks for the hedges that are due, each once.
    pub(super) fn ask_for_hedges(&mut self, now: Instant) {
        while let Some((due, attempt)) = self.hedges.due.first().copied()
            && due <= now
        {
            self.hedges.due.remove(&(due, attempt));
            let Some(running) = self.running.get(&attempt) else { continue };
            let (offer, resend) = (&running.offer, running.offer.resend + 1);
            // Of another lane's slots the coordinator tells with the offer.
            let load = if self.lends_slot(offer) { self.load() } else { (0, 0) };
            if self.may_hedge(offer, &running.scope, (resend, load)) {
                self.actions.push_back(Action::Hedge(attempt));
            }
        }
    }

    /// Whether an offer is no hedge, or one that may be sent.
    pub(super) fn passes_as_hedge(&self, offer: &Offer) -> bool {
        let Some(beside) = offer.beside else { return true };
        let first = AttemptId { flight: offer.attempt.flight, n: beside.n };
        let first = self.running.get(&first).filter(|first| first.abort.is_none());
        let elsewhere = (beside.taken, beside.slots_max);
        let load = if self.lends_slot(offer) { self.load() } else { elsewhere };
        first.is_some_and(|first| self.may_hedge(offer, &first.scope, (offer.resend, load)))
    }

    /// Learns how long a first attempt took, or had taken when its hedge won.
    pub(super) fn learn_for_hedges(&mut self, running: &Running, evidence: &Evidence) {
        let answered = evidence.outcome == Outcome::Success && running.abort.is_none();
        let lost = running.abort == Some(AbortCause::Outrun);
        let is_first = running.offer.beside.is_none();
        if let (true, Some(took)) = (is_first && (answered || lost), evidence.took)
            && let Some(hedge) = self.hedges.of_mut(&running.offer.scope)
        {
            hedge.record(took);
        }
    }

    fn hedge_delay(&self, offer: &Offer) -> Option<HedgeDelay> {
        match (offer.hedge, self.policy.hedge) {
            (HedgeUse::On(delay), _) => Some(delay),
            (HedgeUse::ByPolicy, Some(options)) => Some(options.delay),
            (HedgeUse::ByPolicy, None) | (HedgeUse::Off, _) => None,
        }
    }

    /// Whether attempt number `resend` + 1 of a hop may be a hedge under the breaker of a scope, with
    /// so many slots taken of all.
    fn may_hedge(
        &self,
        offer: &Offer,
        scope: &ScopeKey,
        (resend, (taken, slots_max)): (u32, (u32, u32)),
    ) -> bool {
        let attempts_max = offer.attempts_max.unwrap_or(self.policy.retry.attempts_max);
        let hedge = self.hedges.of(&offer.scope);
        let is_earned = hedge.is_some_and(|hedge| hedge.look(taken, slots_max) == Hedging::Send);
        let is_safe = match offer.breaker {
            BreakerUse::Bypassed => true,
            BreakerUse::Guarded => self.scopes.serving(scope).is_none_or(Breaker::is_plain),
        };
        resend < attempts_max && is_earned && is_safe && self.budget.affords(Cost::Token)
    }

    fn load(&self) -> (u32, u32) {
        (self.slots.taken(), self.slots.slots_max())
    }
}

/// Scopes of one host whose hedges are kept apart; further ones share the host's own.
const SCOPES_MAX: usize = 100;
