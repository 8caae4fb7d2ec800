//! The breaker, call by call on a clock of its own.

mod modes;
mod slow;

use std::time::Duration;

use super::*;
use crate::advice::ErrorKind;
use crate::breaker::options::{Ignored, SlowCalls, SlowCount};
use crate::outcome::Exposure;

struct Bench {
    breaker: Breaker,
    rng: Rng,
    now: Instant,
}

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
    fn new(options: BreakerOptions) -> Self {
        let breaker = Breaker::new("scope".into(), options);
        Self { breaker, rng: Rng::new(1), now: Instant::now() }
    }

    fn pass(&mut self) -> Pass {
        match self.breaker.admit(self.now).0 {
            Admission::Admit(pass) => pass,
            other @ (Admission::Refuse { .. } | Admission::Await { .. }) => panic!("{other:?}"),
        }
    }

    fn is_refused(&mut self) -> bool {
        matches!(self.breaker.admit(self.now).0, Admission::Refuse { .. })
    }

    fn settle(&mut self, pass: Pass, evidence: Evidence) -> Option<BreakerEvent> {
        self.breaker.record(self.now, pass, &evidence, &mut self.rng)
    }

    fn call(&mut self, evidence: Evidence) -> Option<BreakerEvent> {
        let pass = self.pass();
        self.settle(pass, evidence)
    }

    fn advance(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn tripped() -> Self {
        let mut bench = Self::new(BreakerOptions::consecutive(5));
        (0..5).for_each(|_| drop(bench.call(failure())));
        assert_eq!(bench.breaker.state(), BreakerState::Open);
        bench
    }
}

#[test]
fn opens_after_five_failures_and_says_why_and_until_when() {
    let mut bench = Bench::new(BreakerOptions::default());
    for _ in 0..4 {
        assert_eq!(bench.call(failure()), None);
    }
    let event = bench.call(failure()).expect("the fifth failure opens");
    assert_eq!((event.from, event.to), (BreakerState::Closed, BreakerState::Open));
    assert_eq!(event.opened_at, Some(bench.now));
    assert_eq!(event.retry_at, Some(bench.now + Duration::from_secs(60)));
    let text = event.reason.map(|reason| reason.to_string());
    assert_eq!(text.as_deref(), Some("5 consecutive failures, the last status 503"));
    let refusal = bench.breaker.admit(bench.now).0;
    assert_eq!(refusal, Admission::Refuse { until: event.retry_at });
}

#[test]
fn success_resets_the_streak() {
    let mut bench = Bench::new(BreakerOptions::default());
    for _ in 0..10 {
        (0..4).for_each(|_| assert_eq!(bench.call(failure()), None));
        assert_eq!(bench.call(success()), None);
    }
}

#[test]
fn probe_closes_after_the_reset_time_and_no_sooner() {
    let mut bench = Bench::tripped();
    bench.advance(59);
    assert!(bench.is_refused());
    bench.advance(1);
    let probe = bench.pass();
    assert!(probe.probe.is_some());
    assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
    let event = bench.settle(probe, success()).expect("a good probe closes");
    assert_eq!((event.to, event.retry_at, event.opened_at), (BreakerState::Closed, None, None));
}

/// Polly#217, Polly#218 (PITFALLS A1): a call admitted before the trip ends during half-open.
#[test]
fn outcomes_from_before_the_trip_change_nothing() {
    for late in [success(), failure()] {
        let mut bench = Bench::new(BreakerOptions::consecutive(5));
        let early = bench.pass();
        (0..5).for_each(|_| drop(bench.call(failure())));
        let until = bench.breaker.stance();
        assert_eq!(bench.settle(early, late), None);
        assert_eq!(bench.breaker.stance(), until);
        bench.advance(60);
        let probe = bench.pass();
        assert_eq!(bench.settle(early, late), None);
        assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
        assert!(bench.is_refused(), "the probe still holds its lease");
        assert!(bench.settle(probe, success()).is_some());
    }
}

/// smallrye#319, smallrye#323 (PITFALLS A2): a stampede at the moment of the probe.
#[test]
fn exactly_the_allowed_probes_pass_however_many_ask() {
    let mut bench = Bench::new(BreakerOptions { probes_max: 3, ..BreakerOptions::consecutive(1) });
    bench.call(failure());
    bench.advance(60);
    let admitted = (0..1000).filter(|_| !bench.is_refused()).count();
    assert_eq!(admitted, 3);
}

