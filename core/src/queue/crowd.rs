//! Who has how much waiting at one rank, over all lanes: what shedding looks at.

use std::collections::{BTreeMap, BTreeSet};

use crate::call::{CallerKey, FlightId};

/// Everything that waits at one rank, by caller.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    callers: BTreeMap<CallerKey, BTreeMap<u64, FlightId>>,
    /// The callers by how much of theirs waits, and then by how new the newest of it is.
    sizes: BTreeSet<(usize, u64, CallerKey)>,
}

impl Crowd {
    /// A flight waits.
    pub(super) fn insert(&mut self, caller: CallerKey, arrival: u64, flight: FlightId) {
        self.change(caller, |flights| {
            flights.insert(arrival, flight);
        });
    }

    /// A flight waits no more.
    pub(super) fn remove(&mut self, caller: CallerKey, arrival: u64) {
        self.change(caller, |flights| {
            flights.remove(&arrival);
        });
    }

    /// The newest of the caller with most waiting, and how many that are.
    pub(super) fn most(&self) -> Option<(usize, FlightId)> {
        let (size, newest, caller) = self.sizes.last()?;
        Some((*size, *self.callers.get(caller)?.get(newest)?))
    }

    /// How many of a caller's wait.
    pub(super) fn of(&self, caller: CallerKey) -> usize {
        self.callers.get(&caller).map_or(0, BTreeMap::len)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.callers.is_empty()
    }

    fn change(&mut self, caller: CallerKey, change: impl FnOnce(&mut BTreeMap<u64, FlightId>)) {
        let flights = self.callers.entry(caller).or_default();
        if let Some((newest, _)) = flights.last_key_value() {
            self.sizes.remove(&(flights.len(), *newest, caller));
        }
        change(flights);
        match flights.last_key_value() {
            Some((newest, _)) => {
                self.sizes.insert((flights.len(), *newest, caller));
            }
            None => {
                self.callers.remove(&caller);
            }
        }
    }
}
