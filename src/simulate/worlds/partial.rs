//! Partial failure: an upstream of which a share fails, that load does not slow down.

use std::time::Duration;

use spillgate_core::breaker::options::BreakerOptions;
use spillgate_core::policy::HostPolicy;

use crate::simulate::backend::Backend;
use crate::simulate::chance::{Spread, index};
use crate::simulate::client::{Client, Errand};
use crate::simulate::fleet::{self, Arrivals, Load, plain_errand};
use crate::simulate::lab::{Finding, Lab};
use crate::simulate::plain::{Allowance, Plain, PlainOptions};
use crate::simulate::process::{Recipe, Scoping};
use crate::simulate::tally::Tally;

/// Retries and their budget. Preset: breaker off, so that the budget alone answers for the load.
pub(super) fn budget(lab: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let policy = HostPolicy { breaker: BreakerOptions::off(), ..lab.policy.clone() };
    let at = |failing| world(&Recipe::new(policy.clone(), lab.limits), 10, 100.0, failing, seed);
    let few = at(0.05);
    finding.read("S1a/token_success/f=0.05", "success_pct", few.success_pct());
    finding.read("S1a/token_success/f=0.1", "success_pct", at(0.1).success_pct());
    finding.read("S1a/token_success/f=0.2", "load_x", at(0.2).load_x());
    finding.read("S1a/token_success/f=1", "load_x", at(1.0).load_x());
    if lab.draws(seed) {
        let standard = Recipe::new(lab.policy.clone(), lab.limits);
        let options = |retries| PlainOptions {
            retries,
            timeout: Duration::from_secs(10),
            allowance: Allowance::Endless,
        };
        let plain = |retries: u32| (0..10).map(move |_| Plain::new(options(retries))).collect();
        draw(&mut finding, "no retry", |failing| meet(plain(0), 100.0, failing, seed));
        draw(&mut finding, "three retries", |failing| meet(plain(3), 100.0, failing, seed));
        draw(&mut finding, "standard", |failing| world(&standard, 10, 100.0, failing, seed));
    }
    finding
}

/// Draws success and load over the share of failures.
fn draw(finding: &mut Finding, series: &'static str, world: impl Fn(f64) -> Tally) {
    let shares = [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0];
    let tallies = shares.map(|failing| (failing * 100.0, world(failing)));
    let success = tallies.iter().map(|(failing, tally)| (*failing, tally.success_pct()));
    finding.draw("partial_success", series, success.collect());
    let load = tallies.iter().map(|(failing, tally)| (*failing, tally.load_x()));
    finding.draw("partial_load", series, load.collect());
}

/// The breaker alone. Preset: no retries.
pub(super) fn breaker(lab: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let mut policy = lab.policy.clone();
    policy.retry.attempts_max = 1;
    let recipe = Recipe::new(policy, lab.limits);
    let fast = world(&recipe, 1, 1_000.0, 0.3, seed);
    finding.read("S1b/rate50_10s_min20_5s/rps=1000/f=0.3", "success_pct", fast.success_pct());
    let slower = world(&recipe, 1, 100.0, 0.2, seed);
    finding.read("S1b/rate50_10s_min20_5s/rps=100/f=0.2", "success_pct", slower.success_pct());
    let dead = world(&recipe, 1, 100.0, 1.0, seed);
    finding.read("S1b/rate50_10s_min20_5s/rps=100/f=1", "load_x", dead.load_x());
    if lab.draws(seed) {
        let breakers = [
            ("no breaker", BreakerOptions::off()),
            ("standard", lab.policy.breaker.clone()),
            ("5 consecutive, 60 s", BreakerOptions::consecutive(5)),
        ];
        for (name, breaker) in breakers {
            let mut recipe = recipe.clone();
            recipe.policy.breaker = breaker;
            let points = [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6].map(|failing| {
                (failing * 100.0, world(&recipe, 1, 100.0, failing, seed).success_pct())
            });
            finding.draw("breaker", name, points.to_vec());
        }
    }
    finding
}

/// One dead shard of three, behind a breaker for each route that calls name, and behind those that the
/// host learns of where they name none. The standard pipeline.
pub(super) fn shards(lab: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let tally = sharded(lab, Scoping::Route(3), seed);
    finding.read(
        "S1c/rate50_10s_min20_5s/scope=route/rps=100",
        "healthy_shard_success_pct",
        tally.success_pct_of(|call| call.errand.route != 0),
    );
    let learned = sharded(lab, Scoping::Learned(3), seed);
    let healthy = learned.success_pct_of(|call| call.errand.route != 0);
    finding.read("S1c/learned/rps=100", "healthy_shard_success_pct", healthy);
    finding
}

fn sharded(lab: &Lab, scoping: Scoping, seed: u64) -> Tally {
    let mut recipe = Recipe::new(lab.policy.clone(), lab.limits);
    recipe.scoping = scoping;
    let load = Load {
        arrivals: Arrivals::Poisson(100.0),
        until: LONG,
        patience: lab.policy.deadline,
        errand: |rng| Errand { route: index(rng, 3), ..Errand::default() },
    };
    let mut upstream = Backend::endless(ANSWER);
    upstream.failing = vec![1.0, 0.0, 0.0];
    fleet::run(recipe.processes(1, seed), load, upstream, seed)
}

fn world(recipe: &Recipe, processes: usize, rps: f64, failing: f64, seed: u64) -> Tally {
    meet(recipe.processes(processes, seed), rps, failing, seed)
}

fn meet<C: Client>(clients: Vec<C>, rps: f64, failing: f64, seed: u64) -> Tally {
    let load = Load {
        arrivals: Arrivals::Poisson(rps),
        until: LONG,
        patience: Duration::from_secs(30),
        errand: plain_errand,
    };
    let mut upstream = Backend::endless(ANSWER);
    upstream.failing = vec![failing];
    fleet::run(clients, load, upstream, seed)
}

const LONG: Duration = Duration::from_secs(200);
const ANSWER: Spread = Spread::Exponential(0.002);

#[cfg(test)]
mod tests {
    use super::*;

    /// PITFALLS A22, where nobody named the routes.
    #[test]
    fn dead_shard_that_nobody_named_does_not_hurt_the_others() {
        for seed in 1..=10 {
            let tally = sharded(&Lab::default(), Scoping::Learned(3), seed);
            let healthy = tally.success_pct_of(|call| call.errand.route != 0);
            assert!(healthy >= 99.9, "seed {seed}: {healthy} %");
            let dead = tally.calls.iter().filter(|call| call.errand.route == 0 && !call.good);
            let sent = dead.filter(|call| call.started.is_some()).count();
            assert!(sent <= 40, "seed {seed}: {sent} calls of the dead shard went out");
        }
    }
}
