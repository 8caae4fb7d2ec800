//! A lane waits for the tokens of a rate.

use super::*;
use crate::coordinator::refusals::SLOT_PAUSE;

#[test]
fn lane_waits_for_the_next_token_in_its_order() {
    let mut bench = Bench::new(24, 1000, &[("a", 2), ("b", 1)]);
    let first = [bench.call(), bench.call()];
    let later = bench.spec();
    bench.submit(later);
    let until = Some(bench.now + Duration::from_millis(500));
    for offer in &first {
        assert!(bench.refuse(offer.attempt, Gate::Rate, until).is_empty(), "nobody asks before");
    }
    let elsewhere = CallSpec { target: target("b"), ..bench.spec() };
    assert!(bench.submit(elsewhere).is_some(), "another host is not held");
    assert_eq!(bench.machine.next_wake(), until);
    let again = offers(&bench.advance(Duration::from_millis(500)));
    let flights: Vec<u64> = again.iter().map(|offer| offer.attempt.flight.0).collect();
    assert_eq!(flights, [1, 2], "the third came later");
    assert!(again.iter().all(|offer| offer.resend == 0), "a refusal was no try");
}

#[test]
fn token_beyond_the_deadline_fails_now_and_says_until_when() {
    let mut bench = Bench::new(24, 1000, &[("a", 2)]);
    let offer = bench.call();
    let until = Some(bench.now + Duration::from_secs(60));
    bench.refuse(offer.attempt, Gate::Rate, until);
    let flight = Some(offer.attempt.flight);
    let refused =
        Answer::Refused { flight, kind: ErrorKind::RateLimited, until, grounds: Grounds::Gate };
    assert_eq!(bench.answers(1), [refused]);
    let next = bench.call();
    assert_eq!(next.attempt.n, 1, "the lane is not held for one that did not wait");
}

#[test]
fn shared_scope_without_tokens_holds_nobody_else() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let shared = Target { keeper: "shared".into(), scope: "shared".into(), ..target("a") };
    let spec = CallSpec { target: shared, ..bench.spec() };
    let offer = bench.submit(spec).expect("a slot is free");
    let until = Some(bench.now + Duration::from_secs(1));
    bench.refuse(offer.attempt, Gate::Rate, until);
    bench.call();
    assert_eq!(offers(&bench.advance(Duration::from_secs(1))).len(), 1);
}

#[test]
fn host_without_a_slot_is_asked_again_a_little_later() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let offer = bench.call();
    assert!(bench.refuse(offer.attempt, Gate::Slot, None).is_empty());
    assert_eq!(bench.machine.global().taken(), 0);
    let again = offers(&bench.advance(SLOT_PAUSE));
    assert_eq!((again[0].resend, again[0].attempt.n), (0, 2), "it was no try");
}
