//! A breaker written a second time, without cleverness: lists that are searched from end to end.
//!
//! Drawn times are the only thing it takes from the machine, within what the options allow.

use std::time::{Duration, Instant};

use spillgate_core::breaker::Stance;
use spillgate_core::breaker::options::{BreakerKind, BreakerOptions, HalfOpen};
use spillgate_core::call::ScopeKey;
use spillgate_core::event::{BreakerEvent, BreakerMode, BreakerState, OpenReason};
use spillgate_core::outcome::{Evidence, Neutral, Outcome};

use super::counts::{Counts, is_slow};
use super::ramp::Ramp;

/// The model of one breaker.
#[derive(Debug)]
pub(crate) struct Model {
    scope: ScopeKey,
    options: BreakerOptions,
    state: BreakerState,
    forced: Option<Forced>,
    /// Counts everything that makes outcomes from before count no more.
    epoch: u64,
    asked: u64,
    /// Openings since it was last closed.
    openings: u32,
    opening: Option<(Instant, OpenReason, Instant)>,
    counts: Counts,
    probes: Vec<(u64, Instant)>,
    successes: u32,
    ramp: Option<Ramp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forced {
    Open(Instant, Option<Instant>),
    Closed,
}

/// Leave to send one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) epoch: u64,
    number: u64,
    pub(crate) is_probe: bool,
}

/// What it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Admit(Pass),
    Refuse(Option<Instant>),
    Await(Instant),
}

/// What it tells, if anything.
pub(crate) type Told = Option<BreakerEvent>;

impl Model {
    pub(crate) fn new(scope: ScopeKey, options: BreakerOptions) -> Self {
        Self {
            scope,
            options,
            state: BreakerState::Closed,
            forced: None,
            epoch: 0,
            asked: 0,
            openings: 0,
            opening: None,
            counts: Counts::default(),
            probes: Vec::new(),
            successes: 0,
            ramp: None,
        }
    }

    pub(crate) fn admit(&mut self, now: Instant) -> (Answer, Told) {
        let mut told = self.end_forced(now);
        if let Some(Forced::Open(_, until)) = self.forced {
            return (Answer::Refuse(until), told);
        }
        if self.state == BreakerState::Open && self.opening.is_some_and(|o| o.2 <= now) {
            (self.probes, self.successes) = (Vec::new(), 0);
            told = Some(self.turn(now, BreakerState::HalfOpen));
        }
        let answer = self.answer(now);
        let answer = match (answer, self.options.mode) {
            (Answer::Refuse(_) | Answer::Await(_), BreakerMode::Shadow) => {
                Answer::Admit(self.pass(false))
            }
            (answer, BreakerMode::Enforcing | BreakerMode::Shadow) => answer,
        };
        (answer, told)
    }

    /// `drawn` is until when the machine says it is open, if it says so.
    pub(crate) fn record(
        &mut self,
        now: Instant,
        pass: Pass,
        evidence: &Evidence,
        drawn: Option<Instant>,
    ) -> Told {
        if pass.epoch != self.epoch || self.options.kind == BreakerKind::Off {
            return None;
        }
        let outcome = match evidence.outcome {
            Outcome::Failure if self.ignores(evidence) => Outcome::Neutral(Neutral::Ours),
            Outcome::Success | Outcome::Failure | Outcome::Neutral(_) => evidence.outcome,
        };
        let throttled = outcome == Outcome::Neutral(Neutral::Throttled);
        let failed = outcome == Outcome::Failure || throttled;
        match self.state {
            BreakerState::Open => None,
            BreakerState::HalfOpen => {
                let before = self.probes.len();
                self.probes.retain(|(number, _)| *number != pass.number);
                if !pass.is_probe || self.probes.len() == before {
                    None
                } else if failed
                    || (outcome == Outcome::Success && is_slow(&self.options, evidence))
                {
                    Some(self.open(now, OpenReason::ProbeFailed, drawn))
                } else if outcome == Outcome::Success {
                    self.successes += 1;
                    (self.successes >= self.options.success_threshold).then(|| self.recover(now))
                } else {
                    None
                }
            }
            BreakerState::Closed => {
                if let Some(ramp) =
                    self.ramp.as_mut().filter(|_| failed || outcome == Outcome::Success)
                {
                    ramp.move_by(now, !failed);
                }
                let learned = (evidence, &self.options);
                let reason = self.counts.record(now, pass.number, outcome, learned)?;
                self.forced.is_none().then(|| self.open(now, reason, drawn))
            }
        }
    }

