//! Flights, queue and slots together, beside lists: who shares, who is next, who is told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use spillgate_core::advice::ErrorKind;
use spillgate_core::call::{
    AttemptId, BreakerUse, CallSpec, CallerKey, FlightId, FlightKey, HedgeUse, HostKey, Priority,
    Repeat, Target, Ticket,
};
use spillgate_core::coordinator::Coordinator;
use spillgate_core::coordinator::port::{Action, Answer, Input};
use spillgate_core::queue::Pushed;
use spillgate_core::verdict::{AbortCause, Finality, Grounds, Verdict};

use crate::queue::naive::NaiveQueue;
use crate::{HISTORIES, cases};

/// One thing that happens to a coordinator.
#[derive(Debug, Clone)]
enum Step {
    Submit(usize, usize, Option<u8>, u64),
    Cancel(prop::sample::Index),
    Report(prop::sample::Index),
    Lane(usize, u32),
    Resize(u32, usize),
    Wake,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    let key = || prop::option::of(0_u8..3);
    prop_oneof![
        8 => (0_usize..2, 0_usize..4, key(), 0_u64..60)
            .prop_map(|(lane, rank, key, extra)| Step::Submit(lane, rank, key, extra)),
        2 => index().prop_map(Step::Cancel),
        5 => index().prop_map(Step::Report),
        1 => (0_usize..2, 0_u32..3).prop_map(|(lane, slots)| Step::Lane(lane, slots)),
        1 => (0_u32..4, 1_usize..8).prop_map(|(global, queue)| Step::Resize(global, queue)),
        1 => Just(Step::Wake),
    ]
}

proptest! {
    #![proptest_config(cases(HISTORIES))]

    /// The coordinator does, action for action, what lists would do: equal keys share, the most
    /// urgent waiter and the latest deadline count, nobody waits while a slot is free, nothing is
    /// given away before it is given back.
    #[test]
    fn turns_are_those_of_lists(
        steps in prop::collection::vec((step(), 0_u64..700), 1..120),
        global in 0_u32..4,
        queue_max in 1_usize..8,
    ) {
        let mut lists = Lists::new(global, queue_max);
        let mut coordinator = Coordinator::new(global, queue_max);
        for (step, delay_ms) in steps {
            lists.now += Duration::from_millis(delay_ms);
            let Some(input) = lists.input(&step) else { continue };
            lists.hear(&input);
            coordinator.handle(lists.now, input);
            let actions: Vec<Told> =
                std::iter::from_fn(|| coordinator.next_action()).map(Told::of).collect();
            prop_assert_eq!(&actions, &std::mem::take(&mut lists.told));
            prop_assert_eq!(coordinator.queue().len(), lists.queue.waiting.len());
            prop_assert_eq!(coordinator.flights().len(), lists.flights.len());
            prop_assert_eq!(coordinator.global().taken() as usize, lists.running.len());
        }
    }
}

/// What a coordinator wants done, without what other laws look at.
#[derive(Debug, PartialEq)]
enum Told {
    Dispatch(AttemptId, HostKey, Instant, u64),
    Other(Action),
}

impl Told {
    fn of(action: Action) -> Self {
        match action {
            Action::Dispatch(target, offer) => {
                Self::Dispatch(offer.attempt, target.lane, offer.deadline, offer.serial)
            }
            Action::Begin(..)
            | Action::Join(..)
            | Action::Abort(..)
            | Action::Answer(..)
            | Action::End(_) => Self::Other(action),
        }
    }
}

struct Lists {
    now: Instant,
    global: u32,
    queue: NaiveQueue,
    flights: BTreeMap<FlightId, Flight>,
    /// On the wire, with the lane each holds a slot of.
    running: Vec<(AttemptId, usize)>,
    begun: u64,
    sent: u64,
    tickets: u64,
    told: Vec<Told>,
}

struct Flight {
    lane: usize,
    key: Option<FlightKey>,
    waiters: BTreeMap<Ticket, (usize, Instant)>,
}

impl Lists {
    fn new(global: u32, queue_max: usize) -> Self {
        Self {
            now: Instant::now(),
            global,
            queue: NaiveQueue::new(queue_max),
            flights: BTreeMap::new(),
            running: Vec::new(),
            begun: 0,
            sent: 0,
            tickets: 0,
            told: Vec::new(),
        }
    }

    fn input(&mut self, step: &Step) -> Option<Input> {
        Some(match *step {
            Step::Submit(lane, rank, key, extra) => {
                self.tickets += 1;
                // Equal keys are equal requests, which go to one place.
                let lane = key.map_or(lane, |key| usize::from(key % 2));
                let hour = Duration::from_secs(3_600 + extra);
                Input::Submit(spec(self.tickets, lane, (rank, self.now + hour), key))
            }
            Step::Cancel(which) => {
                let all = self.flights.values().flat_map(|flight| flight.waiters.keys());
                let all: Vec<Ticket> = all.copied().collect();
                Input::Cancel(*all.get(which.index(all.len().max(1)))?)
            }
            Step::Report(which) => {
                let (attempt, _) = *self.running.get(which.index(self.running.len().max(1)))?;
                let verdict = Verdict::Done(Finality::Settled);
                Input::Report { attempt, verdict, onward: None }
            }
            Step::Lane(lane, slots_max) => Input::Lane { lane: key_of(lane), slots_max },
            Step::Resize(global, queue_max) => Input::Resize { global, queue_max },
            Step::Wake => Input::Wake,
        })
    }

