//! Breakers that mind slow calls, ended or still in flight.

use super::*;

const LIMIT: Duration = Duration::from_secs(2);

#[test]
fn opens_when_too_many_calls_are_slow_and_says_so() {
    let mut bench = Bench::new(slow(SlowCount::AtItsEnd));
    for _ in 0..10 {
        assert_eq!(bench.call(success().taking(LIMIT / 2)), None);
    }
    for _ in 0..9 {
        assert_eq!(bench.call(success().taking(LIMIT)), None);
    }
    let event = bench.call(success().taking(LIMIT)).expect("half of twenty were slow");
    let text = event.reason.map(|reason| reason.to_string());
    assert_eq!(text.as_deref(), Some("10 of 20 calls took 2s or more"));
}

#[test]
fn slow_calls_join_any_other_condition() {
    let options = BreakerOptions { slow: slow(SlowCount::AtItsEnd).slow, ..Default::default() };
    let mut streak = Bench::new(options.clone());
    (0..4).for_each(|_| assert_eq!(streak.call(failure()), None));
    assert!(streak.call(failure()).is_some());
    let mut slow = Bench::new(options);
    let opened = (1..=20).find(|_| slow.call(success().taking(LIMIT)).is_some());
    assert_eq!(opened, Some(20));
}

/// R4J#1597 (PITFALLS A26).
#[test]
fn calls_that_hang_open_it_before_any_of_them_ends() {
    let mut bench = Bench::new(slow(SlowCount::InFlight));
    let passes: Vec<Pass> = (0..15).map(|_| bench.pass()).collect();
    bench.now += LIMIT / 2;
    let _young: Vec<Pass> = (0..5).map(|_| bench.pass()).collect();
    let due = bench.breaker.next_wake().expect("the first grows too old");
    assert_eq!(due, bench.now + LIMIT / 2);
    bench.now = due;
    let event = bench.breaker.wake(bench.now, &mut bench.rng).expect("15 of 20 are too old");
    let reason = OpenReason::SlowCalls { slow: 15, calls: 20, limit: LIMIT };
    assert_eq!(event.reason, Some(reason));
    assert_eq!(bench.settle(passes[0], success()), None, "it is of an old generation");
}

#[test]
fn call_that_was_counted_in_flight_is_not_counted_again_at_its_end() {
    let options = BreakerOptions { min_calls: 4, ..slow(SlowCount::InFlight) };
    let mut bench = Bench::new(options);
    let slow = bench.pass();
    bench.now += LIMIT;
    assert_eq!(bench.breaker.wake(bench.now, &mut bench.rng), None);
    assert_eq!(bench.settle(slow, success().taking(LIMIT)), None);
    (0..2).for_each(|_| assert_eq!(bench.call(success()), None));
    assert_eq!(bench.call(success().taking(LIMIT)).map(|event| event.to), Some(BreakerState::Open));
}

#[test]
fn attempts_in_flight_are_forgotten_when_they_end() {
    let mut bench = Bench::new(slow(SlowCount::InFlight));
    for end in [success(), failure(), cancelled()] {
        bench.call(end);
        assert_eq!(bench.breaker.next_wake(), None);
    }
    let pass = bench.pass();
    bench.breaker.give_back(pass);
    assert_eq!(bench.breaker.next_wake(), None);
    bench.pass();
    bench.breaker.configure(bench.now, BreakerOptions::standard());
    assert_eq!(bench.breaker.next_wake(), None);
}

#[test]
fn slow_probe_reopens_where_slow_calls_count() {
    let mut bench = Bench::new(slow(SlowCount::AtItsEnd));
    (0..20).for_each(|_| drop(bench.call(failure())));
    bench.advance(10);
    let event = bench.call(success().taking(LIMIT)).expect("it reopens");
    assert_eq!(event.reason, Some(OpenReason::ProbeFailed));
}

fn slow(counted: SlowCount) -> BreakerOptions {
    let slow = SlowCalls { limit: LIMIT, rate: 0.5, counted };
    BreakerOptions { slow: Some(slow), ramp: Duration::ZERO, ..BreakerOptions::standard() }
}
