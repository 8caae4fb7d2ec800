//! The waiting queue: one lane per host, four ranks per lane, one order over all lanes.
//!
//! A full host never blocks another's calls: only lanes with a free slot offer their heads. The
//! most urgent head runs first, the oldest among equals; every tenth turn goes to the oldest of the
//! less urgent, so that nothing waits for ever behind hot traffic. The same holds within each lane:
//! a lane whose turns never fall on a tenth of all would starve its own. When the queue is full the
//! newest of the least urgent is shed first.

use std::collections::BTreeMap;

use crate::call::{FlightId, HostKey, Priority};

/// Flights that wait for a slot of their host.
#[derive(Debug)]
pub struct Queue {
    lanes: BTreeMap<HostKey, Lane>,
    places: BTreeMap<FlightId, Place>,
    /// Everything that waits, by rank and age: what shedding looks at.
    waiting: [BTreeMap<u64, FlightId>; RANKS],
    /// The heads of lanes with a free slot, by rank and age: what the next turn looks at.
    heads: [BTreeMap<u64, HostKey>; RANKS],
    queue_max: usize,
    arrivals: u64,
    turns: u64,
}

#[derive(Debug)]
struct Lane {
    ranks: [BTreeMap<u64, FlightId>; RANKS],
    shown: [Option<u64>; RANKS],
    /// Turns that passed over something less urgent, since one was given to it.
    passed: u64,
    running: u32,
    slots_max: u32,
}

#[derive(Debug, Clone)]
struct Place {
    lane: HostKey,
    rank: Priority,
    arrival: u64,
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
            queue_max,
            arrivals: 0,
            turns: 0,
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

    /// Forgets a lane that holds nothing; a busy one stays.
    pub fn drop_lane(&mut self, lane: &HostKey) {
        if self.lanes.get(lane).is_some_and(Lane::is_idle) {
            self.lanes.remove(lane);
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
        self.arrivals += 1;
        let place = Place { lane: lane.clone(), rank, arrival: self.arrivals };
        self.insert(flight, place);
        pushed
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
            self.insert(flight, Place { rank, ..place });
        }
    }

