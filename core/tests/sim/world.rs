//! The world around the machines: time, messages on their way, timers, attempts on the wire.
//!
//! Each machine is driven as its actor drives it: one input, then all actions, then the timer for
//! the next wake. Messages keep their order from one sender to one receiver and nowhere else.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use spillgate_core::call::{AttemptId, HostKey, Ticket};
use spillgate_core::coordinator::{Coordinator, port};
use spillgate_core::device::Sight;
use spillgate_core::event::{BreakerMode, BreakerState};
use spillgate_core::host::{self, Host};
use spillgate_core::rng::Rng;
use spillgate_core::verdict::Verdict;

use crate::demand::Demand;
use crate::log::Log;
use crate::plan::{Plan, Wish, chance, lane_key};
use crate::reach::{Mark, Reach};
use crate::supply::Supply;
use crate::upstream::{Attempt, Weather};

pub(crate) const MS: u64 = 1_000;
pub(crate) const SECOND: u64 = 1_000 * MS;

/// Everything there is in one run. Times are microseconds since its beginning.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) plan: Plan,
    pub(crate) rng: Rng,
    pub(crate) coordinator: Coordinator,
    pub(crate) hosts: Vec<Host>,
    pub(crate) weather: Vec<Weather>,
    pub(crate) attempts: BTreeMap<AttemptId, Attempt>,
    pub(crate) demand: Demand,
    pub(crate) supply: Supply,
    pub(crate) reach: Reach,
    pub(crate) log: Log,
    pub(crate) tickets: u64,
    /// Rounds of calls since the faults ended.
    pub(crate) rounds: u32,
    /// The first call after everything has healed.
    pub(crate) healed: Option<Ticket>,
    /// Whether messages are slow and doubled, and upstreams fail.
    pub(crate) faults: bool,
    /// Whether this machine has no network.
    pub(crate) offline: bool,
    pub(crate) base: Instant,
    events: BTreeMap<(u64, u64), Event>,
    sent: u64,
    links: BTreeMap<(Node, Node), u64>,
    timers: BTreeMap<Node, (u64, u64)>,
}

/// Who sends and receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    Caller(u64),
    Operator,
    Coordinator,
    Host(usize),
    Attempt(AttemptId),
}

/// What happens at some time.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Deliver(Message),
    Wake(Node, u64),
    /// The head of a streamed answer is there.
    Head(AttemptId),
    /// An attempt comes to its end, unless that has moved meanwhile.
    End(AttemptId, u64),
    Call(Box<Wish>),
    Cancel(Ticket),
    Operate(u64),
    Weather(usize, Weather),
    /// The network of this machine goes, or comes back.
    Network(bool),
    Finish,
}

/// What is on its way.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    ToCoordinator(port::Input),
    ToHost(usize, host::Input),
    /// The head of an answer, which the host's actor hands on to the coordinator.
    Head(usize, AttemptId),
}

