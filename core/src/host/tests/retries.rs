//! When an attempt is repeated, and what pays for it.

use super::*;
use crate::outcome::BodyLeft;

/// dotnet/extensions#5248, axios-retry#17 (PITFALLS A13).
#[test]
fn what_must_not_be_repeated_is_repeated_only_if_never_sent() {
    let verdict = |repeat, evidence| {
        let mut bench = Bench::consecutive();
        let offer = Offer { repeat, ..bench.offer() };
        let attempt = offer.attempt;
        bench.send(offer).expect("it passes");
        match bench.settle(attempt, evidence) {
            Verdict::Done(finality) => Err(finality),
            Verdict::RetryAt(retry) => Ok(retry.cost),
            Verdict::Refused(refusal) => panic!("{refusal:?}"),
        }
    };
    let refused = error(ErrorKind::ConnectionRefused, Exposure::NeverSent);
    let timeout = error(ErrorKind::HttpResponseTimeout, Exposure::MaybeSent);
    let not_repeatable = Err(Finality::NotRepeatable);
    assert_eq!(verdict(Repeat::IfNeverSent, status(503)), not_repeatable);
    assert_eq!(verdict(Repeat::IfNeverSent, timeout), not_repeatable);
    assert_eq!(verdict(Repeat::IfNeverSent, refused), Ok(Cost::Free));
    assert_eq!(verdict(Repeat::Never, refused), not_repeatable);
    assert_eq!(verdict(Repeat::Always, status(503)), Ok(Cost::Token));
    assert_eq!(verdict(Repeat::Always, timeout), Ok(Cost::Token));
}

/// reqwest-middleware#44, dotnet/extensions#5105 (PITFALLS A17).
#[test]
fn request_whose_body_is_gone_is_not_repeated_whatever_its_caller_allows() {
    let mut bench = Bench::consecutive();
    let gone = Evidence { body: BodyLeft::Gone, ..status(503) };
    assert_eq!(bench.call(gone), Verdict::Done(Finality::BodyGone));
    let answered = Evidence { body: BodyLeft::Gone, ..status(200) };
    assert_eq!(bench.call(answered), Verdict::Done(Finality::Settled));
    assert!(matches!(bench.call(status(503)), Verdict::RetryAt(_)));
}

/// reqwest-middleware#146 (PITFALLS A14).
#[test]
fn server_that_asks_to_be_left_alone_is_left_alone() {
    let mut bench = Bench::consecutive();
    let hint = bench.now + Duration::from_secs(2);
    let verdict = bench.call(Evidence::of_status(429, Some(hint)));
    let Verdict::RetryAt(retry) = verdict else { panic!("{verdict:?}") };
    assert!(retry.at >= hint && retry.at <= hint + Duration::from_secs(1));
    assert_eq!(retry.hint, Some(hint));
    let refusal = bench.refused();
    assert_eq!(refusal.gate, Gate::Pace);
    assert!(refusal.until >= Some(hint) && refusal.until <= Some(hint + Duration::from_secs(1)));
    bench.advance(Duration::from_secs(2));
    bench.start();
}

/// reqwest-middleware#146 (PITFALLS A14).
#[test]
fn past_or_missing_hints_mean_normal_back_off_and_absurd_ones_are_clamped() {
    let mut bench = Bench::consecutive();
    let past = bench.now.checked_sub(Duration::from_secs(1));
    for hint in [past, Some(bench.now), None] {
        let verdict = bench.call(Evidence::of_status(503, hint));
        let Verdict::RetryAt(retry) = verdict else { panic!("{verdict:?}") };
        assert_eq!(retry.at, bench.now + Duration::from_millis(250));
    }
    let absurd = bench.now + Duration::from_secs(1_000_000_000);
    bench.call(Evidence::of_status(503, Some(absurd)));
    let hold_max = bench.now + crate::pace::HOLD_MAX;
    assert_eq!(bench.host.held_until(bench.now), Some(hold_max));
}

