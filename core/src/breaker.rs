//! The circuit breaker: refuses calls to an upstream that keeps failing, then probes it.
//!
//! Differs from its peers in three ways. Every pass carries the generation it was given in, so an
//! outcome from before a trip changes nothing after it (Polly#217). A probe is a lease: it comes
//! back when its call is cancelled or ends neutrally, and counts as failed when it stays away
//! (resilience4j#1389). And a refusal always says until when.
//!
//! It composes what opens it (`trip`), the probes ([`probe`]) and the slow start after them
//! (`ramp`).

pub mod options;
pub mod probe;
mod ramp;
pub mod remnant;
mod telling;
#[cfg(test)]
mod tests;
mod trip;

use std::time::Instant;

use crate::breaker::options::{BreakerKind, BreakerOptions, HalfOpen};
use crate::breaker::probe::{Lease, Probes};
use crate::breaker::ramp::Ramp;
use crate::breaker::trip::Trip;
use crate::call::{Generation, ScopeKey};
use crate::event::{BreakerEvent, BreakerMode, BreakerState, OpenReason};
use crate::outcome::{Evidence, Neutral, Outcome};
use crate::rng::Rng;

/// Leave to send one attempt; give it back with [`Breaker::record`] or [`Breaker::give_back`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// The epoch in which it was given.
    pub generation: Generation,
    /// The lease, when the attempt is a probe.
    pub probe: Option<Lease>,
    serial: u64,
}

/// The answer of a breaker that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Go.
    Admit(Pass),
    /// Do not go before `until`; `None` is until an operator says so.
    Refuse {
        /// When asking again makes sense.
        until: Option<Instant>,
    },
    /// A probe is away and whoever asks may wait for its verdict, which falls by `until`.
    Await {
        /// When the probe's lease ends.
        until: Instant,
    },
}

/// How a breaker stands towards new calls, as published to readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stance {
    /// Closed or probing: ask it.
    Admitting,
    /// Open: do not ask before `until`; `None` is until an operator says so.
    Refusing {
        /// When asking again makes sense.
        until: Option<Instant>,
    },
}

/// The state machine of one scope's breaker.
#[derive(Debug, Clone)]
pub struct Breaker {
    scope: ScopeKey,
    options: BreakerOptions,
    phase: Phase,
    generation: Generation,
    forced: Option<Forced>,
    /// Openings since it was last closed; drives the growth of the reset time.
    openings: u32,
    passes: u64,
}

#[derive(Debug, Clone)]
enum Phase {
    /// A ramp is boxed: few breakers have one at a time.
    Closed {
        trip: Trip,
        ramp: Option<Box<Ramp>>,
    },
    Open(Opening),
    HalfOpen {
        opening: Opening,
        probes: Probes,
    },
}

#[derive(Debug, Clone, Copy)]
struct Opening {
    since: Instant,
    until: Instant,
    reason: OpenReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forced {
    Open { since: Instant, until: Option<Instant> },
    Closed,
}

impl Breaker {
    /// A closed breaker for `scope`.
    pub fn new(scope: ScopeKey, options: BreakerOptions) -> Self {
        let phase = Phase::closed(&options);
        let generation = Generation::default();
        Self { scope, options, phase, generation, forced: None, openings: 0, passes: 0 }
    }

    /// Asks whether one attempt may be sent.
    pub fn admit(&mut self, now: Instant) -> (Admission, Option<BreakerEvent>) {
        let mut event = self.end_forced(now);
        if let Some(Forced::Open { until, .. }) = self.forced {
            return (Admission::Refuse { until }, event);
        }
        if let Phase::Open(opening) = &self.phase
            && opening.until <= now
        {
            let (opening, probes) = (*opening, Probes::default());
            event = Some(self.enter(now, Phase::HalfOpen { opening, probes }));
        }
        let admission = match (self.admit_by_phase(now), self.options.mode) {
            (Admission::Refuse { .. } | Admission::Await { .. }, BreakerMode::Shadow) => {
                Admission::Admit(self.pass(None))
            }
            (admission, BreakerMode::Enforcing | BreakerMode::Shadow) => admission,
        };
        (admission, event)
    }