    pub(crate) fn give_back(&mut self, pass: Pass) {
        if pass.epoch == self.epoch {
            self.counts.forget(pass.number);
            self.probes.retain(|(number, _)| *number != pass.number);
        }
    }

    pub(crate) fn wake(&mut self, now: Instant, drawn: Option<Instant>) -> Told {
        if self.forced.is_some() {
            return self.end_forced(now);
        }
        let reason = match self.state {
            BreakerState::HalfOpen if self.probes.iter().any(|(_, end)| *end <= now) => {
                OpenReason::ProbeExpired
            }
            BreakerState::HalfOpen | BreakerState::Open => return None,
            BreakerState::Closed => {
                self.ramp.take_if(|ramp| ramp.end() <= now);
                self.counts.age(now, &self.options)?
            }
        };
        Some(self.open(now, reason, drawn))
    }

    pub(crate) fn reset(&mut self, now: Instant) -> Told {
        let (from, mode) = (self.told_state(), self.told_mode());
        (self.forced, self.openings) = (None, 0);
        self.close();
        self.epoch += 1;
        let event = BreakerEvent { mode, ..self.event(from, now) };
        (from != BreakerState::Closed).then_some(event)
    }

    pub(crate) fn force_open(&mut self, now: Instant, until: Option<Instant>) -> Told {
        let from = self.state();
        self.forced = Some(Forced::Open(now, until));
        self.epoch += 1;
        (from != BreakerState::Open).then(|| self.event(from, now))
    }

    pub(crate) fn force_closed(&mut self, now: Instant) -> Told {
        let told = self.reset(now);
        self.forced = Some(Forced::Closed);
        told
    }

    pub(crate) fn configure(&mut self, now: Instant, options: &BreakerOptions) -> Told {
        if self.state == BreakerState::Closed {
            self.counts.configure(&self.options, options);
        }
        let ends = options.kind == BreakerKind::Off || options.mode != self.options.mode;
        let told = (ends && self.forced.is_none()).then(|| self.reset(now)).flatten();
        self.options = options.clone();
        told
    }

    pub(crate) fn state(&self) -> BreakerState {
        match (self.forced, self.options.mode) {
            (None, BreakerMode::Shadow) => BreakerState::Closed,
            _ => self.told_state(),
        }
    }

    pub(crate) fn stance(&self) -> Stance {
        match (self.state(), self.forced, self.opening) {
            (BreakerState::Open, Some(Forced::Open(_, until)), _) => Stance::Refusing { until },
            (BreakerState::Open, _, Some((.., until))) => Stance::Refusing { until: Some(until) },
            _ => Stance::Admitting,
        }
    }

    pub(crate) fn is_plain(&self) -> bool {
        let is_closed = self.state == BreakerState::Closed && self.forced.is_none();
        is_closed && self.ramp.is_none()
    }

