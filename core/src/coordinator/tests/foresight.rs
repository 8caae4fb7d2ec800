//! Calls that cannot be served in time are told so when they come.

use super::*;

const TURN: Duration = Duration::from_secs(1);

#[test]
fn call_that_cannot_be_served_in_time_is_told_so_at_once() {
    let mut bench = busy();
    for n in 0..=3 {
        let spec = CallSpec { deadline: bench.now + 4 * TURN, ..bench.spec() };
        let ticket = spec.ticket.0;
        bench.submit(spec);
        assert_eq!(bench.kind(ticket), None, "{n} turns at least");
    }
    let spec = CallSpec { deadline: bench.now + 4 * TURN, ..bench.spec() };
    let ticket = spec.ticket.0;
    bench.submit(spec);
    let [Answer::Refused { kind, until, .. }] = bench.answers(ticket)[..] else {
        panic!("{:?}", bench.answers(ticket))
    };
    assert_eq!(kind, ErrorKind::QueueFull);
    assert!(until > Some(bench.now) && until <= Some(bench.now + TURN), "it says until when");
    let patient = bench.spec();
    let ticket = patient.ticket.0;
    bench.submit(patient);
    assert_eq!(bench.kind(ticket), None);
}

#[test]
fn less_urgent_calls_do_not_count_and_neither_does_another_lane() {
    let mut bench = busy();
    for _ in 0..20 {
        let lazy = CallSpec { priority: Priority::Background, ..bench.spec() };
        bench.submit(lazy);
    }
    for target in [target("a"), target("b")] {
        let deadline = bench.now + 2 * TURN;
        let spec = CallSpec { target, deadline, ..bench.spec() };
        let ticket = spec.ticket.0;
        bench.submit(spec);
        assert_eq!(bench.kind(ticket), None);
    }
}

#[test]
fn free_slot_or_an_unknown_host_refuses_nobody() {
    let mut bench = Bench::new(24, 1000, &[("a", 1)]);
    for _ in 0..30 {
        let spec = CallSpec { deadline: bench.now + Duration::from_millis(100), ..bench.spec() };
        let offer = bench.submit(spec).expect("a slot is free");
        bench.now += TURN / 20;
        bench.done(offer.attempt);
    }
}

#[test]
fn host_that_knows_better_is_asked_again_only_for_somebody_with_more_time() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let spec = CallSpec { deadline: bench.now + TURN, ..bench.keyed(1) };
    let offer = bench.submit(spec).expect("a slot is free");
    let patient = bench.keyed(1);
    bench.submit(patient);
    let again = offers(&bench.refuse(offer.attempt, Gate::Deadline, None));
    assert_eq!(again.len(), 1, "the second has more time");
    bench.refuse(again[0].attempt, Gate::Deadline, None);
    assert_eq!(bench.kind(2), Some(ErrorKind::DeadlineExceeded));
    assert!(bench.machine.is_idle());
}

/// One slot that is taken for a second each time, and is taken.
fn busy() -> Bench {
    let mut bench = Bench::new(24, 1000, &[("a", 1), ("b", 1)]);
    for _ in 0..20 {
        let offer = bench.call();
        bench.now += TURN;
        bench.done(offer.attempt);
    }
    bench.call();
    bench
}
