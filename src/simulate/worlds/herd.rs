//! A herd: many clients that are told at the same moment to come back after the same time.

use std::time::{Duration, Instant};

use spillgate_core::call::{AttemptId, FlightId, Ticket};
use spillgate_core::outcome::Evidence;

use crate::simulate::backend::{Backend, Throttle};
use crate::simulate::chance::Spread;
use crate::simulate::client::{Client, Effect, Reply, Wish};
use crate::simulate::fleet::{self, Arrivals, Load, plain_errand};
use crate::simulate::lab::{Finding, Lab};
use crate::simulate::measure::number;
use crate::simulate::process::Recipe;
use crate::simulate::tally::Tally;

/// A client that comes back exactly when it is told to, up to three times.
#[derive(Debug, Default)]
struct Obedient {
    ticket: u64,
    n: u32,
    again: Option<Instant>,
}

/// A thousand clients, one call each, within a tenth of a second, against an upstream that serves
/// 60 of them in that time and asks the others to come back in 5 s. The standard pipeline.
pub(super) fn retry_after(lab: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let recipe = Recipe::new(lab.policy.clone(), lab.limits);
    let tally = meet(recipe.processes(1_000, seed), seed);
    finding.read("S2c/+U(0,50%)", "success_pct", tally.success_pct());
    let after = Duration::from_secs(1);
    finding.read("S2c/+U(0,50%)", "peak_100ms", number(tally.peak_tenth(after)));
    finding.draw("herd", "standard: spread by half", arrivals(&tally));
    if !lab.draws(seed) {
        return finding;
    }
    let exact = (0..1_000).map(|_| Obedient::default()).collect();
    finding.draw("herd", "exactly as told", arrivals(&meet(exact, seed)));
    finding
}

fn meet<C: Client>(clients: Vec<C>, seed: u64) -> Tally {
    let load = Load {
        arrivals: Arrivals::Once(Duration::from_millis(100)),
        until: Duration::from_secs(1),
        patience: Duration::from_secs(30),
        errand: plain_errand,
    };
    let mut upstream = Backend::endless(Spread::Fixed(0.01));
    upstream.throttle = Some(Throttle::new(60, Duration::from_secs(5)));
    fleet::run(clients, load, upstream, seed)
}

/// How many attempts left in each tenth of a second, from the fourth second on.
fn arrivals(tally: &Tally) -> Vec<(f64, f64)> {
    let mut tenths = tally.tenths();
    tenths.resize(SHOWN, 0);
    let shown = tenths.iter().enumerate().skip(40);
    shown.map(|(tenth, count)| (number(tenth) / 10.0, number(*count))).collect()
}

impl Client for Obedient {
    fn submit(&mut self, now: Instant, wish: Wish, effects: &mut Vec<Effect>) {
        self.ticket = wish.ticket.0;
        self.send(now, effects);
    }

    fn settle(&mut self, _: Instant, _: AttemptId, evidence: Evidence, effects: &mut Vec<Effect>) {
        self.again = evidence.hint.filter(|_| self.n < 4);
        if self.again.is_none() {
            let reply = Reply::of(&evidence);
            effects.push(Effect::Answer { ticket: Ticket(self.ticket), reply });
        }
    }

    fn wake(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.again.take_if(|at| *at <= now).is_some() {
            self.send(now, effects);
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        self.again
    }
}

impl Obedient {
    fn send(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.n += 1;
        let ticket = Ticket(self.ticket);
        let attempt = AttemptId { flight: FlightId(self.ticket), n: self.n };
        let until = now.checked_add(Duration::from_secs(10)).unwrap_or(now);
        effects.push(Effect::Send { attempt, ticket, route: 0, until });
    }
}

/// Tenths of a second that the plot shows.
const SHOWN: usize = 120;
