//! Laws of what bounds the attempts on the wire: slots, the moving limit, the device gate.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use spillgate_core::call::{AttemptId, FlightId, HostKey};
use spillgate_core::device::{Device, Sight};
use spillgate_core::limit::{Limit, LimitKind, LimitOptions, Load};
use spillgate_core::slots::{Slots, Taking};

use crate::{ARITHMETIC, cases};

proptest! {
    #![proptest_config(cases(ARITHMETIC))]

    /// Slots count like a number below a ceiling.
    #[test]
    fn slots_are_a_number_below_a_ceiling(
        steps in prop::collection::vec((0_u8..5, 0_u32..10), 1..40),
        ceiling in 0_u32..10,
    ) {
        let mut slots = Slots::new(ceiling);
        let (mut taken, mut ceiling, mut peak) = (0, ceiling, 0);
        for (what, number) in steps {
            match what {
                0 | 1 => {
                    let expected = if taken < ceiling { Taking::Taken } else { Taking::Full };
                    prop_assert_eq!(slots.take(), expected);
                    taken += u32::from(expected == Taking::Taken);
                }
                2 | 3 if taken > 0 => {
                    slots.give();
                    taken -= 1;
                }
                4 => {
                    slots.resize(number);
                    ceiling = number;
                }
                _ => {}
            }
            peak = peak.max(taken);
            prop_assert_eq!((slots.taken(), slots.peak()), (taken, peak));
            prop_assert_eq!((slots.has_free(), slots.slots_max()), (taken < ceiling, ceiling));
        }
    }

    /// A limit stays between floor and ceiling, falls by half at most, rises by one at most, rests
    /// at the ceiling, and comes back to it from wherever it was once all is well.
    #[test]
    fn limit_stays_between_floor_and_ceiling_and_grows_again(
        steps in prop::collection::vec((0_u64..2_000, 0_u8..10, 1_u64..3_000), 0..60),
        kind in prop::sample::select(vec![LimitKind::Vegas, LimitKind::Aimd, LimitKind::Fixed]),
        (ceiling, floor) in (1_u32..8, 0_u32..8),
    ) {
        let mut limit = Limit::new(ceiling, LimitOptions { kind, floor });
        let floor = floor.clamp(1, ceiling);
        let mut now = Instant::now();
        for (delay_ms, what, took_ms) in steps {
            now += Duration::from_millis(delay_ms);
            let before = limit.current();
            let took = Duration::from_millis(took_ms);
            limit.learn(now, if what < 4 { Load::TimedOut(took) } else { Load::Answered(took) });
            let after = limit.current();
            prop_assert!((floor..=ceiling).contains(&after), "{}", after);
            // Two rounds may end with one attempt: the one before it, and the one that it fills.
            prop_assert!(after >= (before / 4).max(floor), "{} {}", before, after);
            prop_assert!(after <= before + 2 || after == ceiling);
            prop_assert!(kind != LimitKind::Fixed || after == ceiling);
            prop_assert_eq!(limit.next_rest().is_some(), after < ceiling);
        }
        for _ in 0..4 * 2 * ceiling * ceiling {
            now += Duration::from_millis(510);
            limit.learn(now, Load::Answered(Duration::from_nanos(1)));
        }
        prop_assert_eq!(limit.current(), ceiling);
    }

    /// While a device is offline at most one attempt probes, no sooner than the pause after the
    /// last one, which doubles from 250 ms to 5 s; the first answer of a dark lane ends it.
    #[test]
    fn one_attempt_probes_for_a_device_that_is_offline(
        steps in prop::collection::vec((0_u64..1_500, 0_u8..8, 0_usize..3), 1..40),
    ) {
        let lanes: [HostKey; 3] = ["a".into(), "b".into(), "c".into()];
        let (mut device, mut now) = (Device::default(), Instant::now());
        let (mut dark, mut probe) = (BTreeSet::<usize>::new(), None::<(AttemptId, usize)>);
        let mut offline: Option<(Instant, Duration, Instant)> = None;
        for (n, (delay_ms, what, lane)) in (1_u32..).zip(steps) {
            now += Duration::from_millis(delay_ms);
            let id = AttemptId { flight: FlightId(1), n };
            match (what, offline) {
                (0 | 1, _) => {
                    device.learn(now, (id, &lanes[lane]), Sight::Offline);
                    dark.insert(lane);
                    offline = offline.or(Some((now, PAUSE, now + PAUSE)));
                }
                (2, _) => {
                    device.learn(now, (id, &lanes[lane]), Sight::Online);
                    if dark.contains(&lane) {
                        dark.clear();
                        (offline, probe) = (None, None);
                    }
                }
                (3, _) => device.learn(now, (id, &lanes[lane]), Sight::Unclear),
                (4, Some((since, pause, _))) if probe.is_some() => {
                    let (id, lane) = probe.take().expect("it is away");
                    device.learn(now, (id, &lanes[lane]), Sight::Offline);
                    device.end(now, id);
                    dark.insert(lane);
                    let pause = (pause * 2).min(Duration::from_secs(5));
                    offline = Some((since, pause, now + pause));
                }
                (5, Some((since, pause, _))) if probe.is_some() => {
                    device.end(now, probe.take().expect("it is away").0);
                    offline = Some((since, pause, now));
                }
                (6, Some((_, pause, next))) => {
                    let expected = match probe {
                        Some(_) => Err(now + pause),
                        None if next > now => Err(next),
                        None => Ok(()),
                    };
                    prop_assert_eq!(device.refuses_until(now), expected.err());
                    prop_assert_eq!(device.probe(now, id), expected);
                    probe = probe.or(expected.ok().map(|()| (id, lane)));
                }
                (7, _) => {
                    device.forget(&lanes[lane]);
                    if dark.remove(&lane) && dark.is_empty() {
                        (offline, probe) = (None, None);
                    }
                }
                _ => {}
            }
            let is_dark: BTreeSet<_> = (0..3).filter(|n| device.is_dark(&lanes[*n])).collect();
            prop_assert_eq!((is_dark, device.dark().count()), (dark.clone(), dark.len()));
            prop_assert_eq!(device.is_offline(), offline.is_some());
            let lasting = offline.map(|(since, ..)| since + Duration::from_secs(2));
            prop_assert_eq!(device.is_lasting(now), lasting.is_some_and(|from| from <= now));
            prop_assert_eq!(device.next_lasting(), lasting.filter(|from| *from > now));
        }
    }
}

/// The first pause of a device that is offline.
const PAUSE: Duration = Duration::from_millis(250);