    /// Learns what an admitted attempt came to; an outcome of an old generation changes nothing.
    pub fn record(
        &mut self,
        now: Instant,
        pass: Pass,
        evidence: &Evidence,
        rng: &mut Rng,
    ) -> Option<BreakerEvent> {
        if pass.generation != self.generation || self.options.kind == BreakerKind::Off {
            return None;
        }
        let outcome = match evidence.outcome {
            Outcome::Failure if self.options.ignores(evidence) => Outcome::Neutral(Neutral::Ours),
            Outcome::Success | Outcome::Failure | Outcome::Neutral(_) => evidence.outcome,
        };
        match (&mut self.phase, pass.probe) {
            (Phase::Closed { trip, ramp }, _) => {
                match (ramp, outcome) {
                    (Some(ramp), Outcome::Success) => ramp.succeed(now),
                    (Some(ramp), Outcome::Failure | Outcome::Neutral(Neutral::Throttled)) => {
                        ramp.fail(now);
                    }
                    (Some(_), Outcome::Neutral(_)) | (None, _) => {}
                }
                let reason = trip.record(now, pass.serial, outcome, (evidence, &self.options))?;
                self.forced.is_none().then(|| self.open(now, reason, rng))
            }
            (Phase::HalfOpen { .. }, Some(lease)) => {
                let is_slow = self.options.is_slow(evidence);
                let slow = outcome == Outcome::Success && is_slow;
                let outcome = if slow { Outcome::Failure } else { outcome };
                self.record_probe(now, lease, outcome, rng)
            }
            (Phase::HalfOpen { .. } | Phase::Open(_), _) => None,
        }
    }

    /// Takes back a pass whose attempt was never sent.
    pub fn give_back(&mut self, pass: Pass) {
        if pass.generation != self.generation {
            return;
        }
        match (&mut self.phase, pass.probe) {
            (Phase::Closed { trip, .. }, _) => trip.forget(pass.serial),
            (Phase::HalfOpen { probes, .. }, Some(lease)) => drop(probes.take_back(lease)),
            (Phase::HalfOpen { .. }, None) | (Phase::Open(_), _) => {}
        }
    }

    /// Lets time pass: a probe that outstayed its lease fails, attempts grow too old, a ramp or a
    /// forced opening ends.
    pub fn wake(&mut self, now: Instant, rng: &mut Rng) -> Option<BreakerEvent> {
        if self.forced.is_some() {
            return self.end_forced(now);
        }
        let reason = match &mut self.phase {
            Phase::Closed { trip, ramp } => {
                *ramp = ramp.take().filter(|ramp| ramp.end() > now);
                trip.age(now, &self.options)?
            }
            Phase::HalfOpen { probes, .. } => {
                probes.next_expiry().filter(|expiry| *expiry <= now)?;
                OpenReason::ProbeExpired
            }
            Phase::Open(_) => return None,
        };
        Some(self.open(now, reason, rng))
    }

    /// Closes it and forgets all counts; passes given before count no more.
    pub fn reset(&mut self, now: Instant) -> Option<BreakerEvent> {
        let (from, mode) = (self.told(), self.told_mode());
        self.forced = None;
        self.openings = 0;
        self.generation.0 += 1;
        self.phase = Phase::closed(&self.options);
        let event = BreakerEvent { mode, ..self.event(from, now) };
        (from != BreakerState::Closed).then_some(event)
    }

    /// Holds it open until `until`, or until [`Breaker::reset`].
    pub fn force_open(&mut self, now: Instant, until: Option<Instant>) -> Option<BreakerEvent> {
        let from = self.state();
        self.forced = Some(Forced::Open { since: now, until });
        self.generation.0 += 1;
        (from != BreakerState::Open).then(|| self.event(from, now))
    }

    /// Holds it closed, whatever fails, until [`Breaker::reset`].
    pub fn force_closed(&mut self, now: Instant) -> Option<BreakerEvent> {
        let event = self.reset(now);
        self.forced = Some(Forced::Closed);
        event
    }

    /// Takes new options; state, counts in flight and the time left open stay, except that
    /// switching it off or to another mode closes it.
    pub fn configure(&mut self, now: Instant, options: BreakerOptions) -> Option<BreakerEvent> {
        if let Phase::Closed { trip, .. } = &mut self.phase {
            trip.configure(&self.options, &options);
        }
        let turns = options.mode != self.options.mode;
        let ends = (options.kind == BreakerKind::Off || turns) && self.forced.is_none();
        let event = if ends { self.reset(now) } else { None };
        self.options = options;
        if ends {
            self.phase = Phase::closed(&self.options);
        }
        event
    }

    /// The state, as the world sees it; what would open only in shadow is closed.
    pub fn state(&self) -> BreakerState {
        match (self.forced, self.options.mode) {
            (None, BreakerMode::Shadow) => BreakerState::Closed,
            (Some(_), _) | (None, BreakerMode::Enforcing) => self.told(),
        }
    }

    /// Whether it is plainly closed: neither failures nor an operator hold it in any state.
    pub fn is_plain(&self) -> bool {
        self.forced.is_none() && matches!(self.phase, Phase::Closed { ramp: None, .. })
    }

