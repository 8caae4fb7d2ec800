//! Hedges: when they are due, what they cost, what refuses them.

use super::*;
use crate::call::HedgeDelay;
use crate::hedge::HedgeOptions;
use crate::outcome::Neutral;
use crate::verdict::Beside;

#[test]
fn slow_attempt_asks_for_its_hedge_once_and_in_time() {
    let mut bench = earned(1);
    let first = bench.start();
    assert_eq!(bench.host.next_wake(), Some(bench.now + DELAY));
    bench.now += DELAY / 2;
    assert!(bench.handle(Input::Wake).is_empty());
    bench.now += DELAY / 2;
    assert_eq!(bench.handle(Input::Wake), [Action::Hedge(first)]);
    assert!(bench.handle(Input::Wake).is_empty());
    assert_eq!(bench.host.next_wake(), None);
}

#[test]
fn nothing_asks_without_a_policy_or_against_the_callers_word() {
    let policies = [(None, HedgeUse::ByPolicy, 0), (Some(options()), HedgeUse::Off, 0)];
    let wished = [(None, HedgeUse::after(DELAY), 1), (Some(options()), HedgeUse::ByPolicy, 1)];
    for (hedge, wish, expected) in policies.into_iter().chain(wished) {
        let mut bench = Bench::new(HostPolicy { hedge, ..policy() });
        for _ in 0..20 {
            let offer = Offer { hedge: wish, ..bench.offer() };
            let attempt = offer.attempt;
            bench.send(offer).expect("it passes");
            bench.settle(attempt, status(200));
        }
        let offer = Offer { hedge: wish, ..bench.offer() };
        bench.send(offer).expect("it passes");
        bench.now += DELAY;
        assert_eq!(bench.handle(Input::Wake).len(), expected, "{hedge:?} {wish:?}");
    }
}

#[test]
fn answer_in_time_a_recall_and_a_last_attempt_ask_for_nothing() {
    let mut bench = earned(1);
    let first = bench.start();
    bench.settle(first, status(200));
    let second = bench.start();
    bench.handle(Input::Abort { attempt: second, cause: AbortCause::Cancelled });
    let last = Offer { attempts_max: Some(1), ..bench.offer() };
    bench.send(last).expect("it passes");
    for repeat in [Repeat::IfNeverSent, Repeat::Never] {
        let offer = Offer { repeat, ..bench.offer() };
        bench.send(offer).expect("it passes");
    }
    bench.now += DELAY;
    assert!(bench.handle(Input::Wake).is_empty());
}

#[test]
fn hedge_pays_twice_and_only_when_it_is_sent() {
    let mut bench = earned(2);
    let tokens = bench.host.tokens();
    let first = bench.start();
    let hedge = bench.beside(first);
    bench.send(hedge).expect("it passes");
    assert!((bench.host.tokens() - (tokens - 1.0)).abs() < 1e-9);
    let held = Input::Reload(Box::new(HostPolicy { concurrency: 2, ..hedging() }));
    bench.handle(held);
    let hedge = bench.beside(first);
    assert_eq!(bench.send(hedge).map_err(|refusal| refusal.gate), Err(Gate::Slot));
    assert!((bench.host.tokens() - (tokens - 1.0)).abs() < 1e-9, "a refused one pays nothing");
    bench.handle(Input::Reload(Box::new(hedging())));
    let hedge = bench.beside(first);
    bench.send(hedge).expect("what was refused paid nothing");
    let hedge = bench.beside(first);
    assert_eq!(bench.send(hedge).map_err(|refusal| refusal.gate), Err(Gate::Hedge));
}

