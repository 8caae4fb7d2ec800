//! The model of the laws beside each breaker of a host: what it must answer, tell and wait for.
//!
//! A turn of the host is kept until it is over, and only then stepped through the models: by then
//! the machine has told the times that it drew.

#[path = "../laws/breaker/counts.rs"]
mod counts;
#[expect(dead_code, reason = "a host gives no pass back, and the laws look closer")]
#[path = "../laws/breaker/model.rs"]
mod model;
#[path = "../laws/breaker/ramp.rs"]
mod ramp;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use spillgate_core::breaker::options::{BreakerKind, BreakerOptions, SlowCount};
use spillgate_core::breaker::{Breaker, Stance};
use spillgate_core::call::{AttemptId, ScopeKey};
use spillgate_core::event::{BreakerEvent, BreakerMode, BreakerState, OpenReason};
use spillgate_core::host::Order;
use spillgate_core::outcome::{Evidence, Outcome};
use spillgate_core::scopes::Scopes;
use spillgate_core::verdict::{Gate, Refusal};

use crate::breakers::model::{Answer, Model, Pass};
use crate::reach::{Mark, Reach};

/// The models of one host.
#[derive(Debug)]
pub(crate) struct Breakers {
    own: ScopeKey,
    /// How an operator holds the host.
    forced: Stance,
    standard: BreakerOptions,
    of: BTreeMap<ScopeKey, Model>,
    configured: BTreeMap<ScopeKey, BreakerOptions>,
    /// Scopes that an operator held at some time.
    held: BTreeSet<ScopeKey>,
    /// Scopes that would be open if they were not in shadow.
    in_shadow: BTreeSet<ScopeKey>,
    passes: BTreeMap<AttemptId, (ScopeKey, Pass)>,
    heard: Option<Heard>,
    told: Vec<BreakerEvent>,
    expected: Vec<BreakerEvent>,
}

/// What moves breakers in a turn.
#[derive(Debug)]
pub(crate) enum Heard {
    Settled(AttemptId, Evidence),
    Ordered(ScopeKey, Order),
    Reloaded(BreakerOptions),
    Wake,
}

impl Breakers {
    pub(crate) fn new(own: ScopeKey, standard: BreakerOptions) -> Self {
        Self {
            own,
            forced: Stance::Admitting,
            standard,
            of: BTreeMap::new(),
            configured: BTreeMap::new(),
            held: BTreeSet::new(),
            in_shadow: BTreeSet::new(),
            passes: BTreeMap::new(),
            heard: None,
            told: Vec::new(),
            expected: Vec::new(),
        }
    }

    /// A turn begins.
    pub(crate) fn hear(&mut self, heard: Heard) {
        self.heard = Some(heard);
    }

    /// A breaker says that it changed.
    pub(crate) fn event(&mut self, event: &BreakerEvent, reach: &mut Reach) {
        assert_ne!(event.from, event.to, "it tells changes only");
        let aged = matches!(self.heard, Some(Heard::Wake));
        mark_event(event, self.options(&event.scope), aged, reach);
        if event.mode == BreakerMode::Shadow && event.to == BreakerState::Open {
            self.in_shadow.insert(event.scope.clone());
        } else {
            self.in_shadow.remove(&event.scope);
        }
        self.told.push(event.clone());
    }

    /// A hedge passes: nothing about its breaker is out of the ordinary.
    pub(crate) fn expect_plain(&mut self, scope: &ScopeKey) {
        let is_plain = self.learns() || self.model(scope).is_plain();
        assert!(is_plain, "{scope} is no place for a hedge");
    }