/// R4J#544, R4J#935, R4J#1389 (PITFALLS A3): a lost probe must not wedge the breaker.
#[test]
fn cancelled_or_neutral_probe_gives_its_slot_back_and_records_nothing() {
    let ends: [fn(&mut Bench, Pass); 3] = [
        |bench, probe| bench.breaker.give_back(probe),
        |bench, probe| drop(bench.settle(probe, cancelled())),
        |bench, probe| drop(bench.settle(probe, Evidence::of_status(404, None))),
    ];
    for end in ends {
        let mut bench = Bench::tripped();
        bench.advance(60);
        for _ in 0..10 {
            let probe = bench.pass();
            assert!(bench.is_refused());
            end(&mut bench, probe);
            assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
        }
    }
}

/// R4J#1389 (PITFALLS A4).
#[test]
fn silent_probe_fails_when_its_lease_ends_and_the_next_wait_is_longer() {
    let mut bench = Bench::new(BreakerOptions { reset_jitter: 0.0, ..BreakerOptions::rate(0.5) });
    (0..20).for_each(|_| drop(bench.call(failure())));
    bench.advance(5);
    let probe = bench.pass();
    let expiry = bench.breaker.next_wake().expect("a lease ends");
    bench.now = expiry;
    let event = bench.breaker.wake(bench.now, &mut bench.rng.clone()).expect("it reopens");
    assert_eq!(event.reason, Some(OpenReason::ProbeExpired));
    assert_eq!(event.retry_at, Some(expiry + Duration::from_millis(7_500)));
    assert_eq!(bench.settle(probe, success()), None, "the late answer is of an old generation");
    assert_eq!(bench.breaker.state(), BreakerState::Open);
}

/// sglang#25811, smg#2565 (PITFALLS A7): business errors are no health signal.
#[test]
fn declined_neither_counts_nor_resets_nor_closes() {
    let mut bench = Bench::new(BreakerOptions::default());
    for _ in 0..4 {
        bench.call(failure());
        assert_eq!(bench.call(Evidence::of_status(404, None)), None);
    }
    assert!(bench.call(failure()).is_some(), "the 404s between did not reset the streak");
    bench.advance(60);
    assert_eq!(bench.call(Evidence::of_status(400, None)), None);
    assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
}

#[test]
fn throttling_feeds_the_rate_but_no_streak_and_fails_a_probe() {
    let throttled = Evidence::of_status(429, None);
    let mut streak = Bench::new(BreakerOptions::default());
    (0..100).for_each(|_| assert_eq!(streak.call(throttled), None));
    let mut rate = Bench::new(BreakerOptions::rate(0.5));
    let opened = (0..20).filter_map(|_| rate.call(throttled)).count();
    assert_eq!(opened, 1);
    rate.advance(10);
    assert_eq!(rate.call(throttled).map(|event| event.to), Some(BreakerState::Open));
}

#[test]
fn rate_needs_enough_calls_and_half_of_them_failed() {
    let mut few = Bench::new(BreakerOptions::standard());
    (0..19).for_each(|_| assert_eq!(few.call(failure()), None));
    assert!(few.call(failure()).is_some());
    let mut healthy = Bench::new(BreakerOptions::standard());
    for _ in 0..1000 {
        (0..6).for_each(|_| assert_eq!(healthy.call(success()), None));
        (0..4).for_each(|_| assert_eq!(healthy.call(failure()), None));
    }
}

/// tower-resilience 0.13 (PITFALLS A6): its count window never slides.
#[test]
fn million_successes_do_not_delay_the_opening() {
    let mut bench = Bench::new(BreakerOptions::standard());
    (0..1_000_000).for_each(|_| drop(bench.call(success())));
    bench.advance(11);
    let opened_after = (1..=20).find(|_| bench.call(failure()).is_some());
    assert_eq!(opened_after, Some(20));
}

#[test]
fn ignored_kinds_and_statuses_are_neutral() {
    let kind = ErrorKind::HttpResponseTimeout;
    let ignore = vec![Ignored::Kind(kind), Ignored::Status(503)];
    let mut bench = Bench::new(BreakerOptions { ignore, ..BreakerOptions::default() });
    for _ in 0..100 {
        assert_eq!(bench.call(failure()), None);
        assert_eq!(bench.call(Evidence::of_error(kind, Exposure::MaybeSent)), None);
    }
    (0..4).for_each(|_| assert_eq!(bench.call(Evidence::of_status(500, None)), None));
    assert!(bench.call(Evidence::of_status(500, None)).is_some());
}

