//! The circuit breaker: refuses calls to an upstream that keeps failing, then probes it.
//!
//! Differs from its peers in three ways. Every pass carries the generation it was given in, so an
//! outcome from before a trip changes nothing after it (Polly#217). A probe is a lease: it comes
//! back when its call is cancelled or ends neutrally, and counts as failed when it stays away
//! (resilience4j#1389). And a refusal always says until when.

pub mod options;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::breaker::options::{BreakerKind, BreakerOptions};
use crate::call::{Generation, ScopeKey};
use crate::event::{BreakerEvent, BreakerState, OpenReason};
use crate::outcome::{Evidence, Neutral, Outcome};
use crate::rng::Rng;
use crate::window::Window;

/// Leave to send one attempt; give it back with [`Breaker::record`] or [`Breaker::give_back`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// The epoch in which it was given.
    pub generation: Generation,
    /// The lease, when the attempt is a probe.
    pub probe: Option<Lease>,
}

/// Numbers a probe's lease within its breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease(u64);

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
    leases_given: u64,
}

#[derive(Debug, Clone)]
enum Phase {
    Closed { streak: u32, window: Window },
    Open(Opening),
    HalfOpen { opening: Opening, leases: Vec<(Lease, Instant)>, successes: u32 },
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
        Self { scope, options, phase, generation, forced: None, openings: 0, leases_given: 0 }
    }

    /// Asks whether one attempt may be sent.
    pub fn admit(&mut self, now: Instant) -> (Admission, Option<BreakerEvent>) {
        let mut event = self.end_forced(now);
        if let Some(admission) = self.forced_admission() {
            return (admission, event);
        }
        if let Phase::Open(opening) = &self.phase {
            if now < opening.until {
                return (Admission::Refuse { until: Some(opening.until) }, None);
            }
            let opening = *opening;
            let leases = Vec::new();
            event = Some(self.enter(now, Phase::HalfOpen { opening, leases, successes: 0 }));
        }
        (self.admit_closed_or_probe(now), event)
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
        match (&self.phase, pass.probe) {
            (Phase::Closed { .. }, _) => self.record_closed(now, outcome, evidence, rng),
            (Phase::HalfOpen { .. }, Some(lease)) => self.record_probe(now, lease, outcome, rng),
            (Phase::HalfOpen { .. } | Phase::Open(_), _) => None,
        }
    }

    /// Takes back a pass whose attempt was never sent.
    pub fn give_back(&mut self, pass: Pass) {
        if pass.generation != self.generation {
            return;
        }
        if let (Phase::HalfOpen { leases, .. }, Some(lease)) = (&mut self.phase, pass.probe) {
            leases.retain(|(held, _)| *held != lease);
        }
    }

    /// Lets time pass: a probe that outstayed its lease fails, a forced opening ends.
    pub fn wake(&mut self, now: Instant, rng: &mut Rng) -> Option<BreakerEvent> {
        if self.forced.is_some() {
            return self.end_forced(now);
        }
        let Phase::HalfOpen { leases, .. } = &self.phase else { return None };
        let expired = leases.iter().any(|(_, expiry)| *expiry <= now);
        expired.then(|| self.open(now, OpenReason::ProbeExpired, rng))
    }

    /// Closes it and forgets all counts; passes given before count no more.
    pub fn reset(&mut self, now: Instant) -> Option<BreakerEvent> {
        let from = self.state();
        self.forced = None;
        self.openings = 0;
        self.generation.0 += 1;
        self.phase = Phase::closed(&self.options);
        (from != BreakerState::Closed).then(|| self.event(from, now))
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
    /// switching it off closes it.
    pub fn configure(&mut self, now: Instant, options: BreakerOptions) -> Option<BreakerEvent> {
        if let Phase::Closed { window, .. } = &mut self.phase
            && options.window != self.options.window
        {
            *window = Window::new(options.window);
        }
        self.options = options;
        let ends = self.options.kind == BreakerKind::Off && self.forced.is_none();
        if ends { self.reset(now) } else { None }
    }

    /// The state, as the world sees it.
    pub fn state(&self) -> BreakerState {
        match (self.forced, &self.phase) {
            (Some(Forced::Open { .. }), _) | (None, Phase::Open(_)) => BreakerState::Open,
            (Some(Forced::Closed), _) | (None, Phase::Closed { .. }) => BreakerState::Closed,
            (None, Phase::HalfOpen { .. }) => BreakerState::HalfOpen,
        }
    }

    /// Whether it is plainly closed: neither failures nor an operator hold it in any state.
    pub fn is_plain(&self) -> bool {
        self.forced.is_none() && matches!(self.phase, Phase::Closed { .. })
    }

    /// How it stands towards new calls.
    pub fn stance(&self) -> Stance {
        match (self.forced, &self.phase) {
            (Some(Forced::Open { until, .. }), _) => Stance::Refusing { until },
            (None, Phase::Open(opening)) => Stance::Refusing { until: Some(opening.until) },
            (Some(Forced::Closed), _) | (None, Phase::Closed { .. } | Phase::HalfOpen { .. }) => {
                Stance::Admitting
            }
        }
    }

    /// When [`Breaker::wake`] has something to do.
    pub fn next_wake(&self) -> Option<Instant> {
        if let Some(Forced::Open { until, .. }) = self.forced {
            return until;
        }
        let Phase::HalfOpen { leases, .. } = &self.phase else { return None };
        leases.iter().map(|(_, expiry)| *expiry).min()
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

    fn forced_admission(&self) -> Option<Admission> {
        match self.forced? {
            Forced::Open { until, .. } => Some(Admission::Refuse { until }),
            Forced::Closed => Some(self.admit_plainly()),
        }
    }

    fn admit_plainly(&self) -> Admission {
        Admission::Admit(Pass { generation: self.generation, probe: None })
    }

    fn admit_closed_or_probe(&mut self, now: Instant) -> Admission {
        let lease = Lease(self.leases_given + 1);
        let Phase::HalfOpen { leases, opening, .. } = &mut self.phase else {
            return self.admit_plainly();
        };
        if leases.len() >= self.options.probes_max.max(1) as usize {
            // A caller cannot know how the probe ends: its lease is the honest bound.
            let until = leases.iter().map(|(_, expiry)| *expiry).min().unwrap_or(opening.until);
            return Admission::Refuse { until: Some(until) };
        }
        let expiry = now.checked_add(self.options.probe_lease).unwrap_or(now);
        leases.push((lease, expiry));
        self.leases_given = lease.0;
        Admission::Admit(Pass { generation: self.generation, probe: Some(lease) })
    }

    fn record_closed(
        &mut self,
        now: Instant,
        outcome: Outcome,
        evidence: &Evidence,
        rng: &mut Rng,
    ) -> Option<BreakerEvent> {
        let Phase::Closed { streak, window } = &mut self.phase else { return None };
        match outcome {
            Outcome::Success => {
                *streak = 0;
                window.record(now, false);
            }
            Outcome::Failure => {
                *streak = streak.saturating_add(1);
                window.record(now, true);
            }
            Outcome::Neutral(Neutral::Throttled) => window.record(now, true),
            Outcome::Neutral(Neutral::Declined | Neutral::Cancelled | Neutral::Ours) => {}
        }
        let reason = self.tripped_by(now, evidence)?;
        if self.forced.is_some() {
            return None;
        }
        Some(self.open(now, reason, rng))
    }

    fn tripped_by(&mut self, now: Instant, evidence: &Evidence) -> Option<OpenReason> {
        let Phase::Closed { streak, window } = &mut self.phase else { return None };
        match self.options.kind {
            BreakerKind::Off => None,
            BreakerKind::Consecutive => (*streak >= self.options.failure_threshold.max(1))
                .then_some(OpenReason::ConsecutiveFailures {
                    failures: *streak,
                    last: evidence.kind,
                    status: evidence.status,
                }),
            BreakerKind::Rate => {
                let tally = window.tally(now);
                let share = f64::from(tally.failures) / f64::from(tally.calls.max(1));
                let trips = tally.calls >= self.options.min_calls.max(1)
                    && share >= self.options.failure_rate;
                trips.then_some(OpenReason::FailureRate {
                    failures: tally.failures,
                    calls: tally.calls,
                })
            }
        }
    }

    fn record_probe(
        &mut self,
        now: Instant,
        lease: Lease,
        outcome: Outcome,
        rng: &mut Rng,
    ) -> Option<BreakerEvent> {
        let Phase::HalfOpen { leases, successes, .. } = &mut self.phase else { return None };
        let held = leases.len();
        leases.retain(|(other, _)| *other != lease);
        if leases.len() == held {
            return None;
        }
        match outcome {
            Outcome::Success => {
                *successes += 1;
                if *successes < self.options.success_threshold {
                    return None;
                }
                self.openings = 0;
                Some(self.enter(now, Phase::closed(&self.options)))
            }
            Outcome::Failure | Outcome::Neutral(Neutral::Throttled) => {
                Some(self.open(now, OpenReason::ProbeFailed, rng))
            }
            Outcome::Neutral(Neutral::Declined | Neutral::Cancelled | Neutral::Ours) => None,
        }
    }

    fn open(&mut self, now: Instant, reason: OpenReason, rng: &mut Rng) -> BreakerEvent {
        let exponent = i32::try_from(self.openings.min(64)).unwrap_or(64);
        let grown = self.options.reset_growth.max(1.0).powi(exponent);
        let most = self.options.reset_timeout_max.max(self.options.reset_timeout);
        let seconds = (self.options.reset_timeout.as_secs_f64() * grown).min(most.as_secs_f64());
        let reset = Duration::try_from_secs_f64(seconds).unwrap_or(most);
        let jitter = rng.up_to(reset.mul_f64(self.options.reset_jitter.clamp(0.0, 1.0)));
        let until = now.checked_add(reset + jitter).unwrap_or(now);
        self.openings = self.openings.saturating_add(1);
        let since = match &self.phase {
            Phase::HalfOpen { opening, .. } => opening.since,
            Phase::Closed { .. } | Phase::Open(_) => now,
        };
        self.enter(now, Phase::Open(Opening { since, until, reason }))
    }

    fn enter(&mut self, now: Instant, phase: Phase) -> BreakerEvent {
        let from = self.state();
        self.phase = phase;
        self.generation.0 += 1;
        self.event(from, now)
    }

    fn event(&self, from: BreakerState, at: Instant) -> BreakerEvent {
        let (opened_at, reason, retry_at) = match (self.forced, &self.phase) {
            (Some(Forced::Open { since, until }), _) => {
                (Some(since), Some(OpenReason::Forced), until)
            }
            (Some(Forced::Closed), _) | (None, Phase::Closed { .. }) => (None, None, None),
            (None, Phase::Open(opening)) => {
                (Some(opening.since), Some(opening.reason), Some(opening.until))
            }
            (None, Phase::HalfOpen { opening, .. }) => {
                (Some(opening.since), Some(opening.reason), None)
            }
        };
        let scope = self.scope.clone();
        BreakerEvent { scope, from, to: self.state(), at, opened_at, reason, retry_at }
    }
}

impl Phase {
    fn closed(options: &BreakerOptions) -> Self {
        Self::Closed { streak: 0, window: Window::new(options.window) }
    }
}
