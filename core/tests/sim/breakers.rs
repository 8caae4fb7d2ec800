//! A second breaker beside each breaker, written differently: it sees only what passes and what is
//! said, and knows what must follow.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use spillgate_core::breaker::options::{BreakerKind, BreakerOptions};
use spillgate_core::call::AttemptId;
use spillgate_core::event::{BreakerEvent, BreakerState, OpenReason};
use spillgate_core::host::Order;
use spillgate_core::outcome::{Neutral, Outcome};

use crate::reach::{Mark, Reach};

/// The model of one breaker.
#[derive(Debug)]
pub(crate) struct Model {
    options: BreakerOptions,
    state: BreakerState,
    forced: Option<Forced>,
    /// Counts everything that makes outcomes from before count no more.
    epoch: u64,
    streak: u32,
    successes: u32,
    /// What counted towards a rate since it closed.
    history: Vec<(Instant, bool)>,
    /// Probes on their way, with the end of each lease.
    probes: BTreeMap<AttemptId, Instant>,
    open_until: Option<Instant>,
    expected: Expected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forced {
    Open(Option<Instant>),
    Closed,
}

/// What must be said before the turn is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// Nothing, but that half-open begins or ends with time.
    Nothing,
    /// Exactly this.
    State(BreakerState),
    /// It may open by its rate.
    Rate,
}

impl Model {
    pub(crate) fn new(options: BreakerOptions) -> Self {
        Self {
            options,
            state: BreakerState::Closed,
            forced: None,
            epoch: 1,
            streak: 0,
            successes: 0,
            history: Vec::new(),
            probes: BTreeMap::new(),
            open_until: None,
            expected: Expected::Nothing,
        }
    }

    pub(crate) fn is_forced(&self) -> bool {
        self.forced.is_some()
    }

    /// A turn begins in which nothing but time may have moved it.
    pub(crate) fn expect_wake(&mut self, _now: Instant) {
        self.expected = Expected::Nothing;
    }

    /// An attempt passes it.
    pub(crate) fn start(&mut self, now: Instant, id: AttemptId, probe: bool) -> u64 {
        match self.state {
            BreakerState::Open => panic!("{id:?} starts while the circuit is open"),
            BreakerState::Closed => assert!(!probe, "nothing is to be probed"),
            BreakerState::HalfOpen => {
                assert!(probe, "only probes pass while half-open");
                self.probes.insert(id, now + self.options.probe_lease);
                let probes_max = self.options.probes_max as usize;
                assert!(self.probes.len() <= probes_max, "{probes_max} probes at a time");
            }
        }
        self.epoch
    }

    pub(crate) fn expect(&self, state: BreakerState) {
        assert_eq!(self.state, state);
    }

    pub(crate) fn refusal(&self, now: Instant, reach: &mut Reach) {
        match self.state {
            BreakerState::Closed => panic!("a closed circuit refuses nothing"),
            BreakerState::Open => {
                assert!(self.open_until.is_none_or(|until| until > now), "its time is over");
            }
            BreakerState::HalfOpen => {
                assert!(!self.probes.is_empty(), "a probe could have passed");
                reach.hit(Mark::ProbeRefusedOthers);
            }
        }
    }

    /// An attempt that passed has settled.
    pub(crate) fn settle(
        &mut self,
        now: Instant,
        (epoch, probe): (u64, bool),
        outcome: Outcome,
        reach: &mut Reach,
    ) {
        if epoch != self.epoch {
            return reach.hit(Mark::StaleOutcome);
        }
        let failed = outcome == Outcome::Failure;
        let throttled = outcome == Outcome::Neutral(Neutral::Throttled);
        self.expected = match self.state {
            BreakerState::Open => Expected::Nothing,
            BreakerState::HalfOpen => {
                assert!(probe);
                self.successes += u32::from(outcome == Outcome::Success);
                match outcome {
                    _ if failed || throttled => Expected::State(BreakerState::Open),
                    Outcome::Success if self.successes >= self.options.success_threshold => {
                        reach.hit(Mark::ProbeOk);
                        Expected::State(BreakerState::Closed)
                    }
                    Outcome::Success => Expected::Nothing,
                    Outcome::Failure | Outcome::Neutral(_) => {
                        reach.hit(Mark::ProbeNeutral);
                        Expected::Nothing
                    }
                }
            }
            BreakerState::Closed => self.count(now, outcome),
        };
    }

    /// The lease of a probe that has settled is free.
    pub(crate) fn forget_probe(&mut self, id: AttemptId) {
        self.probes.remove(&id);
    }

    pub(crate) fn order(&mut self, _now: Instant, order: &Order, reach: &mut Reach) {
        match order {
            Order::Reset => {
                reach.hit(Mark::Reset);
                self.reset();
            }
            Order::ForceOpen(until) => {
                reach.hit(Mark::ForcedOpen);
                if self.state != BreakerState::Open {
                    self.expected = Expected::State(BreakerState::Open);
                }
                (self.forced, self.open_until) = (Some(Forced::Open(*until)), *until);
                self.epoch += 1;
            }
            Order::ForceClosed => {
                reach.hit(Mark::ForcedClosed);
                self.reset();
                self.forced = Some(Forced::Closed);
            }
            Order::Configure(options) => self.configure(options, reach),
            Order::Record(_) => {}
        }
    }

