//! Who gives up when: the deadlines of all tickets, and the least time that is of use.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::call::Ticket;

/// The deadlines of the tickets that wait.
#[derive(Debug, Default)]
pub(super) struct Patience {
    ends: BTreeSet<(Instant, Ticket)>,
    of: BTreeMap<Ticket, Instant>,
    asked: u64,
}

impl Patience {
    /// A ticket waits until `end`.
    pub(super) fn begin(&mut self, ticket: Ticket, end: Instant) {
        self.of.insert(ticket, end);
        self.ends.insert((end, ticket));
    }

    /// A ticket waits no more.
    pub(super) fn end(&mut self, ticket: Ticket) {
        if let Some(end) = self.of.remove(&ticket) {
            self.ends.remove(&(end, ticket));
        }
    }

    /// Takes the next ticket whose time is up at `now`.
    pub(super) fn pop_ended(&mut self, now: Instant) -> Option<Ticket> {
        let (end, ticket) = self.ends.first().copied()?;
        if end > now {
            return None;
        }
        self.end(ticket);
        Some(ticket)
    }

    /// When the next ticket's time is up.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.ends.first().map(|(end, _)| *end)
    }

    /// The least time left with which the next attempt is sent; one in twenty goes regardless, so
    /// that a slow host is not locked out for ever.
    pub(super) fn useful_min(&mut self, budget: Duration) -> Duration {
        self.asked += 1;
        if self.asked.is_multiple_of(REGARDLESS_ONE_IN) {
            return Duration::ZERO;
        }
        useful_min(budget)
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.of.is_empty()
    }
}

/// The least time left in which sending is of use, for a call that had `budget` in all.
///
/// What is sent with less mostly arrives too late and only adds load: with 100 ms left an overload
/// takes a minute to pass, with 300 ms eight seconds (docs/defaults.md).
pub(super) fn useful_min(budget: Duration) -> Duration {
    USEFUL_MIN.min(budget / 4)
}

const USEFUL_MIN: Duration = Duration::from_millis(300);
const REGARDLESS_ONE_IN: u64 = 20;
