//! The coordinator against hosts that are played by the test.

mod ending;
mod foresight;
mod hedging;
mod offline;
mod pacing;
mod sharing;
mod verdicts;

use std::time::Duration;

use super::*;
use crate::call::{BreakerUse, CallerKey, FlightKey, HedgeUse, HostKey, Priority, Repeat};
use crate::verdict::{Grounds, Offer, Refusal};

/// A coordinator with its clock, and all it ever wanted.
struct Bench {
    machine: Coordinator,
    now: Instant,
    tickets: u64,
    actions: Vec<Action>,
}

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
    fn new(global: u32, queue_max: usize, lanes: &[(&str, u32)]) -> Self {
        let mut bench = Self {
            machine: Coordinator::new(global, queue_max),
            now: Instant::now(),
            tickets: 0,
            actions: Vec::new(),
        };
        for (lane, slots_max) in lanes {
            bench.handle(Input::Lane { lane: (*lane).into(), slots_max: *slots_max });
        }
        bench
    }

    fn handle(&mut self, input: Input) -> Vec<Action> {
        self.machine.handle(self.now, input);
        let actions: Vec<Action> = std::iter::from_fn(|| self.machine.next_action()).collect();
        self.actions.extend(actions.iter().cloned());
        actions
    }

    fn spec(&mut self) -> CallSpec {
        self.tickets += 1;
        CallSpec {
            ticket: Ticket(self.tickets),
            target: target("a"),
            priority: Priority::Normal,
            caller: CallerKey::default(),
            deadline: self.now + Duration::from_secs(30),
            key: None,
            repeat: Repeat::Always,
            attempts_max: None,
            timeout: None,
            breaker: BreakerUse::Guarded,
            hedge: HedgeUse::ByPolicy,
        }
    }

    fn keyed(&mut self, key: u8) -> CallSpec {
        CallSpec { key: Some(FlightKey([key; 32])), ..self.spec() }
    }

    /// Submits a call and returns what was offered to a host because of it.
    fn submit(&mut self, spec: CallSpec) -> Option<Offer> {
        offers(&self.handle(Input::Submit(spec))).pop()
    }

    fn call(&mut self) -> Offer {
        let spec = self.spec();
        self.submit(spec).expect("a slot is free")
    }

    fn report(&mut self, attempt: AttemptId, verdict: Verdict) -> Vec<Action> {
        self.handle(Input::Report { attempt, verdict, onward: None })
    }

    fn done(&mut self, attempt: AttemptId) -> Vec<Action> {
        self.report(attempt, Verdict::Done(Finality::Settled))
    }

    fn retry(&mut self, attempt: AttemptId, delay: Duration) -> Vec<Action> {
        let at = self.now + delay;
        let hint = Some(at);
        self.report(attempt, Verdict::RetryAt(Retry { at, hint, cost: Cost::Token }))
    }

    fn refuse(&mut self, attempt: AttemptId, gate: Gate, until: Option<Instant>) -> Vec<Action> {
        self.report(attempt, Verdict::Refused(Refusal::by(gate, until)))
    }

    /// Lets time pass and wakes the machine once, at the end of it.
    fn advance(&mut self, delay: Duration) -> Vec<Action> {
        self.now += delay;
        self.handle(Input::Wake)
    }

    /// All answers a ticket ever got.
    fn answers(&self, ticket: u64) -> Vec<Answer> {
        let answers = self.actions.iter().filter_map(|action| match action {
            Action::Answer(answered, answer) if *answered == Ticket(ticket) => Some(*answer),
            Action::Answer(..)
            | Action::Begin(..)
            | Action::Join(..)
            | Action::Dispatch(..)
            | Action::Abort(..)
            | Action::End(_) => None,
        });
        answers.collect()
    }

    fn kind(&self, ticket: u64) -> Option<ErrorKind> {
        match self.answers(ticket)[..] {
            [Answer::Refused { kind, .. }] => Some(kind),
            [] | [Answer::Arrived(..) | Answer::Opened(_)] => None,
            [_, _, ..] => panic!("ticket {ticket} was answered more than once"),
        }
    }
}

