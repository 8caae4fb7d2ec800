//! How a coordinator ends: it drains, or it closes.

use super::*;

#[test]
fn draining_ends_what_is_inside_and_admits_nothing() {
    let mut bench = Bench::new(1, 1000, &[("a", 6)]);
    let runs = bench.call();
    let waits = bench.spec();
    bench.submit(waits);
    bench.handle(Input::Drain);
    let late = bench.spec();
    bench.submit(late);
    assert_eq!(bench.kind(3), Some(ErrorKind::ShuttingDown));
    let next = offers(&bench.done(runs.attempt));
    bench.done(next[0].attempt);
    assert_eq!([bench.answers(1).len(), bench.answers(2).len()], [1, 1]);
    assert!(bench.machine.is_idle());
}

#[test]
fn closing_answers_everyone_now_and_calls_everything_back() {
    let mut bench = Bench::new(1, 1000, &[("a", 6)]);
    let slept = bench.call();
    bench.retry(slept.attempt, Duration::from_secs(1));
    let runs = bench.call();
    let waits = bench.spec();
    bench.submit(waits);
    let actions = bench.handle(Input::Close);
    let abort = Action::Abort(target("a"), runs.attempt, AbortCause::Cancelled);
    assert_eq!(actions.iter().filter(|action| **action == abort).count(), 1);
    for ticket in 1..=3 {
        assert_eq!(bench.kind(ticket), Some(ErrorKind::ShuttingDown));
    }
    bench.done(runs.attempt);
    assert!(bench.machine.is_idle());
}

#[test]
fn doubled_and_late_messages_are_harmless() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let spec = bench.spec();
    let offer = bench.submit(spec.clone()).expect("it is sent");
    assert_eq!(bench.submit(spec), None, "a doubled call is one call");
    assert_eq!(bench.machine.flights().len(), 1);
    bench.done(offer.attempt);
    bench.done(offer.attempt);
    bench.handle(Input::Opened(offer.attempt));
    bench.handle(Input::Cancel(Ticket(1)));
    assert_eq!(bench.answers(1).len(), 1);
    assert!(bench.machine.is_idle());
}

#[test]
fn report_about_a_flight_that_is_gone_frees_its_slots_and_nothing_else() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let offer = bench.call();
    bench.handle(Input::Cancel(Ticket(1)));
    let soon = bench.now + Duration::from_secs(1);
    for verdict in [
        Verdict::RetryAt(Retry { at: soon, hint: None, cost: Cost::Token }),
        Verdict::Refused(Refusal::by(Gate::Slot, None)),
        Verdict::Done(Finality::Settled),
    ] {
        assert!(bench.report(offer.attempt, verdict).is_empty());
        assert!(bench.machine.is_idle());
    }
}

#[test]
fn host_that_a_sleeping_flight_is_bound_for_is_not_forgotten() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let offer = bench.call();
    bench.retry(offer.attempt, Duration::from_secs(1));
    bench.handle(Input::DropLane("a".into()));
    assert!(bench.machine.queue().has_lane(&"a".into()), "its slots are still to be asked for");
    let again = offers(&bench.advance(Duration::from_secs(1)));
    bench.done(again[0].attempt);
    bench.handle(Input::DropLane("a".into()));
    assert!(!bench.machine.queue().has_lane(&"a".into()));
    assert!(bench.machine.residents().is_empty() && bench.machine.is_idle());
}