#[test]
fn operators_force_it_open_and_closed_and_reset_it() {
    let mut bench = Bench::new(BreakerOptions::default());
    let until = bench.now + Duration::from_secs(5);
    let event = bench.breaker.force_open(bench.now, Some(until)).expect("it opens");
    assert_eq!((event.to, event.reason), (BreakerState::Open, Some(OpenReason::Forced)));
    assert!(bench.is_refused());
    assert_eq!(bench.breaker.next_wake(), Some(until));
    bench.now = until;
    let event = bench.breaker.wake(bench.now, &mut Rng::new(0)).expect("it ends");
    assert_eq!(event.to, BreakerState::Closed);
    bench.breaker.force_closed(bench.now);
    (0..100).for_each(|_| assert_eq!(bench.call(failure()), None));
    bench.breaker.reset(bench.now);
    (0..4).for_each(|_| assert_eq!(bench.call(failure()), None));
    assert!(bench.call(failure()).is_some());
}

#[test]
fn forced_opening_ends_on_time_even_if_nobody_wakes_it() {
    let mut bench = Bench::tripped();
    bench.breaker.force_open(bench.now, Some(bench.now + Duration::from_secs(90)));
    bench.advance(90);
    let (admission, event) = bench.breaker.admit(bench.now);
    let Admission::Admit(pass) = admission else { panic!("{admission:?}") };
    assert_eq!(
        event.map(|event| (event.from, event.to)),
        Some((BreakerState::Open, BreakerState::Closed))
    );
    assert_eq!(bench.breaker.wake(bench.now, &mut Rng::new(0)), None);
    assert_eq!(pass.generation, bench.breaker.generation(), "its outcome counts");
}

/// Seed 966 of the simulator.
#[test]
fn lease_that_ends_below_a_forced_opening_changes_nothing() {
    let mut bench = Bench::tripped();
    bench.advance(60);
    bench.pass();
    bench.breaker.force_open(bench.now, None);
    bench.advance(60);
    assert_eq!(bench.breaker.wake(bench.now, &mut Rng::new(0)), None);
    assert_eq!(bench.breaker.stance(), Stance::Refusing { until: None });
}

#[test]
fn new_options_keep_it_open_with_the_time_left() {
    let mut bench = Bench::tripped();
    let until = bench.breaker.stance();
    bench.advance(10);
    assert_eq!(bench.breaker.configure(bench.now, BreakerOptions::standard()), None);
    assert_eq!(bench.breaker.stance(), until);
}

#[test]
fn switching_it_off_closes_it_for_good() {
    for seconds in [10, 60] {
        let mut bench = Bench::tripped();
        bench.advance(seconds);
        let probing = !bench.is_refused();
        let event = bench.breaker.configure(bench.now, BreakerOptions::off()).expect("it closes");
        assert_eq!((event.to, probing), (BreakerState::Closed, seconds == 60));
        for _ in 0..100 {
            assert_eq!(bench.call(failure()), None);
            bench.advance(10);
            assert_eq!(bench.breaker.wake(bench.now, &mut Rng::new(0)), None);
        }
    }
}

#[test]
fn switching_it_off_leaves_what_an_operator_holds() {
    let mut bench = Bench::new(BreakerOptions::default());
    bench.breaker.force_open(bench.now, None);
    assert_eq!(bench.breaker.configure(bench.now, BreakerOptions::off()), None);
    assert!(bench.is_refused());
}

#[test]
fn standard_breaker_is_the_one_that_is_documented() {
    let seconds = Duration::from_secs;
    let standard = BreakerOptions {
        kind: BreakerKind::Rate,
        failure_rate: 0.5,
        reset_timeout: seconds(5),
        reset_growth: 1.5,
        reset_jitter: 0.2,
        ramp: seconds(30),
        learn: true,
        ..BreakerOptions::consecutive(5)
    };
    assert_eq!(BreakerOptions::standard(), standard);
    let BreakerOptions { min_calls, window, probe_lease, reset_timeout_max, .. } = standard;
    assert_eq!((min_calls, window), (20, seconds(10)));
    assert_eq!((probe_lease, reset_timeout_max), (seconds(30), seconds(60)));
    let kind = BreakerKind::Hybrid;
    let hybrid = BreakerOptions { kind, failure_threshold: 7, failure_rate: 0.3, ..standard };
    assert_eq!(BreakerOptions::hybrid(7, 0.3), hybrid);
}

#[test]
fn no_failure_at_all_is_no_share() {
    let mut bench = Bench::new(BreakerOptions::rate(0.0));
    (0..100).for_each(|_| assert_eq!(bench.call(success()), None));
    assert!(bench.call(failure()).is_some());
}

fn success() -> Evidence {
    Evidence::of_status(200, None)
}

fn failure() -> Evidence {
    Evidence::of_status(503, None)
}

fn cancelled() -> Evidence {
    Evidence::of_error(ErrorKind::Cancelled, Exposure::MaybeSent)
}