/// failsafe#393, solr#4236 (PITFALLS A9).
#[test]
fn slots_freed_while_waiters_leave_go_to_the_living() {
    let mut bench = Bench::new(24, 1000, &[("a", 2)]);
    let running = [bench.call(), bench.call()];
    for n in 0..100 {
        let mut spec = bench.spec();
        if n % 2 == 0 {
            spec.deadline = bench.now + Duration::from_secs(1);
        }
        assert_eq!(bench.submit(spec), None);
    }
    for ticket in (3..=102).filter(|ticket| ticket % 4 == 0) {
        bench.handle(Input::Cancel(Ticket(ticket)));
    }
    bench.now += Duration::from_secs(1);
    let mut offered: Vec<Offer> = running.into();
    let mut n = 0;
    while let Some(offer) = offered.get(n).cloned() {
        n += 1;
        offered.extend(offers(&bench.done(offer.attempt)));
    }
    assert_eq!(n, 2 + 25, "two first and a quarter of a hundred is alive");
    assert!(bench.machine.is_idle());
}

/// temporal#4403 (PITFALLS A16).
#[test]
fn last_real_result_returns_at_once_when_nobody_waits_for_the_retry() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let offer = bench.call();
    let hint = Some(bench.now + Duration::from_secs(30));
    bench.retry(offer.attempt, Duration::from_secs(30));
    let finality = Finality::DeadlineNear { retry_at: hint };
    assert_eq!(bench.answers(1), [Answer::Arrived(offer.attempt.flight, finality)]);
    assert!(bench.machine.is_idle());
}

/// reqwest-middleware#146 (PITFALLS A14).
#[test]
fn hold_beyond_the_deadline_fails_now_and_says_until_when() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let offer = bench.call();
    let soon = bench.now + Duration::from_secs(2);
    bench.refuse(offer.attempt, Gate::Pace, Some(soon));
    assert_eq!(bench.machine.next_wake(), Some(soon));
    let again = offers(&bench.advance(Duration::from_secs(2)));
    let late = Some(bench.now + Duration::from_millis(27_900));
    bench.refuse(again[0].attempt, Gate::Pace, late);
    let flight = Some(offer.attempt.flight);
    let refused = Answer::Refused {
        flight,
        kind: ErrorKind::RateLimited,
        until: late,
        grounds: Grounds::Gate,
    };
    assert_eq!(bench.answers(1), [refused], "too little time would be left then");
}

/// axios-retry#17 (PITFALLS A15).
#[test]
fn retry_that_the_budget_refuses_delivers_the_last_real_result() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let offer = bench.call();
    bench.retry(offer.attempt, Duration::from_secs(1));
    let again = offers(&bench.advance(Duration::from_secs(1)));
    bench.refuse(again[0].attempt, Gate::Budget, None);
    let flight = offer.attempt.flight;
    assert_eq!(bench.answers(1), [Answer::Arrived(flight, Finality::BudgetSpent)]);
}

/// smallrye#319 (PITFALLS A2).
#[test]
fn open_breaker_fails_a_first_attempt_fast_and_says_until_when() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let offer = bench.call();
    let until = Some(bench.now + Duration::from_secs(5));
    bench.refuse(offer.attempt, Gate::Breaker, until);
    let flight = Some(offer.attempt.flight);
    let refused =
        Answer::Refused { flight, kind: ErrorKind::CircuitOpen, until, grounds: Grounds::Gate };
    assert_eq!(bench.answers(1), [refused]);
}

