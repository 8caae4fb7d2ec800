use super::*;
use crate::limit::LimitOptions;

#[test]
fn timeouts_lower_the_slots_and_tell_the_coordinator() {
    let mut bench = Bench::new(policy());
    let attempts: Vec<AttemptId> = (0..6).map(|_| bench.start()).collect();
    bench.now += Duration::from_secs(10);
    let told: Vec<u32> =
        attempts.into_iter().flat_map(|attempt| late(&mut bench, attempt)).collect();
    assert_eq!((told, bench.host.slots().slots_max()), (vec![3], 3));
    let attempts: Vec<AttemptId> = (0..3).map(|_| bench.start()).collect();
    assert_eq!(bench.refused().gate, Gate::Slot);
    bench.now += Duration::from_secs(10);
    let told: Vec<u32> =
        attempts.into_iter().flat_map(|attempt| late(&mut bench, attempt)).collect();
    assert_eq!((told, bench.host.slots().slots_max()), (vec![1], 1));
}

#[test]
fn host_at_rest_has_its_ceiling_again_and_may_be_forgotten() {
    let mut bench = Bench::new(policy());
    let attempts: Vec<AttemptId> = (0..6).map(|_| bench.start()).collect();
    for attempt in attempts {
        late(&mut bench, attempt);
    }
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
    let attempts: Vec<AttemptId> = (0..6).map(|_| bench.start()).collect();
    for attempt in attempts {
        late(&mut bench, attempt);
    }
    let reload = |concurrency| Input::Reload(Box::new(HostPolicy { concurrency, ..policy() }));
    assert_eq!(bench.handle(reload(9)), [Action::Limit(3)]);
    assert_eq!(bench.handle(reload(2)), [Action::Limit(2)]);
    let limit = LimitOptions::fixed();
    let reload = Input::Reload(Box::new(HostPolicy { limit, ..policy() }));
    assert_eq!(bench.handle(reload), [Action::Limit(6)]);
}

/// Being too slow for every deadline is a timeout like any other.
fn late(bench: &mut Bench, attempt: AttemptId) -> Vec<u32> {
    bench.handle(Input::Abort { attempt, cause: AbortCause::Deadline });
    let evidence = error(ErrorKind::Cancelled, Exposure::MaybeSent).taking(Duration::from_secs(1));
    let actions = bench.handle(Input::Settled { attempt, evidence });
    let limits = actions.into_iter().filter_map(|action| match action {
        Action::Limit(limit) => Some(limit),
        Action::Start { .. } | Action::Cancel(_) | Action::Report(..) | Action::Event(_) => None,
    });
    limits.collect()
}

fn policy() -> HostPolicy {
    HostPolicy { breaker: BreakerOptions::off(), ..super::policy() }
}
