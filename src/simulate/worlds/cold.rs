//! A cold start: an upstream that comes back from an outage with an empty cache.
//!
//! Warm it can serve 300 calls a second, of which 250 come; cold each takes five times as long. It
//! remembers what it answered in time: what its caller no longer waits for warms nothing, so too
//! much load too early keeps it cold. How fast it fills is calibrated to what is known of the
//! breaker of 5 consecutive failures and 60 s: about 400 s and 96,605 calls lost.

use std::time::Duration;

use spillgate_core::breaker::options::BreakerOptions;
use spillgate_core::policy::{HostPolicy, Timeouts};

use crate::simulate::backend::{Backend, Cache, Ill, Spell};
use crate::simulate::chance::Spread;
use crate::simulate::fleet::{self, Arrivals, Load, plain_errand};
use crate::simulate::lab::{Finding, Lab};
use crate::simulate::measure::{number, percent};
use crate::simulate::process::Recipe;
use crate::simulate::tally::Tally;

/// Fifty processes of the standard pipeline. Preset: attempt timeout 1 s, deadline 2 s.
pub(super) fn start(lab: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let tally = world(lab, lab.policy.breaker.clone(), seed);
    finding.read("S6/Reset5JitterRamp30", "recover_s", tally.recovery(OUTAGE_END));
    let lost = tally.calls.iter().filter(|call| call.arrived >= OUTAGE_END && !call.good);
    finding.read("S6/Reset5JitterRamp30", "lost_calls_after", number(lost.count()));
    finding.draw("cold", "standard", goodput(&tally));
    if lab.draws(seed) {
        let seed_preset = world(lab, BreakerOptions::consecutive(5), seed);
        finding.draw("cold", "5 consecutive, 60 s", goodput(&seed_preset));
        let none = world(lab, BreakerOptions::off(), seed);
        finding.draw("cold", "no breaker", goodput(&none));
    }
    finding
}

fn world(lab: &Lab, breaker: BreakerOptions, seed: u64) -> Tally {
    let mut policy = HostPolicy { breaker, ..lab.policy.clone() };
    let second = Duration::from_secs(1);
    policy.timeouts = Timeouts { attempt: second, connect: second, ..policy.timeouts };
    let load = Load {
        arrivals: Arrivals::Poisson(250.0),
        until: UNTIL,
        patience: Duration::from_secs(2),
        errand: plain_errand,
    };
    let mut upstream = Backend::of_workers(30, Spread::Exponential(0.1));
    upstream.queue_max = 1_000;
    upstream.cache = Some(Cache::warm(5.0, 1_200.0));
    let during = OUTAGE_BEGIN..OUTAGE_END;
    upstream.spells.push(Spell { during, ill: Ill::Restarts });
    let recipe = Recipe::new(policy, lab.limits);
    fleet::run(recipe.processes(50, seed), load, upstream, seed)
}

/// The share of calls that fare well, in per cent, second by second around the outage.
fn goodput(tally: &Tally) -> Vec<(f64, f64)> {
    let seconds = tally.seconds();
    let points = seconds.iter().enumerate().map(|(second, (came, good))| {
        (number(second) - OUTAGE_END.as_secs_f64(), percent(*good, *came))
    });
    points.collect()
}

const OUTAGE_BEGIN: Duration = Duration::from_secs(60);
const OUTAGE_END: Duration = Duration::from_secs(90);
const UNTIL: Duration = Duration::from_secs(690);