    /// An attempt passes a breaker.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        (id, scope): (AttemptId, &ScopeKey),
        probe: bool,
        reach: &mut Reach,
    ) {
        let forced = self.forced_over(now, scope);
        assert_eq!(forced, Stance::Admitting, "{id:?} goes to a host that is held open");
        if self.learns() {
            return;
        }
        let (answer, told) = self.model(scope).admit(now);
        self.expected.extend(told);
        let Answer::Admit(pass) = answer else { panic!("{id:?} starts against {answer:?}") };
        assert_eq!(pass.is_probe, probe, "{id:?} is a probe, or is not");
        reach.hit_if(Mark::ShadowPassed, self.in_shadow.contains(scope));
        self.passes.insert(id, (scope.clone(), pass));
    }

    /// A breaker refuses, or lets wait.
    pub(crate) fn refusal(
        &mut self,
        now: Instant,
        scope: &ScopeKey,
        refusal: Refusal,
        reach: &mut Reach,
    ) {
        if let Stance::Refusing { until } = self.forced_over(now, scope) {
            assert_eq!((refusal.gate, refusal.until), (Gate::Breaker, until));
            return reach.hit(Mark::RouteForcedOpen);
        }
        if self.learns() {
            return;
        }
        let (answer, told) = self.model(scope).admit(now);
        self.expected.extend(told);
        let state = self.model(scope).state();
        match answer {
            Answer::Admit(_) => panic!("{scope} admits, and {refusal:?}"),
            Answer::Refuse(until) => {
                assert_eq!((refusal.gate, refusal.until), (Gate::Breaker, until));
            }
            Answer::Await(until) => {
                assert_eq!((refusal.gate, refusal.until), (Gate::Probe, Some(until)));
                reach.hit(Mark::ProbeAwaited);
            }
        }
        reach.hit_if(Mark::RampRefused, state == BreakerState::Closed);
        reach.hit_if(Mark::ProbeRefusedOthers, state == BreakerState::HalfOpen);
    }

    /// The turn is over: each machine has said what its model says, and stands where that stands.
    pub(crate) fn rest(&mut self, now: Instant, scopes: &Scopes, reach: &mut Reach) {
        let heard = self.heard.take();
        if let Some(Heard::Ordered(scope, order)) = &heard {
            self.hold(scope, order);
        }
        if self.learns() {
            // Which breakers there are is the host's to find out.
            self.told.clear();
            return;
        }
        match heard {
            Some(Heard::Settled(id, evidence)) => self.settle(now, id, &evidence, reach),
            Some(Heard::Ordered(scope, order)) => self.order(now, &scope, &order, reach),
            Some(Heard::Reloaded(options)) => self.reload(now, &options, reach),
            Some(Heard::Wake) => {
                for (scope, model) in &mut self.of {
                    self.expected.extend(model.wake(now, drawn(&self.told, scope)));
                }
            }
            None => {}
        }
        assert_eq!(std::mem::take(&mut self.told), std::mem::take(&mut self.expected));
        assert_eq!(scopes.iter().count(), self.of.len(), "breakers are made when needed");
        for breaker in scopes.iter() {
            let model = &self.of[breaker.scope()];
            assert_eq!(breaker.state(), model.state());
            assert_eq!(breaker.stance(), model.stance());
            assert_eq!(breaker.is_plain(), model.is_plain());
            assert_eq!(breaker.next_wake(), model.next_wake());
        }
        let wake = scopes.iter().filter_map(Breaker::next_wake).min();
        assert_eq!(scopes.next_wake(), wake, "the earliest wake counts");
    }

    /// Scopes that an operator held at some time.
    pub(crate) fn held(&self) -> impl Iterator<Item = &ScopeKey> {
        self.held.iter()
    }

    fn settle(&mut self, now: Instant, id: AttemptId, evidence: &Evidence, reach: &mut Reach) {
        // Who bypassed it is not known to it.
        let Some((scope, pass)) = self.passes.remove(&id) else { return };
        let drawn = drawn(&self.told, &scope);
        let model = self.model(&scope);
        let is_stale = pass.epoch != model.epoch();
        let told = model.record(now, pass, evidence, drawn);
        reach.hit_if(Mark::StaleOutcome, is_stale);
        let says_nothing = matches!(evidence.outcome, Outcome::Neutral(_)) && told.is_none();
        reach.hit_if(Mark::ProbeNeutral, pass.is_probe && says_nothing && !is_stale);
        self.expected.extend(told);
    }

    fn order(&mut self, now: Instant, scope: &ScopeKey, order: &Order, reach: &mut Reach) {
        let drawn = drawn(&self.told, scope);
        let model = self.model(scope);
        let told = match order {
            Order::Reset => {
                reach.hit(Mark::Reset);
                model.reset(now)
            }
            Order::ForceOpen(until) => {
                reach.hit(Mark::ForcedOpen);
                model.force_open(now, *until)
            }
            Order::ForceClosed => {
                reach.hit(Mark::ForcedClosed);
                model.force_closed(now)
            }
            Order::Configure(options) => {
                reach.hit_if(Mark::SwitchedOff, options.kind == BreakerKind::Off);
                let told = model.configure(now, options);
                self.configured.insert(scope.clone(), options.clone());
                told
            }
            Order::Record(evidence) => {
                reach.hit(Mark::RecordedElsewhere);
                let (answer, told) = model.admit(now);
                let Answer::Admit(pass) = answer else { return self.expected.extend(told) };
                let recorded = model.record(now, pass, evidence, drawn);
                self.expected.extend(told);
                recorded
            }
        };
        self.expected.extend(told);
    }

    /// Notes what an operator holds.
    fn hold(&mut self, scope: &ScopeKey, order: &Order) {
        let forced = match order {
            Order::ForceOpen(until) => Stance::Refusing { until: *until },
            Order::ForceClosed | Order::Reset => Stance::Admitting,
            Order::Configure(_) | Order::Record(_) => return,
        };
        if !matches!(order, Order::Reset) {
            self.held.insert(scope.clone());
        }
        if *scope == self.own {
            self.forced = forced;
        }
    }

    /// How a scope is held with its host.
    fn forced_over(&self, now: Instant, scope: &ScopeKey) -> Stance {
        match self.forced {
            Stance::Refusing { until } if *scope != self.own && until.is_none_or(|u| u > now) => {
                Stance::Refusing { until }
            }
            Stance::Refusing { .. } | Stance::Admitting => Stance::Admitting,
        }
    }

    fn learns(&self) -> bool {
        self.standard.learn
    }

    fn reload(&mut self, now: Instant, options: &BreakerOptions, reach: &mut Reach) {
        self.standard = options.clone();
        for (scope, model) in &mut self.of {
            if !self.configured.contains_key(scope) {
                self.expected.extend(model.configure(now, options));
            }
        }
        reach.hit_if(Mark::SwitchedOff, options.kind == BreakerKind::Off);
    }

    fn options(&self, scope: &ScopeKey) -> &BreakerOptions {
        self.configured.get(scope).unwrap_or(&self.standard)
    }

    fn model(&mut self, scope: &ScopeKey) -> &mut Model {
        let options = self.configured.get(scope).unwrap_or(&self.standard);
        let make = || Model::new(scope.clone(), options.clone());
        self.of.entry(scope.clone()).or_insert_with(make)
    }
}