/// failsafe-go#141, smithy-rs#1197, aws-sdk-rust#1234 (PITFALLS A15).
#[test]
fn dead_upstream_sees_the_credit_and_no_more() {
    let mut bench = Bench::new(HostPolicy { breaker: BreakerOptions::off(), ..policy() });
    let (mut retries, mut refused) = (0, 0);
    for _ in 0..100 {
        match bench.call(status(503)) {
            Verdict::RetryAt(retry) => {
                let offer = Offer { cost: retry.cost, resend: 1, ..bench.offer() };
                let attempt = offer.attempt;
                bench.send(offer).expect("it was promised and nobody came between");
                bench.settle(attempt, status(404));
                retries += 1;
            }
            Verdict::Done(Finality::BudgetSpent) => refused += 1,
            other @ (Verdict::Done(_) | Verdict::Refused(_)) => panic!("{other:?}"),
        }
    }
    assert_eq!((retries, refused), (10, 90));
}

/// failsafe-go#141 (PITFALLS A15): a token is spent by what is sent, not by what is promised.
#[test]
fn retry_that_is_never_sent_costs_nothing() {
    let mut bench = Bench::new(HostPolicy { breaker: BreakerOptions::off(), ..policy() });
    for _ in 0..50 {
        assert!(matches!(bench.call(status(503)), Verdict::RetryAt(_)), "its caller leaves");
    }
    assert_eq!(bench.tokens(), 10);
    for (gate, late) in [(Gate::Deadline, true), (Gate::Pace, false)] {
        let mut offer = Offer { cost: Cost::Token, resend: 1, ..bench.offer() };
        if late {
            offer.deadline = bench.now;
        } else {
            bench.host.pace.hold(bench.now, bench.now + Duration::from_secs(9));
        }
        assert_eq!(bench.send(offer).map_err(|refusal| refusal.gate), Err(gate));
    }
    assert_eq!(bench.tokens(), 10);
}

#[test]
fn last_token_goes_to_the_first_of_two_promised_retries() {
    let budget = BudgetOptions { initial: 1.0, ..BudgetOptions::default() };
    let mut bench =
        Bench::new(HostPolicy { retry: RetryOptions { budget, ..policy().retry }, ..policy() });
    (0..2).for_each(|_| assert!(matches!(bench.call(status(503)), Verdict::RetryAt(_))));
    let retries: Vec<_> = (0..2)
        .map(|_| {
            let offer = Offer { cost: Cost::Token, resend: 1, ..bench.offer() };
            bench.send(offer).map_err(|refusal| refusal.gate)
        })
        .collect();
    assert_eq!(retries, [Ok(false), Err(Gate::Budget)]);
}

/// envoy-mobile#811 (PITFALLS A23): what was never sent is retried for nothing.
#[test]
fn offline_device_trips_nothing_and_spends_nothing() {
    let mut bench = Bench::consecutive();
    for _ in 0..100 {
        let verdict = bench.call(error(ErrorKind::DeviceOffline, Exposure::NeverSent));
        let Verdict::RetryAt(retry) = verdict else { panic!("{verdict:?}") };
        assert_eq!(retry.cost, Cost::Free);
    }
    assert_eq!((bench.state(), bench.tokens()), (BreakerState::Closed, 10));
}

#[test]
fn attempts_are_bounded_for_each_hop() {
    let mut bench = Bench::consecutive();
    for (resend, attempts_max, spent) in
        [(3, None, true), (2, None, false), (0, Some(1), true), (5, Some(7), false)]
    {
        let offer = Offer { resend, attempts_max, cost: Cost::Free, ..bench.offer() };
        let attempt = offer.attempt;
        bench.send(offer).expect("it passes");
        let verdict = bench.settle(attempt, error(ErrorKind::DeviceOffline, Exposure::NeverSent));
        assert_eq!(verdict == Verdict::Done(Finality::AttemptsSpent), spent, "{resend}");
    }
}

#[test]
fn failure_that_opens_the_breaker_is_not_retried() {
    let mut bench = Bench::consecutive();
    for _ in 0..4 {
        bench.call(status(503));
    }
    assert_eq!(bench.call(status(503)), Verdict::Done(Finality::CircuitOpen));
}

#[test]
fn what_was_called_back_is_not_repeated() {
    let mut bench = Bench::consecutive();
    let attempt = bench.start();
    bench.handle(Input::Abort { attempt, cause: AbortCause::Cancelled });
    assert_eq!(bench.settle(attempt, status(503)), Verdict::Done(Finality::Settled));
}
