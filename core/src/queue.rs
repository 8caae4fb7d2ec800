//! The waiting queue: one lane per host, four ranks per lane, one order over all lanes.
//!
//! A full host never blocks another's calls: only lanes with a free slot offer their heads. The
//! most urgent head runs first, the oldest among equals; every tenth turn goes to the oldest of the
//! less urgent, so that nothing waits for ever behind hot traffic. The same holds within each lane:
//! a lane whose turns never fall on a tenth of all would starve its own. When the queue is full the
//! newest of the least urgent is shed first. Once the oldest of a lane's rank has waited for a second
//! the newest goes first, but for every tenth turn: an overload then costs some their answer instead
//! of making everybody's late.

mod lane;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::call::{FlightId, HostKey, Priority};
use crate::queue::lane::{Lane, RANKS, SHARE_ONE_IN};

/// Flights that wait for a slot of their host.
#[derive(Debug)]
pub struct Queue {
    lanes: BTreeMap<HostKey, Lane>,
    places: BTreeMap<FlightId, Place>,
    /// Everything that waits, by rank and age: what shedding looks at.
    waiting: [BTreeMap<u64, FlightId>; RANKS],
    /// The heads of lanes with a free slot, by rank and age: what the next turn looks at.
    heads: [BTreeMap<u64, HostKey>; RANKS],
    /// Lanes that are held, with the end of each hold.
    holds: BTreeSet<(Instant, HostKey)>,
    queue_max: usize,
    arrivals: u64,
    turns: u64,
    now: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Place {
    lane: HostKey,
    rank: Priority,
    arrival: u64,
    /// Since when it waits at this rank, if anybody told the time.
    since: Option<Instant>,
}

/// What became of a flight that wants to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It waits.
    Queued,
    /// It waits, and the named less urgent flight was shed to make room.
    Shed(FlightId),
    /// It does not wait: the queue is full of what is at least as urgent.
    Full,
}

impl Queue {
    /// An empty queue for at most `queue_max` flights.
    pub fn new(queue_max: usize) -> Self {
        Self {
            lanes: BTreeMap::new(),
            places: BTreeMap::new(),
            waiting: Default::default(),
            heads: Default::default(),
            holds: BTreeSet::new(),
            queue_max,
            arrivals: 0,
            turns: 0,
            now: None,
        }
    }

    /// Sets how many flights of a lane may run at once; makes the lane known.
    pub fn set_lane(&mut self, lane: &HostKey, slots_max: u32) {
        self.lanes
            .entry(lane.clone())
            .and_modify(|known| known.slots_max = slots_max)
            .or_insert_with(|| Lane::new(slots_max));
        self.refresh(lane);
    }

    /// Lets no turn fall on a lane before `until`; what waits there keeps its order.
    pub fn hold(&mut self, lane: &HostKey, until: Instant) {
        let is_over = self.now.is_some_and(|now| until <= now);
        if let Some(known) = self.lanes.get_mut(lane).filter(|_| !is_over) {
            if let Some(before) = known.held.replace(until) {
                self.holds.remove(&(before, lane.clone()));
            }
            self.holds.insert((until, lane.clone()));
            self.refresh(lane);
        }
    }

    /// Ends a hold before its time.
    pub fn unhold(&mut self, lane: &HostKey) {
        let Some(known) = self.lanes.get_mut(lane) else { return };
        if let Some(until) = known.held.take() {
            self.holds.remove(&(until, lane.clone()));
            self.refresh(lane);
        }
    }

    /// Tells the time: waits count from it, and holds whose time is over end.
    pub fn tick(&mut self, now: Instant) {
        self.now = Some(now);
        while let Some((until, lane)) = self.holds.pop_first() {
            if until > now {
                self.holds.insert((until, lane));
                return;
            }
            if let Some(known) = self.lanes.get_mut(&lane) {
                known.held = None;
            }
            self.refresh(&lane);
        }
    }

    /// When the next hold of a lane ends.
    pub fn next_release(&self) -> Option<Instant> {
        self.holds.first().map(|(until, _)| *until)
    }

