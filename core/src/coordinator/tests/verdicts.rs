//! Callers that wait for the verdict of a probe.

use super::*;

#[test]
fn callers_wait_for_the_verdict_of_a_probe_and_ask_again_when_it_falls() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let probe = bench.call();
    let waiting: Vec<Offer> = (0..3).map(|_| bench.call()).collect();
    let lease_end = Some(bench.now + Duration::from_secs(10));
    for offer in &waiting {
        assert!(bench.refuse(offer.attempt, Gate::Probe, lease_end).is_empty());
    }
    assert!(bench.advance(Duration::from_secs(1)).is_empty(), "nobody asks again meanwhile");
    let again = offers(&bench.done(probe.attempt));
    assert_eq!(again.iter().map(|offer| offer.resend).collect::<Vec<_>>(), [0, 0, 0]);
    again.iter().for_each(|offer| drop(bench.done(offer.attempt)));
    assert!((1..=4).all(|ticket| bench.answers(ticket).len() == 1));
    assert!(bench.machine.is_idle());
}

#[test]
fn bad_verdict_fails_who_waits_and_a_lost_one_lets_them_ask_when_the_lease_ends() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let (waits, late) = (bench.call(), bench.call());
    let lease_end = Some(bench.now + Duration::from_secs(10));
    bench.refuse(waits.attempt, Gate::Probe, lease_end);
    let until = Some(bench.now + Duration::from_secs(5));
    bench.handle(Input::ScopeOpened { scope: "a".into(), until });
    assert_eq!(bench.kind(1), Some(ErrorKind::CircuitOpen));
    bench.refuse(late.attempt, Gate::Probe, lease_end);
    assert_eq!(offers(&bench.advance(Duration::from_secs(10))).len(), 1);
}

#[test]
fn wait_for_a_verdict_ends_with_the_callers_deadline() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let spec = CallSpec { deadline: bench.now + Duration::from_secs(2), ..bench.spec() };
    let offer = bench.submit(spec).expect("a slot is free");
    let lease_end = Some(bench.now + Duration::from_secs(10));
    bench.refuse(offer.attempt, Gate::Probe, lease_end);
    bench.advance(Duration::from_secs(2));
    assert_eq!(bench.kind(1), Some(ErrorKind::DeadlineExceeded));
    assert!(bench.machine.is_idle());
}