    /// Takes the flight whose turn it is, and a slot of its lane for it.
    pub fn pop(&mut self) -> Option<FlightId> {
        let rank = self.next_rank()?;
        let key = self.heads.get(rank)?.values().next()?;
        let lane = self.lanes.get_mut(key)?;
        let flight = lane.turn(rank)?;
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

    /// How many flights of a lane run.
    pub fn running(&self, lane: &HostKey) -> u32 {
        self.lanes.get(lane).map_or(0, |lane| lane.running)
    }

    /// How many lanes are known.
    pub fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Whether a lane is known.
    pub fn has_lane(&self, lane: &HostKey) -> bool {
        self.lanes.contains_key(lane)
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
        let has_slot = lane.running < lane.slots_max;
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

impl Lane {
    fn new(slots_max: u32) -> Self {
        Self { ranks: Default::default(), shown: [None; RANKS], passed: 0, running: 0, slots_max }
    }

    /// The flight that runs in a slot of this lane when the lane's turn falls on `rank`.
    fn turn(&mut self, rank: usize) -> Option<FlightId> {
        let heads = self.ranks.iter().skip(rank + 1).filter_map(BTreeMap::first_key_value);
        let less_urgent = heads.min_by_key(|(arrival, _)| **arrival).map(|(_, flight)| *flight);
        let head = self.ranks.get(rank)?.values().next().copied();
        self.running += 1;
        let is_given_away = self.ranks.iter().take(rank).any(|entries| !entries.is_empty());
        if less_urgent.is_none() || is_given_away {
            return head;
        }
        self.passed = (self.passed + 1) % SHARE_ONE_IN;
        if self.passed == 0 { less_urgent } else { head }
    }

    fn is_idle(&self) -> bool {
        self.running == 0 && self.ranks.iter().all(BTreeMap::is_empty)
    }
}

const RANKS: usize = Priority::ALL.len();
const SHARE_ONE_IN: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{Background, Critical, Foreground, Normal};

    #[test]
    fn most_urgent_first_then_oldest() {
        let mut queue = queue(100, &[("a", 10)]);
        push(&mut queue, &[(1, "a", Normal), (2, "a", Background), (3, "a", Critical)]);
        push(&mut queue, &[(4, "a", Foreground), (5, "a", Normal)]);
        assert_eq!(drain(&mut queue), [3, 4, 1, 5, 2]);
    }

    #[test]
    fn full_host_never_blocks_another() {
        let mut queue = queue(100, &[("a", 1), ("b", 2)]);
        push(&mut queue, &[(1, "a", Critical), (2, "a", Critical), (3, "b", Background)]);
        assert_eq!(drain(&mut queue), [1, 3]);
        queue.give(&"a".into());
        assert_eq!(drain(&mut queue), [2]);
    }

    #[test]
    fn foreground_behind_500_background_is_next() {
        let mut queue = queue(1000, &[("a", 1)]);
        (0..500).for_each(|id| push(&mut queue, &[(id, "a", Background)]));
        push(&mut queue, &[(999, "a", Foreground)]);
        assert_eq!(queue.pop(), Some(FlightId(999)));
    }

    #[test]
    fn one_turn_in_ten_goes_to_the_less_urgent() {
        let mut queue = queue(1000, &[("a", 1000)]);
        (0..100).for_each(|id| push(&mut queue, &[(id, "a", Critical)]));
        (100..110).for_each(|id| push(&mut queue, &[(id, "a", Background)]));
        let order = drain(&mut queue);
        let before = order.iter().take(100).filter(|id| **id >= 100).count();
        assert_eq!(before, 10);
    }

    /// PITFALLS A20: however the turns of the lanes fall together.
    #[test]
    fn lane_whose_turns_are_never_a_tenth_starves_nobody() {
        let mut queue = queue(1000, &[("a", 1), ("b", 9)]);
        let mut id = 1000;
        push(&mut queue, &[(1, "a", Background)]);
        for _ in 0..100 {
            for lane in ["a", "b", "b", "b", "b", "b", "b", "b", "b", "b"] {
                push(&mut queue, &[(id, lane, Critical)]);
                id += 1;
            }
            for popped in drain(&mut queue) {
                let lane = if popped == 1 || popped % 10 == 0 { "a" } else { "b" };
                queue.give(&lane.into());
            }
        }
        assert!(!queue.contains(FlightId(1)), "it waited for a hundred turns of its lane");
    }

    /// Seed 7392 of the simulator.
    #[test]
    fn turn_given_to_the_less_urgent_is_not_given_on_to_the_least() {
        let mut queue = queue(1000, &[("a", 1)]);
        push(&mut queue, &[(1, "a", Normal)]);
        (1000..1100).for_each(|id| push(&mut queue, &[(id, "a", Critical)]));
        (2000..2100).for_each(|id| push(&mut queue, &[(id, "a", Background)]));
        for _ in 0..20 {
            queue.pop();
            queue.give(&"a".into());
        }
        assert!(!queue.contains(FlightId(1)), "it is the oldest of the less urgent");
    }

    #[test]
    fn full_queue_sheds_the_newest_background_first() {
        let mut queue = queue(3, &[("a", 0)]);
        push(&mut queue, &[(1, "a", Normal), (2, "a", Background), (3, "a", Background)]);
        assert_eq!(queue.push(FlightId(4), &"a".into(), Background), Pushed::Full);
        assert_eq!(queue.push(FlightId(5), &"a".into(), Foreground), Pushed::Shed(FlightId(3)));
        assert_eq!(queue.push(FlightId(6), &"a".into(), Normal), Pushed::Shed(FlightId(2)));
        assert_eq!(queue.push(FlightId(7), &"a".into(), Normal), Pushed::Full);
        assert_eq!(queue.push(FlightId(8), &"a".into(), Critical), Pushed::Shed(FlightId(6)));
        assert_eq!(queue.len(), 3);
    }

    #[test]
    fn rank_changes_keep_the_age() {
        let mut queue = queue(10, &[("a", 9)]);
        push(&mut queue, &[(1, "a", Background), (2, "a", Foreground), (3, "a", Normal)]);
        queue.set_rank(FlightId(1), Foreground);
        assert_eq!(drain(&mut queue), [1, 2, 3]);
    }

    #[test]
    fn lanes_leave_when_idle_and_only_then() {
        let mut queue = queue(10, &[("a", 1)]);
        push(&mut queue, &[(1, "a", Normal)]);
        queue.drop_lane(&"a".into());
        assert_eq!(drain(&mut queue), [1]);
        queue.drop_lane(&"a".into());
        assert_eq!(queue.lanes(), 1, "it runs one");
        queue.give(&"a".into());
        queue.drop_lane(&"a".into());
        assert_eq!((queue.lanes(), queue.len()), (0, 0));
    }

    fn queue(queue_max: usize, lanes: &[(&str, u32)]) -> Queue {
        let mut queue = Queue::new(queue_max);
        lanes.iter().for_each(|(lane, slots)| queue.set_lane(&(*lane).into(), *slots));
        queue
    }

    fn push(queue: &mut Queue, flights: &[(u64, &str, Priority)]) {
        for (id, lane, rank) in flights {
            assert_eq!(queue.push(FlightId(*id), &(*lane).into(), *rank), Pushed::Queued);
        }
    }

    fn drain(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.pop()).map(|flight| flight.0).collect()
    }
}
