//! Metastable overload: an upstream near its capacity that hangs for 10 s, or is asked for three
//! times as much for 10 s, and the clients that do or do not let it recover.
//!
//! After N. Bronson et al., "Metastable Failures in Distributed Systems" (2021, at `HotOS`): 300
//! requests a second at most, retries that double the load keep it down from 150 calls a second on.

use std::time::Duration;

use spillgate_core::breaker::options::BreakerOptions;
use spillgate_core::policy::{HostPolicy, Timeouts};

use crate::simulate::backend::{Backend, Ill, Spell};
use crate::simulate::chance::Spread;
use crate::simulate::client::Client;
use crate::simulate::fleet::{self, Arrivals, Load, plain_errand};
use crate::simulate::lab::{Finding, Lab};
use crate::simulate::measure::{number, percent};
use crate::simulate::plain::{Allowance, Plain, PlainOptions};
use crate::simulate::process::Recipe;
use crate::simulate::tally::Tally;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The upstream hangs.
    Outage,
    /// The load is 900 calls a second.
    Pulse,
}

/// The published clients.
pub(super) fn published(_: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let naive = |retries, from, to| {
        highest(from, to, |rps| {
            let clients = plain(retries, Allowance::Endless);
            recovers(&trouble(clients, rps, Trouble::Outage, seed))
        })
    };
    finding.read("S3t/naive_1retry", "max_recovering_qps", naive(1, 100, 200));
    finding.read("S3t/naive_3retry", "max_recovering_qps", naive(3, 40, 120));
    let budget = highest(220, 300, |rps| {
        let clients = plain(3, Allowance::OfRequests(0.1));
        recovers(&trouble(clients, rps, Trouble::Outage, seed))
    });
    finding.read("S3t/budget_10pct_of_requests", "max_recovering_qps", budget);
    finding
}

/// The machines after an outage and a pulse, at 93 % of what the upstream can serve. Presets:
/// attempt timeout 1 s, deadline 2 s; without the breaker where the row names none.
pub(super) fn recovery(lab: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let bare = without_breaker(lab);
    let outage = trouble(bare.processes(10, seed), RPS, Trouble::Outage, seed);
    let id = "S3/outage10/vegas+dl_fifo_margin300ms+budget";
    finding.read(id, "recover_s", outage.recovery(TROUBLE_END));
    let pulse = trouble(bare.processes(10, seed), RPS, Trouble::Pulse, seed);
    let id = "S3/pulse900x10/vegas+dl_fifo_margin300ms+budget";
    finding.read(id, "recover_s", pulse.recovery(TROUBLE_END));
    let many = trouble(bare.processes(100, seed), RPS, Trouble::Outage, seed);
    let id = "S3/outage10/100proc:vegas(max6)+dl_fifo_margin300ms+budget";
    finding.read(id, "recover_s", many.recovery(TROUBLE_END));
    let full = standard(lab);
    let many_full = trouble(full.processes(100, seed), RPS, Trouble::Outage, seed);
    let id = "S3/outage10/100proc:vegas+rate50/5s+ramp+dl+budget";
    finding.read(id, "recover_s", many_full.recovery(TROUBLE_END));
    let few_full = trouble(full.processes(10, seed), RPS, Trouble::Outage, seed);
    let id = "S3/outage10/full_stack(limit6,300ms,budget,rate50/5s+ramp)";
    finding.read(id, "recover_s", few_full.recovery(TROUBLE_END));
    let last = LAST_MINUTE..UNTIL;
    finding.read(id, "load_last60s_x", few_full.load_x_during(&last));
    let before = few_full.success_pct_of(|call| call.arrived < BEFORE_TROUBLE);
    finding.read(id, "goodput_before_pct", before);
    finding.draw("overload", "standard", goodput(&few_full));
    finding.draw("overload", "without breaker", goodput(&outage));
    if lab.draws(seed) {
        let naive = plain(3, Allowance::Endless);
        let naive = trouble(naive, RPS, Trouble::Outage, seed);
        finding.draw("overload", "three retries", goodput(&naive));
        let budget = plain(3, Allowance::OfRequests(0.1));
        let budget = trouble(budget, RPS, Trouble::Outage, seed);
        finding.draw("overload", "budget of requests", goodput(&budget));
    }
    finding
}

/// The most load from which the machines recover. Presets as for the recovery.
pub(super) fn threshold(lab: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let recipe = without_breaker(lab);
    let most = highest(200, 300, |rps| {
        recovers(&trouble(recipe.processes(10, seed), rps, Trouble::Outage, seed))
    });
    let id = "S3t/vegas+dl_fifo_margin300ms+budget";
    finding.read(id, "max_recovering_qps", most);
    finding
}

/// The highest load, in steps of 10, below the first from which the world does not recover.
fn highest(from: u32, to: u32, recovers: impl Fn(f64) -> bool) -> f64 {
    let mut most = 0;
    for rps in (from..=to).step_by(10) {
        if !recovers(f64::from(rps)) {
            break;
        }
        most = rps;
    }
    f64::from(most)
}

fn recovers(tally: &Tally) -> bool {
    tally.recovery(TROUBLE_END) + 1.0 < UNTIL.saturating_sub(TROUBLE_END).as_secs_f64()
}

fn trouble<C: Client>(clients: Vec<C>, rps: f64, trouble: Trouble, seed: u64) -> Tally {
    let during = TROUBLE_BEGIN..TROUBLE_END;
    let mut upstream = Backend::of_workers(30, Spread::Exponential(0.1));
    let arrivals = match trouble {
        Trouble::Outage => {
            upstream.spells.push(Spell { during, ill: Ill::Hangs });
            Arrivals::Poisson(rps)
        }
        Trouble::Pulse => Arrivals::Pulse { rps, pulse_rps: 900.0, during },
    };
    let patience = Duration::from_secs(2);
    let load = Load { arrivals, until: UNTIL, patience, errand: plain_errand };
    fleet::run(clients, load, upstream, seed)
}

fn plain(retries: u32, allowance: Allowance) -> Vec<Plain> {
    let options = PlainOptions { retries, timeout: Duration::from_secs(1), allowance };
    (0..10).map(|_| Plain::new(options)).collect()
}

fn standard(lab: &Lab) -> Recipe {
    let mut policy = lab.policy.clone();
    let second = Duration::from_secs(1);
    policy.timeouts = Timeouts { attempt: second, connect: second, ..policy.timeouts };
    Recipe::new(policy, lab.limits)
}

fn without_breaker(lab: &Lab) -> Recipe {
    let mut recipe = standard(lab);
    recipe.policy = HostPolicy { breaker: BreakerOptions::off(), ..recipe.policy };
    recipe
}

/// The share of calls that fare well, in per cent, second by second around the trouble.
fn goodput(tally: &Tally) -> Vec<(f64, f64)> {
    let seconds = tally.seconds();
    let points = seconds.iter().enumerate().take(SHOWN_S).map(|(second, (came, good))| {
        (number(second) - TROUBLE_END.as_secs_f64(), percent(*good, *came))
    });
    points.collect()
}

/// Seconds that the plot shows.
const SHOWN_S: usize = 100;
/// 93 % of what the upstream can serve.
const RPS: f64 = 280.0;
const BEFORE_TROUBLE: Duration = Duration::from_secs(28);
const TROUBLE_BEGIN: Duration = Duration::from_secs(30);
const TROUBLE_END: Duration = Duration::from_secs(40);
const LAST_MINUTE: Duration = Duration::from_secs(420);
const UNTIL: Duration = Duration::from_secs(480);
