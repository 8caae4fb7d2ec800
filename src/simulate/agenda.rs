//! What happens when: the queue of coming events, in virtual time.
//!
//! Events of the same moment keep the order in which they were planned, so that a seed decides
//! everything.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Virtual time: a start that no result depends on, and the time since.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    base: Instant,
}

impl Clock {
    /// A clock at zero. An `Instant` has no other constructor; only differences are used.
    pub(super) fn new() -> Self {
        Self { base: Instant::now() }
    }

    /// The machines' time after that much virtual time.
    pub(super) fn instant(&self, at: Duration) -> Instant {
        self.base.checked_add(at).unwrap_or(self.base)
    }

    /// The virtual time of a machine's time.
    pub(super) fn since(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.base)
    }
}

/// The events to come.
#[derive(Debug)]
pub(super) struct Agenda<E> {
    heap: BinaryHeap<Entry<E>>,
    planned: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: Duration,
    number: u64,
    event: E,
}

impl<E> Agenda<E> {
    /// Nothing to come.
    pub(super) fn new() -> Self {
        Self { heap: BinaryHeap::new(), planned: 0 }
    }

    /// Plans an event.
    pub(super) fn plan(&mut self, at: Duration, event: E) {
        self.planned += 1;
        self.heap.push(Entry { at, number: self.planned, event });
    }

    /// The next event and its time.
    pub(super) fn next(&mut self) -> Option<(Duration, E)> {
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        // A binary heap gives its greatest; the earliest must be that.
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<E> Eq for Entry<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earliest_first_and_ties_in_order_of_planning() {
        let mut agenda = Agenda::new();
        for (ms, name) in [(5, "c"), (1, "a"), (5, "d"), (2, "b")] {
            agenda.plan(Duration::from_millis(ms), name);
        }
        let order: Vec<&str> = std::iter::from_fn(|| agenda.next()).map(|(_, name)| name).collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
    }
}
