//! Hedges: when a second attempt is offered, and what the end of either means.

use super::*;

#[test]
fn hedge_is_a_second_offer_of_the_same_flight_that_waits_for_nothing() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let first = bench.call();
    let hedge = bench.hedge(first.attempt).expect("slots are free");
    assert_eq!(hedge.attempt, AttemptId { n: 2, ..first.attempt });
    let beside = hedge.beside.expect("it is a hedge");
    assert_eq!((beside.n, beside.taken, beside.slots_max), (1, 1, 6));
    assert_eq!((hedge.resend, hedge.cost, bench.machine.global().taken()), (1, Cost::Token, 2));
    assert_eq!(bench.hedge(first.attempt), None, "once");
    assert_eq!(bench.hedge(hedge.attempt), None, "a hedge is not hedged");
    assert_eq!(bench.machine.queue().running(&"a".into()), 2);
}

#[test]
fn nothing_is_hedged_without_slots_time_or_waiters() {
    for (global, lane) in [(1, 6), (24, 1)] {
        let mut bench = Bench::new(global, 1000, &[("a", lane)]);
        let first = bench.call();
        assert_eq!(bench.hedge(first.attempt), None, "{global} {lane}");
    }
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let short = CallSpec { deadline: bench.now + Duration::from_secs(1), ..bench.spec() };
    let first = bench.submit(short).expect("it is sent");
    bench.now += Duration::from_millis(800);
    assert_eq!(bench.hedge(first.attempt), None, "too late to be of use");
    let gone = bench.call();
    bench.handle(Input::Cancel(Ticket(2)));
    assert_eq!(bench.hedge(gone.attempt), None, "nobody waits");
}

#[test]
fn first_answer_wins_and_the_other_is_called_back_and_holds_its_slots() {
    for winner in [1, 2] {
        let (mut bench, first, hedge) = pair();
        let (won, lost) = if winner == 1 { (first, hedge) } else { (hedge, first) };
        let actions = bench.done(won);
        let recall = Action::Abort(target("a"), lost, AbortCause::Outrun);
        assert_eq!(actions.first(), Some(&recall), "before the answer");
        assert_eq!(bench.answers(1), [Answer::Arrived(first.flight, Finality::Settled)]);
        assert_eq!(bench.machine.global().taken(), 1);
        assert!(bench.done(lost).is_empty());
        assert!(bench.machine.is_idle());
    }
}

#[test]
fn failure_of_one_waits_for_the_other() {
    let (mut bench, first, hedge) = pair();
    assert!(bench.report(first, Verdict::Done(Finality::BudgetSpent)).is_empty());
    assert_eq!(bench.answers(1), []);
    bench.done(hedge);
    assert_eq!(bench.answers(1), [Answer::Arrived(first.flight, Finality::Settled)]);
    assert!(bench.machine.is_idle());
}

#[test]
fn only_when_both_have_failed_is_the_flight_tried_again_after_the_later_time() {
    let (mut bench, first, hedge) = pair();
    bench.retry(hedge, Duration::from_secs(3));
    bench.retry(first, Duration::from_secs(1));
    assert!(offers(&bench.advance(Duration::from_secs(2))).is_empty());
    let again = offers(&bench.advance(Duration::from_secs(1)));
    assert_eq!((again[0].attempt.n, again[0].resend, again[0].beside), (3, 2, None));
}

#[test]
fn refused_hedge_changes_nothing_for_the_first() {
    for gate in [Gate::Hedge, Gate::Slot, Gate::Breaker, Gate::Rate, Gate::Deadline] {
        let (mut bench, first, hedge) = pair();
        assert!(bench.refuse(hedge, gate, None).is_empty(), "{gate:?}");
        assert_eq!(bench.machine.global().taken(), 1);
        assert_eq!(bench.hedge(first), None, "it was asked for once");
        bench.retry(first, Duration::from_secs(1));
        let again = offers(&bench.advance(Duration::from_secs(1)));
        assert_eq!((again[0].attempt.n, again[0].resend), (3, 1), "it was no try");
    }
}

#[test]
fn hedge_that_is_refused_after_the_first_has_failed_leaves_its_verdict() {
    let (mut bench, first, hedge) = pair();
    bench.report(first, Verdict::Done(Finality::AttemptsSpent));
    bench.refuse(hedge, Gate::Hedge, None);
    assert_eq!(bench.answers(1), [Answer::Arrived(first.flight, Finality::AttemptsSpent)]);
}

#[test]
fn caller_who_leaves_calls_both_back_and_a_deadline_does() {
    let (mut bench, first, hedge) = pair();
    let actions = bench.handle(Input::Cancel(Ticket(1)));
    for attempt in [first, hedge] {
        assert!(actions.contains(&Action::Abort(target("a"), attempt, AbortCause::Cancelled)));
    }
    let (mut bench, first, hedge) = pair();
    let actions = bench.advance(Duration::from_secs(30));
    for attempt in [first, hedge] {
        assert!(actions.contains(&Action::Abort(target("a"), attempt, AbortCause::Deadline)));
    }
    assert_eq!(bench.kind(1), Some(ErrorKind::DeadlineExceeded));
}

#[test]
fn redirect_of_one_leaves_the_other_behind() {
    let (mut bench, first, hedge) = pair();
    bench.handle(Input::Lane { lane: "b".into(), slots_max: 6 });
    let (verdict, onward) = (Verdict::Done(Finality::Settled), Some(target("b")));
    let actions = bench.handle(Input::Report { attempt: hedge, verdict, onward });
    assert!(actions.contains(&Action::Abort(target("a"), first, AbortCause::Outrun)));
    let hop = offers(&actions);
    assert_eq!((&*hop[0].lane, hop[0].resend, hop[0].attempt.n), ("b", 0, 3));
    assert!(bench.done(first).is_empty(), "it has been outrun");
    bench.done(hop[0].attempt);
    assert_eq!(bench.answers(1).len(), 1);
    assert!(bench.machine.is_idle());
}

#[test]
fn answer_that_is_handed_over_is_not_hedged() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let first = bench.call();
    bench.handle(Input::Opened(first.attempt));
    assert_eq!(bench.hedge(first.attempt), None);
}

#[test]
fn hedge_goes_before_nobody_who_waits() {
    let mut bench = Bench::new(24, 1000, &[("a", 2)]);
    let first = bench.call();
    let held = bench.call();
    let until = bench.now + Duration::from_secs(1);
    bench.refuse(held.attempt, Gate::Rate, Some(until));
    bench.now = until;
    let sent = offers(&bench.handle(Input::HedgeDue(first.attempt)));
    assert_eq!((sent.len(), sent[0].attempt.flight), (1, held.attempt.flight));
}

impl Bench {
    fn hedge(&mut self, first: AttemptId) -> Option<Offer> {
        offers(&self.handle(Input::HedgeDue(first))).pop()
    }
}

/// A flight whose first attempt is hedged.
fn pair() -> (Bench, AttemptId, AttemptId) {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let first = bench.call().attempt;
    let hedge = bench.hedge(first).expect("slots are free").attempt;
    (bench, first, hedge)
}
