//! Whose turn it is among the callers of one rank of a lane.
//!
//! Callers with something to send go round: who had a turn is last, and so is who comes anew, so that
//! one caller's thousand calls delay another's by one turn and not by a thousand. Within a caller the
//! oldest goes first, or the newest once that caller's oldest has waited for long.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::call::{CallerKey, FlightId};

/// What waits at one rank of a lane. Memory: a few words for each flight and each caller of one.
#[derive(Debug, Default)]
pub(super) struct Turns {
    ages: BTreeMap<u64, FlightId>,
    callers: BTreeMap<CallerKey, Caller>,
    /// Who is next, by the number of the turn.
    ring: BTreeMap<i64, CallerKey>,
}

/// Where a caller joins those who take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joining {
    /// Behind all others, unless it has a place already.
    Last,
    /// Before all others: the turn that it had came to nothing.
    First,
}

#[derive(Debug)]
struct Caller {
    waiting: BTreeMap<u64, Waiting>,
    turn: i64,
    /// Turns that passed over something older of its own, since one was given to that.
    skipped: u64,
    /// What came before this has waited for too long to be preferred for its age.
    hopeful_from: u64,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    flight: FlightId,
    /// Since when, if anybody told the time.
    since: Option<Instant>,
}

impl Turns {
    /// Lets a flight of a caller wait.
    pub(super) fn insert(
        &mut self,
        caller: CallerKey,
        (arrival, flight): (u64, FlightId),
        since: Option<Instant>,
        joining: Joining,
    ) {
        self.ages.insert(arrival, flight);
        let turn = match joining {
            Joining::Last => self.last(),
            Joining::First => self.ring.first_key_value().map_or(0, |(first, _)| first - 1),
        };
        let is_new = !self.callers.contains_key(&caller);
        let make = || Caller { waiting: BTreeMap::new(), turn, skipped: 0, hopeful_from: 0 };
        let entry = self.callers.entry(caller).or_insert_with(make);
        entry.waiting.insert(arrival, Waiting { flight, since });
        entry.hopeful_from = entry.hopeful_from.min(arrival);
        if is_new || joining == Joining::First {
            self.ring.remove(&entry.turn);
            entry.turn = turn;
            self.ring.insert(turn, caller);
        }
    }

    /// Takes a flight out.
    pub(super) fn remove(&mut self, caller: CallerKey, arrival: u64) {
        self.ages.remove(&arrival);
        let Some(entry) = self.callers.get_mut(&caller) else { return };
        entry.waiting.remove(&arrival);
        if entry.waiting.is_empty() {
            self.ring.remove(&entry.turn);
            self.callers.remove(&caller);
        }
    }

    /// The flight whose turn it is at `now`; the newest has no precedence where no time is told.
    pub(super) fn turn(&mut self, now: Option<Instant>) -> Option<FlightId> {
        let (_, caller) = self.ring.pop_first()?;
        let last = self.last();
        self.ring.insert(last, caller);
        let entry = self.callers.get_mut(&caller)?;
        entry.turn = last;
        entry.head(now)
    }

    /// How many go before a flight of this caller that comes at `now`. O(callers that wait here).
    pub(super) fn ahead(&self, now: Option<Instant>, caller: CallerKey) -> usize {
        let known = self.callers.get(&caller).filter(|entry| !entry.is_pressed(now));
        let own = known.map_or(0, |entry| entry.waiting.len());
        let others = self.callers.iter().filter(|(other, _)| **other != caller);
        own + others.map(|(_, entry)| entry.waiting.len().min(own + 1)).sum::<usize>()
    }

    /// The age of what has waited for longest, as a number that grows with each arrival.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.ages.keys().next().copied()
    }

    /// How many of a caller's wait.
    pub(super) fn of(&self, caller: CallerKey) -> usize {
        self.callers.get(&caller).map_or(0, |entry| entry.waiting.len())
    }

    /// All that wait, the oldest first.
    pub(super) fn flights(&self) -> impl Iterator<Item = FlightId> {
        self.ages.values().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.ages.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ages.is_empty()
    }

    fn last(&self) -> i64 {
        self.ring.last_key_value().map_or(0, |(last, _)| last + 1)
    }
}

impl Caller {
    /// The newest when waits are long: what has waited most has the least chance of being in time.
    /// Every tenth such turn is the oldest's of which there is hope.
    fn head(&mut self, now: Option<Instant>) -> Option<FlightId> {
        let is_pressed = self.waiting.len() > 1 && self.is_pressed(now);
        if !is_pressed {
            return self.waiting.values().next().map(|waiting| waiting.flight);
        }
        self.skipped = (self.skipped + 1) % SHARE_ONE_IN;
        if self.skipped != 0 {
            return self.waiting.values().next_back().map(|waiting| waiting.flight);
        }
        self.oldest_hopeful(now)
    }

    /// The oldest that has not waited for very long, or the oldest if all have. What is passed over is
    /// looked at once: O(1) in the long run.
    fn oldest_hopeful(&mut self, now: Option<Instant>) -> Option<FlightId> {
        let hopeful = |waiting: &Waiting| {
            let waited =
                now.zip(waiting.since).map(|(now, since)| now.saturating_duration_since(since));
            waited.is_none_or(|waited| waited < HOPELESS_AFTER)
        };
        let mut later = self.waiting.range(self.hopeful_from..);
        let found = later.find(|(_, waiting)| hopeful(waiting));
        let last = self.waiting.last_key_value().map_or(0, |(arrival, _)| arrival + 1);
        self.hopeful_from = found.map_or(last, |(arrival, _)| *arrival);
        let (_, waiting) = found.or_else(|| self.waiting.first_key_value())?;
        Some(waiting.flight)
    }

    fn is_pressed(&self, now: Option<Instant>) -> bool {
        let since = self.waiting.values().next().and_then(|oldest| oldest.since);
        let waited = now.zip(since).map(|(now, since)| now.saturating_duration_since(since));
        waited.is_some_and(|waited| waited >= NEWEST_FIRST_AFTER)
    }
}

/// One turn in so many is given away: to the less urgent, and to a caller's oldest under pressure.
pub(super) const SHARE_ONE_IN: u64 = 10;
/// Once the oldest of a caller has waited this long, the newest goes first.
pub(super) const NEWEST_FIRST_AFTER: Duration = Duration::from_secs(1);
/// Under pressure what has waited this long is not preferred for its age any more.
pub(super) const HOPELESS_AFTER: Duration = Duration::from_secs(5);