    pub(crate) fn configure(&mut self, options: &BreakerOptions, reach: &mut Reach) {
        self.options = options.clone();
        if options.kind == BreakerKind::Off && self.forced.is_none() {
            reach.hit(Mark::SwitchedOff);
            self.reset();
        }
    }

    /// It says that it changed.
    pub(crate) fn event(&mut self, now: Instant, event: &BreakerEvent, reach: &mut Reach) {
        assert_eq!((event.from, event.at), (self.state, now), "it tells the truth");
        assert_ne!(event.from, event.to, "it tells changes only");
        match self.expected {
            Expected::State(state) => assert_eq!(event.to, state),
            Expected::Rate => self.check_rate(now, event, reach),
            Expected::Nothing => self.check_time(now, event, reach),
        }
        self.expected = Expected::Nothing;
        let operator = matches!(self.forced, Some(Forced::Open(_)));
        self.state = event.to;
        match event.to {
            BreakerState::Open => {
                reach.hit(Mark::Opened);
                assert!(operator || event.retry_at > Some(now), "it says until when");
                reach.hit_if(Mark::ProbeFailed, event.reason == Some(OpenReason::ProbeFailed));
                self.open_until = event.retry_at;
            }
            BreakerState::HalfOpen => {
                reach.hit(Mark::HalfOpen);
                self.successes = 0;
            }
            BreakerState::Closed => {
                let held = self.forced.filter(|forced| *forced == Forced::Closed);
                self.reset();
                self.forced = held;
            }
        }
        self.probes.clear();
        self.epoch += 1;
    }

    /// What must have been said was said, and the machine is where it said.
    pub(crate) fn check(&mut self, now: Instant, state: BreakerState) {
        assert!(!matches!(self.expected, Expected::State(_)), "expected {:?}", self.expected);
        assert_eq!(self.state, state);
        let expired = self.probes.values().any(|lease| *lease <= now);
        let is_probing = state == BreakerState::HalfOpen && expired;
        assert!(!is_probing || self.expected == Expected::Nothing);
    }

    fn count(&mut self, now: Instant, outcome: Outcome) -> Expected {
        if self.options.kind == BreakerKind::Off {
            return Expected::Nothing;
        }
        match outcome {
            Outcome::Success => self.streak = 0,
            Outcome::Failure => self.streak += 1,
            Outcome::Neutral(_) => {}
        }
        let throttled = outcome == Outcome::Neutral(Neutral::Throttled);
        if throttled || !matches!(outcome, Outcome::Neutral(_)) {
            self.history.push((now, outcome != Outcome::Success));
        }
        let trips = self.streak >= self.options.failure_threshold;
        match self.options.kind {
            BreakerKind::Rate if self.forced.is_none() => Expected::Rate,
            BreakerKind::Consecutive if self.forced.is_none() && trips => {
                Expected::State(BreakerState::Open)
            }
            BreakerKind::Off
            | BreakerKind::Rate
            | BreakerKind::Hybrid
            | BreakerKind::Consecutive => Expected::Nothing,
        }
    }

    fn reset(&mut self) {
        if self.state != BreakerState::Closed {
            self.expected = Expected::State(BreakerState::Closed);
        }
        self.forced = None;
        self.epoch += 1;
        (self.streak, self.successes) = (0, 0);
        self.history.clear();
        self.probes.clear();
        self.open_until = None;
    }

    /// The tally of a rate lies between what nine and what ten tenths of its window hold.
    fn check_rate(&self, now: Instant, event: &BreakerEvent, reach: &mut Reach) {
        let Some(OpenReason::FailureRate { failures, calls }) = event.reason else {
            panic!("it opens by its rate: {event:?}");
        };
        reach.hit(Mark::RateTripped);
        let within = |window: Duration| {
            let young = self.history.iter().filter(|(at, _)| *at + window > now);
            young.fold((0, 0), |(calls, failures), (_, failed)| {
                (calls + 1, failures + u32::from(*failed))
            })
        };
        let (few, most) = (within(self.options.window * 9 / 10), within(self.options.window));
        assert!(few.0 <= calls && calls <= most.0, "{few:?} {calls} {most:?}");
        assert!(few.1 <= failures && failures <= most.1, "{few:?} {failures} {most:?}");
        let share = f64::from(failures) / f64::from(calls);
        assert!(calls >= self.options.min_calls && share >= self.options.failure_rate);
    }

    /// Only time has passed: an open time or a lease has ended.
    fn check_time(&self, now: Instant, event: &BreakerEvent, reach: &mut Reach) {
        match (event.from, event.to) {
            (BreakerState::Open, BreakerState::HalfOpen) => {
                assert!(self.forced.is_none() && self.open_until <= Some(now), "too early");
            }
            (BreakerState::Open, BreakerState::Closed) => {
                let Some(Forced::Open(Some(until))) = self.forced else { panic!("{event:?}") };
                assert!(until <= now, "an operator wants it open");
            }
            (BreakerState::HalfOpen, BreakerState::Open) => {
                assert_eq!(event.reason, Some(OpenReason::ProbeExpired));
                assert!(self.probes.values().any(|lease| *lease <= now), "no lease has ended");
                reach.hit(Mark::ProbeExpired);
            }
            (from, to) => panic!("nothing made it go from {from:?} to {to:?}"),
        }
    }
}