    /// Forgets a lane that holds nothing; a busy one stays.
    pub fn drop_lane(&mut self, lane: &HostKey) {
        if self.lanes.get(lane).is_some_and(Lane::is_idle) {
            let held = self.lanes.remove(lane).and_then(|known| known.held);
            held.map(|until| self.holds.remove(&(until, lane.clone())));
        }
    }

    /// Moves the bound; what already waits stays.
    pub fn set_max(&mut self, queue_max: usize) {
        self.queue_max = queue_max;
    }

    /// Lets a flight wait in a known lane.
    pub fn push(&mut self, flight: FlightId, lane: &HostKey, rank: Priority) -> Pushed {
        let mut pushed = Pushed::Queued;
        if self.places.len() >= self.queue_max {
            let Some(shed) = self.sheddable(rank) else { return Pushed::Full };
            self.remove(shed);
            pushed = Pushed::Shed(shed);
        }
        self.pass(flight, lane, rank);
        pushed
    }

    /// Takes in a flight that goes out in this very turn, which no bound on waiting is meant for.
    pub fn pass(&mut self, flight: FlightId, lane: &HostKey, rank: Priority) {
        self.arrivals += 1;
        let place = Place { lane: lane.clone(), rank, arrival: self.arrivals, since: self.now };
        self.insert(flight, place);
    }

    /// Lets a flight wait where it would if it had never had its turn; it is never shed for that.
    pub fn put_back(&mut self, flight: FlightId, lane: &HostKey, rank: Priority, arrival: u64) {
        let place = Place { lane: lane.clone(), rank, arrival, since: self.now };
        self.insert(flight, place);
    }

    /// When a waiting flight came, as a number that grows with each push.
    pub fn arrival(&self, flight: FlightId) -> Option<u64> {
        self.places.get(&flight).map(|place| place.arrival)
    }

    /// Takes a flight out, wherever it waits; one that does not wait is no error.
    pub fn remove(&mut self, flight: FlightId) {
        let Some(place) = self.places.remove(&flight) else { return };
        if let Some(waiting) = self.waiting.get_mut(place.rank.index()) {
            waiting.remove(&place.arrival);
        }
        if let Some(lane) = self.lanes.get_mut(&place.lane)
            && let Some(rank) = lane.ranks.get_mut(place.rank.index())
        {
            rank.remove(&place.arrival);
        }
        self.refresh(&place.lane);
    }

    /// Changes a waiting flight's rank; its age stays.
    pub fn set_rank(&mut self, flight: FlightId, rank: Priority) {
        let Some(place) = self.places.get(&flight).cloned() else { return };
        if place.rank != rank {
            self.remove(flight);
            self.insert(flight, Place { rank, since: self.now, ..place });
        }
    }

    /// Takes the flight whose turn it is, and a slot of its lane for it.
    pub fn pop(&mut self) -> Option<FlightId> {
        let rank = self.next_rank()?;
        let key = self.heads.get(rank)?.values().next()?.clone();
        let is_pressed = self.is_pressed(&key, rank);
        let lane = self.lanes.get_mut(&key)?;
        let flight = lane.turn(rank, is_pressed)?;
        self.turns += 1;
        self.remove(flight);
        Some(flight)
    }

    /// Gives back the slot that a popped flight of this lane held.
    pub fn give(&mut self, lane: &HostKey) {
        if let Some(known) = self.lanes.get_mut(lane) {
            debug_assert!(known.running > 0, "a lane's slot is given back once");
            known.running = known.running.saturating_sub(1);
        }
        self.refresh(lane);
    }

    /// Whether a flight waits here.
    pub fn contains(&self, flight: FlightId) -> bool {
        self.places.contains_key(&flight)
    }

    /// How many flights wait.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many flights of a lane wait, the most urgent rank first.
    pub fn depth(&self, lane: &HostKey) -> [usize; RANKS] {
        let Some(lane) = self.lanes.get(lane) else { return [0; RANKS] };
        [0, 1, 2, 3].map(|rank: usize| lane.ranks.get(rank).map_or(0, BTreeMap::len))
    }

    /// The flights of a lane that wait, the most urgent rank first, the oldest first in each.
    pub fn waiting(&self, lane: &HostKey) -> impl Iterator<Item = FlightId> {
        let lane = self.lanes.get(lane).into_iter();
        lane.flat_map(|lane| &lane.ranks).flat_map(BTreeMap::values).copied()
    }

