//! Stampedes: many callers of things that expire, or that nobody has asked for yet.
//!
//! 10,300 calls a second for one of 204 things, by Zipf's law, over 12 s from an empty cache. An
//! answer is good for a second, and the origin takes 200 ms for one. Calibrated to what is known of
//! a process whose callers each ask for themselves: 1,897 requests a second.

use std::time::Duration;

use spillgate_core::cache::rules::Rules;
use spillgate_core::limit::LimitOptions;
use spillgate_core::policy::{HostPolicy, Limits};
use spillgate_core::rng::Rng;

use crate::simulate::backend::Backend;
use crate::simulate::cached::{Cached, Manner, Sharing};
use crate::simulate::chance::{Spread, zipf};
use crate::simulate::client::Errand;
use crate::simulate::fleet::{self, Arrivals, Load};
use crate::simulate::lab::{Finding, Lab};
use crate::simulate::measure::{number, percent, ratio};
use crate::simulate::process::Recipe;
use crate::simulate::tally::Tally;

/// One process. Preset: a slot for each call and no adaptive limit, or whoever asks for what
/// another asks for would wait for a slot instead; a thing that is asked for for the first time by
/// a thousand at once meets the standard pipeline.
pub(super) fn expiry(lab: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let none = world(lab, &manner("max-age=1", Sharing::Apart), seed);
    finding.read("S7a/none/procs=1", "origin_rps", origin_rps(&none));
    let coalesced = world(lab, &manner("max-age=1", Sharing::Coalesced), seed);
    finding.read("S7a/coalesce/procs=1", "origin_rps", origin_rps(&coalesced));
    finding.read("S7a/coalesce/procs=1", "blocked_pct", blocked_pct(&coalesced));
    let renewed = world(lab, &manner(RENEWED, Sharing::Coalesced), seed);
    finding.read("S7a/swr/procs=1", "origin_rps", origin_rps(&renewed));
    finding.read("S7a/swr/procs=1", "blocked_pct", blocked_pct(&renewed));
    let cold = cold(lab, Sharing::Coalesced, seed);
    finding.read("S7a/cold/callers=1000", "origin_requests", number(cold.sends.len()));
    finding.read("S7a/cold/callers=1000", "success_pct", cold.success_pct());
    finding.draw("stampede", "each for itself", requests(&none));
    // Renewed meanwhile or not, a thing is asked for as often: one line shows both.
    finding.draw("stampede", "coalesced", requests(&coalesced));
    finding
}

fn world(lab: &Lab, manner: &Manner, seed: u64) -> Tally {
    let limit = LimitOptions::fixed();
    let policy = HostPolicy { concurrency: SLOTS, limit, ..lab.policy.clone() };
    let limits = Limits { global: SLOTS, ..lab.limits };
    let load = Load {
        arrivals: Arrivals::Poisson(10_300.0),
        until: LONG,
        patience: lab.policy.deadline,
        errand: popular,
    };
    run(&Recipe::new(policy, limits), manner, load, Spread::Fixed(0.2), seed)
}

/// A thousand callers in a tenth of a second, in the mean, for one thing that nobody asked for
/// before. The standard pipeline.
fn cold(lab: &Lab, sharing: Sharing, seed: u64) -> Tally {
    let load = Load {
        arrivals: Arrivals::Poisson(10_000.0),
        until: Duration::from_millis(100),
        patience: lab.policy.deadline,
        errand: the_same,
    };
    let recipe = Recipe::new(lab.policy.clone(), lab.limits);
    run(&recipe, &manner("max-age=1", sharing), load, Spread::Fixed(0.3), seed)
}

fn run(recipe: &Recipe, manner: &Manner, load: Load, origin: Spread, seed: u64) -> Tally {
    let processes = recipe.processes(1, seed).into_iter();
    let processes = processes.map(|process| Cached::new(process, manner.clone())).collect();
    fleet::run(processes, load, Backend::endless(origin), seed)
}

fn manner(said: &'static str, sharing: Sharing) -> Manner {
    Manner { rules: Rules::default(), said, sharing }
}

fn popular(rng: &mut Rng) -> Errand {
    Errand { key: Some(zipf(rng, THINGS)), ..Errand::default() }
}

fn the_same(_: &mut Rng) -> Errand {
    Errand { key: Some(0), ..Errand::default() }
}

fn origin_rps(tally: &Tally) -> f64 {
    number(tally.sends.len()) / LONG.as_secs_f64()
}

/// The share of callers that wait for the origin, in per cent.
fn blocked_pct(tally: &Tally) -> f64 {
    let served = |waited: Option<Duration>| waited.is_some_and(|waited| waited.is_zero());
    let served = tally.calls.iter().filter(|call| served(call.latency())).count();
    percent(tally.calls.len() - served, tally.calls.len())
}

/// How many requests a second the origin had, in each tenth of one.
fn requests(tally: &Tally) -> Vec<(f64, f64)> {
    let tenths = tally.tenths();
    let shown = tenths.iter().enumerate();
    shown.map(|(tenth, count)| (ratio(tenth, 10), number(count * 10))).collect()
}

const RENEWED: &str = "max-age=1, stale-while-revalidate=1";
const THINGS: u64 = 204;
const LONG: Duration = Duration::from_secs(12);
const SLOTS: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::tally::CallLog;

    #[test]
    fn callers_of_a_cold_thing_who_each_ask_for_themselves_overrun_the_origin() {
        let apart = cold(&Lab::default(), Sharing::Apart, 1);
        assert!(apart.calls.len() > 900, "{} came", apart.calls.len());
        assert!(apart.sends.len() > 500, "{} were sent", apart.sends.len());
    }

    #[test]
    fn nobody_waits_for_what_may_be_used_while_it_is_renewed() {
        let renewed = world(&Lab::default(), &manner(RENEWED, Sharing::Coalesced), 1);
        let cold = Duration::from_secs(1);
        let waits = |call: &&CallLog| call.arrived > cold && call.latency() != Some(Duration::ZERO);
        let late = renewed.calls.iter().filter(waits).count();
        // The last of them are asked for so rarely that a second passes without a call.
        assert!(late < 100, "{late} of {}", renewed.calls.len());
    }
}
