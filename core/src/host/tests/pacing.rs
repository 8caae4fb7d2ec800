//! Quotas that the server tells of, and the rate that the user sets.

use super::*;
use crate::allowance::QuotaUse;
use crate::quota::Quota;
use crate::rate::RateOptions;

#[test]
fn used_up_quota_is_waited_for_before_the_429() {
    let mut bench = Bench::consecutive();
    let on_its_way = bench.start();
    bench.call(quota(3, 10));
    for _ in 0..2 {
        bench.call(status(200));
    }
    let refusal = bench.refused();
    assert_eq!(refusal.gate, Gate::Pace, "two were sent since and one is on its way");
    let renewal = bench.now + Duration::from_secs(10);
    assert!(refusal.until >= Some(renewal));
    assert_eq!(bench.host.held_until(bench.now), Some(renewal));
    assert!(!bench.host.is_idle(bench.now), "it would be forgotten with the host");
    bench.settle(on_its_way, quota(5, 10));
    bench.start();
}

#[test]
fn quota_is_the_scopes_own_and_can_be_ignored() {
    let mut bench = Bench::consecutive();
    bench.call(quota(0, 10));
    assert_eq!(bench.refused().gate, Gate::Pace);
    let route = Offer { scope: "a /search".into(), ..bench.offer() };
    assert_eq!(bench.send(route), Ok(false));
    let ignoring = HostPolicy { quota: QuotaUse::Ignore, ..policy() };
    bench.handle(Input::Reload(Box::new(ignoring)));
    bench.call(quota(0, 10));
    bench.start();
}

#[test]
fn rate_of_the_user_lets_a_burst_pass_and_says_when_the_next_token_is_there() {
    let rate = Some(RateOptions { per_second: 2.0, burst: 2 });
    let mut bench = Bench::new(HostPolicy { rate, ..policy() });
    for _ in 0..2 {
        bench.call(status(200));
    }
    let until = Some(bench.now + Duration::from_millis(500));
    assert_eq!(bench.refused(), Refusal::by(Gate::Rate, until));
    bench.advance(Duration::from_millis(500));
    bench.start();
    assert_eq!(bench.refused().gate, Gate::Rate);
    bench.handle(Input::Reload(Box::new(policy())));
    bench.start();
}

#[test]
fn attempt_that_another_gate_refuses_takes_no_token() {
    let rate = Some(RateOptions { per_second: 0.1, burst: 1 });
    let mut bench = Bench::new(HostPolicy { rate, ..policy() });
    let late = Offer { deadline: bench.now, ..bench.offer() };
    assert_eq!(bench.send(late).map_err(|refusal| refusal.gate), Err(Gate::Deadline));
    bench.order(Order::ForceOpen(None));
    assert_eq!(bench.refused().gate, Gate::Breaker);
    bench.order(Order::Reset);
    bench.start();
}

fn quota(remaining: u64, seconds: u64) -> Evidence {
    let reset = Duration::from_secs(seconds);
    Evidence { quota: Some(Quota { remaining, reset }), ..status(200) }
}
