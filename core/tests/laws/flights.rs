//! The flights beside groups of tickets.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use spillgate_core::call::{
    BreakerUse, CallSpec, CallerKey, FlightId, FlightKey, HedgeUse, HostKey, Priority, Repeat,
    Target, Ticket,
};
use spillgate_core::flights::{Entry, Flights, Leaving};

use crate::{HISTORIES, cases};

/// The key of a flight while it is open, and its tickets with rank and deadline.
type Group = (Option<u8>, BTreeMap<Ticket, (Priority, Instant)>);

proptest! {
    #![proptest_config(cases(HISTORIES))]

    /// Flights are groups of tickets with equal keys; rank and deadline are the greatest inside.
    #[test]
    fn flights_are_groups_of_equal_keys(
        steps in prop::collection::vec(
            (0_u8..6, prop::option::of(0_u8..3), 0_usize..4, 1_u64..60, any::<prop::sample::Index>()),
            1..80,
        ),
    ) {
        let now = Instant::now();
        let mut flights = Flights::default();
        let mut groups: BTreeMap<FlightId, Group> = BTreeMap::new();
        for (n, (what, key, rank, seconds, which)) in (1_u64..).zip(steps) {
            let ids: Vec<FlightId> = groups.keys().copied().collect();
            let any_id = (!ids.is_empty()).then(|| ids[which.index(ids.len())]);
            match (what, any_id) {
                (3, Some(id)) => {
                    let (_, tickets) = groups.get_mut(&id).expect("it is known");
                    let ticket = *tickets.keys().next().expect("it has waiters");
                    tickets.remove(&ticket);
                    let expected = if tickets.is_empty() { Leaving::Nobody(id) } else { Leaving::Others(id) };
                    prop_assert_eq!(flights.leave(ticket), Some(expected));
                    prop_assert_eq!(flights.leave(ticket), None);
                    if expected == Leaving::Nobody(id) {
                        groups.remove(&id);
                        prop_assert!(flights.end(id).is_empty());
                    }
                }
                (4, Some(id)) => {
                    let (_, tickets) = groups.remove(&id).expect("it is known");
                    prop_assert_eq!(flights.end(id), tickets.into_keys().collect::<Vec<_>>());
                }
                (5, Some(id)) => {
                    flights.close_to_joiners(id);
                    groups.get_mut(&id).expect("it is known").0 = None;
                }
                _ => {
                    let (ticket, deadline) = (Ticket(n), now + Duration::from_secs(seconds));
                    let waiter = (Priority::ALL[rank], deadline);
                    let entry = flights.enter(now, &spec(ticket, key, waiter));
                    let open = |group: &Group| key.is_some() && group.0 == key;
                    let shared = groups.iter().find(|(_, group)| open(group)).map(|(id, _)| *id);
                    match (entry, shared) {
                        (Entry::Joined(id), Some(shared)) => prop_assert_eq!(id, shared),
                        (Entry::Began(id), None) => prop_assert!(!groups.contains_key(&id)),
                        (entry, shared) => prop_assert!(false, "{:?} {:?}", entry, shared),
                    }
                    let (Entry::Joined(id) | Entry::Began(id)) = entry;
                    let group = groups.entry(id).or_insert_with(|| (key, BTreeMap::new()));
                    group.1.insert(ticket, waiter);
                }
            }
            prop_assert_eq!(flights.len(), groups.len());
            for (id, (_, tickets)) in &groups {
                let flight = flights.of(*id).expect("it is known");
                prop_assert_eq!(Some(flight.rank()), tickets.values().map(|waiter| waiter.0).max());
                let latest = tickets.values().map(|waiter| waiter.1).max();
                prop_assert_eq!(flight.deadline().map(|(deadline, _)| deadline), latest);
            }
        }
    }
}

fn spec(ticket: Ticket, key: Option<u8>, (priority, deadline): (Priority, Instant)) -> CallSpec {
    let lane: HostKey = "a".into();
    CallSpec {
        ticket,
        target: Target { lane: lane.clone(), keeper: lane.clone(), scope: lane, class: None },
        priority,
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