/// Until when the machine says that a scope is open, if it says so.
fn drawn(told: &[BreakerEvent], scope: &ScopeKey) -> Option<Instant> {
    let opened = told.iter().find(|event| event.scope == *scope && event.to == BreakerState::Open);
    opened?.retry_at
}

fn mark_event(event: &BreakerEvent, options: &BreakerOptions, aged: bool, reach: &mut Reach) {
    match (event.from, event.to, event.reason) {
        (_, BreakerState::HalfOpen, _) => reach.hit(Mark::HalfOpen),
        (BreakerState::HalfOpen, BreakerState::Closed, _) => reach.hit(Mark::ProbeOk),
        (_, BreakerState::Closed, _) | (_, _, None | Some(OpenReason::Forced)) => {}
        (_, BreakerState::Open, Some(reason)) => {
            reach.hit(Mark::Opened);
            reach.hit_if(Mark::ShadowOpened, event.mode == BreakerMode::Shadow);
            let is_hybrid = options.kind == BreakerKind::Hybrid;
            let counts = options.slow.map(|slow| slow.counted);
            match reason {
                OpenReason::ConsecutiveFailures { .. } => {
                    reach.hit_if(Mark::HybridStreakTripped, is_hybrid);
                }
                OpenReason::FailureRate { .. } => {
                    reach.hit_if(Mark::HybridRateTripped, is_hybrid);
                    let by_calls = options.window_calls.is_some();
                    reach.hit(if by_calls { Mark::RingTripped } else { Mark::RateTripped });
                }
                OpenReason::SlowCalls { .. } if aged && counts == Some(SlowCount::InFlight) => {
                    reach.hit(Mark::SlowInFlightTripped);
                }
                OpenReason::SlowCalls { .. } => reach.hit(Mark::SlowTripped),
                OpenReason::ProbeFailed => reach.hit(Mark::ProbeFailed),
                OpenReason::ProbeExpired => reach.hit(Mark::ProbeExpired),
                OpenReason::Forced => {}
            }
        }
    }
}
