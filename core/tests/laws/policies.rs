//! Laws of what a call costs and how long it waits: back-off, budgets, hedges, deadlines, chance.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use spillgate_core::backoff::{BackoffOptions, HintUse, Jitter};
use spillgate_core::budget::{Budget, BudgetOptions, Payment, Refund};
use spillgate_core::call::{HedgeDelay, Repeat};
use spillgate_core::deadline::{self, Deadline};
use spillgate_core::hedge::{Hedge, HedgeOptions, Hedging};
use spillgate_core::rng::Rng;
use spillgate_core::verdict::Cost;

use crate::{ARITHMETIC, cases};

proptest! {
    #![proptest_config(cases(ARITHMETIC))]

    /// A delay never exceeds its ceiling nor the cap, and half of it is sure with equal jitter.
    #[test]
    fn delays_stay_below_their_ceilings(
        retry in prop_oneof![0_u32..20, Just(100_000), Just(u32::MAX), any::<u32>()],
        (base_ms, cap_ms) in (0_u64..10_000).prop_flat_map(|base| (Just(base), base..100_000)),
        factor in prop_oneof![0.0_f64..4.0, 0.0_f64..1e6, Just(f64::INFINITY), Just(f64::NAN)],
        seed in any::<u64>(),
    ) {
        let (base, cap) = (Duration::from_millis(base_ms), Duration::from_millis(cap_ms));
        let mut rng = Rng::new(seed);
        for jitter in [Jitter::Full, Jitter::Equal, Jitter::None] {
            let options = BackoffOptions { base, factor, cap, jitter, ..BackoffOptions::default() };
            let ceiling = options.ceiling(retry);
            let unit = rng.clone().unit();
            let delay = options.delay(retry, &mut rng);
            prop_assert!(ceiling <= cap && ceiling >= base.min(cap));
            prop_assert!(options.ceiling(retry.saturating_add(1)) >= ceiling);
            let drawn = match jitter {
                Jitter::Full => ceiling.mul_f64(unit),
                Jitter::Equal => ceiling / 2 + (ceiling / 2).mul_f64(unit),
                Jitter::None => ceiling,
            };
            prop_assert_eq!(delay, drawn);
            prop_assert!(delay <= ceiling && (jitter == Jitter::Full || delay >= ceiling / 2));
        }
    }

    /// A ceiling is the base, multiplied once for each retry before, until the cap.
    #[test]
    fn ceilings_are_a_product_until_the_cap(
        retry in 1_u32..40,
        base_ms in 1_u64..10_000,
        cap_ms in 1_u64..1_000_000,
        factor in 1.0_f64..5.0,
        throttled_ms in 0_u64..20_000,
    ) {
        let millis = Duration::from_millis;
        let options = BackoffOptions {
            base: millis(base_ms),
            factor,
            cap: millis(cap_ms),
            base_throttled: millis(throttled_ms),
            ..BackoffOptions::default()
        };
        for (options, base_ms) in
            [(options.throttled(), base_ms.max(throttled_ms)), (options.clone(), base_ms)]
        {
            let mut expected = millis(base_ms).as_secs_f64();
            for _ in 1..retry {
                expected *= factor;
            }
            let expected = expected.min(millis(cap_ms).as_secs_f64());
            let found = options.ceiling(retry).as_secs_f64();
            prop_assert!((found - expected).abs() <= 1e-9 + 1e-9 * expected, "{} {}", found, expected);
        }
    }

    /// aws-sdk-go-v2#3400: the standard mode's ceilings double from 50 ms, or 1 s, to 20 s.
    #[test]
    fn aws_ceilings_double_to_twenty_seconds(retry in prop_oneof![1_u32..20, any::<u32>()]) {
        let options = BackoffOptions::aws_standard();
        let expected = |base: u64| {
            let doubled = 1_u64.checked_shl(retry.saturating_sub(1)).unwrap_or(u64::MAX);
            Duration::from_millis(base.saturating_mul(doubled).min(20_000))
        };
        prop_assert_eq!(options.ceiling(retry), expected(50));
        prop_assert_eq!(options.throttled().ceiling(retry), expected(1_000));
        prop_assert_eq!(options.hint, HintUse::Clamp(Duration::from_secs(5)));
    }

    /// Tokens are what was earned less what was paid, between nothing and the cap; whoever can pay
    /// may, and nobody else. Counted in thousandths, which have no rounding.
    #[test]
    fn budget_is_a_sum_between_nothing_and_its_cap(
        steps in prop::collection::vec(0_u8..8, 0..60),
        (ratio, initial, cap) in (0_u32..=1_000, 0_u32..20_000, 0_u32..20_000),
        (price, throttled) in (0_u32..5_000, 0_u32..5_000),
        refunds in any::<bool>(),
    ) {
        let tokens = |thousandths: u32| f64::from(thousandths) / 1_000.0;
        let options = BudgetOptions {
            ratio: tokens(ratio),
            initial: tokens(initial),
            cap: tokens(cap),
            price: tokens(price),
            price_throttled: tokens(throttled),
            refund: if refunds { Refund::Price } else { Refund::Ratio },
        };
        let mut budget = Budget::new(options);
        let mut saved = initial.min(cap);
        for step in steps {
            let (cost, price) = match step % 4 {
                0 => (Cost::Free, 0),
                1 | 2 => (Cost::Token, price),
                _ => (Cost::Throttled, throttled),
            };
            if step < 4 {
                budget.earn(cost);
                let earned = if refunds && cost != Cost::Free { price } else { ratio };
                saved = (saved + earned).min(cap);
            } else {
                prop_assert_eq!(budget.affords(cost), saved >= price, "{} {}", saved, price);
                prop_assert_eq!(budget.spend(cost) == Payment::Paid, saved >= price);
                saved -= if saved >= price { price } else { 0 };
            }
            prop_assert!((budget.tokens() - tokens(saved)).abs() < 1e-9, "{}", saved);
        }
        let lower = BudgetOptions { cap: options.cap / 2.0, ..options };
        budget.configure(lower);
        let expected = tokens(saved).min(lower.cap);
        prop_assert!((budget.tokens() - expected).abs() < 1e-9);
    }

    /// aws-sdk-go-v2#3400, aws-sdk-java-v2#6925: 500 tokens, 14 or 5 a retry, given back by the
    /// retry that succeeds.
    #[test]
    fn aws_quota_counts_whole_tokens(steps in prop::collection::vec(0_u8..6, 0..100)) {
        let mut budget = Budget::new(BudgetOptions::aws_standard());
        let mut saved = 500_i32;
        for step in steps {
            let (cost, price) =
                [(Cost::Token, 14), (Cost::Throttled, 5), (Cost::Free, 1)][usize::from(step % 3)];
            if step < 3 {
                budget.earn(cost);
                saved = (saved + price).min(500);
            } else if cost != Cost::Free {
                prop_assert_eq!(budget.spend(cost) == Payment::Paid, saved >= price);
                saved -= if saved >= price { price } else { 0 };
            }
            prop_assert!((budget.tokens() - f64::from(saved)).abs() < 1e-9);
        }
    }

    /// Hedges are at most the share of the calls, none is sent while too many slots are in use, and
    /// none is refused that was earned and saved.
    #[test]
    fn hedges_are_a_share_of_the_calls(
        steps in prop::collection::vec((any::<bool>(), 0_u32..12), 0..60),
        (ratio, cap, busy) in (0_u32..=1_000, 0_u32..5_000, 0_u32..=10),
    ) {
        let options = HedgeOptions {
            delay: HedgeDelay::Fixed(Duration::from_millis(7)),
            ratio: f64::from(ratio) / 1_000.0,
            cap: f64::from(cap) / 1_000.0,
            busy_max: f64::from(busy) / 10.0,
        };
        let (mut hedge, now) = (Hedge::new(options), Instant::now());
        let (mut calls, mut sent, mut saved) = (0_u32, 0_u32, 0_u32);
        for (begins, taken) in steps {
            if begins {
                calls += 1;
                saved = (saved + ratio).min(cap);
                let due = hedge.begin(now, Repeat::Always);
                prop_assert_eq!(due, Some(now + Duration::from_millis(7)));
            } else {
                let expected = match (taken > busy, saved >= 1_000) {
                    (true, _) => Hedging::Busy,
                    (false, false) => Hedging::Unpaid,
                    (false, true) => Hedging::Send,
                };
                prop_assert_eq!(hedge.ask(taken, 10), expected);
                if expected == Hedging::Send {
                    (saved, sent) = (saved - 1_000, sent + 1);
                }
            }
            prop_assert!(sent * 1_000 <= calls * ratio);
            prop_assert!((hedge.tokens() - f64::from(saved) / 1_000.0).abs() < 1e-9);
        }
    }

    /// A child's deadline is never later than its parent's, down any line of descent.
    #[test]
    fn deadlines_only_shrink(
        budget_ms in 0_u64..100_000,
        descent in prop::collection::vec((0_u64..5_000, any::<u64>()), 0..8),
    ) {
        let mut now = Instant::now();
        let first = Deadline::from_now(now, Duration::from_millis(budget_ms));
        let mut parent = first;
        for (delay_ms, max_ms) in descent {
            now += Duration::from_millis(delay_ms);
            let max = Duration::from_millis(max_ms);
            let child = parent.child_at(now, max);
            prop_assert!(child <= parent && child <= first);
            prop_assert_eq!(child.left(now), parent.left(now).min(max));
            prop_assert_eq!(parent.has_passed(now), parent.left(now).is_zero());
            parent = child;
        }
    }

    /// A delay that no clock can hold is one that no caller outlives, and never one in the past.
    #[test]
    fn far_deadlines_saturate(seconds in any::<u64>(), nanos in 0_u32..1_000_000_000) {
        let (now, delay) = (Instant::now(), Duration::new(seconds, nanos));
        let years = Duration::from_secs(30 * 365 * 24 * 3_600);
        prop_assert_eq!(deadline::saturating_add(now, delay), now + delay.min(years));
    }

    /// Draws fill their range evenly: of 400 numbers below 8 no value is seen less than a third or
    /// more than thrice as often as its share, which is eight deviations away.
    #[test]
    fn draws_are_even(seed in any::<u64>(), bound in 1_u64..) {
        let mut rng = Rng::new(seed);
        let mut seen = [0_u32; 8];
        for _ in 0..400 {
            seen[usize::try_from(rng.below(8)).unwrap_or(8)] += 1;
        }
        prop_assert!(seen.iter().all(|count| (8..150).contains(count)), "{:?}", seen);
        prop_assert!(rng.below(bound) < bound);
        let (unit, max) = (rng.unit(), Duration::from_nanos(bound));
        prop_assert!((0.0..1.0).contains(&unit) && rng.up_to(max) <= max);
    }
}