    /// How it stands towards new calls.
    pub fn stance(&self) -> Stance {
        match (self.forced, &self.phase, self.options.mode) {
            (Some(Forced::Open { until, .. }), _, _) => Stance::Refusing { until },
            (None, Phase::Open(opening), BreakerMode::Enforcing) => {
                Stance::Refusing { until: Some(opening.until) }
            }
            (Some(Forced::Closed), _, _)
            | (None, Phase::Open(_), BreakerMode::Shadow)
            | (None, Phase::Closed { .. } | Phase::HalfOpen { .. }, _) => Stance::Admitting,
        }
    }

    /// How an operator's order alone would have it stand at `now`.
    pub fn forced_stance(&self, now: Instant) -> Stance {
        match self.forced {
            Some(Forced::Open { until, .. }) if until.is_none_or(|until| until > now) => {
                Stance::Refusing { until }
            }
            Some(Forced::Open { .. } | Forced::Closed) | None => Stance::Admitting,
        }
    }

    /// When [`Breaker::wake`] has something to do.
    pub fn next_wake(&self) -> Option<Instant> {
        match self.forced {
            Some(Forced::Open { until, .. }) => return until,
            Some(Forced::Closed) => return None,
            None => {}
        }
        match &self.phase {
            Phase::Closed { trip, ramp } => {
                let aged = trip.next_age(&self.options);
                aged.into_iter().chain(ramp.as_ref().map(|ramp| ramp.end())).min()
            }
            Phase::HalfOpen { probes, .. } => probes.next_expiry(),
            Phase::Open(_) => None,
        }
    }

    /// The epoch; it changes with every change of state.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// What shares it.
    pub fn scope(&self) -> &ScopeKey {
        &self.scope
    }

    fn end_forced(&mut self, now: Instant) -> Option<BreakerEvent> {
        let Some(Forced::Open { until: Some(until), .. }) = self.forced else { return None };
        if until <= now { self.reset(now) } else { None }
    }

    fn admit_by_phase(&mut self, now: Instant) -> Admission {
        let lease = Lease(self.passes + 1);
        match &mut self.phase {
            Phase::Open(opening) => Admission::Refuse { until: Some(opening.until) },
            Phase::Closed { ramp, .. } => {
                *ramp = ramp.take().filter(|ramp| ramp.end() > now);
                if let Some(Err(until)) = ramp.as_mut().map(|ramp| ramp.admit(now)) {
                    return Admission::Refuse { until: Some(until) };
                }
                let pass = self.pass(None);
                if let Phase::Closed { trip, .. } = &mut self.phase {
                    trip.begin(now, pass.serial, &self.options);
                }
                Admission::Admit(pass)
            }
            Phase::HalfOpen { probes, .. } => {
                match (probes.lend(now, lease, &self.options), self.options.half_open) {
                    (Ok(()), _) => Admission::Admit(self.pass(Some(lease))),
                    (Err(until), HalfOpen::FailFast) => Admission::Refuse { until: Some(until) },
                    (Err(until), HalfOpen::Queue) => Admission::Await { until },
                }
            }
        }
    }

    fn pass(&mut self, probe: Option<Lease>) -> Pass {
        self.passes += 1;
        Pass { generation: self.generation, probe, serial: self.passes }
    }

    fn record_probe(
        &mut self,
        now: Instant,
        lease: Lease,
        outcome: Outcome,
        rng: &mut Rng,
    ) -> Option<BreakerEvent> {
        let Phase::HalfOpen { probes, .. } = &mut self.phase else { return None };
        if !probes.take_back(lease) {
            return None;
        }
        match outcome {
            Outcome::Success => {
                if !probes.succeed(&self.options) {
                    return None;
                }
                self.openings = 0;
                let ramp = Ramp::new(now, self.options.ramp).map(Box::new);
                let trip = Trip::new(&self.options);
                Some(self.enter(now, Phase::Closed { trip, ramp }))
            }
            Outcome::Failure | Outcome::Neutral(Neutral::Throttled) => {
                Some(self.open(now, OpenReason::ProbeFailed, rng))
            }
            Outcome::Neutral(Neutral::Declined | Neutral::Cancelled | Neutral::Ours) => None,
        }
    }

    fn open(&mut self, now: Instant, reason: OpenReason, rng: &mut Rng) -> BreakerEvent {
        let until = now.checked_add(self.options.reset_time(self.openings, rng)).unwrap_or(now);
        self.openings = self.openings.saturating_add(1);
        let since = match &self.phase {
            Phase::HalfOpen { opening, .. } => opening.since,
            Phase::Closed { .. } | Phase::Open(_) => now,
        };
        self.enter(now, Phase::Open(Opening { since, until, reason }))
    }

    fn enter(&mut self, now: Instant, phase: Phase) -> BreakerEvent {
        let from = self.told();
        self.phase = phase;
        self.generation.0 += 1;
        self.event(from, now)
    }
}

impl Phase {
    fn closed(options: &BreakerOptions) -> Self {
        Self::Closed { trip: Trip::new(options), ramp: None }
    }
}
