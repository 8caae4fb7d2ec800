//! The production machines as a client of a modelled world.
//!
//! One coordinator and the host it calls, wired as the actors wire them: each input is followed by
//! all the actions that it caused, then by the machine's next wake. A message between the two takes
//! no virtual time.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use spillgate_core::advice::ErrorKind;
use spillgate_core::call::{
    AttemptId, BreakerUse, CallSpec, CallerKey, FlightId, FlightKey, HedgeUse, HostKey, Repeat,
    Target, Ticket,
};
use spillgate_core::coordinator::Coordinator;
use spillgate_core::coordinator::port::{Action as Demand, Answer, Input as DemandInput};
use spillgate_core::event::{BreakerMode, BreakerState};
use spillgate_core::host::{Action as Supply, Host, Input as SupplyInput};
use spillgate_core::outcome::Evidence;
use spillgate_core::policy::{HostPolicy, Limits};
use spillgate_core::rng::Rng;

use crate::simulate::client::{Client, Effect, Reply, Wish};

/// A process with the production pipeline in it.
#[derive(Debug)]
pub(super) struct Process {
    coordinator: Coordinator,
    host: Host,
    lane: HostKey,
    targets: Vec<Target>,
    flights: BTreeMap<FlightId, Story>,
    inbox: VecDeque<DemandInput>,
    /// Where the call goes that is being submitted: a flight that begins meanwhile is its own.
    route: usize,
}

/// What is remembered of a flight.
#[derive(Debug, Clone, Copy)]
struct Story {
    leader: Ticket,
    route: usize,
    brought: Option<Evidence>,
}

/// What a process is made of.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    /// The pipeline of its one host.
    pub(super) policy: HostPolicy,
    /// The bounds of the whole process.
    pub(super) limits: Limits,
    /// Which calls share a breaker.
    pub(super) scoping: Scoping,
}

/// Which calls share a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scoping {
    /// All of the host.
    Host,
    /// Those of one route, of so many.
    Route(usize),
    /// All of the host, until one route of so many fails alone.
    Learned(usize),
}

impl Recipe {
    /// A recipe of one scope for all calls.
    pub(super) fn new(policy: HostPolicy, limits: Limits) -> Self {
        Self { policy, limits, scoping: Scoping::Host }
    }

    /// That many processes, each with a seed of its own.
    pub(super) fn processes(&self, count: usize, seed: u64) -> Vec<Process> {
        let mut rng = Rng::new(seed ^ 0x50_52_4f_43);
        (0..count).map(|_| Process::new(self, rng.next_u64())).collect()
    }
}

impl Process {
    fn new(recipe: &Recipe, seed: u64) -> Self {
        let Limits { global, queue_max, .. } = recipe.limits;
        let lane: HostKey = Arc::from("http://upstream:80");
        let scope = |route: usize| match recipe.scoping {
            Scoping::Host | Scoping::Learned(_) => lane.clone(),
            Scoping::Route(_) => Arc::from(format!("{lane} /{route}")),
        };
        let routes = match recipe.scoping {
            Scoping::Host => 1,
            Scoping::Route(routes) | Scoping::Learned(routes) => routes,
        };
        let class = |route: usize| match recipe.scoping {
            Scoping::Host | Scoping::Route(_) => None,
            Scoping::Learned(_) => Some(Arc::from(format!("{lane} GET /{route}"))),
        };
        let target = |route| {
            let (lane, keeper) = (lane.clone(), lane.clone());
            Target { lane, keeper, scope: scope(route), class: class(route) }
        };
        let mut process = Self {
            coordinator: Coordinator::new(global, queue_max),
            host: Host::new(lane.clone(), recipe.policy.clone(), Rng::new(seed)),
            targets: (0..routes).map(target).collect(),
            lane,
            flights: BTreeMap::new(),
            inbox: VecDeque::new(),
            route: 0,
        };
        let slots_max = process.host.slots().slots_max();
        let lane = process.lane.clone();
        process.inbox.push_back(DemandInput::Lane { lane, slots_max });
        process
    }

    fn spec(&self, wish: &Wish) -> Option<CallSpec> {
        let target = self.targets.get(wish.route).or_else(|| self.targets.first())?;
        Some(CallSpec {
            ticket: wish.ticket,
            target: target.clone(),
            priority: wish.priority,
            caller: CallerKey::default(),
            deadline: wish.deadline,
            key: wish.key.map(flight_key),
            repeat: Repeat::Always,
            attempts_max: None,
            timeout: None,
            breaker: BreakerUse::Guarded,
            hedge: HedgeUse::ByPolicy,
        })
    }