#[test]
fn hedge_is_refused_when_slots_are_scarce_or_the_retry_budget_is_empty() {
    let mut bench = earned(3);
    let first = bench.start();
    let others: Vec<_> = (0..4).map(|_| bench.start()).collect();
    let hedge = bench.beside(first);
    let gate = |answer: Result<bool, Refusal>| answer.map_err(|refusal| refusal.gate);
    assert_eq!(gate(bench.send(hedge)), Err(Gate::Hedge), "five of six slots are taken");
    bench.settle(others[0], status(200));
    let hedge = bench.beside(first);
    assert_eq!(gate(bench.send(hedge)), Ok(false));
    let mut bench = earned(3);
    let mut broke = hedging();
    broke.retry.budget = BudgetOptions { cap: 0.0, ..BudgetOptions::default() };
    bench.handle(Input::Reload(Box::new(broke)));
    let first = bench.start();
    let hedge = bench.beside(first);
    assert_eq!(gate(bench.send(hedge)), Err(Gate::Hedge));
    bench.now += DELAY;
    assert!(bench.handle(Input::Wake).is_empty(), "nor is it asked for");
}

#[test]
fn hedge_never_probes() {
    let mut bench = earned(3);
    bench.trip();
    bench.now += Duration::from_secs(60);
    let probe = bench.start();
    assert_eq!(bench.state(), BreakerState::HalfOpen);
    bench.now += DELAY;
    assert!(bench.handle(Input::Wake).iter().all(|action| !matches!(action, Action::Hedge(_))));
    let hedge = bench.beside(probe);
    assert_eq!(bench.send(hedge).map_err(|refusal| refusal.gate), Err(Gate::Hedge));
}

#[test]
fn hedge_of_what_has_ended_is_refused() {
    let mut bench = earned(2);
    let first = bench.start();
    let hedge = bench.beside(first);
    bench.settle(first, status(503));
    assert_eq!(bench.send(hedge).map_err(|refusal| refusal.gate), Err(Gate::Hedge));
    let first = bench.start();
    bench.handle(Input::Abort { attempt: first, cause: AbortCause::Cancelled });
    let hedge = bench.beside(first);
    assert_eq!(bench.send(hedge).map_err(|refusal| refusal.gate), Err(Gate::Hedge));
}

#[test]
fn loser_fails_nobody_holds_its_slot_and_teaches_its_time() {
    let live = HedgeOptions { delay: HedgeDelay::LiveP95, ..options() };
    let mut bench = Bench::new(HostPolicy { hedge: Some(live), ..policy() });
    for _ in 0..100 {
        bench.call(status(200).taking(MS));
    }
    let tokens = bench.host.tokens();
    for _ in 0..20 {
        let first = bench.start();
        bench.handle(Input::Abort { attempt: first, cause: AbortCause::Outrun });
        assert_eq!(bench.host.slots().taken(), 1, "until it settles");
        let cancelled = error(ErrorKind::Cancelled, Exposure::MaybeSent).taking(50 * MS);
        assert_eq!(cancelled.outcome, Outcome::Neutral(Neutral::Cancelled));
        assert_eq!(bench.settle(first, cancelled), Verdict::Done(Finality::Settled));
    }
    assert_eq!(bench.state(), BreakerState::Closed);
    assert!((bench.host.tokens() - tokens).abs() < 1e-9);
    let offer = bench.offer();
    bench.send(offer).expect("it passes");
    let due = bench.host.next_wake().expect("a hedge is due");
    assert!(due - bench.now >= 50 * MS, "losing is slow, not unseen: {:?}", due - bench.now);
}

impl Bench {
    /// The hedge of a running attempt, as the coordinator offers it.
    fn beside(&mut self, first: AttemptId) -> Offer {
        let offer = self.offer();
        let n = u32::try_from(self.serial).expect("a small number");
        Offer {
            attempt: AttemptId { flight: first.flight, n },
            cost: Cost::Token,
            resend: 1,
            beside: Some(Beside { n: first.n, taken: 1, slots_max: 6 }),
            ..offer
        }
    }
}

/// A bench whose calls have earned this many hedges.
fn earned(hedges: u32) -> Bench {
    let mut bench = Bench::new(hedging());
    for _ in 0..20 * hedges {
        bench.call(status(200));
    }
    bench
}

fn hedging() -> HostPolicy {
    HostPolicy { hedge: Some(options()), ..policy() }
}

fn options() -> HedgeOptions {
    HedgeOptions { delay: HedgeDelay::Fixed(DELAY), ..HedgeOptions::default() }
}

const MS: Duration = Duration::from_millis(1);
const DELAY: Duration = Duration::from_millis(50);
