//! Layers: five services, each the client of the next, and each with a retry policy of its own.
//!
//! "Timeouts, retries and backoff with jitter" (Amazon Builders' Library): three attempts at each
//! of five layers are 243 calls at the bottom.

use std::time::{Duration, Instant};

use spillgate_core::advice::ErrorKind;
use spillgate_core::breaker::options::BreakerOptions;
use spillgate_core::call::{AttemptId, Priority, Ticket};
use spillgate_core::outcome::{Evidence, Exposure};
use spillgate_core::policy::HostPolicy;
use spillgate_core::rng::Rng;

use crate::simulate::agenda::{Agenda, Clock};
use crate::simulate::chance::{Spread, exponential, happens, seconds};
use crate::simulate::client::{Client, Effect, Wish};
use crate::simulate::lab::{Finding, Lab};
use crate::simulate::measure::{number, ratio};
use crate::simulate::plain::{Allowance, Plain, PlainOptions};
use crate::simulate::process::Recipe;

/// What five layers are asked to do.
#[derive(Debug, Clone, Copy)]
struct Task {
    calls: usize,
    rps: f64,
    patience: Duration,
    inheritance: Inheritance,
    bottom: Spread,
    failing: f64,
}

/// Whether a layer's deadline is its caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inheritance {
    /// It is.
    Inherited,
    /// Each layer begins anew.
    Forgotten,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Arrive,
    Settle { layer: usize, attempt: AttemptId, sent: Duration, evidence: Evidence },
    Wake(usize),
}

/// Whose call it is that a layer serves.
#[derive(Debug, Clone, Copy)]
struct Errand {
    root_deadline: Duration,
    /// The attempt that it serves, and when that left.
    parent: Option<(AttemptId, Duration)>,
}

struct Tower<C> {
    task: Task,
    layers: Vec<C>,
    errands: Vec<Vec<Errand>>,
    armed: Vec<Option<Duration>>,
    agenda: Agenda<Event>,
    clock: Clock,
    bottom_sends: usize,
    late_sends: usize,
    rng: Rng,
}

/// What reached the bottom.
#[derive(Debug, Clone, Copy)]
struct Outturn {
    per_call: f64,
    after_deadline: usize,
}

/// Three attempts everywhere against a dead bottom.
pub(super) fn published(lab: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let naive = run(plain(5, Allowance::Endless), Task { calls: 200, ..DEAD }, seed);
    finding.read("S9/3 attempts everywhere/f=1", "bottom_per_call", naive.per_call);
    if !lab.draws(seed) {
        return finding;
    }
    let points = (1..=5).map(|layers| {
        let task = Task { calls: 50, ..DEAD };
        (number(layers), run(plain(layers, Allowance::Endless), task, seed).per_call)
    });
    finding.draw("layers", "three attempts", points.collect());
    finding
}

/// Budgets at each layer against a dead bottom. The budget that each request feeds is the published
/// one; the other is the machines'. Preset: breaker off, so that the budget alone stands the test.
pub(super) fn budgets(lab: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let requests = run(plain(5, Allowance::OfRequests(0.1)), DEAD, seed);
    finding.read("S9/budget_req10/f=1", "bottom_per_call", requests.per_call);
    let policy = HostPolicy { breaker: BreakerOptions::off(), ..lab.policy.clone() };
    let recipe = Recipe::new(policy, lab.limits);
    let successes = run(recipe.processes(5, seed), DEAD, seed);
    finding.read("S9/budget_succ10/f=1", "bottom_per_call", successes.per_call);
    if !lab.draws(seed) {
        return finding;
    }
    let task = Task { calls: 2_000, ..DEAD };
    let requests = (1..=5).map(|layers| {
        (number(layers), run(plain(layers, Allowance::OfRequests(0.1)), task, seed).per_call)
    });
    finding.draw("layers", "budget of requests", requests.collect());
    let successes = (1..=5)
        .map(|layers| (number(layers), run(recipe.processes(layers, seed), task, seed).per_call));
    finding.draw("layers", "budget of successes", successes.collect());
    finding
}

/// Deadlines through five layers of the standard pipeline above a slow bottom.
pub(super) fn deadlines(lab: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let inherited = slow_tower(lab, 5, Inheritance::Inherited, seed);
    let late = number(inherited.after_deadline);
    finding.read("S9d/propagate=true", "after_deadline", late);
    if !lab.draws(seed) {
        return finding;
    }
    for (name, inheritance) in
        [("inherited", Inheritance::Inherited), ("forgotten", Inheritance::Forgotten)]
    {
        let points = (1..=5).map(|layers| {
            (number(layers), number(slow_tower(lab, layers, inheritance, seed).after_deadline))
        });
        finding.draw("deadlines", name, points.collect());
    }
    finding
}

fn slow_tower(lab: &Lab, layers: usize, inheritance: Inheritance, seed: u64) -> Outturn {
    let task = Task {
        calls: 2_000,
        rps: 10.0,
        patience: Duration::from_secs(1),
        inheritance,
        bottom: Spread::Exponential(0.2),
        failing: 0.3,
    };
    let recipe = Recipe::new(lab.policy.clone(), lab.limits);
    run(recipe.processes(layers, seed), task, seed)
}

fn plain(layers: usize, allowance: Allowance) -> Vec<Plain> {
    let options = PlainOptions { retries: 2, timeout: Duration::from_secs(60), allowance };
    (0..layers).map(|_| Plain::new(options)).collect()
}