    fn hear(&mut self, input: &Input) {
        self.queue.tick(self.now);
        match input {
            Input::Submit(spec) => self.submit(spec),
            Input::Cancel(ticket) => self.cancel(*ticket),
            Input::Report { attempt, .. } => {
                let at = self.running.iter().position(|(id, _)| id == attempt).expect("it runs");
                let (id, lane) = self.running.remove(at);
                self.queue.lanes.get_mut(&lane).expect("it runs").running -= 1;
                let answer = Answer::Arrived(id.flight, Finality::Settled);
                if self.flights.contains_key(&id.flight) {
                    self.end(id.flight, answer);
                }
            }
            Input::Lane { lane, slots_max } => {
                self.queue.set_lane(usize::from(&**lane == "b"), *slots_max);
            }
            Input::Resize { global, queue_max } => {
                (self.global, self.queue.queue_max) = (*global, *queue_max);
            }
            Input::Wake => {}
            Input::Opened(_)
            | Input::HedgeDue(_)
            | Input::Seen { .. }
            | Input::ScopeOpened { .. }
            | Input::LaneLimit { .. }
            | Input::Keeper(_)
            | Input::DropLane(_)
            | Input::Drain
            | Input::Close => panic!("no step says {input:?}"),
        }
        while self.running.len() < self.global as usize
            && let Some(entry) = self.queue.pop()
        {
            self.sent += 1;
            let attempt = AttemptId { flight: entry.flight, n: 1 };
            let flight = &self.flights[&entry.flight];
            let latest = flight.waiters.values().map(|waiter| waiter.1).max().expect("it waits");
            self.told.push(Told::Dispatch(attempt, key_of(entry.lane), latest, self.sent));
            self.running.push((attempt, entry.lane));
        }
    }

    fn submit(&mut self, spec: &CallSpec) {
        let (ticket, rank) = (spec.ticket, spec.priority.index());
        let lane = usize::from(&*spec.target.lane == "b");
        let is_equal = |flight: &Flight| spec.key.is_some() && flight.key == spec.key;
        let shared = self.flights.iter_mut().map(|(id, flight)| (*id, flight));
        if let Some((id, flight)) = shared.into_iter().find(|(_, flight)| is_equal(flight)) {
            flight.waiters.insert(ticket, (rank, spec.deadline));
            self.told.push(Told::Other(Action::Join(id, ticket)));
            return self.rerank(id);
        }
        self.begun += 1;
        let id = FlightId(self.begun);
        let waiters = BTreeMap::from([(ticket, (rank, spec.deadline))]);
        self.flights.insert(id, Flight { lane, key: spec.key, waiters });
        self.told.push(Told::Other(Action::Begin(id, ticket)));
        if self.running.len() < self.global as usize && self.queue.is_clear(lane) {
            return self.queue.pass(id, lane, (rank, 0));
        }
        let shed = match self.queue.push(id, lane, (rank, 0)) {
            Pushed::Queued => return,
            Pushed::Shed(other) => other,
            Pushed::Full => id,
        };
        let (flight, kind, grounds) = (Some(shed), ErrorKind::QueueFull, Grounds::Gate);
        self.end(shed, Answer::Refused { flight, kind, until: None, grounds });
    }

    fn cancel(&mut self, ticket: Ticket) {
        let mut all = self.flights.iter_mut();
        let (id, flight) =
            all.find(|(_, flight)| flight.waiters.contains_key(&ticket)).expect("it waits");
        let (id, lane) = (*id, flight.lane);
        flight.waiters.remove(&ticket);
        if !flight.waiters.is_empty() {
            return self.rerank(id);
        }
        if let Some((attempt, _)) = self.running.iter().find(|(attempt, _)| attempt.flight == id) {
            let abort = Action::Abort(target(lane), *attempt, AbortCause::Cancelled);
            self.told.push(Told::Other(abort));
        }
        self.queue.remove(id);
        self.flights.remove(&id);
        self.told.push(Told::Other(Action::End(id)));
    }

    fn rerank(&mut self, id: FlightId) {
        let ranks = self.flights[&id].waiters.values().map(|waiter| waiter.0);
        self.queue.stand(id, (ranks.min().expect("somebody waits"), 0));
    }

    fn end(&mut self, id: FlightId, answer: Answer) {
        self.queue.remove(id);
        let flight = self.flights.remove(&id).expect("it is known");
        for ticket in flight.waiters.into_keys() {
            self.told.push(Told::Other(Action::Answer(ticket, answer)));
        }
        self.told.push(Told::Other(Action::End(id)));
    }
}

fn key_of(lane: usize) -> HostKey {
    ["a", "b"][lane].into()
}

fn target(lane: usize) -> Target {
    Target { lane: key_of(lane), keeper: key_of(lane), scope: key_of(lane), class: None }
}

fn spec(n: u64, lane: usize, (rank, deadline): (usize, Instant), key: Option<u8>) -> CallSpec {
    CallSpec {
        ticket: Ticket(n),
        target: target(lane),
        priority: Priority::ALL[rank],
        caller: CallerKey::default(),
        deadline,
        key: key.map(|byte| FlightKey([byte; 32])),
        repeat: Repeat::Always,
        attempts_max: None,
        timeout: None,
        breaker: BreakerUse::Guarded,
        hedge: HedgeUse::ByPolicy,
    }
}
