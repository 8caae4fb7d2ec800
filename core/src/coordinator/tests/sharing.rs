//! Calls that share a flight: what it inherits from them, and what is left when they go.

use super::*;

/// undici#5711, coil#3562 (PITFALLS A10).
#[test]
fn flight_goes_on_for_the_others_when_its_first_caller_leaves() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let first = bench.keyed(1);
    let offer = bench.submit(first).expect("it is sent");
    for _ in 0..2 {
        let spec = bench.keyed(1);
        assert_eq!(bench.submit(spec), None, "it shares");
    }
    assert!(bench.handle(Input::Cancel(Ticket(1))).is_empty());
    bench.done(offer.attempt);
    let arrived = Answer::Arrived(offer.attempt.flight, Finality::Settled);
    assert_eq!([bench.answers(1), bench.answers(2)], [vec![], vec![arrived]]);
    assert_eq!(bench.answers(3), [arrived]);
    assert!(bench.machine.is_idle());
}

/// undici#5673 (PITFALLS A10).
#[test]
fn attempt_is_called_back_when_the_last_waiter_leaves() {
    let mut bench = Bench::new(1, 1000, &[("a", 6)]);
    let spec = bench.keyed(1);
    let offer = bench.submit(spec).expect("it is sent");
    let spec = bench.keyed(1);
    bench.submit(spec);
    bench.handle(Input::Cancel(Ticket(2)));
    let actions = bench.handle(Input::Cancel(Ticket(1)));
    let abort = Action::Abort(target("a"), offer.attempt, AbortCause::Cancelled);
    assert_eq!(actions, [abort, Action::End(offer.attempt.flight)]);
    let again = bench.keyed(1);
    assert_eq!(bench.submit(again), None, "a new flight waits for the slot of the old");
    assert_eq!(offers(&bench.done(offer.attempt)).len(), 1);
}

/// undici#5673 (PITFALLS A10).
#[test]
fn shorter_deadline_fails_only_its_owner_and_on_time() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let long = bench.keyed(1);
    let offer = bench.submit(long).expect("it is sent");
    let short = CallSpec { deadline: bench.now + Duration::from_secs(1), ..bench.keyed(1) };
    bench.submit(short);
    assert_eq!(bench.machine.next_wake(), Some(bench.now + Duration::from_secs(1)));
    bench.advance(Duration::from_secs(1));
    assert_eq!(bench.kind(2), Some(ErrorKind::DeadlineExceeded));
    assert!(bench.answers(1).is_empty());
    bench.done(offer.attempt);
    assert_eq!(bench.answers(1).len(), 1);
}

/// undici#5673 (PITFALLS A10): the other way round, the late comer has more time.
#[test]
fn retry_is_judged_by_the_deadline_of_those_who_wait_for_it() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let short = CallSpec { deadline: bench.now + Duration::from_secs(1), ..bench.keyed(1) };
    let offer = bench.submit(short).expect("it is sent");
    let long = bench.keyed(1);
    bench.submit(long);
    bench.retry(offer.attempt, Duration::from_secs(5));
    bench.advance(Duration::from_secs(1));
    assert_eq!(bench.kind(1), Some(ErrorKind::DeadlineExceeded));
    let again = offers(&bench.advance(Duration::from_secs(4)));
    assert_eq!((again.len(), again[0].resend, again[0].cost), (1, 1, Cost::Token));
    assert!(bench.answers(2).is_empty());
}

#[test]
fn offer_refused_as_too_late_goes_again_for_one_who_joined_meanwhile() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let short = CallSpec { deadline: bench.now + Duration::from_millis(400), ..bench.keyed(1) };
    let offer = bench.submit(short).expect("it is sent");
    let long = bench.keyed(1);
    bench.submit(long);
    bench.now += Duration::from_millis(350);
    let again = offers(&bench.refuse(offer.attempt, Gate::Deadline, None));
    assert_eq!((again.len(), again[0].resend), (1, 0));
    assert!(again[0].deadline > offer.deadline);
}

