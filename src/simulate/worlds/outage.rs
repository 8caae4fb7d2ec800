//! An outage of the origin behind a cache.
//!
//! A hundred calls a second for one of ten thousand things, by Zipf's law. An answer is good for
//! 45 s, and the origin takes 50 ms for one. After an hour the origin answers nothing but 503 for
//! ten minutes; where in the 45 s of the most popular things that falls is drawn. Calibrated to what is known of a cache without `stale-if-error`: 2.6 % of the calls
//! in the outage fare well, those for what is still fresh.

use std::time::Duration;

use spillgate_core::cache::rules::Rules;
use spillgate_core::rng::Rng;

use crate::simulate::backend::{Backend, Ill, Spell};
use crate::simulate::cached::{Cached, Manner, Sharing};
use crate::simulate::chance::{Spread, zipf};
use crate::simulate::client::Errand;
use crate::simulate::fleet::{self, Arrivals, Load};
use crate::simulate::lab::{Finding, Lab};
use crate::simulate::measure::{number, percent};
use crate::simulate::process::Recipe;
use crate::simulate::tally::Tally;

/// One process of the standard pipeline; only what answers say of staleness counts.
pub(super) fn staleness(lab: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let begin = outage_begin(AN_HOUR, seed);
    let covered = world(lab, COVERED, begin, seed);
    let availability = outage_pct(&covered, begin);
    finding.draw("outage", "stale-if-error", by_time(&covered, begin));
    finding.read("S7b/keys=10000/sie=3600/outage=600", "avail_outage_pct", availability);
    let begin = outage_begin(AS_LONG, seed);
    let bare = world(lab, BARE, begin, seed);
    let availability = outage_pct(&bare, begin);
    finding.draw("outage", "without", by_time(&bare, begin));
    finding.read("S7b/keys=10000/sie=0/outage=600", "avail_outage_pct", availability);
    finding
}

fn world(lab: &Lab, said: &'static str, outage_begin: Duration, seed: u64) -> Tally {
    let until = outage_begin + OUTAGE;
    let load = Load {
        arrivals: Arrivals::Poisson(100.0),
        until,
        patience: lab.policy.deadline,
        errand: popular,
    };
    let mut origin = Backend::endless(Spread::Fixed(0.05));
    let during = outage_begin..until;
    origin.spells.push(Spell { during, ill: Ill::Fails });
    let rules = Rules { stale_if_error: Duration::ZERO, ..Rules::default() };
    let manner = Manner { rules, said, sharing: Sharing::Coalesced };
    let recipe = Recipe::new(lab.policy.clone(), lab.limits);
    let processes = recipe.processes(1, seed).into_iter();
    let processes = processes.map(|process| Cached::new(process, manner.clone())).collect();
    fleet::run(processes, load, origin, seed)
}

fn popular(rng: &mut Rng) -> Errand {
    Errand { key: Some(zipf(rng, THINGS)), ..Errand::default() }
}

/// So long after the start, and up to a lifetime more.
fn outage_begin(after: Duration, seed: u64) -> Duration {
    let mut rng = Rng::new(seed ^ 0x4f_55_54);
    after + Duration::from_secs(rng.below(LIFETIME_S))
}

/// The share of the calls in the outage that fare well, in per cent.
fn outage_pct(tally: &Tally, outage_begin: Duration) -> f64 {
    tally.success_pct_of(|call| call.arrived >= outage_begin)
}

/// The share of calls that fare well, in per cent, in steps of ten seconds.
fn by_time(tally: &Tally, outage_begin: Duration) -> Vec<(f64, f64)> {
    let seconds = tally.seconds();
    let steps = seconds.chunks(10).enumerate().map(|(step, seconds)| {
        let (came, good) =
            seconds.iter().fold((0, 0), |sum, each| (sum.0 + each.0, sum.1 + each.1));
        (number(step * 10) - outage_begin.as_secs_f64(), percent(good, came))
    });
    steps.filter(|(since, _)| *since >= -60.0).collect()
}

const COVERED: &str = "max-age=45, stale-if-error=3600";
const BARE: &str = "max-age=45";
const LIFETIME_S: u64 = 45;
const THINGS: u64 = 10_000;
const AN_HOUR: Duration = Duration::from_secs(3_600);
/// What is fresh when the outage begins came in the last 45 s: less than an hour says as much of it.
const AS_LONG: Duration = Duration::from_secs(600);
const OUTAGE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_that_allow_it_cover_an_outage() {
        let lab = Lab::default();
        let availability = |said| outage_pct(&world(&lab, said, AS_LONG, 1), AS_LONG);
        // After ten minutes one call in twenty is for something that nobody asked for before.
        let covered = availability(COVERED);
        assert!((90.0..99.0).contains(&covered), "{covered}");
        let bare = availability(BARE);
        assert!(bare < 5.0, "{bare}");
    }
}