    /// Hands the coordinator all that waits for it, until both machines are silent.
    fn run(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.follow_host(now, effects);
        while let Some(input) = self.inbox.pop_front() {
            self.coordinator.handle(now, input);
            while let Some(action) = self.coordinator.next_action() {
                self.demanded(now, action, effects);
            }
        }
    }

    fn demanded(&mut self, now: Instant, action: Demand, effects: &mut Vec<Effect>) {
        match action {
            Demand::Begin(flight, leader) => {
                self.flights.insert(flight, Story { leader, route: self.route, brought: None });
            }
            Demand::Join(_, ticket) => effects.push(Effect::Join(ticket)),
            Demand::Dispatch(_, offer) => {
                self.host.handle(now, SupplyInput::Offer(offer));
                self.follow_host(now, effects);
            }
            Demand::Abort(_, attempt, cause) => {
                self.host.handle(now, SupplyInput::Abort { attempt, cause });
                self.follow_host(now, effects);
            }
            Demand::Answer(ticket, answer) => {
                let reply = self.reply(answer);
                effects.push(Effect::Answer { ticket, reply });
            }
            Demand::End(flight) => drop(self.flights.remove(&flight)),
        }
    }

    fn reply(&self, answer: Answer) -> Reply {
        match answer {
            Answer::Arrived(flight, _) | Answer::Opened(flight) => {
                let brought = self.flights.get(&flight).and_then(|story| story.brought.as_ref());
                brought.map_or(Reply::Error(ErrorKind::Internal), Reply::of)
            }
            Answer::Refused { kind, .. } => Reply::Error(kind),
        }
    }

    fn follow_host(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        while let Some(action) = self.host.next_action() {
            match action {
                Supply::Start { attempt, until, .. } => {
                    let Some(story) = self.flights.get(&attempt.flight) else { continue };
                    let Story { leader: ticket, route, .. } = *story;
                    effects.push(Effect::Send { attempt, ticket, route, until });
                }
                Supply::Hedge(attempt) => self.inbox.push_back(DemandInput::HedgeDue(attempt)),
                Supply::Cancel(attempt) => effects.push(Effect::Recall(attempt)),
                Supply::Report(attempt, verdict) => {
                    self.inbox.push_back(DemandInput::Report { attempt, verdict, onward: None });
                }
                Supply::Limit(slots_max) => {
                    let lane = self.lane.clone();
                    self.inbox.push_back(DemandInput::LaneLimit { lane, slots_max });
                }
                Supply::Split(_) | Supply::Merged(_) => {}
                Supply::Event(event) => {
                    debug_assert!(event.at <= now, "events are of the past");
                    let enforced = event.mode == BreakerMode::Enforcing;
                    if enforced && event.to == BreakerState::Open {
                        let (scope, until) = (event.scope, event.retry_at);
                        self.inbox.push_back(DemandInput::ScopeOpened { scope, until });
                    }
                }
            }
        }
    }
}

impl Client for Process {
    fn submit(&mut self, now: Instant, wish: Wish, effects: &mut Vec<Effect>) {
        self.route = wish.route;
        if let Some(spec) = self.spec(&wish) {
            self.inbox.push_back(DemandInput::Submit(spec));
        }
        self.run(now, effects);
    }

    fn settle(
        &mut self,
        now: Instant,
        attempt: AttemptId,
        evidence: Evidence,
        effects: &mut Vec<Effect>,
    ) {
        let flight = self.coordinator.flights().of(attempt.flight);
        if flight.is_some_and(|flight| flight.race.runs(attempt.n))
            && let Some(story) = self.flights.get_mut(&attempt.flight)
        {
            story.brought = Some(evidence);
        }
        self.host.handle(now, SupplyInput::Settled { attempt, evidence });
        self.run(now, effects);
    }

    fn wake(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.host.handle(now, SupplyInput::Wake);
        self.inbox.push_back(DemandInput::Wake);
        self.run(now, effects);
    }

    fn next_wake(&self) -> Option<Instant> {
        self.coordinator.next_wake().into_iter().chain(self.host.next_wake()).min()
    }
}

fn flight_key(key: u64) -> FlightKey {
    let mut digest = [0; 32];
    for (to, from) in digest.iter_mut().zip(key.to_be_bytes()) {
        *to = from;
    }
    FlightKey(digest)
}