/// rueidis#1014, axios-cache-interceptor#1149 (PITFALLS A12).
#[test]
fn failure_is_told_to_each_waiter_once_and_nobody_fires_again() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let spec = bench.keyed(1);
    let offer = bench.submit(spec).expect("it is sent");
    for _ in 0..9 {
        let spec = bench.keyed(1);
        bench.submit(spec);
    }
    let spent = Verdict::Done(Finality::AttemptsSpent);
    bench.report(offer.attempt, spent);
    bench.report(offer.attempt, spent);
    let arrived = Answer::Arrived(offer.attempt.flight, Finality::AttemptsSpent);
    for ticket in 1..=10 {
        assert_eq!(bench.answers(ticket), [arrived]);
    }
    assert_eq!(offers(&bench.actions).len(), 1);
    assert!(bench.machine.is_idle());
}

/// temporal#4403 (PITFALLS A16).
#[test]
fn sleeping_flight_gives_up_when_the_patient_waiter_leaves() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let short = CallSpec { deadline: bench.now + Duration::from_secs(2), ..bench.keyed(1) };
    let offer = bench.submit(short).expect("it is sent");
    let long = bench.keyed(1);
    bench.submit(long);
    bench.retry(offer.attempt, Duration::from_secs(5));
    assert!(bench.answers(1).is_empty());
    bench.handle(Input::Cancel(Ticket(2)));
    let finality = Finality::DeadlineNear { retry_at: None };
    assert_eq!(bench.answers(1), [Answer::Arrived(offer.attempt.flight, finality)]);
    assert!(bench.machine.is_idle());
}

/// PITFALLS A21.
#[test]
fn joining_lends_rank_and_deadline_and_leaving_takes_them_back() {
    let mut bench = Bench::new(1, 1000, &[("a", 1)]);
    let runs = bench.call();
    let lazy = CallSpec { priority: Priority::Background, ..bench.keyed(1) };
    bench.submit(lazy.clone());
    let rival = bench.spec();
    bench.submit(rival);
    let later = lazy.deadline + Duration::from_secs(30);
    let urgent = CallSpec { priority: Priority::Foreground, deadline: later, ..bench.keyed(1) };
    bench.submit(urgent.clone());
    assert_eq!(bench.machine.queue().depth(&"a".into()), [0, 1, 1, 0]);
    bench.handle(Input::Cancel(urgent.ticket));
    assert_eq!(bench.machine.queue().depth(&"a".into()), [0, 0, 1, 1]);
    let back = CallSpec { ticket: Ticket(99), ..urgent };
    bench.submit(back);
    let next = offers(&bench.done(runs.attempt));
    assert_eq!((next.len(), next[0].deadline), (1, later), "it overtakes the rival");
}

/// Joining never makes it worse: the flight takes the turns of whichever caller has less waiting.
#[test]
fn joined_flight_takes_the_turns_of_the_caller_that_is_served_first() {
    let mut bench = Bench::new(24, 1_000, &[("a", 1)]);
    let flood = CallerKey(1);
    let first = bench.spec();
    bench.submit(first);
    for key in 10..20 {
        let spec = CallSpec { caller: flood, ..bench.keyed(key) };
        bench.submit(spec);
    }
    let joins = CallSpec { caller: CallerKey(2), ..bench.keyed(19) };
    let polite = joins.ticket;
    bench.submit(joins);
    let joined = bench.machine.flights().flight_of(polite).expect("it waits");
    let standing = |bench: &Bench| bench.machine.queue().standing(joined).map(|s| s.caller);
    assert_eq!(standing(&bench), Some(CallerKey(2)));
    let again = CallSpec { caller: flood, ..bench.keyed(19) };
    bench.submit(again);
    assert_eq!(standing(&bench), Some(CallerKey(2)), "the other has more waiting");
    bench.handle(Input::Cancel(polite));
    assert_eq!(standing(&bench), Some(flood), "its turns leave with it");
}
