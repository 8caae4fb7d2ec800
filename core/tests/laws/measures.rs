//! Laws of what is counted and measured: windows, quantiles, the turnover of slots.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use spillgate_core::call::ScopeKey;
use spillgate_core::latencies::Latencies;
use spillgate_core::latency::Latency;
use spillgate_core::turnover::Turnover;
use spillgate_core::window::{Ring, Tally, Window};

use crate::{ARITHMETIC, cases};

proptest! {
    #![proptest_config(cases(ARITHMETIC))]

    /// The window holds exactly what fell into its ten youngest buckets.
    #[test]
    fn window_is_the_sum_of_its_ten_youngest_buckets(
        calls in prop::collection::vec((0_u64..2_500, 0_u32..8), 1..40),
        leap in prop::option::of(0_u64..100_000),
    ) {
        let (start, span) = (Instant::now(), Duration::from_secs(10));
        let mut window = Window::new(span);
        let (mut at_ms, mut log) = (0, Vec::new());
        for (delay_ms, what) in calls {
            // The first call begins the first bucket.
            at_ms += if log.is_empty() { 0 } else { delay_ms };
            window.record(start + Duration::from_millis(at_ms), tally(what));
            log.push((at_ms / 1_000, what));
            let found = window.tally(start + Duration::from_millis(at_ms));
            prop_assert_eq!(found, young(&log, at_ms));
        }
        let at_ms = at_ms + leap.unwrap_or(0);
        prop_assert_eq!(window.tally(start + Duration::from_millis(at_ms)), young(&log, at_ms));
        window.clear();
        prop_assert_eq!(window.tally(start + Duration::from_millis(at_ms)), Tally::default());
    }

    /// The ring holds exactly the latest calls; what is learned late is added to the latest.
    #[test]
    fn ring_is_the_sum_of_the_latest_calls(
        calls in prop::collection::vec(0_u32..8, 0..60),
        calls_max in 0_u32..12,
    ) {
        let mut ring = Ring::new(calls_max);
        let calls_max = usize::try_from(calls_max.max(1)).expect("it is small");
        let mut list: Vec<Tally> = Vec::new();
        for what in calls {
            ring.record(tally(what));
            match list.last_mut() {
                Some(latest) if tally(what).calls == 0 => latest.add(tally(what)),
                Some(_) | None => list.push(tally(what)),
            }
            let sum = list.iter().rev().take(calls_max).fold(Tally::default(), |mut sum, call| {
                sum.add(*call);
                sum
            });
            prop_assert_eq!(ring.tally(), sum);
        }
        prop_assert_eq!(ring.calls_max() as usize, calls_max);
    }

    /// A quantile lies at most an eighth above the sample it stands for, and never below it.
    #[test]
    fn quantiles_are_the_sorted_samples_within_a_bucket(
        mut micros in prop::collection::vec(prop_oneof![8_u64..500, 8_u64..1 << 31], 1..40),
        // Shares that have an exact double, so that the rank has no rounding.
        share in 0_usize..=64,
    ) {
        let mut latency = Latency::default();
        micros.iter().for_each(|micros| latency.record(Duration::from_micros(*micros)));
        prop_assert_eq!(latency.samples() as usize, micros.len());
        micros.sort_unstable();
        // The least sample that the share of all does not exceed.
        let rank = (micros.len() * share).div_ceil(64).max(1);
        let truth = Duration::from_micros(micros[rank - 1]);
        let found = latency.quantile(f64::from(u32::try_from(share).expect("small")) / 64.0);
        prop_assert!(found > truth && found <= truth * 9 / 8, "{:?} {:?}", found, truth);
    }

    /// However many samples there were, no more count than the bound, and the newest half of them
    /// outweighs whatever was before.
    #[test]
    fn old_latencies_fade(fade_at in 1_u32..60, old in 0_u32..200) {
        let mut latency = Latency::fading_at(fade_at);
        (0..old).for_each(|_| latency.record(Duration::from_millis(1)));
        prop_assert!(latency.samples() <= fade_at);
        (0..3 * fade_at).for_each(|_| latency.record(Duration::from_secs(1)));
        prop_assert!(latency.samples() >= 1 && latency.samples() <= fade_at);
        prop_assert!(latency.quantile(0.5) >= Duration::from_secs(1));
    }

    /// A prediction is the mean of the latest times a slot was taken, times the turns to wait for.
    #[test]
    fn wait_is_the_mean_times_the_turns(
        taken_ms in prop::collection::vec(0_u64..100_000, 0..40),
        (ahead, slots) in (0_usize..1_000, 0_u32..20),
    ) {
        let mut turnover = Turnover::default();
        let (mut mean, mut samples) = (0.0, 0_u32);
        for ms in &taken_ms {
            turnover.record(Duration::from_millis(*ms));
            samples += 1;
            let weight = (1.0 / f64::from(samples)).max(0.1);
            let seconds = Duration::from_millis(*ms).as_secs_f64().min(60.0);
            mean += (seconds - mean) * weight;
        }
        let wait = turnover.wait(ahead, slots);
        prop_assert_eq!(wait.is_some(), samples >= 10 && slots > 0);
        if let Some(wait) = wait {
            let expected = mean * f64::from(u32::try_from(ahead).expect("small")) / f64::from(slots);
            prop_assert!((wait.as_secs_f64() - expected).abs() <= 1e-4, "{:?} {}", wait, expected);
        }
    }
}

proptest! {
    #![proptest_config(cases(ARITHMETIC / 10))]

    /// A route's p95 is that of its own successes, as of the last twenty, from a hundred on.
    #[test]
    fn usual_time_is_the_p95_of_the_last_look(
        micros in prop::collection::vec(8_u64..1 << 31, 80..200),
        other in 8_u64..1 << 31,
    ) {
        let (mut latencies, scope) = (Latencies::default(), ScopeKey::from("a"));
        for (n, sample) in (1..).zip(&micros) {
            latencies.record(&scope, Duration::from_micros(*sample));
            latencies.record(&"b".into(), Duration::from_micros(other));
            let mut looked_at = micros[..n / 20 * 20].to_vec();
            looked_at.sort_unstable();
            let p95 = latencies.p95(&scope);
            prop_assert_eq!(p95.is_some(), n >= 100);
            if let Some(p95) = p95 {
                let truth = Duration::from_micros(looked_at[(looked_at.len() * 95).div_ceil(100) - 1]);
                prop_assert!(p95 > truth && p95 <= truth * 9 / 8, "{:?} {:?}", p95, truth);
            }
        }
    }
}

/// One of eight things that can be learned at once.
fn tally(what: u32) -> Tally {
    Tally { calls: what & 1, failures: what >> 1 & 1, slow: what >> 2 & 1 }
}

fn young(log: &[(u64, u32)], at_ms: u64) -> Tally {
    let oldest = (at_ms / 1_000).saturating_sub(9);
    let young = log.iter().filter(|(bucket, _)| *bucket >= oldest);
    young.fold(Tally::default(), |mut sum, (_, what)| {
        sum.add(tally(*what));
        sum
    })
}
