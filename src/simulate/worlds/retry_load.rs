//! Retry policies against an upstream that fails a share of its requests.
//!
//! After M. Brooker, "Fixing retries with token buckets and circuit breakers" (2022): 100 clients
//! of 10 requests a second for 10 s, no back-off, an upstream that load does not slow down.

use std::time::Duration;

use spillgate_core::rng::Rng;

use crate::simulate::agenda::Agenda;
use crate::simulate::chance::{exponential, happens, seconds};
use crate::simulate::lab::{Finding, Lab};
use crate::simulate::measure::{percent, ratio};

/// How a client of the published simulation decides about a retry.
#[derive(Debug, Clone, Copy)]
enum Policy {
    /// Up to so many retries for each call.
    Retries(u32),
    /// Each call deposits a share of a token, each retry takes a whole one; no other limit.
    Bucket { deposit: f64, size: f64 },
    /// Up to so many retries, unless more than this share of calls has failed so far.
    Breaker { retries: u32, failures_max: f64 },
}

#[derive(Debug, Clone, Copy)]
struct State {
    tokens: f64,
    calls: f64,
    failures: f64,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Call(usize),
    Answer { client: usize, failed: bool, retries: u32 },
}

#[derive(Debug, Default, Clone, Copy)]
struct Totals {
    calls: usize,
    good: usize,
    sent: usize,
}

/// Runs the published simulation.
pub(super) fn published(_: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let retries = |failing| simulate(Policy::Retries(3), failing, seed);
    let bucket = |failing| simulate(Policy::Bucket { deposit: 0.1, size: 5.0 }, failing, seed);
    let breaker =
        |failing| simulate(Policy::Breaker { retries: 3, failures_max: 0.1 }, failing, seed);
    let totals = retries(0.3);
    finding.read("S1v/retry3/f=0.3", "success_pct", totals.success_pct());
    finding.read("S1v/retry3/f=0.3", "load_x", totals.load_x());
    finding.read("S1v/brooker_adaptive/f=0.2", "success_pct", bucket(0.2).success_pct());
    finding.read("S1v/brooker_adaptive/f=0.5", "load_x", bucket(0.5).load_x());
    let totals = breaker(0.1);
    finding.read("S1v/brooker_breaker/f=0.1", "success_pct", totals.success_pct());
    finding.read("S1v/brooker_breaker/f=0.1", "load_x", totals.load_x());
    finding
}

fn simulate(policy: Policy, failing: f64, seed: u64) -> Totals {
    let mut rng = Rng::new(seed);
    let tokens = match policy {
        Policy::Bucket { size, .. } => size,
        Policy::Retries(_) | Policy::Breaker { .. } => 0.0,
    };
    let mut states = vec![State { tokens, calls: 0.0, failures: 0.0 }; CLIENTS];
    let mut agenda = Agenda::new();
    let mut totals = Totals::default();
    for client in 0..CLIENTS {
        agenda.plan(trip(&mut rng), Event::Call(client));
    }
    while let Some((at, event)) = agenda.next() {
        let (client, retries) = match event {
            Event::Call(client) => {
                let next = at + seconds(exponential(&mut rng, 1.0 / RATE));
                if next < UNTIL {
                    agenda.plan(next, Event::Call(client));
                }
                totals.calls += 1;
                if let Some(state) = states.get_mut(client) {
                    policy.start(state);
                }
                (client, 0)
            }
            Event::Answer { failed: false, .. } => {
                totals.good += 1;
                continue;
            }
            Event::Answer { client, retries, .. } => {
                let Some(state) = states.get_mut(client) else { continue };
                if !policy.retries(state, retries) {
                    continue;
                }
                (client, retries + 1)
            }
        };
        totals.sent += 1;
        let failed = happens(&mut rng, failing);
        let back = at + trip(&mut rng) + trip(&mut rng);
        agenda.plan(back, Event::Answer { client, failed, retries });
    }
    totals
}

fn trip(rng: &mut Rng) -> Duration {
    seconds(exponential(rng, 0.01))
}

impl Policy {
    fn start(self, state: &mut State) {
        state.calls += 1.0;
        if let Self::Bucket { deposit, size } = self {
            state.tokens = (state.tokens + deposit).min(size);
        }
    }

    fn retries(self, state: &mut State, so_far: u32) -> bool {
        state.failures += 1.0;
        match self {
            Self::Retries(most) => so_far < most,
            Self::Bucket { .. } => {
                let pays = state.tokens > 1.0;
                state.tokens -= if pays { 1.0 } else { 0.0 };
                pays
            }
            Self::Breaker { retries, failures_max } => {
                state.failures / state.calls <= failures_max && so_far < retries
            }
        }
    }
}

impl Totals {
    fn success_pct(&self) -> f64 {
        percent(self.good, self.calls)
    }

    fn load_x(&self) -> f64 {
        ratio(self.sent, self.calls)
    }
}

const CLIENTS: usize = 100;
const RATE: f64 = 10.0;
const UNTIL: Duration = Duration::from_secs(10);
