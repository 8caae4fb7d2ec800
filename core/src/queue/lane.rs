//! The queue of one host, and whose turn it is in it.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::call::{FlightId, Priority};

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) ranks: [BTreeMap<u64, FlightId>; RANKS],
    pub(super) shown: [Option<u64>; RANKS],
    /// Turns that passed over something less urgent, since one was given to it.
    passed: u64,
    /// Turns that passed over something older, since one was given to it.
    skipped: u64,
    pub(super) running: u32,
    pub(super) slots_max: u32,
    /// Until when no turn falls on it.
    pub(super) held: Option<Instant>,
}

impl Lane {
    pub(super) fn new(slots_max: u32) -> Self {
        Self {
            ranks: Default::default(),
            shown: [None; RANKS],
            passed: 0,
            skipped: 0,
            running: 0,
            slots_max,
            held: None,
        }
    }

    /// The flight that runs in a slot of this lane when the lane's turn falls on `rank`.
    pub(super) fn turn(&mut self, rank: usize, is_pressed: bool) -> Option<FlightId> {
        let heads = self.ranks.iter().skip(rank + 1).filter_map(BTreeMap::first_key_value);
        let less_urgent = heads.min_by_key(|(arrival, _)| **arrival).map(|(_, flight)| *flight);
        let head = self.head(rank, is_pressed);
        self.running += 1;
        let is_given_away = self.ranks.iter().take(rank).any(|entries| !entries.is_empty());
        if is_given_away {
            // The share is one in ten in all, whoever gives it.
            self.passed = 0;
            return head;
        }
        if less_urgent.is_none() {
            return head;
        }
        self.passed = (self.passed + 1) % SHARE_ONE_IN;
        if self.passed == 0 { less_urgent } else { head }
    }

    /// The newest when waits are long: what has waited most has the least chance of being in time.
    /// Every tenth such turn is the oldest's, so that nothing waits for ever.
    fn head(&mut self, rank: usize, is_pressed: bool) -> Option<FlightId> {
        let entries = self.ranks.get(rank)?;
        if is_pressed && entries.len() > 1 {
            self.skipped = (self.skipped + 1) % SHARE_ONE_IN;
            if self.skipped != 0 {
                return entries.values().next_back().copied();
            }
        }
        entries.values().next().copied()
    }

    pub(super) fn has_slot(&self) -> bool {
        self.running < self.slots_max && self.held.is_none()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running == 0 && self.ranks.iter().all(BTreeMap::is_empty)
    }
}

/// The ranks of a lane.
pub(super) const RANKS: usize = Priority::ALL.len();
/// One turn in so many is given away: to the less urgent, and to the oldest under pressure.
pub(super) const SHARE_ONE_IN: u64 = 10;
