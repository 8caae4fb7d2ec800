//! Constants that no published row looks at, each in a small world where it matters.

use std::time::Duration;

use spillgate_core::breaker::options::BreakerOptions;
use spillgate_core::call::{HedgeDelay, Repeat};
use spillgate_core::hedge::{Hedge, HedgeOptions, Hedging};
use spillgate_core::policy::HostPolicy;

use crate::simulate::agenda::Clock;
use crate::simulate::backend::{Backend, Ill, Spell, Throttle};
use crate::simulate::chance::Spread;
use crate::simulate::fleet::{self, Arrivals, Load, plain_errand};
use crate::simulate::lab::{Finding, Lab};
use crate::simulate::measure::{millis, number, percent};
use crate::simulate::process::Recipe;
use crate::simulate::tally::{CallLog, Tally};

/// All of them, with the standard pipeline.
pub(super) fn constants(lab: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    finding.read("X/overload", "p50_ms", median_under_overload(lab, seed));
    finding.read("X/dead_queue", "late_sends_pct", late_sends(lab, seed));
    finding.read("X/slow_start", "first_500ms_x", first_load(lab, seed));
    finding.read("X/queued_herd", "peak_100ms", queued_herd(lab, seed));
    finding.read("X/hedges_saved", "extra_of_100", hedges_at_once());
    finding
}

/// Six slots that serve 120 calls a second, of which 160 come: whoever is served is served soon.
fn median_under_overload(lab: &Lab, seed: u64) -> f64 {
    let upstream = Backend::endless(Spread::Fixed(0.05));
    let tally = world(lab, &lab.policy, (160.0, seconds(60)), upstream, (1, seed));
    let settled = |call: &CallLog| call.good && call.arrived >= seconds(20);
    millis(tally.latency(0.5, settled))
}

/// A host that fails every call after half a second, so that no usual time is known: the share of
/// the calls sent that were sent with less than 300 ms left. Preset: no breaker.
fn late_sends(lab: &Lab, seed: u64) -> f64 {
    let mut upstream = Backend::endless(Spread::Fixed(0.5));
    upstream.failing = vec![1.0];
    let policy = HostPolicy { breaker: BreakerOptions::off(), ..lab.policy.clone() };
    let tally = world(lab, &policy, (16.0, seconds(120)), upstream, (1, seed));
    let waits =
        tally.calls.iter().filter_map(|call| Some(call.started?.saturating_sub(call.arrived)));
    let waits: Vec<Duration> = waits.collect();
    let late = waits.iter().filter(|wait| **wait + Duration::from_millis(300) > PATIENCE);
    percent(late.count(), waits.len())
}

/// A host that is back after ten seconds: the load of the first half second after the probe, for
/// each call that comes in that time.
fn first_load(lab: &Lab, seed: u64) -> f64 {
    let mut upstream = Backend::endless(Spread::Fixed(0.01));
    let during = seconds(10)..seconds(20);
    upstream.spells.push(Spell { during, ill: Ill::Fails });
    let tally = world(lab, &lab.policy, (100.0, seconds(60)), upstream, (1, seed));
    let probe = tally.sends.iter().find(|at| **at >= seconds(20)).copied().unwrap_or_default();
    tally.load_x_during(&(probe..probe + Duration::from_millis(500)))
}

/// Forty processes with 25 calls each, most of them still in the queue when the upstream asks to be
/// left alone for 5 s.
fn queued_herd(lab: &Lab, seed: u64) -> f64 {
    let mut upstream = Backend::endless(Spread::Fixed(0.01));
    upstream.throttle = Some(Throttle::new(60, seconds(5)));
    let load = Load {
        arrivals: Arrivals::Poisson(10_000.0),
        until: Duration::from_millis(100),
        patience: lab.policy.deadline,
        errand: plain_errand,
    };
    let recipe = Recipe::new(lab.policy.clone(), lab.limits);
    let tally = fleet::run(recipe.processes(40, seed), load, upstream, seed);
    number(tally.peak_tenth(seconds(1)))
}

/// Hedges of the first hundred calls that are all slow, after ten thousand that were not.
fn hedges_at_once() -> f64 {
    let delay = HedgeDelay::Fixed(Duration::from_millis(10));
    let mut hedge = Hedge::new(HedgeOptions { delay, ..HedgeOptions::default() });
    let now = Clock::new().instant(Duration::ZERO);
    for _ in 0..10_000 {
        hedge.begin(now, Repeat::Always);
    }
    let sent = (0..100).filter(|_| {
        hedge.begin(now, Repeat::Always);
        hedge.ask(0, 6) == Hedging::Send
    });
    number(sent.count())
}

fn world(
    lab: &Lab,
    policy: &HostPolicy,
    (rps, until): (f64, Duration),
    upstream: Backend,
    (processes, seed): (usize, u64),
) -> Tally {
    let arrivals = Arrivals::Poisson(rps);
    let load = Load { arrivals, until, patience: PATIENCE, errand: plain_errand };
    let recipe = Recipe::new(policy.clone(), lab.limits);
    fleet::run(recipe.processes(processes, seed), load, upstream, seed)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const PATIENCE: Duration = Duration::from_secs(4);