    /// How many flights of a lane run.
    pub fn running(&self, lane: &HostKey) -> u32 {
        self.lanes.get(lane).map_or(0, |lane| lane.running)
    }

    /// Until when no turn falls on a lane.
    pub fn held_until(&self, lane: &HostKey) -> Option<Instant> {
        self.lanes.get(lane)?.held
    }

    /// How many lanes are known.
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Whether a flight of this lane would be next: the lane has a slot, and nobody else could go.
    pub fn is_clear(&self, lane: &HostKey) -> bool {
        let nobody = self.heads.iter().all(BTreeMap::is_empty);
        nobody && self.lanes.get(lane).is_some_and(Lane::has_slot)
    }

    /// How many go before a flight that comes to a lane with this rank; `None` if it can go at once.
    pub fn ahead(&self, lane: &HostKey, rank: Priority) -> Option<usize> {
        let known = self.lanes.get(lane).filter(|known| !known.has_slot())?;
        let own = usize::from(!self.is_pressed(lane, rank.index()));
        Some(known.ranks.iter().take(rank.index() + own).map(BTreeMap::len).sum())
    }

    /// How many flights of a lane may run at once.
    pub fn slots_max(&self, lane: &HostKey) -> u32 {
        self.lanes.get(lane).map_or(0, |lane| lane.slots_max)
    }

    /// Whether a lane is known.
    pub fn has_lane(&self, lane: &HostKey) -> bool {
        self.lanes.contains_key(lane)
    }

    /// Whether waits have grown so long that the newest of a lane's rank goes first.
    fn is_pressed(&self, lane: &HostKey, rank: usize) -> bool {
        let entries = self.lanes.get(lane).and_then(|lane| lane.ranks.get(rank));
        let oldest = entries.and_then(|entries| entries.values().next());
        let since = oldest.and_then(|flight| self.places.get(flight)?.since);
        let waited = self.now.zip(since).map(|(now, since)| now.saturating_duration_since(since));
        waited.is_some_and(|waited| waited >= NEWEST_FIRST_AFTER)
    }

    fn insert(&mut self, flight: FlightId, place: Place) {
        let rank = place.rank.index();
        if let Some(waiting) = self.waiting.get_mut(rank) {
            waiting.insert(place.arrival, flight);
        }
        let lane = self.lanes.entry(place.lane.clone()).or_insert_with(|| Lane::new(1));
        if let Some(entries) = lane.ranks.get_mut(rank) {
            entries.insert(place.arrival, flight);
        }
        let lane = place.lane.clone();
        self.places.insert(flight, place);
        self.refresh(&lane);
    }

    fn sheddable(&self, rank: Priority) -> Option<FlightId> {
        let least_urgent = self.waiting.iter().enumerate().rev().find(|(_, set)| !set.is_empty());
        let (found, set) = least_urgent?;
        (found > rank.index()).then(|| set.values().next_back().copied()).flatten()
    }

    fn next_rank(&self) -> Option<usize> {
        let mut ready =
            (0..RANKS).filter(|rank| self.heads.get(*rank).is_some_and(|h| !h.is_empty()));
        let best = ready.next()?;
        if self.turns % SHARE_ONE_IN != SHARE_ONE_IN - 1 {
            return Some(best);
        }
        let oldest = |rank: &usize| self.heads.get(*rank).and_then(|h| h.keys().next().copied());
        Some(ready.min_by_key(oldest).unwrap_or(best))
    }

    /// Shows a lane's heads to the next turn if it has a slot, and hides them if not.
    fn refresh(&mut self, key: &HostKey) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let has_slot = lane.has_slot();
        for ((entries, shown), heads) in lane.ranks.iter().zip(&mut lane.shown).zip(&mut self.heads)
        {
            let head = entries.keys().next().copied().filter(|_| has_slot);
            if *shown == head {
                continue;
            }
            if let Some(old) = shown.take() {
                heads.remove(&old);
            }
            if let Some(new) = head {
                heads.insert(new, key.clone());
            }
            *shown = head;
        }
    }
}

/// Once the oldest of a rank has waited this long, the newest goes first.
const NEWEST_FIRST_AFTER: Duration = Duration::from_secs(1);