    pub(crate) fn next_wake(&self) -> Option<Instant> {
        match (self.forced, self.state) {
            (Some(Forced::Open(_, until)), _) => until,
            (Some(Forced::Closed), _) | (None, BreakerState::Open) => None,
            (None, BreakerState::HalfOpen) => self.probes.iter().map(|(_, end)| *end).min(),
            (None, BreakerState::Closed) => {
                let aged = self.counts.next_age(&self.options);
                aged.into_iter().chain(self.ramp.as_ref().map(Ramp::end)).min()
            }
        }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    fn answer(&mut self, now: Instant) -> Answer {
        match self.state {
            BreakerState::Open => Answer::Refuse(self.opening.map(|(.., until)| until)),
            BreakerState::HalfOpen => {
                if self.probes.len() < self.options.probes_max.max(1) as usize {
                    let pass = self.pass(true);
                    self.probes.push((pass.number, now + self.options.probe_lease));
                    return Answer::Admit(pass);
                }
                let until = self.probes.iter().map(|(_, end)| *end).min().unwrap_or(now);
                match self.options.half_open {
                    HalfOpen::FailFast => Answer::Refuse(Some(until)),
                    HalfOpen::Queue => Answer::Await(until),
                }
            }
            BreakerState::Closed => {
                self.ramp.take_if(|ramp| ramp.end() <= now);
                if let Some(until) = self.ramp.as_mut().and_then(|ramp| ramp.refuses(now)) {
                    return Answer::Refuse(Some(until));
                }
                let pass = self.pass(false);
                self.counts.begin(now, pass.number, &self.options);
                Answer::Admit(pass)
            }
        }
    }

    fn pass(&mut self, is_probe: bool) -> Pass {
        self.asked += 1;
        Pass { epoch: self.epoch, number: self.asked, is_probe }
    }

    fn end_forced(&mut self, now: Instant) -> Told {
        match self.forced {
            Some(Forced::Open(_, Some(until))) if until <= now => self.reset(now),
            _ => None,
        }
    }

    fn ignores(&self, evidence: &Evidence) -> bool {
        use spillgate_core::breaker::options::Ignored::{Kind, Status};
        let kind = evidence.kind.is_some_and(|kind| self.options.ignore.contains(&Kind(kind)));
        kind || evidence.status.is_some_and(|code| self.options.ignore.contains(&Status(code)))
    }

    fn open(&mut self, now: Instant, reason: OpenReason, drawn: Option<Instant>) -> BreakerEvent {
        let options = &self.options;
        let most = options.reset_timeout_max.max(options.reset_timeout);
        let mut reset = options.reset_timeout;
        for _ in 0..self.openings {
            reset = reset.mul_f64(options.reset_growth).min(most);
        }
        let until = drawn.unwrap_or(now + reset);
        let latest = now + reset.mul_f64(1.0 + options.reset_jitter) + ROUNDING;
        assert!(until + ROUNDING >= now + reset && until <= latest, "open for {:?}", until - now);
        let since = self.opening.map_or(now, |(since, ..)| since);
        self.opening = Some((since, reason, until));
        self.openings += 1;
        self.turn(now, BreakerState::Open)
    }

    fn recover(&mut self, now: Instant) -> BreakerEvent {
        let from = self.told_state();
        self.close();
        self.openings = 0;
        self.ramp = Ramp::new(now, self.options.ramp);
        self.epoch += 1;
        self.event(from, now)
    }

    fn close(&mut self) {
        (self.state, self.opening, self.ramp) = (BreakerState::Closed, None, None);
        self.counts = Counts::default();
    }

    fn turn(&mut self, now: Instant, state: BreakerState) -> BreakerEvent {
        let from = self.told_state();
        self.state = state;
        self.epoch += 1;
        self.event(from, now)
    }

    fn told_state(&self) -> BreakerState {
        match self.forced {
            Some(Forced::Open(..)) => BreakerState::Open,
            Some(Forced::Closed) => BreakerState::Closed,
            None => self.state,
        }
    }

    fn told_mode(&self) -> BreakerMode {
        if self.forced.is_some() { BreakerMode::Enforcing } else { self.options.mode }
    }

    fn event(&self, from: BreakerState, at: Instant) -> BreakerEvent {
        let to = self.told_state();
        let opened = match self.forced {
            Some(Forced::Open(since, until)) => Some((since, OpenReason::Forced, until)),
            Some(Forced::Closed) => None,
            None => self.opening.map(|(since, reason, until)| {
                (since, reason, (to == BreakerState::Open).then_some(until))
            }),
        };
        BreakerEvent {
            scope: self.scope.clone(),
            mode: self.told_mode(),
            from,
            to,
            at,
            opened_at: opened.map(|opened| opened.0),
            reason: opened.map(|opened| opened.1),
            retry_at: opened.and_then(|opened| opened.2),
        }
    }
}

/// Powers and products round differently.
const ROUNDING: Duration = Duration::from_micros(1);
