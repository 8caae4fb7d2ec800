//! The host, offer by offer on a clock of its own.

mod hedging;
mod limits;
mod operators;
mod pacing;
mod retries;
mod routes;
mod standard_mode;
mod usual_time;

use std::time::Duration;

use super::*;
use crate::advice::ErrorKind;
use crate::backoff::{BackoffOptions, Jitter};
use crate::budget::BudgetOptions;
use crate::call::{FlightId, HedgeUse, Repeat};
use crate::event::BreakerState;
use crate::outcome::Exposure;
use crate::policy::RetryOptions;
use crate::verdict::{Cost, Finality};

/// A host with its clock, and the serial of its coordinator.
struct Bench {
    host: Host,
    now: Instant,
    serial: u64,
    events: Vec<BreakerEvent>,
}

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
    fn new(policy: HostPolicy) -> Self {
        let host = Host::new("a".into(), policy, Rng::new(1));
        Self { host, now: Instant::now(), serial: 0, events: Vec::new() }
    }

    /// Five failures open it; back-off has no jitter.
    fn consecutive() -> Self {
        Self::new(policy())
    }

    fn offer(&mut self) -> Offer {
        self.serial += 1;
        Offer {
            attempt: AttemptId { flight: FlightId(self.serial), n: 1 },
            serial: self.serial,
            lane: "a".into(),
            scope: "a".into(),
            class: None,
            deadline: self.now + Duration::from_secs(600),
            useful_min: Duration::from_millis(300),
            useful_max: Duration::from_secs(10),
            resend: 0,
            cost: Cost::Free,
            attempts_max: None,
            timeout: None,
            repeat: Repeat::Always,
            breaker: BreakerUse::Guarded,
            hedge: HedgeUse::ByPolicy,
            beside: None,
        }
    }

    fn handle(&mut self, input: Input) -> Vec<Action> {
        self.host.handle(self.now, input);
        let actions: Vec<Action> = std::iter::from_fn(|| self.host.next_action()).collect();
        self.events.extend(actions.iter().filter_map(|action| match action {
            Action::Event(event) => Some(event.clone()),
            Action::Start { .. }
            | Action::Cancel(_)
            | Action::Hedge(_)
            | Action::Report(..)
            | Action::Limit(_)
            | Action::Split(_)
            | Action::Merged(_) => None,
        }));
        actions
    }

    /// Whether the attempt was started as a probe, or why it was refused.
    fn send(&mut self, offer: Offer) -> Result<bool, Refusal> {
        let actions = self.handle(Input::Offer(offer));
        let answer = actions.into_iter().find_map(|action| match action {
            Action::Start { probe, .. } => Some(Ok(probe)),
            Action::Report(_, Verdict::Refused(refusal)) => Some(Err(refusal)),
            Action::Report(..)
            | Action::Cancel(_)
            | Action::Hedge(_)
            | Action::Event(_)
            | Action::Limit(_)
            | Action::Split(_)
            | Action::Merged(_) => None,
        });
        answer.expect("an offer is answered")
    }

    /// Starts one attempt more, which must pass.
    fn start(&mut self) -> AttemptId {
        let offer = self.offer();
        let attempt = offer.attempt;
        self.send(offer).expect("it passes");
        attempt
    }

    fn refused(&mut self) -> Refusal {
        let offer = self.offer();
        self.send(offer).expect_err("it is refused")
    }

    fn settle(&mut self, attempt: AttemptId, evidence: Evidence) -> Verdict {
        let actions = self.handle(Input::Settled { attempt, evidence });
        let verdicts = actions.into_iter().filter_map(|action| match action {
            Action::Report(reported, verdict) => Some((reported, verdict)),
            Action::Start { .. }
            | Action::Cancel(_)
            | Action::Hedge(_)
            | Action::Event(_)
            | Action::Limit(_)
            | Action::Split(_)
            | Action::Merged(_) => None,
        });
        let verdicts: Vec<_> = verdicts.collect();
        assert_eq!(verdicts.len(), 1, "a settled attempt is judged once");
        assert_eq!(verdicts[0].0, attempt);
        verdicts[0].1
    }

    fn call(&mut self, evidence: Evidence) -> Verdict {
        let attempt = self.start();
        self.settle(attempt, evidence)
    }

    fn order(&mut self, order: Order) {
        self.handle(Input::Command(Command { scope: "a".into(), order }));
    }

    fn trip(&mut self) {
        for _ in 0..5 {
            self.call(status(503));
        }
        assert_eq!(self.state(), BreakerState::Open);
    }

    /// The whole tokens of its retry budget.
    fn tokens(&self) -> usize {
        (1..=100).take_while(|n| f64::from(*n) <= self.host.tokens() + 1e-9).count()
    }

    fn state(&self) -> BreakerState {
        self.host.scopes().breaker("a").map_or(BreakerState::Closed, crate::breaker::Breaker::state)
    }

    fn advance(&mut self, delay: Duration) {
        self.now += delay;
        self.handle(Input::Wake);
    }
}

