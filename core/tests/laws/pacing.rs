//! Laws of what holds calls back: the server's wishes, its quotas, the user's own rate.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use spillgate_core::allowance::{Allowances, QUOTA_HOLD_MAX};
use spillgate_core::call::ScopeKey;
use spillgate_core::pace::{HOLD_MAX, Pace};
use spillgate_core::quota::Quota;
use spillgate_core::rate::{Rate, RateOptions};
use spillgate_core::rng::Rng;

use crate::{ARITHMETIC, cases};

proptest! {
    #![proptest_config(cases(ARITHMETIC))]

    /// No call leaves a hold before the longest wish of the server, nor later than half of its
    /// length after it.
    #[test]
    fn nobody_goes_before_the_latest_hold(
        steps in prop::collection::vec((0_u64..3_000, prop::option::of(0_u64..8_000_000)), 1..20),
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
            let unit = rng.clone().unit();
            let wait = pace.wait_until(now, &mut rng);
            prop_assert_eq!(wait, held.map(|(until, asked)| until + (asked / 2).mul_f64(unit)));
        }
        pace.clear();
        prop_assert_eq!(pace.wait_until(now, &mut rng), None);
    }

    /// In any stretch of time no more goes than the burst and what the rate allows; what is refused
    /// goes when it was told to and not a nanosecond sooner.
    #[test]
    fn rate_holds_in_every_window(
        steps in prop::collection::vec(0_u64..1_500, 1..40),
        per_second in prop::sample::select(vec![0.5, 1.0, 2.0, 4.0, 5.0, 10.0, 50.0, 1_000.0]),
        burst in 0_u32..6,
    ) {
        let mut rate = Rate::new(RateOptions { per_second, burst });
        let (start, burst) = (Instant::now(), burst.max(1));
        let interval = Duration::from_secs_f64(1.0 / per_second);
        let full = interval * burst;
        let (mut now, mut level, mut sent) = (start, full, Vec::new());
        for delay_ms in steps {
            let passed = Duration::from_millis(delay_ms);
            now += passed;
            level = (level + passed).min(full);
            match rate.ready(now) {
                Ok(()) => {
                    prop_assert!(level >= interval, "{:?}", level);
                    rate.take(now);
                    level -= interval;
                    sent.push(now);
                }
                Err(until) => {
                    prop_assert_eq!(until, now + interval.saturating_sub(level));
                    prop_assert_eq!(rate.ready(until), Ok(()));
                    let sooner = until.checked_sub(Duration::from_nanos(1)).expect("it is later");
                    prop_assert!(rate.ready(sooner).is_err());
                }
            }
        }
        for (first, from) in (0_u32..).zip(&sent) {
            for (last, to) in (0_u32..).zip(&sent).skip(first as usize) {
                let most = f64::from(burst) + per_second * (*to - *from).as_secs_f64();
                prop_assert!(f64::from(last - first + 1) <= most + 1e-6);
            }
        }
    }

    /// No more goes than the newest answer left, less what was under way; the rest comes back
    /// within a second of the renewal, which lies a minute ahead at most.
    #[test]
    fn nobody_exceeds_a_quota(
        steps in prop::collection::vec(
            (0_u64..20_000, any::<bool>(), prop::option::of((0_u64..6, 0_u64..200_000, 0_u64..4))),
            1..20,
        ),
        seed in any::<u64>(),
    ) {
        let (mut allowances, mut rng, mut now) =
            (Allowances::default(), Rng::new(seed), Instant::now());
        let mut known: BTreeMap<bool, (u64, Instant, Duration)> = BTreeMap::new();
        for (delay_ms, which, told) in steps {
            now += Duration::from_millis(delay_ms);
            let scope = ScopeKey::from(if which { "a" } else { "b" });
            if let Some((remaining, reset_ms, in_flight)) = told {
                let reset = Duration::from_millis(reset_ms);
                allowances.learn(now, &scope, Quota { remaining, reset }, in_flight);
                let reset = reset.min(QUOTA_HOLD_MAX);
                known.insert(which, (remaining.saturating_sub(in_flight), now + reset, reset));
            }
            known.retain(|_, (_, until, _)| *until > now);
            let empty = known.values().filter(|(left, ..)| *left == 0).map(|(_, until, _)| *until);
            prop_assert_eq!(allowances.held_until(now), empty.max());
            let unit = rng.clone().unit();
            let wait = allowances.wait_until(now, &scope, &mut rng);
            match known.get_mut(&which) {
                Some((0, until, reset)) => {
                    let spread = (*reset / 2).min(Duration::from_secs(1));
                    prop_assert_eq!(wait, Some(*until + spread.mul_f64(unit)));
                }
                Some((left, ..)) => {
                    prop_assert_eq!(wait, None);
                    allowances.spend(&scope);
                    *left -= 1;
                }
                None => prop_assert_eq!(wait, None),
            }
        }
        allowances.clear();
        prop_assert_eq!(allowances.held_until(now), None);
    }

    /// What a server writes in any of the spellings is read as it was meant.
    #[test]
    fn written_quotas_are_read(
        remaining in any::<u64>(),
        reset in 1_u64..1_000_000_000,
        spelling in 0_usize..6,
        pad in "[ ]{0,2}",
    ) {
        let unix_now = Duration::from_secs(1_700_000_000);
        let until = (unix_now + Duration::from_secs(reset)).as_secs();
        let (left, time) = (format!("{pad}{remaining}{pad}"), reset.to_string());
        let headers: Vec<(&str, String)> = match spelling {
            0 => vec![("ratelimit", format!("{pad}\"d\";r={remaining};{pad}t={reset}"))],
            1 => vec![("ratelimit", format!("limit=9,{pad}remaining={remaining}, reset={reset}"))],
            2 => vec![("ratelimit-remaining", left), ("ratelimit-reset", time)],
            3 => vec![("x-ratelimit-remaining", left), ("x-ratelimit-reset", until.to_string())],
            4 => {
                let millis = format!("{}", u128::from(until) * 1_000);
                vec![("x-rate-limit-remaining", left), ("x-rate-limit-reset", millis)]
            }
            _ => vec![("x-ratelimit-remaining", left), ("x-ratelimit-reset-after", time)],
        };
        let expected = Quota { remaining, reset: Duration::from_secs(reset) };
        prop_assert_eq!(read(&headers, unix_now), Some(expected));
    }

    /// Whatever a server writes, a quota that is read lies ahead.
    #[test]
    fn junk_is_no_quota_or_one_that_lies_ahead(
        limits in "[\"a-c;,=rtw0-9 .\\\\-]{0,24}",
        policies in "[\"a-c;,=w0-9 ]{0,12}",
        pair in "[0-9.-]{0,24}",
    ) {
        let now = Duration::from_secs(1_700_000_000);
        let all = [
            vec![("ratelimit", limits), ("ratelimit-policy", policies)],
            vec![("x-ratelimit-remaining", pair.clone()), ("x-ratelimit-reset", pair)],
        ];
        for headers in &all {
            prop_assert!(read(headers, now).is_none_or(|quota| !quota.reset.is_zero()));
        }
    }
}

fn read(headers: &[(&str, String)], unix_now: Duration) -> Option<Quota> {
    let find = |name: &str| headers.iter().find(|(known, _)| *known == name);
    Quota::read(|name| find(name).map(|(_, value)| value.as_bytes()), unix_now)
}