impl World {
    pub(crate) fn new(seed: u64, base: Instant, log: Log) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::new(&mut rng);
        let keepers = plan.keepers();
        let make =
            |key: &HostKey| Host::new(key.clone(), plan.policy.clone(), Rng::new(seed ^ 0xABCD));
        let mut world = Self {
            now: 0,
            coordinator: Coordinator::new(plan.global, plan.queue_max),
            hosts: keepers.iter().map(make).collect(),
            weather: vec![Weather::Healthy; plan.lanes],
            attempts: BTreeMap::new(),
            demand: Demand::new(plan.global),
            supply: Supply::new(&keepers, &plan.policy),
            reach: Reach::default(),
            log,
            tickets: 0,
            rounds: 0,
            healed: None,
            faults: true,
            offline: false,
            base,
            events: BTreeMap::new(),
            sent: 0,
            links: BTreeMap::new(),
            timers: BTreeMap::new(),
            rng,
            plan,
        };
        for lane in 0..world.plan.lanes {
            let slots_max = world.plan.policy.concurrency;
            let input = port::Input::Lane { lane: lane_key(lane), slots_max };
            world.deliver(Message::ToCoordinator(input));
        }
        world
    }

    /// Runs until nothing is left to happen.
    pub(crate) fn run(&mut self) {
        let mut steps = 0;
        while let Some(((at, _), event)) = self.events.pop_first() {
            steps += 1;
            assert!(steps < 1_000_000, "it does not come to rest");
            self.now = at;
            self.happen(event);
        }
    }

    pub(crate) fn at(&self, micros: u64) -> Instant {
        self.base + Duration::from_micros(micros)
    }

    pub(crate) fn instant(&self) -> Instant {
        self.at(self.now)
    }

    pub(crate) fn schedule(&mut self, at: u64, event: Event) {
        self.sent += 1;
        self.events.insert((at.max(self.now), self.sent), event);
    }

    /// Sends a message; between the same two it never overtakes another, but may be doubled.
    pub(crate) fn send(&mut self, link: (Node, Node), message: &Message) {
        let delay_max = if self.faults { self.plan.delay_max } else { 0 };
        // Most messages are quick: a rare slow one makes the interesting orders.
        let delay_max = if chance(&mut self.rng, 0.8) { delay_max / 20 } else { delay_max };
        let at = self.now + self.rng.below(delay_max + 1);
        let at = at.max(self.links.get(&link).copied().unwrap_or(0));
        self.links.insert(link, at);
        self.schedule(at, Event::Deliver(message.clone()));
        let may_double = !matches!(link.0, Node::Caller(_) | Node::Operator);
        if self.faults && may_double && chance(&mut self.rng, self.plan.duplicates) {
            self.reach.hit(Mark::Duplicate);
            self.schedule(at, Event::Deliver(message.clone()));
        }
    }

    /// Makes what is sent on a link from here on arrive no sooner than this.
    pub(crate) fn hold_link(&mut self, link: (Node, Node), delay: u64) {
        let at = self.links.entry(link).or_default();
        *at = (*at).max(self.now + delay);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver(message) => self.deliver(message),
            Event::Wake(node, token) => self.wake(node, token),
            Event::Head(id) => self.head(id),
            Event::End(id, at) => self.end(id, at),
            Event::Call(wish) => self.call(&wish),
            Event::Cancel(ticket) => {
                let link = (Node::Caller(ticket.0), Node::Coordinator);
                self.send(link, &Message::ToCoordinator(port::Input::Cancel(ticket)));
            }
            Event::Operate(what) => self.operate(what),
            Event::Weather(lane, weather) => self.weather[lane] = weather,
            Event::Network(offline) => self.offline = offline,
            Event::Finish => self.finish(),
        }
    }

    fn deliver(&mut self, message: Message) {
        match message {
            Message::ToCoordinator(input) => {
                self.precede(&input);
                self.tell_coordinator(input);
            }
            Message::ToHost(host, input) => self.tell_host(host, input),
            Message::Head(host, id) => {
                let message = Message::ToCoordinator(port::Input::Opened(id));
                self.send((Node::Host(host), Node::Coordinator), &message);
            }
        }
    }

    /// What the coordinator's actor says first: of hosts that it meets, of the network it sees.
    fn precede(&mut self, input: &port::Input) {
        let met = match input {
            port::Input::Submit(spec) => Some(spec.target.lane.clone()),
            port::Input::Report { onward, .. } => onward.as_ref().map(|to| to.lane.clone()),
            port::Input::Cancel(_)
            | port::Input::Opened(_)
            | port::Input::Seen { .. }
            | port::Input::ScopeOpened { .. }
            | port::Input::Lane { .. }
            | port::Input::LaneLimit { .. }
            | port::Input::Keeper(_)
            | port::Input::DropLane(_)
            | port::Input::Resize { .. }
            | port::Input::Drain
            | port::Input::Close
            | port::Input::HedgeDue(_)
            | port::Input::Wake => None,
        };
        if let Some(lane) = met.filter(|lane| !self.coordinator.queue().has_lane(lane)) {
            let slots_max = self.hosts[self.plan.keeper_index(&lane)].slots().slots_max();
            self.reach.hit(Mark::LaneMetAgain);
            self.tell_coordinator(port::Input::Lane { lane, slots_max });
        }
        let port::Input::Report { attempt, verdict, .. } = input else { return };
        let attempt_known = self.attempts.get(attempt);
        if let (Some(known), Verdict::Done(_) | Verdict::RetryAt(_)) = (attempt_known, verdict) {
            let sight = Sight::of(known.fate.error());
            if sight == Sight::Offline || self.coordinator.is_offline() {
                self.tell_coordinator(port::Input::Seen { attempt: *attempt, sight });
            }
        }
    }

    fn wake(&mut self, node: Node, token: u64) {
        if self.timers.get(&node).is_none_or(|(_, armed)| *armed != token) {
            return;
        }
        self.timers.remove(&node);
        match node {
            Node::Coordinator => self.tell_coordinator(port::Input::Wake),
            Node::Host(host) => self.tell_host(host, host::Input::Wake),
            Node::Caller(_) | Node::Operator | Node::Attempt(_) => {}
        }
    }

    /// Arms the one timer of a machine; it may fire late.
    fn arm(&mut self, node: Node, wake: Option<Instant>) {
        let Some(wake) = wake else {
            self.timers.remove(&node);
            return;
        };
        let due = wake.saturating_duration_since(self.base).as_micros();
        let nanos = wake.saturating_duration_since(self.base).subsec_nanos() % 1_000;
        let due = u64::try_from(due).unwrap_or(u64::MAX) + u64::from(nanos > 0);
        if self.timers.get(&node).is_some_and(|(armed, _)| *armed == due) {
            return;
        }
        let late_max = if self.faults { self.plan.late_max } else { 0 };
        let late = self.rng.below(late_max + 1);
        self.schedule(due + late, Event::Wake(node, self.sent + 1));
        self.timers.insert(node, (due, self.sent));
    }

    pub(crate) fn tell_coordinator(&mut self, input: port::Input) {
        let now = self.instant();
        self.log.line(self.now, "-> coordinator", &input);
        self.demand.hear(now, &input, &mut self.reach);
        self.coordinator.handle(now, input);
        while let Some(action) = self.coordinator.next_action() {
            self.log.line(self.now, "   coordinator", &action);
            self.demand.see(now, &action, &mut self.reach);
            self.act(action);
        }
        self.demand.rest(now, &self.coordinator, &mut self.reach);
        self.arm(Node::Coordinator, self.coordinator.next_wake());
    }

    fn act(&mut self, action: port::Action) {
        let (target, input) = match action {
            port::Action::Dispatch(target, offer) => (target, host::Input::Offer(offer)),
            port::Action::Abort(target, attempt, cause) => {
                (target, host::Input::Abort { attempt, cause })
            }
            port::Action::Begin(..)
            | port::Action::Join(..)
            | port::Action::Answer(..)
            | port::Action::End(_) => return,
        };
        let host = self.plan.keeper_index(&target.keeper);
        self.send((Node::Coordinator, Node::Host(host)), &Message::ToHost(host, input));
    }

    pub(crate) fn tell_host(&mut self, host: usize, input: host::Input) {
        let now = self.instant();
        self.log.line(self.now, &format!("-> host {host}"), &input);
        self.supply.hear(now, host, &input, &self.attempts, &mut self.reach);
        self.hosts[host].handle(now, input);
        while let Some(action) = self.hosts[host].next_action() {
            self.log.line(self.now, &format!("   host {host}"), &action);
            self.perform(host, action);
        }
        self.supply.rest(now, host, &self.hosts[host], &mut self.reach);
        self.arm(Node::Host(host), self.hosts[host].next_wake());
    }

    fn perform(&mut self, host: usize, action: host::Action) {
        let now = self.instant();
        let to_coordinator = (Node::Host(host), Node::Coordinator);
        match action {
            host::Action::Start { attempt, until, probe, .. } => {
                self.start(host, attempt, until, probe);
            }
            host::Action::Cancel(attempt) => self.call_back(attempt),
            host::Action::Hedge(attempt) => {
                let message = Message::ToCoordinator(port::Input::HedgeDue(attempt));
                self.send(to_coordinator, &message);
            }
            host::Action::Report(attempt, verdict) => {
                let tokens = self.hosts[host].tokens();
                let reach = &mut self.reach;
                self.supply.report(now, host, attempt, verdict, (tokens, reach));
                let onward = match verdict {
                    Verdict::Done(_) => self.attempts.get(&attempt).and_then(|a| a.onward.clone()),
                    Verdict::RetryAt(_) | Verdict::Refused(_) => None,
                };
                let hop = self.attempts.get(&attempt).map(|attempt| attempt.hop);
                // Of two that point elsewhere the first is followed.
                if onward.is_some() && hop == Some(self.supply.hops(attempt.flight)) {
                    self.supply.hop(attempt.flight);
                }
                let input = port::Input::Report { attempt, verdict, onward };
                self.send(to_coordinator, &Message::ToCoordinator(input));
            }
            host::Action::Limit(slots_max) => {
                self.supply.limit(host, slots_max, &mut self.reach);
                if host < self.plan.lanes {
                    let input = port::Input::LaneLimit { lane: lane_key(host), slots_max };
                    self.send(to_coordinator, &Message::ToCoordinator(input));
                }
            }
            host::Action::Split(_) => {
                assert!(self.plan.policy.breaker.learn, "nobody told it to learn");
                self.reach.hit(Mark::RouteSplit);
            }
            host::Action::Merged(_) => self.reach.hit(Mark::RouteMerged),
            host::Action::Event(event) => {
                self.supply.event(host, &event, &mut self.reach);
                let is_enforced = event.mode == BreakerMode::Enforcing;
                if event.to == BreakerState::Open && is_enforced {
                    let (scope, until) = (event.scope, event.retry_at);
                    let input = port::Input::ScopeOpened { scope, until };
                    self.send(to_coordinator, &Message::ToCoordinator(input));
                }
            }
        }
    }
}

impl Log {
    fn line(&mut self, now: u64, who: &str, what: &dyn Debug) {
        if self.is_on() {
            self.write(now, &format!("{who} {what:?}"));
        }
    }
}
