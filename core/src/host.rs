//! The supply machine: what may be sent to one host, when, and how often.
//!
//! An offer passes its gates in one turn (deadline, pace, rate, slot, budget,
//! breaker), the breaker last so that no later gate can refuse what it admitted. A settled attempt is recorded, its slot given back,
//! and the verdict found in the same turn.

mod hedging;
mod judging;
mod operating;
mod scoping;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::allowance::{Allowances, QuotaUse};
use crate::backoff::HintUse;
use crate::breaker::options::BreakerOptions;
use crate::breaker::remnant::Remnant;
use crate::breaker::{Admission, Pass, Stance};
use crate::budget::{Budget, Payment};
use crate::call::{AttemptId, BreakerUse, Generation, HostKey, ScopeKey};
use crate::event::BreakerEvent;
use crate::host::hedging::Hedges;
use crate::latencies::Latencies;
use crate::learning::Learning;
use crate::limit::Limit;
use crate::outcome::{Evidence, Outcome};
use crate::pace::Pace;
use crate::policy::HostPolicy;
use crate::rate::Rate;
use crate::rng::Rng;
use crate::scopes::Scopes;
use crate::slots::{Slots, Taking};
use crate::verdict::{AbortCause, Gate, Grounds, Offer, Refusal, Verdict};

/// What a host is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// An attempt wants to be sent.
    Offer(Offer),
    /// An attempt ended and its connection is free or closed.
    Settled {
        /// Which.
        attempt: AttemptId,
        /// What it came to.
        evidence: Evidence,
    },
    /// Nobody waits for an attempt any more.
    Abort {
        /// Which.
        attempt: AttemptId,
        /// Why.
        cause: AbortCause,
    },
    /// An operator speaks.
    Command(Command),
    /// A scope was forgotten while it was not closed; ignored if it was needed since.
    Resume(ScopeKey, Remnant),
    /// New numbers; state stays.
    Reload(Box<HostPolicy>),
    /// Time has passed.
    Wake,
}

/// What an operator tells a scope's breaker.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Which breaker.
    pub scope: ScopeKey,
    /// What to do.
    pub order: Order,
}

/// What a breaker is ordered to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Close and forget.
    Reset,
    /// Open until a time, or until told.
    ForceOpen(Option<Instant>),
    /// Stay closed until told.
    ForceClosed,
    /// Decide by these options from here on.
    Configure(BreakerOptions),
    /// Count a success or failure that happened elsewhere.
    Record(Evidence),
}

/// What a host wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send the attempt.
    Start {
        /// Which.
        attempt: AttemptId,
        /// When it is cut off at the latest; its waiters' deadlines may abort it sooner.
        until: Instant,
        /// The breaker's epoch, as it was admitted.
        generation: Generation,
        /// Whether it is a probe.
        probe: bool,
    },
    /// Call a running attempt back; it still settles.
    Cancel(AttemptId),
    /// Ask the coordinator for a second attempt beside one that has not answered for long.
    Hedge(AttemptId),
    /// Tell the coordinator.
    Report(AttemptId, Verdict),
    /// Tell the coordinator how many attempts the host bears at once.
    Limit(u32),
    /// Tell the world.
    Event(BreakerEvent),
    /// A route has a breaker of its own from here on.
    Split(ScopeKey),
    /// A route shares its host's breaker again.
    Merged(ScopeKey),
}

/// The machine of one host.
#[derive(Debug)]
pub struct Host {
    key: HostKey,
    policy: HostPolicy,
    scopes: Scopes,
    learning: Learning,
    slots: Slots,
    limit: Limit,
    pace: Pace,
    allowances: Allowances,
    rate: Option<Rate>,
    latencies: Latencies,
    budget: Budget,
    hedges: Hedges,
    running: BTreeMap<AttemptId, Box<Running>>,
    actions: VecDeque<Action>,
    last_serial: u64,
    rng: Rng,
}

#[derive(Debug)]
struct Running {
    offer: Offer,
    /// What shares the breaker that admitted it.
    scope: ScopeKey,
    pass: Option<Pass>,
    abort: Option<AbortCause>,
    hedge_due: Option<Instant>,
}

