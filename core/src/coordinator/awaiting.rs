//! Who waits for the verdict of a probe, by scope.

use std::collections::{BTreeMap, BTreeSet};

use crate::call::{FlightId, ScopeKey};

/// The flights that a verdict wakes.
#[derive(Debug, Default)]
pub(super) struct Awaiting {
    of: BTreeMap<ScopeKey, BTreeSet<FlightId>>,
}

impl Awaiting {
    /// A flight waits for a verdict on this scope.
    pub(super) fn begin(&mut self, scope: &ScopeKey, id: FlightId) {
        self.of.entry(scope.clone()).or_default().insert(id);
    }

    /// A flight waits for it no more.
    pub(super) fn end(&mut self, scope: &ScopeKey, id: FlightId) {
        let Some(flights) = self.of.get_mut(scope) else { return };
        flights.remove(&id);
        if flights.is_empty() {
            self.of.remove(scope);
        }
    }

    /// All that wait for a verdict on this scope, the oldest first.
    pub(super) fn of(&self, scope: &ScopeKey) -> Vec<FlightId> {
        self.of.get(scope).into_iter().flatten().copied().collect()
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }
}