/// Polly#217, Polly#218 (PITFALLS A1).
#[test]
fn attempts_admitted_before_the_trip_move_nothing_after_it() {
    for late in [status(200), status(503)] {
        let mut bench = Bench::consecutive();
        let early = bench.start();
        bench.trip();
        bench.advance(Duration::from_secs(60));
        let probe = bench.start();
        assert_eq!(bench.state(), BreakerState::HalfOpen);
        let events = bench.events.len();
        bench.settle(early, late);
        assert_eq!((bench.state(), bench.events.len()), (BreakerState::HalfOpen, events));
        assert_eq!(bench.refused().gate, Gate::Breaker, "the probe's place is still taken");
        bench.settle(probe, status(200));
        assert_eq!(bench.state(), BreakerState::Closed);
    }
}

/// Polly#217, Polly#218 (PITFALLS A1).
#[test]
fn failures_from_before_the_trip_do_not_count_once_it_closed_again() {
    let mut bench = Bench::consecutive();
    let early: Vec<AttemptId> = (0..5).map(|_| bench.start()).collect();
    bench.trip();
    bench.advance(Duration::from_secs(60));
    bench.call(status(200));
    for attempt in early {
        bench.settle(attempt, status(503));
    }
    assert_eq!(bench.state(), BreakerState::Closed);
}

/// smallrye#319, smallrye#323, termite#27 (PITFALLS A2).
#[test]
fn one_probe_passes_and_a_thousand_others_fail_fast() {
    let mut bench = Bench::consecutive();
    bench.trip();
    bench.advance(Duration::from_secs(60));
    let offers: Vec<Offer> = (0..1000).map(|_| bench.offer()).collect();
    let answers: Vec<_> = offers.into_iter().map(|offer| bench.send(offer)).collect();
    assert_eq!(answers.iter().filter(|answer| **answer == Ok(true)).count(), 1);
    let fast = |answer: &&Result<bool, Refusal>| {
        answer.is_err_and(|refusal| refusal.gate == Gate::Breaker && refusal.until.is_some())
    };
    assert_eq!(answers.iter().filter(fast).count(), 999);
}

/// R4J#544, R4J#935, R4J#1389, Polly#1979 (PITFALLS A3).
#[test]
fn probe_that_is_called_back_or_declined_returns_its_place() {
    let mut bench = Bench::consecutive();
    bench.trip();
    bench.advance(Duration::from_secs(60));
    for round in 0..10 {
        let probe = bench.start();
        if round % 2 == 0 {
            bench.handle(Input::Abort { attempt: probe, cause: AbortCause::Cancelled });
            bench.settle(probe, error(ErrorKind::Cancelled, Exposure::MaybeSent));
        } else {
            bench.settle(probe, status(404));
        }
        assert_eq!(bench.state(), BreakerState::HalfOpen);
    }
    bench.call(status(200));
    assert_eq!(bench.state(), BreakerState::Closed);
}

