//! Hedging at high utilisation: twenty servers, each with a queue of its own.
//!
//! Calls go to a server at random, so each server is an M/M/1 queue of which theory knows the
//! quantiles: at 80 % the 99th percentile without hedging is 671 ms. A hedge goes to another
//! server; the loser is taken out of its queue or its server stopped.

use std::collections::VecDeque;
use std::time::Duration;

use spillgate_core::call::Repeat;
use spillgate_core::hedge::{Hedge, HedgeOptions, Hedging};
use spillgate_core::rng::Rng;

use crate::simulate::agenda::{Agenda, Clock};
use crate::simulate::chance::{exponential, index, seconds};
use crate::simulate::lab::{Finding, Lab};
use crate::simulate::measure::{millis, percent, quantile};

#[derive(Debug, Clone, Copy)]
enum Event {
    Arrive,
    Finish { server: usize, turn: u64 },
    Late(usize),
}

/// One of at most two copies of a call, in a server's hands or queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Duplicate {
    call: usize,
    server: usize,
}

#[derive(Debug, Default)]
struct Server {
    queue: VecDeque<usize>,
    serving: Option<usize>,
    /// Counts what it began, so that the end of something it was stopped in is known as such.
    turn: u64,
}

#[derive(Debug, Clone, Copy)]
struct Call {
    arrived: Duration,
    first: usize,
    second: Option<usize>,
    answered: Option<Duration>,
}

struct Farm {
    agenda: Agenda<Event>,
    servers: Vec<Server>,
    calls: Vec<Call>,
    in_use: u32,
    hedge: Option<Hedge>,
    hedges: usize,
    clock: Clock,
    rng: Rng,
}

/// Hedging at 80 % and what it does elsewhere. Preset: hedging on, 200 slots.
pub(super) fn utilisation(lab: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let on: fn() -> Option<Hedge> = || Some(Hedge::new(HedgeOptions::default()));
    let (p99, extra) = farm(0.8, on(), seed);
    finding.read("S4b/CancelBudget5/util=0.8", "p99_ms", p99);
    finding.read("S4b/CancelBudget5/util=0.8", "extra_pct", extra);
    if !lab.draws(seed) {
        return finding;
    }
    let loads = [0.3, 0.5, 0.7, 0.8, 0.9];
    let curve = |hedge: fn() -> Option<Hedge>| {
        loads.map(|load| (load * 100.0, farm(load, hedge(), seed).0)).to_vec()
    };
    finding.draw("hedging", "off", curve(|| None));
    finding.draw("hedging", "on", curve(on));
    finding
}

/// The 99th percentile in milliseconds and the share of calls that were hedged.
fn farm(utilisation: f64, hedge: Option<Hedge>, seed: u64) -> (f64, f64) {
    let mut farm = Farm {
        agenda: Agenda::new(),
        servers: (0..SERVERS).map(|_| Server::default()).collect(),
        calls: Vec::new(),
        in_use: 0,
        hedge,
        hedges: 0,
        clock: Clock::new(),
        rng: Rng::new(seed),
    };
    let gap = SERVICE / (f64::from(SERVERS_U32) * utilisation);
    farm.agenda.plan(Duration::ZERO, Event::Arrive);
    while let Some((at, event)) = farm.agenda.next() {
        match event {
            Event::Arrive => farm.arrive(at, gap),
            Event::Finish { server, turn } => farm.finish(at, server, turn),
            Event::Late(call) => farm.late(at, call),
        }
    }
    let warm = farm.calls.iter().skip(CALLS / 10);
    let mut times: Vec<Duration> =
        warm.filter_map(|call| call.answered?.checked_sub(call.arrived)).collect();
    (millis(quantile(&mut times, 0.99)), percent(farm.hedges, farm.calls.len()))
}

impl Farm {
    fn arrive(&mut self, at: Duration, gap: f64) {
        let (call, first) = (self.calls.len(), index(&mut self.rng, SERVERS));
        self.calls.push(Call { arrived: at, first, second: None, answered: None });
        let now = self.clock.instant(at);
        let hedge = self.hedge.as_mut().and_then(|hedge| hedge.begin(now, Repeat::Always));
        if let Some(due) = hedge {
            self.agenda.plan(self.clock.since(due), Event::Late(call));
        }
        self.send(at, Duplicate { call, server: first });
        if self.calls.len() < CALLS {
            let next = at + seconds(exponential(&mut self.rng, gap));
            self.agenda.plan(next, Event::Arrive);
        }
    }

    fn late(&mut self, at: Duration, number: usize) {
        let Some(call) = self.calls.get_mut(number) else { return };
        let Some(hedge) = &mut self.hedge else { return };
        if call.answered.is_some() || hedge.ask(self.in_use, SLOTS) != Hedging::Send {
            return;
        }
        let server = (call.first + 1 + index(&mut self.rng, SERVERS - 1)) % SERVERS;
        call.second = Some(server);
        self.hedges += 1;
        self.send(at, Duplicate { call: number, server });
    }

    fn send(&mut self, at: Duration, copy: Duplicate) {
        self.in_use += 1;
        let Some(server) = self.servers.get_mut(copy.server) else { return };
        server.queue.push_back(copy.call);
        self.serve(at, copy.server);
    }

    fn serve(&mut self, at: Duration, number: usize) {
        let Some(server) = self.servers.get_mut(number) else { return };
        if server.serving.is_some() {
            return;
        }
        server.serving = server.queue.pop_front();
        if server.serving.is_some() {
            server.turn += 1;
            let end = at + seconds(exponential(&mut self.rng, SERVICE));
            self.agenda.plan(end, Event::Finish { server: number, turn: server.turn });
        }
    }

    fn finish(&mut self, at: Duration, number: usize, turn: u64) {
        let Some(server) = self.servers.get_mut(number).filter(|server| server.turn == turn) else {
            return;
        };
        let Some(done) = server.serving.take() else { return };
        self.in_use -= 1;
        self.serve(at, number);
        let Some(call) = self.calls.get_mut(done) else { return };
        call.answered = Some(at);
        let (arrived, first, second) = (call.arrived, call.first, call.second);
        if let Some(hedge) = &mut self.hedge {
            hedge.record(at.saturating_sub(arrived));
        }
        if let Some(second) = second {
            let loser = if number == first { second } else { first };
            self.cancel(at, Duplicate { call: done, server: loser });
        }
    }

    fn cancel(&mut self, at: Duration, copy: Duplicate) {
        let Some(server) = self.servers.get_mut(copy.server) else { return };
        self.in_use -= 1;
        if server.serving == Some(copy.call) {
            server.serving = None;
            // What it would have finished is no turn of its own any more.
            server.turn += 1;
            self.serve(at, copy.server);
            return;
        }
        server.queue.retain(|queued| *queued != copy.call);
    }
}

const SERVERS: usize = 20;
const SERVERS_U32: u32 = 20;
const SERVICE: f64 = 0.029_1;
const SLOTS: u32 = 200;
const CALLS: usize = 200_000;
