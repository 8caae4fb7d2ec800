//! A world: callers, the clients that serve them, and one upstream.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use spillgate_core::advice::ErrorKind;
use spillgate_core::call::{AttemptId, Ticket};
use spillgate_core::outcome::{Evidence, Exposure};
use spillgate_core::rng::Rng;

use crate::simulate::agenda::{Agenda, Clock};
use crate::simulate::backend::{Backend, Interest, Job, Reception};
use crate::simulate::chance::{exponential, index, seconds};
use crate::simulate::client::{Client, Effect, Errand, Wish};
use crate::simulate::tally::Tally;

/// Who calls, how often and for what.
pub(super) struct Load {
    /// How calls come.
    pub(super) arrivals: Arrivals,
    /// No call comes after that.
    pub(super) until: Duration,
    /// The time for a whole call.
    pub(super) patience: Duration,
    /// What a call is for.
    pub(super) errand: fn(&mut Rng) -> Errand,
}

/// How calls come.
#[derive(Debug, Clone)]
pub(super) enum Arrivals {
    /// By a Poisson process of this rate, each to a client at random.
    Poisson(f64),
    /// The same, with another rate for a while.
    Pulse {
        /// Usually.
        rps: f64,
        /// For a while.
        pulse_rps: f64,
        /// When.
        during: Range<Duration>,
    },
    /// One for each client, all within this time.
    Once(Duration),
}

/// Any errand: the same part, normal rank, nothing shared.
pub(super) fn plain_errand(_: &mut Rng) -> Errand {
    Errand::default()
}

/// A world in motion.
struct Fleet<C> {
    clock: Clock,
    clients: Vec<C>,
    armed: Vec<Option<Duration>>,
    load: Load,
    backend: Backend,
    agenda: Agenda<Event>,
    sent: Vec<Sent>,
    live: BTreeMap<(usize, AttemptId), usize>,
    effects: Vec<Effect>,
    tally: Tally,
    callers: Rng,
    upstream: Rng,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Arrive,
    Knock(usize),
    Finish(Job),
    CutOff(usize),
    Turned(usize, Evidence),
    Recalled(usize),
    Wake(usize),
    SpellBegins,
    SpellEnds,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    client: usize,
    attempt: AttemptId,
    at: Duration,
}

/// Lets a world run until the last call is answered.
pub(super) fn run<C: Client>(clients: Vec<C>, load: Load, backend: Backend, seed: u64) -> Tally {
    let clock = Clock::new();
    let mut seeds = Rng::new(seed);
    let mut fleet = Fleet {
        clock,
        armed: clients.iter().map(|_| None).collect(),
        clients,
        load,
        backend,
        agenda: Agenda::new(),
        sent: Vec::new(),
        live: BTreeMap::new(),
        effects: Vec::new(),
        tally: Tally::default(),
        callers: Rng::new(seeds.next_u64()),
        upstream: Rng::new(seeds.next_u64()),
    };
    fleet.begin();
    while let Some((at, event)) = fleet.agenda.next() {
        fleet.step(at, event);
    }
    fleet.tally
}

impl<C: Client> Fleet<C> {
    fn begin(&mut self) {
        for spell in &self.backend.spells {
            self.agenda.plan(spell.during.start, Event::SpellBegins);
            self.agenda.plan(spell.during.end, Event::SpellEnds);
        }
        match self.load.arrivals {
            Arrivals::Poisson(_) | Arrivals::Pulse { .. } => self.plan_arrival(Duration::ZERO),
            Arrivals::Once(within) => {
                for client in 0..self.clients.len() {
                    let at = self.callers.up_to(within);
                    self.agenda.plan(at, Event::Knock(client));
                }
            }
        }
    }

    fn step(&mut self, at: Duration, event: Event) {
        match event {
            Event::Arrive => {
                let client = index(&mut self.callers, self.clients.len());
                self.knock(at, client);
                self.plan_arrival(at);
            }
            Event::Knock(client) => self.knock(at, client),
            Event::Finish(job) => {
                let interest = self.interest(job.number);
                let evidence = self.backend.finish(at, job, interest, &mut self.upstream);
                self.settle(at, job.number, evidence);
                self.begin_waiting(at);
            }
            Event::CutOff(number) => {
                let error = ErrorKind::HttpResponseTimeout;
                self.settle(at, number, Evidence::of_error(error, Exposure::MaybeSent));
            }
            Event::Turned(number, evidence) => self.settle(at, number, evidence),
            Event::Recalled(number) => {
                let error = ErrorKind::Cancelled;
                self.settle(at, number, Evidence::of_error(error, Exposure::MaybeSent));
            }
            Event::Wake(client) => self.wake(at, client),
            Event::SpellBegins => self.backend.fall_ill(at),
            Event::SpellEnds => self.begin_waiting(at),
        }
    }

