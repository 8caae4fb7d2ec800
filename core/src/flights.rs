//! Flights and their waiters: who shares what, and what a flight inherits from them.
//!
//! Identical calls share one flight. It belongs to nobody in particular: its first caller may
//! leave, and it goes on for the others. Rank and deadline are the greatest of its waiters', and
//! fall back when the waiter that lent them leaves.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::call::{
    BreakerUse, CallSpec, CallerKey, FlightId, FlightKey, HedgeUse, Priority, Repeat, Target,
    Ticket,
};
use crate::race::Race;
use crate::verdict::Cost;

/// All flights and the tickets that wait for them.
#[derive(Debug, Default)]
pub struct Flights {
    flights: BTreeMap<FlightId, Flight>,
    keys: BTreeMap<FlightKey, FlightId>,
    tickets: BTreeMap<Ticket, FlightId>,
    last: u64,
}

/// The shared work of identical calls.
#[derive(Debug)]
pub struct Flight {
    /// Where it goes; a redirect changes it.
    pub target: Target,
    /// Whether its attempts may be repeated.
    pub repeat: Repeat,
    /// The most attempts for each hop.
    pub attempts_max: Option<u32>,
    /// The time for one attempt.
    pub timeout: Option<Duration>,
    /// Whether breakers are consulted.
    pub breaker: BreakerUse,
    /// Whether a slow attempt may get a second one beside it.
    pub hedge: HedgeUse,
    /// What it does.
    pub stage: Stage,
    /// Attempts so far, over all hops.
    pub n: u32,
    /// Those of them that are on the wire and count.
    pub race: Race,
    /// Attempts so far at the present hop.
    pub tries: u32,
    /// Whether an attempt has brought something to answer with.
    pub has_result: bool,
    /// What its next attempt costs.
    pub cost: Cost,
    /// The deadline that its latest offer told.
    pub offered: Option<Instant>,
    /// Its latest place in the queue.
    pub arrival: Option<u64>,
    key: Option<FlightKey>,
    waiters: BTreeMap<Ticket, Waiter>,
}

/// What a flight does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It waits for a slot.
    Queued,
    /// Its attempt runs at the host.
    Running,
    /// It waits for a time.
    Sleeping(Instant),
}

#[derive(Debug, Clone, Copy)]
struct Waiter {
    priority: Priority,
    caller: CallerKey,
    deadline: Instant,
    budget: Duration,
}

/// How a call came to its flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It began the flight.
    Began(FlightId),
    /// It joined a flight under way.
    Joined(FlightId),
}

/// What is left of a flight when a waiter leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// Others still wait.
    Others(FlightId),
    /// Nobody waits any more.
    Nobody(FlightId),
}

impl Flights {
    /// Lets a call join the flight of its key, or begin one.
    pub fn enter(&mut self, now: Instant, spec: &CallSpec) -> Entry {
        let waiter = Waiter {
            priority: spec.priority,
            caller: spec.caller,
            deadline: spec.deadline,
            budget: spec.deadline.saturating_duration_since(now),
        };
        let shared = spec.key.and_then(|key| self.keys.get(&key).copied());
        if let Some(id) = shared
            && let Some(flight) = self.flights.get_mut(&id)
        {
            flight.waiters.insert(spec.ticket, waiter);
            self.tickets.insert(spec.ticket, id);
            return Entry::Joined(id);
        }
        self.last += 1;
        let id = FlightId(self.last);
        if let Some(key) = spec.key {
            self.keys.insert(key, id);
        }
        self.tickets.insert(spec.ticket, id);
        self.flights.insert(id, Flight::new(spec, waiter));
        Entry::Began(id)
    }

    /// Takes a waiter out; `None` if the ticket is unknown or already answered.
    pub fn leave(&mut self, ticket: Ticket) -> Option<Leaving> {
        let id = self.tickets.remove(&ticket)?;
        let flight = self.flights.get_mut(&id)?;
        flight.waiters.remove(&ticket);
        if flight.waiters.is_empty() {
            return Some(Leaving::Nobody(id));
        }
        Some(Leaving::Others(id))
    }

    /// Ends a flight and returns the tickets that still waited, in order of arrival.
    pub fn end(&mut self, id: FlightId) -> Vec<Ticket> {
        let Some(flight) = self.flights.remove(&id) else { return Vec::new() };
        self.close_to_joiners_of(id, flight.key);
        let tickets: Vec<Ticket> = flight.waiters.into_keys().collect();
        for ticket in &tickets {
            self.tickets.remove(ticket);
        }
        tickets
    }

    /// Lets nobody join a flight any more; those who wait stay.
    pub fn close_to_joiners(&mut self, id: FlightId) {
        let key = self.flights.get_mut(&id).and_then(|flight| flight.key.take());
        self.close_to_joiners_of(id, key);
    }

    /// The flight of this number.
    pub fn of(&self, id: FlightId) -> Option<&Flight> {
        self.flights.get(&id)
    }

    /// The flight of this number, to be changed.
    pub fn of_mut(&mut self, id: FlightId) -> Option<&mut Flight> {
        self.flights.get_mut(&id)
    }

    /// The flight a ticket waits for.
    pub fn flight_of(&self, ticket: Ticket) -> Option<FlightId> {
        self.tickets.get(&ticket).copied()
    }

    /// All flights, in order of age. O(n): for rare events only.
    pub fn iter(&self) -> impl Iterator<Item = (FlightId, &Flight)> {
        self.flights.iter().map(|(id, flight)| (*id, flight))
    }

    /// How many flights there are.
    pub fn len(&self) -> usize {
        self.flights.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.flights.is_empty() && self.tickets.is_empty() && self.keys.is_empty()
    }

