//! The tail at scale: a request is as slow as the slowest of the thousand reads it is made of.
//!
//! After J. Dean and L. A. Barroso, "The Tail at Scale" (2013): sending a second read after 10 ms
//! cut the 99.9th percentile of a benchmark from 1,800 to 74 ms, with 2 % more reads. The latency
//! of a read is calibrated to these three numbers and is otherwise a broken power law.

use std::time::Duration;

use spillgate_core::call::{HedgeDelay, Repeat};
use spillgate_core::hedge::{Hedge, HedgeOptions, Hedging};
use spillgate_core::rng::Rng;

use crate::simulate::agenda::Clock;
use crate::simulate::chance::seconds;
use crate::simulate::lab::{Finding, Lab};
use crate::simulate::measure::{millis, percent, quantile};

/// What a benchmark brought.
struct Benchmark {
    requests: Vec<Duration>,
    extra: usize,
}

/// The published benchmark: nothing is hedged, or everything that takes 10 ms.
pub(super) fn published(_: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let mut alone = benchmark(REQUESTS, 1.0, seed, |_| false);
    finding.read("S4a/no_hedge", "p999_ms", alone.p999_ms());
    finding.draw("tail", "no hedge", alone.tail());
    let mut hedged = benchmark(REQUESTS, 1.0, seed, |late| late);
    finding.read("S4a/hedge_10ms", "p999_ms", hedged.p999_ms());
    finding.read("S4a/hedge_10ms", "extra_pct", hedged.extra_pct());
    finding
}

/// The same with the hedges of the machines. Preset: delay 10 ms, slots not scarce.
pub(super) fn budgeted(_: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let mut hedged = with_policy(REQUESTS, 1.0, seed);
    finding.read("S4a/hedge_10ms_budget5%", "p999_ms", hedged.p999_ms());
    finding.draw("tail", "hedge after 10 ms, budget 5 %", hedged.tail());
    let brownout = with_policy(REQUESTS / 10, 10.0, seed);
    finding.read("S4a/brownout_x10_budget5%", "extra_pct", brownout.extra_pct());
    finding
}

fn with_policy(requests: usize, slowness: f64, seed: u64) -> Benchmark {
    let delay = HedgeDelay::Fixed(seconds(DELAY));
    let mut hedge = Hedge::new(HedgeOptions { delay, ..HedgeOptions::default() });
    let now = Clock::new().instant(Duration::ZERO);
    benchmark(requests, slowness, seed, |late| {
        hedge.begin(now, Repeat::Always).is_some() && late && hedge.ask(0, 6) == Hedging::Send
    })
}

/// Runs `requests` of a thousand reads each. `hedges` hears of each read whether it is late, and
/// says whether it is sent a second time.
fn benchmark(
    requests: usize,
    slowness: f64,
    seed: u64,
    mut hedges: impl FnMut(bool) -> bool,
) -> Benchmark {
    let mut rng = Rng::new(seed);
    let mut extra = 0;
    let mut slowest_of = || {
        let mut slowest: f64 = 0.0;
        for _ in 0..READS {
            let first = read(&mut rng) * slowness;
            let mut time = first;
            if hedges(first > DELAY) {
                extra += 1;
                time = first.min(DELAY + read(&mut rng) * slowness);
            }
            slowest = slowest.max(time);
        }
        seconds(slowest)
    };
    let requests = (0..requests).map(|_| slowest_of()).collect();
    Benchmark { requests, extra }
}

/// Draws the latency of one read: half take 1 ms, 2 % more than 10 ms, one in a million 1.8 s.
fn read(rng: &mut Rng) -> f64 {
    let rarity = 1.0 - rng.unit();
    let mut knots = KNOTS.iter().zip(KNOTS.iter().skip(1)).rev();
    let found = knots.find(|((_, share), _)| rarity <= *share);
    let Some(((from, share), (to, to_share))) = found else { return 0.001 };
    let slope = (to / from).ln() / (share / to_share).ln();
    from * (share / rarity).powf(slope)
}

impl Benchmark {
    fn p999_ms(&mut self) -> f64 {
        millis(quantile(&mut self.requests, 0.999))
    }

    fn extra_pct(&self) -> f64 {
        percent(self.extra, self.requests.len() * READS)
    }

    /// The share of requests, in per cent, that take longer than so many milliseconds.
    fn tail(&mut self) -> Vec<(f64, f64)> {
        self.requests.sort_unstable();
        let shares = [0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
        let at = |share: f64| millis(quantile(&mut self.requests, 1.0 - share));
        let points = shares.into_iter().map(|share| share * 100.0);
        let times: Vec<f64> = shares.into_iter().map(at).collect();
        times.into_iter().zip(points).collect()
    }
}

/// Latencies in seconds and the shares of reads that take longer.
const KNOTS: [(f64, f64); 4] = [(0.001, 0.5), (0.010, 0.02), (0.069, 1e-3), (1.8, 1e-6)];
const READS: usize = 1_000;
const REQUESTS: usize = 30_000;
const DELAY: f64 = 0.010;
