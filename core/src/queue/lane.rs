//! The queue of one host, and whose turn it is in it.

use std::time::Instant;

use crate::call::{FlightId, Priority};
use crate::queue::turns::{SHARE_ONE_IN, Turns};

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) ranks: [Turns; RANKS],
    pub(super) shown: [Option<u64>; RANKS],
    /// Turns that passed over something less urgent, since one was given to it.
    passed: u64,
    /// The same before the latest turn.
    passed_before: u64,
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
            passed_before: 0,
            running: 0,
            slots_max,
            held: None,
        }
    }

    /// The flight that runs in a slot of this lane when the lane's turn falls on `rank` at `now`.
    pub(super) fn turn(&mut self, rank: usize, now: Option<Instant>) -> Option<FlightId> {
        self.running += 1;
        self.passed_before = self.passed;
        let is_given_away = self.ranks.iter().take(rank).any(|turns| !turns.is_empty());
        if is_given_away {
            // The share is one in ten in all, whoever gives it.
            self.passed = 0;
        } else if let Some(less_urgent) = self.oldest_below(rank) {
            self.passed = (self.passed + 1) % SHARE_ONE_IN;
            if self.passed == 0 {
                return self.ranks.get_mut(less_urgent)?.turn(None);
            }
        }
        self.ranks.get_mut(rank)?.turn(now)
    }

    /// Takes the latest turn back: whoever had it could not use it.
    pub(super) fn take_back(&mut self) {
        self.running = self.running.saturating_sub(1);
        self.passed = self.passed_before;
    }

    /// The less urgent rank with the oldest of all that wait there.
    fn oldest_below(&self, rank: usize) -> Option<usize> {
        let below = self.ranks.iter().enumerate().skip(rank + 1);
        let ages = below.filter_map(|(index, turns)| Some((turns.oldest()?, index)));
        ages.min().map(|(_, index)| index)
    }

    pub(super) fn has_slot(&self) -> bool {
        self.running < self.slots_max && self.held.is_none()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.running == 0 && self.ranks.iter().all(Turns::is_empty)
    }
}

/// The ranks of a lane.
pub(super) const RANKS: usize = Priority::ALL.len();
