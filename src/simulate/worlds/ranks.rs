//! Ranks: one host with six slots of 50 ms each, 120 calls a second, and more asked of it.

use std::time::Duration;

use spillgate_core::call::Priority;
use spillgate_core::rng::Rng;

use crate::simulate::backend::Backend;
use crate::simulate::chance::{Spread, happens};
use crate::simulate::client::Errand;
use crate::simulate::fleet::{self, Arrivals, Load};
use crate::simulate::lab::{Finding, Lab};
use crate::simulate::measure::{millis, number};
use crate::simulate::process::Recipe;
use crate::simulate::tally::{CallLog, Tally};

/// Foreground that joins background, and background behind much foreground: what it gets, and the
/// longest that it waits for its next turn. The standard pipeline.
pub(super) fn shares(lab: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let joining = world(lab, 160.0, joining, seed);
    let foreground = |call: &CallLog| call.is(Priority::Foreground);
    let joined = joining.latency(0.99, |call| foreground(call) && call.joined);
    finding.read("S5/fg40bg120/PrioCoalInherit", "joined_p99_ms", millis(joined));
    let intime = |call: &CallLog| {
        call.good && call.latency().is_some_and(|latency| latency <= Duration::from_secs(2))
    };
    let all = joining.calls.iter().filter(|call| foreground(call)).count();
    let kept = joining.calls.iter().filter(|call| foreground(call) && intime(call)).count();
    let missed = 100.0 * number(all - kept) / number(all.max(1));
    finding.read("S5/fg40bg120/PrioCoalInherit", "fg_miss2s_pct", missed);
    finding.draw("ranks", "foreground", waits(&joining, Priority::Foreground));
    finding.draw("ranks", "background", waits(&joining, Priority::Background));

    let crowded = world(lab, 140.0, crowding, seed);
    let background = |call: &&CallLog| call.is(Priority::Background);
    let served = crowded.calls.iter().filter(background).filter(|call| call.good).count();
    let served = number(served) / LONG.as_secs_f64();
    finding.read("S5/fg110bg30/PrioCoalInheritShare10", "bg_rps", served);
    let starved = starvation(crowded.calls.iter().filter(background)).as_secs_f64();
    finding.read("S5/fg110bg30/PrioCoalInheritShare10", "bg_wait_max_s", starved);
    finding
}

/// The longest that calls of a class waited for the class's next turn, while the load lasts.
fn starvation<'a>(calls: impl Iterator<Item = &'a CallLog>) -> Duration {
    let mut events: Vec<(Duration, Step)> = Vec::new();
    for call in calls {
        events.push((call.arrived, Step::Comes));
        let end = call.started.map(|at| (at, Step::Starts));
        events.extend(end.or(call.answered.map(|at| (at, Step::GivesUp))));
    }
    events.retain(|(at, _)| *at < LONG);
    events.sort_unstable();
    let (mut waiting, mut since, mut longest) = (0_usize, Duration::ZERO, Duration::ZERO);
    for (at, step) in events {
        match step {
            Step::Comes if waiting == 0 => (waiting, since) = (1, at),
            Step::Comes => waiting += 1,
            Step::Starts => {
                longest = longest.max(at.saturating_sub(since));
                (waiting, since) = (waiting.saturating_sub(1), at);
            }
            Step::GivesUp => waiting = waiting.saturating_sub(1),
        }
    }
    longest
}

/// What a call does that counts for starvation, in the order of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Comes,
    Starts,
    GivesUp,
}

/// 40 foreground and 120 background calls a second for one of a thousand things.
fn joining(rng: &mut Rng) -> Errand {
    let priority =
        if happens(rng, 40.0 / 160.0) { Priority::Foreground } else { Priority::Background };
    Errand { priority, key: Some(rng.below(1_000)), ..Errand::default() }
}

/// 110 foreground and 30 background calls a second, each for something of its own.
fn crowding(rng: &mut Rng) -> Errand {
    let priority =
        if happens(rng, 110.0 / 140.0) { Priority::Foreground } else { Priority::Background };
    Errand { priority, ..Errand::default() }
}

fn world(lab: &Lab, rps: f64, errand: fn(&mut Rng) -> Errand, seed: u64) -> Tally {
    let load = Load {
        arrivals: Arrivals::Poisson(rps),
        until: LONG,
        patience: lab.policy.deadline,
        errand,
    };
    let recipe = Recipe::new(lab.policy.clone(), lab.limits);
    let upstream = Backend::endless(FIFTY_MS);
    fleet::run(recipe.processes(1, seed), load, upstream, seed)
}

/// The share of answered calls, in per cent, that took longer than so many milliseconds.
fn waits(tally: &Tally, priority: Priority) -> Vec<(f64, f64)> {
    let shares = [0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005];
    let at = |share: f64| millis(tally.latency(1.0 - share, |call| call.is(priority)));
    shares.map(|share| (at(share), share * 100.0)).to_vec()
}

const LONG: Duration = Duration::from_secs(180);
/// 50 ms in the mean, one in a hundred twice as long.
const FIFTY_MS: Spread = Spread::LogNormal { median: 0.0478, sigma: 0.3 };

#[cfg(test)]
mod tests {
    use super::*;

    /// PITFALLS A20: three background calls come for each that is served, behind foreground for ever.
    #[test]
    fn background_that_is_served_has_waited_for_five_seconds_at_most() {
        let crowded = world(&Lab::default(), 140.0, crowding, 1);
        let background = crowded.calls.iter().filter(|call| call.is(Priority::Background));
        let started = background.filter_map(|call| Some((call.arrived, call.started?)));
        let waits = started.filter(|(_, at)| *at < LONG).map(|(came, at)| at.saturating_sub(came));
        let (short, long): (Vec<Duration>, Vec<Duration>) =
            waits.partition(|wait| *wait <= Duration::from_secs(5));
        assert!(short.len() > 1_900, "{} were served", short.len());
        // A slot that nobody newer wants is not left idle for it.
        assert!(long.len() <= 5, "{long:?}");
    }
}