/// failsafe#119 (PITFALLS A25).
#[test]
fn opened_breaker_wakes_sleepers_with_their_last_result_and_fails_who_waits() {
    let mut bench = Bench::new(1, 1000, &[("a", 1), ("b", 1)]);
    let slept = bench.call();
    bench.retry(slept.attempt, Duration::from_secs(1));
    let runs = bench.call();
    let waits = bench.spec();
    bench.submit(waits);
    let elsewhere = CallSpec { target: target("b"), ..bench.spec() };
    bench.submit(elsewhere);
    let bypasses = CallSpec { breaker: BreakerUse::Bypassed, ..bench.spec() };
    bench.submit(bypasses);
    let until = Some(bench.now + Duration::from_secs(60));
    bench.handle(Input::ScopeOpened { scope: "a".into(), until });
    let last = Answer::Arrived(slept.attempt.flight, Finality::CircuitOpen);
    assert_eq!(bench.answers(1), [last]);
    assert!(bench.answers(2).is_empty(), "it runs: {runs:?}");
    assert_eq!(bench.kind(3), Some(ErrorKind::CircuitOpen));
    assert!(bench.answers(4).is_empty() && bench.answers(5).is_empty());
}

#[test]
fn full_queue_sheds_the_least_urgent_and_refuses_the_rest() {
    let mut bench = Bench::new(1, 1, &[("a", 1)]);
    let runs = bench.call();
    let background = CallSpec { priority: Priority::Background, ..bench.spec() };
    bench.submit(background);
    let normal = bench.spec();
    bench.submit(normal);
    assert_eq!(bench.kind(2), Some(ErrorKind::QueueFull), "it is shed");
    let another = bench.spec();
    bench.submit(another);
    assert_eq!(bench.kind(4), Some(ErrorKind::QueueFull), "it never waited");
    assert_eq!(offers(&bench.done(runs.attempt)).len(), 1);
}

#[test]
fn queue_full_of_one_lane_stops_no_other_and_is_not_exceeded() {
    let mut bench = Bench::new(24, 1, &[("a", 1), ("b", 1)]);
    bench.call();
    let waits = bench.spec();
    bench.submit(waits);
    let elsewhere = CallSpec { target: target("b"), ..bench.spec() };
    assert!(bench.submit(elsewhere.clone()).is_some());
    assert_eq!((bench.machine.queue().len(), bench.kind(2)), (1, None));
    bench.submit(CallSpec { ticket: Ticket(99), ..elsewhere });
    assert_eq!(bench.kind(99), Some(ErrorKind::QueueFull), "its own lane is full");
}

#[test]
fn retry_that_finds_the_queue_full_delivers_its_last_result() {
    let mut bench = Bench::new(1, 1, &[("a", 1)]);
    let offer = bench.call();
    bench.retry(offer.attempt, Duration::from_secs(1));
    bench.call();
    let waits = bench.spec();
    bench.submit(waits);
    bench.advance(Duration::from_secs(1));
    let last = Answer::Arrived(offer.attempt.flight, Finality::QueueFull);
    assert_eq!(bench.answers(1), [last]);
}

#[test]
fn global_ceiling_holds_over_all_lanes_until_attempts_settle() {
    let mut bench = Bench::new(2, 1000, &[("a", 6), ("b", 6)]);
    let first = bench.call();
    bench.call();
    let third = CallSpec { target: target("b"), ..bench.spec() };
    assert_eq!(bench.submit(third), None);
    bench.handle(Input::Cancel(Ticket(1)));
    assert_eq!(bench.machine.global().taken(), 2, "it is still on the wire");
    assert_eq!(offers(&bench.done(first.attempt)).len(), 1);
}

#[test]
fn stream_answers_at_its_head_and_keeps_its_slot_to_its_end() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let offer = bench.call();
    bench.handle(Input::Opened(offer.attempt));
    bench.handle(Input::Opened(offer.attempt));
    assert_eq!(bench.answers(1), [Answer::Opened(offer.attempt.flight)]);
    assert_eq!(bench.machine.global().taken(), 1);
    bench.advance(Duration::from_secs(60));
    bench.report(offer.attempt, Verdict::Done(Finality::NotRepeatable));
    assert_eq!(bench.answers(1).len(), 1);
    assert!(bench.machine.is_idle());
}

