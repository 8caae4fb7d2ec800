//! One law for each policy, checked against naive models on generated histories.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a law fails by panicking, and an Instant has no other constructor"
)]

mod flights;
mod learning;
mod queue;

use std::time::{Duration, Instant};

use proptest::prelude::*;
use spillgate_core::backoff::{BackoffOptions, Jitter};
use spillgate_core::breaker::options::BreakerOptions;
use spillgate_core::breaker::{Admission, Breaker, Pass};
use spillgate_core::budget::{Budget, BudgetOptions, Payment};
use spillgate_core::deadline::Deadline;
use spillgate_core::event::BreakerState;
use spillgate_core::outcome::Evidence;
use spillgate_core::pace::{HOLD_MAX, Pace};
use spillgate_core::rng::Rng;
use spillgate_core::slots::{Slots, Taking};
use spillgate_core::verdict::Cost;
use spillgate_core::window::{Tally, Window};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever happens, a breaker admits at most its probes between openings, refuses only with a
    /// time, ignores outcomes of old epochs, and opens exactly when the streak is long enough.
    #[test]
    fn breaker_counts_only_its_own_epoch(
        steps in prop::collection::vec((0_u8..6, 0_u64..3_000, any::<prop::sample::Index>()), 1..200),
        threshold in 1_u32..5,
        probes_max in 1_u32..3,
    ) {
        let options = BreakerOptions { probes_max, ..BreakerOptions::consecutive(threshold) };
        let mut breaker = Breaker::new("scope".into(), options);
        let (mut rng, mut now) = (Rng::new(1), Instant::now());
        let mut passes: Vec<Pass> = Vec::new();
        let mut streak = 0;
        for (what, delay_ms, which) in steps {
            now += Duration::from_millis(delay_ms);
            let before = (breaker.state(), breaker.generation());
            if what < 2 {
                let (admission, event) = breaker.admit(now);
                prop_assert_eq!(event.is_some(), breaker.state() != before.0);
                match admission {
                    Admission::Admit(pass) => {
                        prop_assert!(breaker.state() != BreakerState::Open);
                        prop_assert_eq!(pass.generation, breaker.generation());
                        passes.push(pass);
                    }
                    Admission::Await { .. } => prop_assert!(false, "nobody asked to wait"),
                    Admission::Refuse { until } => {
                        prop_assert!(breaker.state() != BreakerState::Closed);
                        prop_assert!(until.is_some());
                    }
                }
                let probes = passes.iter().filter(|pass| {
                    pass.generation == breaker.generation() && pass.probe.is_some()
                });
                prop_assert!(probes.count() <= probes_max as usize);
            } else if what == 5 {
                breaker.wake(now, &mut rng);
            } else if !passes.is_empty() {
                let pass = passes.swap_remove(which.index(passes.len()));
                let code = [200, 503, 404][usize::from(what) - 2];
                breaker.record(now, pass, &Evidence::of_status(code, None), &mut rng);
                let after = (breaker.state(), breaker.generation());
                if pass.generation != before.1 {
                    prop_assert_eq!(after, before);
                } else if before.0 == BreakerState::Closed {
                    streak = match code { 200 => 0, 503 => streak + 1, _ => streak };
                    let opens = streak >= threshold;
                    prop_assert_eq!(after.0 == BreakerState::Open, opens);
                }
            }
            if breaker.state() != BreakerState::Closed || before.0 != BreakerState::Closed {
                streak = 0;
            }
        }
    }

    /// Never more retries than the credit and the share of the successes, and never fewer while
    /// the cap leaves nothing unsaved.
    #[test]
    fn budget_pays_what_was_earned_and_no_more(
        steps in prop::collection::vec(any::<bool>(), 1..500),
        ratio in 0.0_f64..=1.0,
        initial in 0_u32..20,
    ) {
        let initial = f64::from(initial);
        let mut budget = Budget::new(BudgetOptions { ratio, initial, cap: 1_000.0, ..BudgetOptions::default() });
        let (mut earned, mut paid) = (initial, 0.0);
        for earns in steps {
            if earns {
                budget.earn(Cost::Free);
                earned += ratio;
            } else {
                let could = budget.affords(Cost::Token);
                let payment = budget.spend(Cost::Token);
                prop_assert_eq!(payment == Payment::Paid, could);
                prop_assert_eq!(could, earned - paid >= 1.0 - 1e-6 , "{} {}", earned, paid);
                paid += f64::from(u8::from(could));
            }
            prop_assert!(paid <= earned + 1e-6);
        }
    }

    /// A delay never exceeds its ceiling nor the cap, and half of it is sure with equal jitter.
    #[test]
    fn delays_stay_below_their_ceilings(
        retry in prop_oneof![0_u32..20, any::<u32>()],
        (base_ms, cap_ms) in (0_u64..10_000).prop_flat_map(|base| (Just(base), base..100_000)),
        factor in prop_oneof![0.0_f64..4.0, 0.0_f64..1e6],
        seed in any::<u64>(),
    ) {
        let (base, cap) = (Duration::from_millis(base_ms), Duration::from_millis(cap_ms));
        let mut rng = Rng::new(seed);
        for jitter in [Jitter::Full, Jitter::Equal, Jitter::None] {
            let options = BackoffOptions { base, factor, cap, jitter, ..BackoffOptions::default() };
            let (delay, ceiling) = (options.delay(retry, &mut rng), options.ceiling(retry));
            prop_assert!(ceiling <= cap && ceiling >= base.min(cap));
            prop_assert!(delay <= ceiling);
            prop_assert!(jitter == Jitter::Full || delay >= ceiling / 2);
            prop_assert!(options.ceiling(retry.saturating_add(1)) >= ceiling);
        }
    }

    /// No call leaves a hold before the longest wish of the server, nor later than half of its
    /// length after it.
    #[test]
    fn nobody_goes_before_the_latest_hold(
        steps in prop::collection::vec((0_u64..3_000, prop::option::of(0_u64..8_000_000)), 1..100),
        seed in any::<u64>(),
    ) {
        let (mut pace, mut rng, mut now) = (Pace::default(), Rng::new(seed), Instant::now());
        let mut hold: Option<(Instant, Duration)> = None;
        for (delay_ms, wish_ms) in steps {
            now += Duration::from_millis(delay_ms);
            if let Some(wish_ms) = wish_ms {
                let asked = Duration::from_millis(wish_ms);
                pace.hold(now, now + asked);
                let until = now + asked.min(HOLD_MAX);
                if hold.is_none_or(|(known, _)| until > known) {
                    hold = Some((until, asked.min(HOLD_MAX)));
                }
            }
            let held = hold.filter(|(until, _)| *until > now);
            prop_assert_eq!(pace.held_until(now), held.map(|(until, _)| until));
            let wait = pace.wait_until(now, &mut rng);
            prop_assert_eq!(wait.is_some(), held.is_some());
            if let (Some(at), Some((until, asked))) = (wait, held) {
                prop_assert!(at >= until && at <= until + asked / 2);
            }
        }
    }

    /// Slots count like a number below a ceiling.
    #[test]
    fn slots_are_a_number_below_a_ceiling(
        steps in prop::collection::vec((0_u8..5, 0_u32..10), 1..200),
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
            prop_assert_eq!(slots.has_free(), taken < ceiling);
        }
    }

    /// The window holds exactly what fell into its ten youngest buckets.
    #[test]
    fn window_is_the_sum_of_its_ten_youngest_buckets(
        calls in prop::collection::vec((0_u64..2_500, any::<bool>()), 1..300),
    ) {
        let (start, span) = (Instant::now(), Duration::from_secs(10));
        let mut window = Window::new(span);
        let (mut at_ms, mut log) = (0, Vec::new());
        for (delay_ms, failed) in calls {
            // The first call begins the first bucket.
            at_ms += if log.is_empty() { 0 } else { delay_ms };
            let call = Tally { calls: 1, failures: u32::from(failed), slow: 0 };
            window.record(start + Duration::from_millis(at_ms), call);
            log.push((at_ms / 1_000, failed));
            let oldest = (at_ms / 1_000).saturating_sub(9);
            let young = log.iter().filter(|(bucket, _)| *bucket >= oldest);
            let expected = young.fold(Tally::default(), |sum, (_, failed)| Tally {
                calls: sum.calls + 1,
                failures: sum.failures + u32::from(*failed),
                slow: 0,
            });
            prop_assert_eq!(window.tally(start + Duration::from_millis(at_ms)), expected);
        }
    }

    /// A child's deadline is never later than its parent's, down any line of descent.
    #[test]
    fn deadlines_only_shrink(
        budget_ms in 0_u64..100_000,
        descent in prop::collection::vec((0_u64..5_000, any::<u64>()), 0..20),
    ) {
        let mut now = Instant::now();
        let first = Deadline::from_now(now, Duration::from_millis(budget_ms));
        let mut parent = first;
        for (delay_ms, max_ms) in descent {
            now += Duration::from_millis(delay_ms);
            let child = parent.child_at(now, Duration::from_millis(max_ms));
            prop_assert!(child <= parent && child <= first);
            prop_assert!(child.left(now) <= parent.left(now));
            prop_assert!(child.left(now) <= Duration::from_millis(max_ms));
            prop_assert_eq!(parent.has_passed(now), parent.left(now).is_zero());
            parent = child;
        }
    }
}
