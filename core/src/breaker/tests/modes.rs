//! The kinds of breakers, the ramp after closing, waiting for a verdict, and shadow.

use super::*;

/// tower-resilience 0.13: its count window never slides (PITFALLS A6).
#[test]
fn count_window_opens_within_its_size_whatever_went_before() {
    let options = BreakerOptions { window_calls: Some(10), ..BreakerOptions::rate(1.0) };
    let mut bench = Bench::new(options);
    (0..1_000_000).for_each(|_| drop(bench.call(success())));
    let opened_after = (1..=10).find(|_| bench.call(failure()).is_some());
    assert_eq!(opened_after, Some(10), "a share of 10 calls is trusted although 20 are asked for");
}

#[test]
fn count_window_needs_its_minimum_and_forgets_by_calls_not_by_time() {
    let options =
        BreakerOptions { window_calls: Some(100), min_calls: 10, ..BreakerOptions::standard() };
    let mut bench = Bench::new(options);
    for _ in 0..9 {
        assert_eq!(bench.call(failure()), None);
        bench.advance(3_600);
    }
    let event = bench.call(failure()).expect("the tenth opens");
    assert_eq!(event.reason, Some(OpenReason::FailureRate { failures: 10, calls: 10 }));
}

#[test]
fn hybrid_opens_by_whichever_comes_first() {
    let options = BreakerOptions { kind: BreakerKind::Hybrid, ..BreakerOptions::standard() };
    let mut streak = Bench::new(options.clone());
    (0..100).for_each(|_| drop(streak.call(success())));
    let opened_after = (1..=20).find(|_| streak.call(failure()).is_some());
    assert_eq!(opened_after, Some(5));
    let mut share = Bench::new(options);
    let calls = (0..20).map(|n| if n % 2 == 0 { success() } else { failure() });
    let opened: Vec<bool> = calls.map(|evidence| share.call(evidence).is_some()).collect();
    assert_eq!(opened.iter().position(|opened| *opened), Some(19));
}

#[test]
fn closing_ramps_up_and_a_refusal_says_until_when() {
    let mut bench = Bench::new(BreakerOptions { reset_jitter: 0.0, ..BreakerOptions::standard() });
    (0..20).for_each(|_| drop(bench.call(failure())));
    bench.advance(5);
    assert_eq!(bench.call(success()).map(|event| event.to), Some(BreakerState::Closed));
    assert!(!bench.breaker.is_plain(), "it must not be forgotten while it ramps");
    let end = bench.now + Duration::from_secs(30);
    assert_eq!(bench.breaker.next_wake(), Some(end));
    let admitted = (0..100).filter(|_| !bench.is_refused()).count();
    assert!((9..=11).contains(&admitted), "{admitted}");
    let refusal = bench.breaker.admit(bench.now).0;
    assert_eq!(refusal, Admission::Refuse { until: Some(bench.now + Duration::from_secs(1)) });
    assert_eq!(bench.breaker.stance(), Stance::Admitting, "somebody passes");
    bench.now = end;
    assert_eq!(bench.breaker.wake(bench.now, &mut bench.rng), None);
    assert!((0..100).all(|_| !bench.is_refused()) && bench.breaker.is_plain());
}

#[test]
fn preset_of_consecutive_failures_has_no_ramp_and_neither_has_a_reset() {
    let mut preset = Bench::tripped();
    preset.advance(60);
    preset.call(success());
    assert!((0..100).all(|_| !preset.is_refused()));
    let mut standard = Bench::new(BreakerOptions::standard());
    (0..20).for_each(|_| drop(standard.call(failure())));
    standard.breaker.reset(standard.now);
    assert!((0..100).all(|_| !standard.is_refused()));
}

#[test]
fn callers_may_wait_for_the_verdict_instead_of_being_refused() {
    let options = BreakerOptions { half_open: HalfOpen::Queue, ..BreakerOptions::consecutive(1) };
    let mut bench = Bench::new(options);
    bench.call(failure());
    assert!(bench.is_refused(), "nobody waits for the reset time");
    bench.advance(60);
    let probe = bench.pass();
    let until = bench.now + Duration::from_secs(30);
    assert_eq!(bench.breaker.admit(bench.now).0, Admission::Await { until });
    bench.settle(probe, success());
    bench.pass();
}

#[test]
fn shadow_tells_what_it_would_do_and_refuses_nothing() {
    let mode = BreakerMode::Shadow;
    let mut bench = Bench::new(BreakerOptions { mode, ..BreakerOptions::standard() });
    let mut events: Vec<BreakerEvent> = Vec::new();
    for evidence in [failure(), success(), success()] {
        for _ in 0..100 {
            let (admission, event) = bench.breaker.admit(bench.now);
            let Admission::Admit(pass) = admission else { panic!("{admission:?}") };
            events.extend(event.into_iter().chain(bench.settle(pass, evidence)));
            assert_eq!(bench.breaker.state(), BreakerState::Closed);
            assert_eq!(bench.breaker.stance(), Stance::Admitting);
        }
        bench.advance(10);
    }
    let told: Vec<_> = events.iter().map(|event| (event.mode, event.to)).collect();
    let would = |to| (BreakerMode::Shadow, to);
    let states = [BreakerState::Open, BreakerState::HalfOpen, BreakerState::Closed];
    assert_eq!(told, states.map(would));
}

#[test]
fn operators_are_obeyed_in_shadow() {
    let mode = BreakerMode::Shadow;
    let mut bench = Bench::new(BreakerOptions { mode, ..BreakerOptions::default() });
    let event = bench.breaker.force_open(bench.now, None).expect("it opens");
    assert_eq!((event.mode, event.to), (BreakerMode::Enforcing, BreakerState::Open));
    assert!(bench.is_refused());
    assert_eq!(bench.breaker.state(), BreakerState::Open);
    let event = bench.breaker.reset(bench.now).expect("it closes");
    assert_eq!((event.mode, event.to), (BreakerMode::Enforcing, BreakerState::Closed));
    assert!(!bench.is_refused());
}

#[test]
fn turning_to_shadow_and_back_closes_it() {
    let mut bench = Bench::tripped();
    let shadow = BreakerOptions { mode: BreakerMode::Shadow, ..BreakerOptions::default() };
    let event = bench.breaker.configure(bench.now, shadow).expect("it closes");
    assert_eq!((event.mode, event.to), (BreakerMode::Enforcing, BreakerState::Closed));
    (0..5).for_each(|_| drop(bench.call(failure())));
    assert!(!bench.is_refused());
    let event = bench.breaker.configure(bench.now, BreakerOptions::default());
    let told = event.map(|event| (event.mode, event.to));
    assert_eq!(told, Some((BreakerMode::Shadow, BreakerState::Closed)));
    assert!(!bench.is_refused());
}