/// R4J#1389 (PITFALLS A4).
#[test]
fn silent_probe_reopens_when_its_lease_ends() {
    let mut bench = Bench::consecutive();
    bench.trip();
    bench.advance(Duration::from_secs(60));
    let probe = bench.start();
    let lease_end = bench.host.next_wake().expect("a lease ends");
    bench.now = lease_end;
    bench.handle(Input::Wake);
    assert_eq!(bench.state(), BreakerState::Open);
    assert_eq!(bench.host.slots().taken(), 1, "the silent attempt still holds its slot");
    bench.settle(probe, status(200));
    assert_eq!((bench.state(), bench.host.slots().taken()), (BreakerState::Open, 0));
}

/// Sentinel#1638 (PITFALLS A5).
#[test]
fn probe_refused_by_another_gate_is_not_used_up() {
    type Refused = (Gate, fn(&mut Bench) -> Offer);
    let refusals: [Refused; 4] = [
        (Gate::Deadline, |bench| Offer { deadline: bench.now, ..bench.offer() }),
        (Gate::Pace, |bench| {
            bench.host.pace.hold(bench.now, bench.now + Duration::from_secs(1));
            bench.offer()
        }),
        (Gate::Slot, |bench| {
            bench.handle(Input::Reload(Box::new(HostPolicy { concurrency: 0, ..policy() })));
            bench.offer()
        }),
        (Gate::Budget, |bench| {
            while bench.host.budget.spend(Cost::Token) == Payment::Paid {}
            Offer { cost: Cost::Token, resend: 1, ..bench.offer() }
        }),
    ];
    for (gate, offer) in refusals {
        let mut bench = Bench::consecutive();
        bench.trip();
        bench.advance(Duration::from_secs(60));
        let offer = offer(&mut bench);
        assert_eq!(bench.send(offer).map_err(|refusal| refusal.gate), Err(gate));
        assert_eq!(bench.state(), BreakerState::Open, "{gate:?}: nobody probed");
        bench.handle(Input::Reload(Box::new(policy())));
        bench.advance(Duration::from_secs(2));
        let offer = bench.offer();
        assert_eq!(bench.send(offer), Ok(true), "{gate:?}: the probe is there for the next");
    }
}

/// R4J#682, R4J#989, opossum#45 (PITFALLS A8).
#[test]
fn cancellation_is_no_failure_and_costs_no_token() {
    let mut bench = Bench::consecutive();
    for _ in 0..20 {
        let attempt = bench.start();
        bench.handle(Input::Abort { attempt, cause: AbortCause::Cancelled });
        let verdict = bench.settle(attempt, error(ErrorKind::Cancelled, Exposure::MaybeSent));
        assert_eq!(verdict, Verdict::Done(Finality::Settled));
    }
    assert_eq!((bench.state(), bench.tokens()), (BreakerState::Closed, 10));
}

#[test]
fn being_too_slow_for_every_deadline_is_a_failure() {
    let mut bench = Bench::consecutive();
    for _ in 0..5 {
        let attempt = bench.start();
        bench.handle(Input::Abort { attempt, cause: AbortCause::Deadline });
        bench.settle(attempt, error(ErrorKind::Cancelled, Exposure::MaybeSent));
    }
    assert_eq!(bench.state(), BreakerState::Open);
}

/// opossum, xberg#1641 (PITFALLS A24).
#[test]
fn aborted_attempt_holds_its_slot_until_it_settles() {
    let mut bench = Bench::new(HostPolicy { concurrency: 1, ..policy() });
    let attempt = bench.start();
    let abort = Input::Abort { attempt, cause: AbortCause::Deadline };
    assert_eq!(bench.handle(abort.clone()), [Action::Cancel(attempt)]);
    assert!(bench.handle(abort).is_empty(), "it is called back once");
    assert_eq!(bench.refused().gate, Gate::Slot);
    bench.settle(attempt, error(ErrorKind::Cancelled, Exposure::MaybeSent));
    bench.start();
}

