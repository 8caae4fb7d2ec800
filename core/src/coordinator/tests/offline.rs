//! Lanes that are held while this machine is offline, and the probe that lights them.

use super::*;
use crate::device::Sight;

const MS: Duration = Duration::from_millis(1);

/// envoy-mobile#811 (PITFALLS A23).
#[test]
fn one_attempt_probes_for_all_and_the_first_answer_lets_everybody_go() {
    let mut bench = Bench::new(24, 1000, &[("a", 6), ("b", 6)]);
    let first = [bench.call(), bench.to("b").expect("nothing is known yet")];
    first.iter().for_each(|offer| bench.lose(offer, 100 * MS));
    for lane in ["a", "b", "a"] {
        assert!(bench.to(lane).is_none(), "it waits");
    }
    assert_eq!(offers(&bench.advance(249 * MS)).len(), 0);
    let probes = offers(&bench.advance(MS));
    assert_eq!(probes.len(), 1, "for both hosts");
    assert!(offers(&bench.advance(100 * MS)).is_empty(), "while the probe is away");
    bench.lose(&probes[0], 60_000 * MS);
    assert!(offers(&bench.advance(499 * MS)).is_empty());
    let probes = offers(&bench.advance(MS));
    let lit = bench.see(&probes[0], Sight::Online);
    assert_eq!(offers(&lit).len(), 3, "all that waited go");
    bench.done(probes[0].attempt);
    assert!(!bench.machine.is_offline());
}

#[test]
fn other_hosts_go_on() {
    let mut bench = Bench::new(24, 1000, &[("a", 6), ("local", 6)]);
    let lost = bench.call();
    bench.lose(&lost, 60_000 * MS);
    let local = bench.to("local").expect("it is not held");
    assert!(bench.see(&local, Sight::Online).is_empty());
    assert!(bench.machine.is_offline(), "this machine reaches itself without a network");
}

#[test]
fn lasting_outage_fails_who_waits_and_tells_who_comes_at_once() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let lost = bench.call();
    bench.lose(&lost, 60_000 * MS);
    assert_eq!(bench.to("a"), None);
    let probe = offers(&bench.advance(250 * MS)).pop().expect("it is time for a probe");
    assert_eq!(bench.to("a"), None);
    assert_eq!(bench.machine.next_wake(), Some(bench.now + 250 * MS));
    bench.advance(1_750 * MS);
    assert_eq!(bench.kind(3), Some(ErrorKind::DeviceOffline));
    assert!(bench.answers(2).is_empty(), "it probes");
    bench.lose(&probe, 60_000 * MS);
    assert_eq!(bench.to("a"), None);
    let [Answer::Refused { kind, until, .. }] = bench.answers(4)[..] else {
        panic!("{:?}", bench.answers(4))
    };
    assert_eq!((kind, until), (ErrorKind::DeviceOffline, Some(bench.now + 500 * MS)));
    bench.advance(500 * MS);
    assert!(bench.to("a").is_some(), "it is the next probe");
}

#[test]
fn result_of_an_earlier_attempt_is_delivered_when_the_outage_lasts() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let (waits, probes) = (bench.call(), bench.call());
    bench.lose(&probes, 240 * MS);
    bench.lose(&waits, 245 * MS);
    bench.advance(245 * MS);
    let probe = offers(&bench.advance(5 * MS)).pop().expect("it is time for a probe");
    bench.advance(2_000 * MS);
    let other = if probe.attempt.flight == waits.attempt.flight { probes } else { waits };
    let flight = other.attempt.flight;
    let arrived = Answer::Arrived(flight, Finality::DeviceOffline);
    assert_eq!(bench.answers(flight.0), [arrived]);
    bench.done(probe.attempt);
    assert!(bench.machine.is_idle());
}

#[test]
fn probe_that_is_called_back_makes_room_for_the_next() {
    let mut bench = Bench::new(24, 1000, &[("a", 6)]);
    let lost = bench.call();
    bench.lose(&lost, 60_000 * MS);
    (0..2).for_each(|_| assert_eq!(bench.to("a"), None));
    let probe = offers(&bench.advance(250 * MS)).pop().expect("it is time for a probe");
    bench.handle(Input::Cancel(Ticket(probe.attempt.flight.0)));
    bench.see(&probe, Sight::Unclear);
    assert_eq!(offers(&bench.done(probe.attempt)).len(), 1);
}

/// Found by the simulator, seed 1: the wake lay in the past for as long as no slot was free.
#[test]
fn one_left_to_probe_without_a_slot_asks_for_no_wake() {
    let mut bench = Bench::new(1, 1000, &[("a", 6), ("b", 6)]);
    let lost = bench.call();
    bench.see(&lost, Sight::Offline);
    bench.done(lost.attempt);
    bench.advance(5_000 * MS);
    let other = bench.to("b").expect("only one host is dark");
    assert_eq!(bench.to("a"), None, "the only slot is taken");
    assert!(bench.answers(3).is_empty(), "it is the one that probes");
    assert!(bench.machine.next_wake() > Some(bench.now), "the deadline and nothing before");
    assert_eq!(offers(&bench.done(other.attempt)).len(), 1, "it probes");
}

impl Bench {
    fn to(&mut self, lane: &str) -> Option<Offer> {
        let spec = CallSpec { target: target(lane), ..self.spec() };
        self.submit(spec)
    }

    fn see(&mut self, offer: &Offer, sight: Sight) -> Vec<Action> {
        self.handle(Input::Seen { attempt: offer.attempt, sight })
    }

    /// The attempt finds no network; its flight tries again after `delay`.
    fn lose(&mut self, offer: &Offer, delay: Duration) {
        self.see(offer, Sight::Offline);
        let at = self.now + delay;
        let retry = Retry { at, hint: None, cost: Cost::Free };
        self.report(offer.attempt, Verdict::RetryAt(retry));
    }
}