fn run<C: Client>(layers: Vec<C>, task: Task, seed: u64) -> Outturn {
    let mut tower = Tower {
        task,
        errands: layers.iter().map(|_| Vec::new()).collect(),
        armed: layers.iter().map(|_| None).collect(),
        layers,
        agenda: Agenda::new(),
        clock: Clock::new(),
        bottom_sends: 0,
        late_sends: 0,
        rng: Rng::new(seed),
    };
    tower.agenda.plan(Duration::ZERO, Event::Arrive);
    while let Some((at, event)) = tower.agenda.next() {
        tower.step(at, event);
    }
    let per_call = ratio(tower.bottom_sends, task.calls);
    Outturn { per_call, after_deadline: tower.late_sends }
}

impl<C: Client> Tower<C> {
    fn step(&mut self, at: Duration, event: Event) {
        match event {
            Event::Arrive => {
                let root_deadline = at + self.task.patience;
                self.submit(at, 0, Errand { root_deadline, parent: None });
                if self.errands.first().is_some_and(|calls| calls.len() < self.task.calls) {
                    let gap = exponential(&mut self.rng, 1.0 / self.task.rps);
                    self.agenda.plan(at + seconds(gap), Event::Arrive);
                }
            }
            Event::Settle { layer, attempt, sent, evidence } => {
                let evidence = evidence.taking(at.saturating_sub(sent));
                self.act(at, layer, |client, now, effects| {
                    client.settle(now, attempt, evidence, effects);
                });
            }
            Event::Wake(layer) => {
                let armed = self.armed.get_mut(layer);
                if armed.is_some_and(|armed| armed.take_if(|due| *due == at).is_some()) {
                    self.act(at, layer, Client::wake);
                }
            }
        }
    }

    fn submit(&mut self, at: Duration, layer: usize, errand: Errand) {
        let Some(errands) = self.errands.get_mut(layer) else { return };
        let ticket = Ticket(errands.len() as u64);
        errands.push(errand);
        let deadline = match self.task.inheritance {
            Inheritance::Inherited => errand.root_deadline,
            Inheritance::Forgotten => at + self.task.patience,
        };
        let deadline = self.clock.instant(deadline);
        let wish = Wish { ticket, route: 0, priority: Priority::Normal, deadline, key: None };
        self.act(at, layer, |client, now, effects| client.submit(now, wish, effects));
    }

    /// Lets a layer do something and does what it wants done.
    fn act(
        &mut self,
        at: Duration,
        layer: usize,
        act: impl FnOnce(&mut C, Instant, &mut Vec<Effect>),
    ) {
        let mut effects = Vec::new();
        let now = self.clock.instant(at);
        let Some(client) = self.layers.get_mut(layer) else { return };
        act(client, now, &mut effects);
        for effect in effects {
            match effect {
                Effect::Send { attempt, ticket, until, .. } => {
                    let error = ErrorKind::HttpResponseTimeout;
                    let evidence = Evidence::of_error(error, Exposure::MaybeSent);
                    let until = self.clock.since(until);
                    self.agenda.plan(until, Event::Settle { layer, attempt, sent: at, evidence });
                    self.send(at, layer, attempt, ticket);
                }
                Effect::Recall(attempt) => {
                    let error = ErrorKind::Cancelled;
                    let evidence = Evidence::of_error(error, Exposure::MaybeSent);
                    self.agenda.plan(at, Event::Settle { layer, attempt, sent: at, evidence });
                }
                Effect::Join(_) => {}
                Effect::Answer { ticket, reply } => {
                    self.answer(at, layer, ticket, reply.is_good());
                }
            }
        }
        self.arm(at, layer);
    }

    fn send(&mut self, at: Duration, layer: usize, attempt: AttemptId, ticket: Ticket) {
        let Some(errand) = self.errand(layer, ticket) else { return };
        self.late_sends += usize::from(at > errand.root_deadline);
        if layer + 1 < self.layers.len() {
            return self.submit(at, layer + 1, Errand { parent: Some((attempt, at)), ..errand });
        }
        self.bottom_sends += 1;
        let fails = happens(&mut self.rng, self.task.failing);
        let evidence = Evidence::of_status(if fails { 503 } else { 200 }, None);
        let end = at + self.task.bottom.draw(&mut self.rng);
        self.agenda.plan(end, Event::Settle { layer, attempt, sent: at, evidence });
    }

    fn answer(&mut self, at: Duration, layer: usize, ticket: Ticket, good: bool) {
        let parent = self.errand(layer, ticket).and_then(|errand| errand.parent);
        let (Some((attempt, sent)), Some(above)) = (parent, layer.checked_sub(1)) else { return };
        let evidence = Evidence::of_status(if good { 200 } else { 503 }, None);
        self.agenda.plan(at, Event::Settle { layer: above, attempt, sent, evidence });
    }

    fn errand(&self, layer: usize, ticket: Ticket) -> Option<Errand> {
        let errands = self.errands.get(layer)?;
        errands.get(usize::try_from(ticket.0).ok()?).copied()
    }

    fn arm(&mut self, at: Duration, layer: usize) {
        let due = self.layers.get(layer).and_then(Client::next_wake);
        let due = due.map(|due| self.clock.since(due).max(at));
        let Some(armed) = self.armed.get_mut(layer) else { return };
        if *armed == due {
            return;
        }
        *armed = due;
        if let Some(due) = due {
            self.agenda.plan(due, Event::Wake(layer));
        }
    }
}

/// A bottom that answers each request with a 503.
const DEAD: Task = Task {
    calls: 20_000,
    rps: 100.0,
    patience: Duration::from_secs(30),
    inheritance: Inheritance::Inherited,
    bottom: Spread::Fixed(0.002),
    failing: 1.0,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_that_are_not_inherited_cost_attempts_for_nobody() {
        let lab = Lab::default();
        assert_eq!(slow_tower(&lab, 5, Inheritance::Inherited, 1).after_deadline, 0);
        assert!(slow_tower(&lab, 5, Inheritance::Forgotten, 1).after_deadline > 10);
    }
}