#[test]
fn redirect_starts_a_new_hop_and_its_refusal_is_an_error() {
    let mut bench = Bench::new(24, 1000, &[("a", 6), ("b", 6)]);
    let offer = bench.call();
    bench.retry(offer.attempt, Duration::from_secs(1));
    let again = offers(&bench.advance(Duration::from_secs(1)));
    let (attempt, onward) = (again[0].attempt, Some(target("b")));
    let verdict = Verdict::Done(Finality::Settled);
    let hop = offers(&bench.handle(Input::Report { attempt, verdict, onward }));
    assert_eq!((&*hop[0].lane, hop[0].resend, hop[0].cost), ("b", 0, Cost::Free));
    assert_eq!(hop[0].attempt.n, 3);
    bench.refuse(hop[0].attempt, Gate::Breaker, None);
    assert_eq!(bench.kind(1), Some(ErrorKind::CircuitOpen));
}

#[test]
fn report_about_a_flight_that_is_gone_frees_its_slots_and_nothing_else() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let offer = bench.call();
    bench.handle(Input::Cancel(Ticket(1)));
    let soon = bench.now + Duration::from_secs(1);
    for verdict in [
        Verdict::RetryAt(Retry { at: soon, hint: None, cost: Cost::Token }),
        Verdict::Refused(Refusal::by(Gate::Slot, None)),
        Verdict::Done(Finality::Settled),
    ] {
        assert!(bench.report(offer.attempt, verdict).is_empty());
        assert!(bench.machine.is_idle());
    }
}

#[test]
fn doubled_and_late_messages_are_harmless() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let spec = bench.spec();
    let offer = bench.submit(spec.clone()).expect("it is sent");
    assert_eq!(bench.submit(spec), None, "a doubled call is one call");
    assert_eq!(bench.machine.flights().len(), 1);
    bench.done(offer.attempt);
    bench.done(offer.attempt);
    bench.handle(Input::Opened(offer.attempt));
    bench.handle(Input::Cancel(Ticket(1)));
    assert_eq!(bench.answers(1).len(), 1);
    assert!(bench.machine.is_idle());
}

#[test]
fn one_in_twenty_is_sent_however_late() {
    let mut bench = Bench::new(1, 1000, &[("a", 1)]);
    let (mut sent, mut refused) = (0, 0);
    for _ in 0..200 {
        let runs = bench.call();
        let late = CallSpec { deadline: bench.now + Duration::from_millis(400), ..bench.spec() };
        let ticket = late.ticket.0;
        bench.submit(late);
        bench.now += Duration::from_millis(350);
        for offer in offers(&bench.done(runs.attempt)) {
            sent += 1;
            bench.done(offer.attempt);
        }
        refused += usize::from(bench.kind(ticket) == Some(ErrorKind::DeadlineExceeded));
    }
    assert_eq!((sent + refused, sent > 0, refused > 150), (200, true, true));
}

#[test]
fn wakes_that_come_late_still_keep_the_order_of_things() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let offer = bench.call();
    bench.retry(offer.attempt, Duration::from_secs(1));
    let actions = bench.advance(Duration::from_secs(31));
    assert!(offers(&actions).is_empty(), "its deadline passed while it slept");
    assert_eq!(bench.kind(1), Some(ErrorKind::DeadlineExceeded));
    assert_eq!(bench.machine.next_wake(), None);
    assert!(bench.machine.is_idle());
}

fn target(lane: &str) -> Target {
    let lane: HostKey = lane.into();
    Target { lane: lane.clone(), keeper: lane.clone(), scope: lane, class: None }
}

fn offers(actions: &[Action]) -> Vec<Offer> {
    let offers = actions.iter().filter_map(|action| match action {
        Action::Dispatch(_, offer) => Some(offer.clone()),
        Action::Answer(..)
        | Action::Begin(..)
        | Action::Join(..)
        | Action::Abort(..)
        | Action::End(_) => None,
    });
    offers.collect()
}
