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