impl Host {
    /// A host with everything closed, free and full of credit; `key` is its own scope, too.
    pub fn new(key: HostKey, policy: HostPolicy, rng: Rng) -> Self {
        Self {
            slots: Slots::new(policy.concurrency),
            limit: Limit::new(policy.concurrency, policy.limit),
            budget: Budget::new(policy.retry.budget),
            scopes: Scopes::new(key.clone(), policy.breaker.clone()),
            hedges: Hedges::new(key.clone(), policy.hedge),
            learning: Learning::default(),
            key,
            rate: policy.rate.map(Rate::new),
            policy,
            pace: Pace::default(),
            allowances: Allowances::default(),
            latencies: Latencies::default(),
            running: BTreeMap::new(),
            actions: VecDeque::new(),
            last_serial: 0,
            rng,
        }
    }

    /// Takes one input; what follows from it is fetched with [`Host::next_action`].
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Offer(offer) => self.offer(now, offer),
            Input::Settled { attempt, evidence } => self.settled(now, attempt, &evidence),
            Input::Abort { attempt, cause } => self.abort(attempt, cause),
            Input::Command(command) => self.command(now, command),
            Input::Resume(scope, remnant) => self.scopes.resume(&scope, remnant),
            Input::Reload(policy) => self.reload(now, *policy),
            Input::Wake => self.wake(now),
        }
        self.rejoin(now);
    }

    /// The next thing to do, in order.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Input::Wake`] is due.
    pub fn next_wake(&self) -> Option<Instant> {
        let own = self.limit.next_rest().into_iter().chain(self.hedges.next_due());
        let rejoin = self.learning.next_rejoin();
        self.scopes.next_wake().into_iter().chain(own).chain(rejoin).min()
    }

    /// The slots.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// The retry budget's tokens.
    pub fn tokens(&self) -> f64 {
        self.budget.tokens()
    }

    /// The breakers.
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// Until when the server asked to be left alone, or a quota of it is used up.
    pub fn held_until(&self, now: Instant) -> Option<Instant> {
        self.pace.held_until(now).max(self.allowances.held_until(now))
    }

    /// Whether nothing would be lost by forgetting this host: nothing runs, everything is closed.
    pub fn is_idle(&self, now: Instant) -> bool {
        self.running.is_empty()
            && self.held_until(now).is_none()
            && self.limit.next_rest().is_none()
            && self.scopes.is_forgettable()
    }

    fn offer(&mut self, now: Instant, mut offer: Offer) {
        if offer.serial <= self.last_serial {
            return;
        }
        self.last_serial = offer.serial;
        let scope = self.scope_of(&offer);
        if offer.class.is_some() {
            // Quota and usual time of a call without a route of its own are the host's.
            offer.scope = self.key.clone();
        }
        match self.pass_gates(now, &offer, &scope) {
            Ok(pass) => {
                self.start(now, Running { offer, scope, pass, abort: None, hedge_due: None });
            }
            Err(refusal) => self.report(offer.attempt, Verdict::Refused(refusal)),
        }
    }

    fn pass_gates(
        &mut self,
        now: Instant,
        offer: &Offer,
        scope: &ScopeKey,
    ) -> Result<Option<Pass>, Refusal> {
        let left = offer.deadline.saturating_duration_since(now);
        let needed = self.useful_min(offer);
        if left.is_zero() || left < needed {
            let grounds = Grounds::TimeLeft { left, needed };
            return Err(Refusal { gate: Gate::Deadline, until: None, grounds });
        }
        if let Some(until) = self.pace.wait_until(now, &mut self.rng) {
            return Err(Refusal::by(Gate::Pace, Some(until)));
        }
        if let Some(until) = self.allowances.wait_until(now, &offer.scope, &mut self.rng) {
            let (gate, until) = (Gate::Pace, Some(until));
            return Err(Refusal { gate, until, grounds: Grounds::Quota });
        }
        if let Some(Err(until)) = self.rate.map(|rate| rate.ready(now)) {
            return Err(Refusal::by(Gate::Rate, Some(until)));
        }
        if self.lends_slot(offer) && !self.slots.has_free() {
            return Err(Refusal::by(Gate::Slot, None));
        }
        if !self.passes_as_hedge(offer) {
            return Err(Refusal::by(Gate::Hedge, None));
        }
        if !self.budget.affords(offer.cost) {
            return Err(Refusal::by(Gate::Budget, None));
        }
        match offer.breaker {
            BreakerUse::Bypassed => Ok(None),
            BreakerUse::Guarded => self.ask_breaker(now, scope).map(Some),
        }
    }

    /// The least time left that is of use: what the route usually takes, once that is known.
    fn useful_min(&self, offer: &Offer) -> Duration {
        let p95 = self.latencies.p95(&offer.scope).filter(|_| !offer.useful_min.is_zero());
        p95.map_or(offer.useful_min, |p95| offer.useful_min.max(p95.min(offer.useful_max)))
    }

    fn ask_breaker(&mut self, now: Instant, scope: &ScopeKey) -> Result<Pass, Refusal> {
        if *scope != self.key
            && let Some(own) = self.scopes.breaker(&self.key)
            && let Stance::Refusing { until } = own.forced_stance(now)
        {
            return Err(Refusal::by(Gate::Breaker, until));
        }
        let (admission, event) = self.scopes.serve(scope).admit(now);
        self.announce(event);
        match admission {
            Admission::Admit(pass) => Ok(pass),
            Admission::Refuse { until } => Err(Refusal::by(Gate::Breaker, until)),
            Admission::Await { until } => Err(Refusal::by(Gate::Probe, Some(until))),
        }
    }

    fn start(&mut self, now: Instant, running: Running) {
        let Running { offer, pass, .. } = &running;
        if self.lends_slot(offer) {
            let taking = self.slots.take();
            debug_assert_eq!(taking, Taking::Taken, "the slot gate was asked");
        }
        let payment = self.budget.spend(offer.cost);
        debug_assert_eq!(payment, Payment::Paid, "the budget gate was asked");
        self.allowances.spend(&offer.scope);
        if let Some(rate) = &mut self.rate {
            rate.take(now);
        }
        let attempt = offer.attempt;
        let timeout = offer.timeout.unwrap_or(self.policy.timeouts.attempt);
        let until = now.checked_add(timeout).unwrap_or(offer.deadline);
        let generation = pass.map(|pass| pass.generation).unwrap_or_default();
        let probe = pass.is_some_and(|pass| pass.probe.is_some());
        let hedge_due = self.begin_hedging(now, offer);
        self.running.insert(attempt, Box::new(Running { hedge_due, ..running }));
        self.actions.push_back(Action::Start { attempt, until, generation, probe });
    }

    fn settled(&mut self, now: Instant, attempt: AttemptId, evidence: &Evidence) {
        let Some(running) = self.running.remove(&attempt) else { return };
        let evidence = running.seen(evidence);
        self.hedges.forget(attempt, running.hedge_due);
        self.learn_for_hedges(&running, &evidence);
        if self.lends_slot(&running.offer) {
            self.slots.give();
            if let Some(load) = running.load(&evidence) {
                self.limit.learn(now, load);
                self.follow_limit();
            }
        }
        self.tell_breaker(now, &running, &evidence);
        if evidence.outcome == Outcome::Success {
            self.budget.earn(running.offer.cost);
            if let Some(took) = evidence.took {
                self.latencies.record(&running.offer.scope, took);
            }
        }
        let hint_use = self.policy.retry.backoff.hint;
        if let (Some(hint), Some(429 | 503), HintUse::Obey) =
            (evidence.hint, evidence.status, hint_use)
        {
            self.pace.hold(now, hint);
        }
        if let (Some(quota), QuotaUse::Obey) = (evidence.quota, self.policy.quota) {
            let scope = &running.offer.scope;
            let others = self.running.values().filter(|other| other.offer.scope == *scope);
            self.allowances.learn(now, scope, quota, others.count() as u64);
        }
        let verdict = self.judge(now, &running, &evidence);
        self.report(attempt, verdict);
    }

    fn abort(&mut self, attempt: AttemptId, cause: AbortCause) {
        let Some(running) = self.running.get_mut(&attempt) else { return };
        if running.abort.is_none() {
            running.abort = Some(cause);
            self.hedges.forget(attempt, running.hedge_due);
            self.actions.push_back(Action::Cancel(attempt));
        }
    }

    /// Moves the slots to the limit, and tells if that is news.
    fn follow_limit(&mut self) {
        let limit = self.limit.current();
        if self.slots.slots_max() != limit {
            self.slots.resize(limit);
            self.actions.push_back(Action::Limit(limit));
        }
    }

    fn report(&mut self, attempt: AttemptId, verdict: Verdict) {
        self.actions.push_back(Action::Report(attempt, verdict));
    }

    /// Whether an attempt runs in a slot of this host: what it sends elsewhere for a shared scope
    /// takes the slots of that lane, which the coordinator counts.
    fn lends_slot(&self, offer: &Offer) -> bool {
        offer.lane == self.key
    }

    fn announce(&mut self, events: impl IntoIterator<Item = BreakerEvent>) {
        self.actions.extend(events.into_iter().map(Action::Event));
    }
}
