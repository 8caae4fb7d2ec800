//! What an operator orders, and what a reload changes.

use super::*;

#[test]
fn operators_hold_it_open_and_let_it_go() {
    let mut bench = Bench::consecutive();
    let until = bench.now + Duration::from_secs(5);
    bench.order(Order::ForceOpen(Some(until)));
    assert_eq!(bench.refused(), Refusal::by(Gate::Breaker, Some(until)));
    assert_eq!(bench.host.next_wake(), Some(until));
    bench.advance(Duration::from_secs(5));
    assert_eq!(bench.state(), BreakerState::Closed);
    bench.order(Order::ForceOpen(None));
    bench.advance(Duration::from_secs(5_000));
    assert_eq!(bench.refused().until, None);
    bench.order(Order::Reset);
    bench.start();
}

#[test]
fn host_that_is_opened_by_order_refuses_its_routes_too_until_it_is_let_go() {
    let mut bench = Bench::consecutive();
    let named = |bench: &mut Bench| Offer { scope: "a /named".into(), ..bench.offer() };
    let split = |bench: &mut Bench| Offer { class: Some("a /split".into()), ..bench.offer() };
    for scope in ["a /named", "a /split"] {
        let order = Order::Record(status(200));
        bench.handle(Input::Command(Command { scope: scope.into(), order }));
    }
    let under_way = named(&mut bench);
    let attempt = under_way.attempt;
    bench.send(under_way).expect("it passes");
    let until = Some(bench.now + Duration::from_secs(5));
    bench.order(Order::ForceOpen(until));
    for offer in [named, split] {
        let offer = offer(&mut bench);
        assert_eq!(bench.send(offer), Err(Refusal::by(Gate::Breaker, until)));
    }
    let verdict = bench.settle(attempt, status(503));
    assert_eq!(verdict, Verdict::Done(Finality::CircuitOpen), "no retry is promised");
    bench.advance(Duration::from_secs(5));
    for offer in [named, split] {
        let offer = offer(&mut bench);
        assert_eq!(bench.send(offer), Ok(false));
    }
}

#[test]
fn evidence_from_elsewhere_counts_and_probes() {
    let mut bench = Bench::consecutive();
    (0..5).for_each(|_| bench.order(Order::Record(status(503))));
    assert_eq!(bench.state(), BreakerState::Open);
    bench.order(Order::Record(status(200)));
    assert_eq!(bench.state(), BreakerState::Open, "it was not due");
    bench.advance(Duration::from_secs(60));
    bench.order(Order::Record(status(200)));
    assert_eq!(bench.state(), BreakerState::Closed);
    let states: Vec<BreakerState> = bench.events.iter().map(|event| event.to).collect();
    assert_eq!(states, [BreakerState::Open, BreakerState::HalfOpen, BreakerState::Closed]);
}

/// R4J#2325 (PITFALLS A20).
#[test]
fn reload_while_open_keeps_the_time_left_and_moves_the_slots() {
    let mut bench = Bench::consecutive();
    bench.trip();
    let until = bench.refused().until;
    bench.advance(Duration::from_secs(10));
    let policy = HostPolicy { concurrency: 2, ..HostPolicy::default() };
    bench.handle(Input::Reload(Box::new(policy)));
    assert_eq!(bench.refused().until, until);
    assert_eq!(bench.host.slots().slots_max(), 2);
}

#[test]
fn idle_hosts_may_be_forgotten_and_others_not() {
    let mut bench = Bench::consecutive();
    assert!(bench.host.is_idle(bench.now));
    let attempt = bench.start();
    assert!(!bench.host.is_idle(bench.now), "an attempt runs");
    bench.settle(attempt, Evidence::of_status(429, Some(bench.now + Duration::from_secs(9))));
    assert!(!bench.host.is_idle(bench.now), "the server asked to be left alone");
    bench.advance(Duration::from_secs(9));
    assert!(bench.host.is_idle(bench.now));
    bench.trip();
    assert!(!bench.host.is_idle(bench.now), "its breaker is open");
}

#[test]
fn reload_that_switches_breakers_off_is_told_to_the_world() {
    let mut bench = Bench::consecutive();
    bench.trip();
    let policy = HostPolicy { breaker: BreakerOptions::off(), ..policy() };
    bench.handle(Input::Reload(Box::new(policy)));
    assert_eq!(bench.events.last().map(|event| event.to), Some(BreakerState::Closed));
    bench.start();
}

#[test]
fn host_whose_breaker_is_forced_closed_is_not_forgotten() {
    let mut bench = Bench::consecutive();
    bench.order(Order::ForceClosed);
    assert!(!bench.host.is_idle(bench.now));
    bench.order(Order::Reset);
    assert!(bench.host.is_idle(bench.now));
}