    fn plan_arrival(&mut self, at: Duration) {
        let rps = match &self.load.arrivals {
            Arrivals::Pulse { pulse_rps, during, .. } if during.contains(&at) => *pulse_rps,
            Arrivals::Poisson(rps) | Arrivals::Pulse { rps, .. } => *rps,
            Arrivals::Once(_) => return,
        };
        let next = at + seconds(exponential(&mut self.callers, 1.0 / rps));
        if next < self.load.until {
            self.agenda.plan(next, Event::Arrive);
        }
    }

    fn knock(&mut self, at: Duration, client: usize) {
        let errand = (self.load.errand)(&mut self.callers);
        let ticket = Ticket(self.tally.arrive(at, errand));
        let Errand { route, priority, key } = errand;
        let deadline = self.clock.instant(at + self.load.patience);
        let wish = Wish { ticket, route, priority, deadline, key };
        let now = self.clock.instant(at);
        if let Some(served) = self.clients.get_mut(client) {
            served.submit(now, wish, &mut self.effects);
        }
        self.follow(at, client);
    }

    fn settle(&mut self, at: Duration, number: usize, evidence: Evidence) {
        let Some(Sent { client, attempt, at: sent }) = self.sent.get(number).copied() else {
            return;
        };
        if self.live.get(&(client, attempt)) != Some(&number) {
            return;
        }
        self.live.remove(&(client, attempt));
        let now = self.clock.instant(at);
        if let Some(served) = self.clients.get_mut(client) {
            let evidence = evidence.taking(at.saturating_sub(sent));
            served.settle(now, attempt, evidence, &mut self.effects);
        }
        self.follow(at, client);
    }

    fn interest(&self, number: usize) -> Interest {
        let sent = self.sent.get(number);
        let live = sent.and_then(|sent| self.live.get(&(sent.client, sent.attempt)));
        if live == Some(&number) { Interest::Waits } else { Interest::Gone }
    }

    fn wake(&mut self, at: Duration, client: usize) {
        let armed = self.armed.get_mut(client);
        if armed.is_none_or(|armed| armed.take_if(|due| *due == at).is_none()) {
            return;
        }
        let now = self.clock.instant(at);
        if let Some(served) = self.clients.get_mut(client) {
            served.wake(now, &mut self.effects);
        }
        self.follow(at, client);
    }

    /// Does what a client wants done, and arms its next wake.
    fn follow(&mut self, at: Duration, client: usize) {
        let mut position = 0;
        while let Some(effect) = self.effects.get(position).copied() {
            position += 1;
            match effect {
                Effect::Send { attempt, ticket, route, until } => {
                    self.tally.send(at, ticket.0);
                    self.send(Sent { client, attempt, at }, route);
                    let number = self.sent.len() - 1;
                    self.agenda.plan(self.clock.since(until), Event::CutOff(number));
                }
                Effect::Recall(attempt) => self.recall(at, client, attempt),
                Effect::Join(ticket) => self.tally.join(ticket.0),
                Effect::Answer { ticket, reply } => {
                    self.tally.answer(at, ticket.0, reply.is_good());
                }
            }
        }
        self.effects.clear();
        self.arm(at, client);
    }

    fn send(&mut self, sent: Sent, route: usize) {
        let at = sent.at;
        let job = Job { number: self.sent.len(), route };
        self.sent.push(sent);
        self.live.insert((sent.client, sent.attempt), job.number);
        match self.backend.receive(&self.clock, at, job, &mut self.upstream) {
            Reception::Begun(time) => self.agenda.plan(at + time, Event::Finish(job)),
            Reception::Waits => {}
            Reception::Turned(evidence) => {
                // An answer takes its time on the wire, however fast it is made.
                self.agenda.plan(at + WIRE, Event::Turned(job.number, evidence));
            }
        }
    }

    fn recall(&mut self, at: Duration, client: usize, attempt: AttemptId) {
        let Some(number) = self.live.get(&(client, attempt)).copied() else { return };
        self.agenda.plan(at, Event::Recalled(number));
    }

    fn begin_waiting(&mut self, at: Duration) {
        while let Some((job, time)) = self.backend.next(at, &mut self.upstream) {
            self.agenda.plan(at + time, Event::Finish(job));
        }
    }

    fn arm(&mut self, at: Duration, client: usize) {
        let due = self.clients.get(client).and_then(Client::next_wake);
        let due = due.map(|due| self.clock.since(due).max(at));
        let Some(armed) = self.armed.get_mut(client) else { return };
        if *armed == due {
            return;
        }
        *armed = due;
        if let Some(due) = due {
            self.agenda.plan(due, Event::Wake(client));
        }
    }
}

/// What an answer needs at least.
const WIRE: Duration = Duration::from_millis(1);
