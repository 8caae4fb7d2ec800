//! What moves the limit of a host, and what it tells the coordinator.

use super::*;
use crate::limit::LimitOptions;

#[test]
fn timeouts_lower_the_slots_and_tell_the_coordinator() {
    let mut bench = Bench::new(policy());
    assert_eq!(round(&mut bench, 6), [], "one bad moment is none");
    assert_eq!(round(&mut bench, 6), [3]);
    (0..3).for_each(|_| assert!(bench.start().n > 0));
    assert_eq!(bench.refused().gate, Gate::Slot);
}

#[test]
fn further_timeouts_lower_them_to_one() {
    let mut bench = Bench::new(policy());
    let told: Vec<Vec<u32>> = [6, 6, 3, 1].map(|slots| round(&mut bench, slots)).into();
    assert_eq!(told, [vec![], vec![3], vec![1], vec![]]);
    assert_eq!(bench.host.slots().slots_max(), 1);
}

#[test]
fn host_at_rest_has_its_ceiling_again_and_may_be_forgotten() {
    let mut bench = Bench::new(policy());
    (0..2).for_each(|_| drop(round(&mut bench, 6)));
    assert!(!bench.host.is_idle(bench.now));
    bench.now = bench.host.next_wake().expect("it rests some time");
    assert_eq!(bench.handle(Input::Wake), [Action::Limit(6)]);
    assert!(bench.host.is_idle(bench.now));
}

#[test]
fn what_fails_fast_or_is_cancelled_says_nothing_of_the_load() {
    let mut bench = Bench::new(policy());
    for _ in 0..200 {
        bench.call(status(500).taking(Duration::from_millis(1)));
        let attempt = bench.start();
        bench.handle(Input::Abort { attempt, cause: AbortCause::Cancelled });
        bench.settle(attempt, error(ErrorKind::Cancelled, Exposure::MaybeSent));
        bench.call(status(200).taking(Duration::from_secs(2)));
        bench.now += Duration::from_secs(1);
    }
    assert_eq!(bench.host.slots().slots_max(), 6);
}

#[test]
fn new_ceiling_is_told_as_far_as_the_limit_allows() {
    let mut bench = Bench::new(policy());
    (0..2).for_each(|_| drop(round(&mut bench, 6)));
    let reload = |concurrency| Input::Reload(Box::new(HostPolicy { concurrency, ..policy() }));
    assert_eq!(bench.handle(reload(9)), [Action::Limit(3)]);
    assert_eq!(bench.handle(reload(2)), [Action::Limit(2)]);
    let limit = LimitOptions::fixed();
    let reload = Input::Reload(Box::new(HostPolicy { limit, ..policy() }));
    assert_eq!(bench.handle(reload), [Action::Limit(6)]);
}

/// So many attempts that are all too slow; what the coordinator is told.
fn round(bench: &mut Bench, slots: usize) -> Vec<u32> {
    let attempts: Vec<AttemptId> = (0..slots).map(|_| bench.start()).collect();
    bench.now += Duration::from_secs(10);
    attempts.into_iter().flat_map(|attempt| late(bench, attempt)).collect()
}

/// Being too slow for every deadline is a timeout like any other.
fn late(bench: &mut Bench, attempt: AttemptId) -> Vec<u32> {
    bench.handle(Input::Abort { attempt, cause: AbortCause::Deadline });
    let evidence = error(ErrorKind::Cancelled, Exposure::MaybeSent).taking(Duration::from_secs(1));
    let actions = bench.handle(Input::Settled { attempt, evidence });
    let limits = actions.into_iter().filter_map(|action| match action {
        Action::Limit(limit) => Some(limit),
        Action::Start { .. }
        | Action::Cancel(_)
        | Action::Hedge(_)
        | Action::Report(..)
        | Action::Event(_)
        | Action::Split(_)
        | Action::Merged(_) => None,
    });
    limits.collect()
}

fn policy() -> HostPolicy {
    HostPolicy { breaker: BreakerOptions::off(), ..super::policy() }
}