    /// How many tickets wait.
    pub fn waiting(&self) -> usize {
        self.tickets.len()
    }

    fn close_to_joiners_of(&mut self, id: FlightId, key: Option<FlightKey>) {
        if let Some(key) = key
            && self.keys.get(&key) == Some(&id)
        {
            self.keys.remove(&key);
        }
    }
}

impl Flight {
    fn new(spec: &CallSpec, waiter: Waiter) -> Self {
        Self {
            target: spec.target.clone(),
            repeat: spec.repeat,
            attempts_max: spec.attempts_max,
            timeout: spec.timeout,
            breaker: spec.breaker,
            hedge: spec.hedge,
            stage: Stage::Queued,
            n: 0,
            race: Race::default(),
            tries: 0,
            has_result: false,
            cost: Cost::Free,
            offered: None,
            arrival: None,
            key: spec.key,
            waiters: BTreeMap::from([(spec.ticket, waiter)]),
        }
    }

    /// Its place in the queue: the greatest of its waiters'. O(waiters).
    pub fn rank(&self) -> Priority {
        self.waiters.values().map(|waiter| waiter.priority).max().unwrap_or(Priority::Background)
    }

    /// The callers whose waiters lend it this rank, in order of arrival; one may come twice.
    pub fn callers(&self, rank: Priority) -> impl Iterator<Item = CallerKey> {
        let of_rank = self.waiters.values().filter(move |waiter| waiter.priority == rank);
        of_rank.map(|waiter| waiter.caller)
    }

    /// The latest of its waiters' deadlines, with the time that waiter had in all. O(waiters).
    pub fn deadline(&self) -> Option<(Instant, Duration)> {
        let latest = self.waiters.values().max_by_key(|waiter| waiter.deadline)?;
        Some((latest.deadline, latest.budget))
    }

    /// How many wait for it.
    pub fn waiters(&self) -> usize {
        self.waiters.len()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_share_and_no_key_never_does() {
        let now = Instant::now();
        let mut flights = Flights::default();
        let first = flights.enter(now, &spec(now, 1, Some(7)));
        assert_eq!(first, Entry::Began(FlightId(1)));
        assert_eq!(flights.enter(now, &spec(now, 2, Some(7))), Entry::Joined(FlightId(1)));
        assert_eq!(flights.enter(now, &spec(now, 3, Some(8))), Entry::Began(FlightId(2)));
        assert_eq!(flights.enter(now, &spec(now, 4, None)), Entry::Began(FlightId(3)));
        assert_eq!(flights.enter(now, &spec(now, 5, None)), Entry::Began(FlightId(4)));
        assert_eq!(flights.end(FlightId(1)), [Ticket(1), Ticket(2)]);
        assert_eq!(flights.enter(now, &spec(now, 6, Some(7))), Entry::Began(FlightId(5)));
    }

    #[test]
    fn flight_outlives_its_first_caller_and_ends_with_its_last() {
        let now = Instant::now();
        let mut flights = Flights::default();
        for ticket in 1..=2 {
            flights.enter(now, &spec(now, ticket, Some(7)));
        }
        assert_eq!(flights.leave(Ticket(1)), Some(Leaving::Others(FlightId(1))));
        assert_eq!(flights.leave(Ticket(1)), None);
        assert_eq!(flights.leave(Ticket(2)), Some(Leaving::Nobody(FlightId(1))));
        assert!(flights.end(FlightId(1)).is_empty());
        assert!(flights.is_empty());
    }

    #[test]
    fn rank_and_deadline_are_inherited_and_fall_back() {
        let now = Instant::now();
        let mut flights = Flights::default();
        let lazy = CallSpec { priority: Priority::Background, ..spec(now, 1, Some(7)) };
        flights.enter(now, &lazy);
        let long = now + Duration::from_secs(60);
        let urgent =
            CallSpec { priority: Priority::Foreground, deadline: long, ..spec(now, 2, Some(7)) };
        flights.enter(now, &urgent);
        let check = |flights: &Flights, rank, deadline| {
            let flight = flights.of(FlightId(1)).expect("it exists");
            assert_eq!((flight.rank(), flight.deadline().map(|d| d.0)), (rank, Some(deadline)));
        };
        check(&flights, Priority::Foreground, long);
        flights.leave(Ticket(2));
        check(&flights, Priority::Background, lazy.deadline);
    }

    #[test]
    fn closed_flight_keeps_its_waiters_and_takes_no_more() {
        let now = Instant::now();
        let mut flights = Flights::default();
        flights.enter(now, &spec(now, 1, Some(7)));
        flights.close_to_joiners(FlightId(1));
        assert_eq!(flights.enter(now, &spec(now, 2, Some(7))), Entry::Began(FlightId(2)));
        assert_eq!(flights.end(FlightId(1)), [Ticket(1)]);
        assert_eq!(flights.enter(now, &spec(now, 3, Some(7))), Entry::Joined(FlightId(2)));
    }

    fn spec(now: Instant, ticket: u64, key: Option<u8>) -> CallSpec {
        let lane: crate::call::HostKey = "http://a:80".into();
        CallSpec {
            ticket: Ticket(ticket),
            target: Target { lane: lane.clone(), keeper: lane.clone(), scope: lane, class: None },
            priority: Priority::Normal,
            caller: CallerKey::default(),
            deadline: now + Duration::from_secs(30),
            key: key.map(|byte| FlightKey([byte; 32])),
            repeat: Repeat::Always,
            attempts_max: None,
            timeout: None,
            breaker: BreakerUse::Guarded,
            hedge: HedgeUse::ByPolicy,
        }
    }
}