/// temporal#4403 (PITFALLS A16).
#[test]
fn nothing_starts_with_less_than_the_useful_minimum_left() {
    let mut bench = Bench::consecutive();
    let check = |bench: &mut Bench, left_ms, expected| {
        let deadline = bench.now + Duration::from_millis(left_ms);
        let offer = Offer { deadline, ..bench.offer() };
        assert_eq!(bench.send(offer).map_err(|refusal| refusal.gate), expected);
    };
    check(&mut bench, 300, Ok(false));
    check(&mut bench, 299, Err(Gate::Deadline));
    let regardless = Offer { deadline: bench.now, useful_min: Duration::ZERO, ..bench.offer() };
    assert_eq!(bench.send(regardless).map_err(|refusal| refusal.gate), Err(Gate::Deadline));
}

#[test]
fn deadlines_of_callers_do_not_shorten_the_attempt_that_later_ones_share() {
    let mut bench = Bench::consecutive();
    let offer = Offer { deadline: bench.now + Duration::from_secs(1), ..bench.offer() };
    let actions = bench.handle(Input::Offer(offer));
    let until = bench.now + policy().timeouts.attempt;
    assert!(matches!(actions[..], [Action::Start { until: at, .. }] if at == until));
}

#[test]
fn doubled_and_late_messages_are_harmless() {
    let mut bench = Bench::consecutive();
    let offer = bench.offer();
    let attempt = offer.attempt;
    assert_eq!(bench.send(offer.clone()), Ok(false));
    assert!(bench.handle(Input::Offer(offer)).is_empty());
    bench.settle(attempt, status(200));
    let settled = Input::Settled { attempt, evidence: status(503) };
    assert!(bench.handle(settled).is_empty());
    let late = Input::Abort { attempt, cause: AbortCause::Cancelled };
    assert!(bench.handle(late).is_empty());
    assert_eq!(bench.host.slots().taken(), 0);
}

#[test]
fn what_is_sent_elsewhere_takes_no_slot_of_the_keeper() {
    let mut bench = Bench::new(HostPolicy { concurrency: 1, ..policy() });
    for _ in 0..3 {
        let offer = Offer { lane: "b".into(), ..bench.offer() };
        assert_eq!(bench.send(offer), Ok(false));
    }
    bench.start();
    assert_eq!(bench.refused().gate, Gate::Slot);
    assert_eq!(bench.host.slots().taken(), 1);
}

#[test]
fn bypassing_calls_neither_ask_nor_tell_the_breaker() {
    let mut bench = Bench::consecutive();
    let bypass = |bench: &mut Bench| {
        let offer = Offer { breaker: BreakerUse::Bypassed, ..bench.offer() };
        let attempt = offer.attempt;
        assert_eq!(bench.send(offer), Ok(false));
        bench.settle(attempt, status(503))
    };
    for _ in 0..20 {
        bypass(&mut bench);
    }
    assert_eq!(bench.state(), BreakerState::Closed);
    bench.trip();
    assert!(matches!(bypass(&mut bench), Verdict::RetryAt(_)));
    assert_eq!(bench.state(), BreakerState::Open);
}

fn policy() -> HostPolicy {
    let backoff = BackoffOptions { jitter: Jitter::None, ..BackoffOptions::default() };
    HostPolicy {
        breaker: BreakerOptions::consecutive(5),
        retry: RetryOptions { backoff, ..RetryOptions::default() },
        ..HostPolicy::default()
    }
}

fn status(code: u16) -> Evidence {
    Evidence::of_status(code, None)
}

fn error(kind: ErrorKind, exposure: Exposure) -> Evidence {
    Evidence::of_error(kind, exposure)
}
