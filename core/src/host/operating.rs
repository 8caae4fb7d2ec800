//! What operators, new numbers and time change.

use std::time::Instant;

use crate::allowance::QuotaUse;
use crate::breaker::Admission;
use crate::call::ScopeKey;
use crate::event::BreakerEvent;
use crate::host::{Action, Command, Host, Order};
use crate::outcome::Evidence;
use crate::policy::HostPolicy;
use crate::rate::Rate;

impl Host {
    pub(super) fn command(&mut self, now: Instant, command: Command) {
        let scope = &command.scope;
        let breaker = self.scopes.serve(scope);
        let event = match command.order {
            Order::Reset => breaker.reset(now),
            Order::ForceOpen(until) => breaker.force_open(now, until),
            Order::ForceClosed => breaker.force_closed(now),
            Order::Configure(options) => self.scopes.configure(now, scope, options),
            Order::Record(evidence) => self.record(now, scope, &evidence),
        };
        self.announce(event);
    }

    pub(super) fn record(
        &mut self,
        now: Instant,
        scope: &ScopeKey,
        evidence: &Evidence,
    ) -> Option<BreakerEvent> {
        let breaker = self.scopes.serve(scope);
        let (admission, event) = breaker.admit(now);
        let Admission::Admit(pass) = admission else { return event };
        let recorded = breaker.record(now, pass, evidence, &mut self.rng);
        self.announce(event);
        recorded
    }

    pub(super) fn reload(&mut self, now: Instant, policy: HostPolicy) {
        self.limit.configure(policy.concurrency, policy.limit);
        self.slots.resize(self.limit.current());
        // The coordinator has heard of the new ceiling only.
        self.actions.push_back(Action::Limit(self.limit.current()));
        self.budget.configure(policy.retry.budget);
        self.rate = policy.rate.map(|options| {
            let mut rate = self.rate.unwrap_or(Rate::new(options));
            rate.configure(options);
            rate
        });
        if policy.quota == QuotaUse::Ignore {
            self.allowances.clear();
        }
        let events = self.scopes.reload(now, &policy.breaker);
        self.announce(events);
        self.hedges.configure(policy.hedge);
        self.policy = policy;
    }

    pub(super) fn wake(&mut self, now: Instant) {
        let events = self.scopes.wake(now, &mut self.rng);
        self.announce(events);
        self.ask_for_hedges(now);
        self.limit.rest(now);
        self.follow_limit();
    }
}
