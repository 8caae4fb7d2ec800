//! A queue as a plain list, oldest first, that is searched from end to end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use spillgate_core::call::FlightId;
use spillgate_core::queue::Pushed;

/// The list, and what is known of each lane.
#[derive(Debug)]
pub(crate) struct NaiveQueue {
    pub(crate) waiting: Vec<Entry>,
    pub(crate) lanes: BTreeMap<usize, Lane>,
    pub(crate) queue_max: usize,
    turns: u64,
    arrivals: u64,
    now: Option<Instant>,
}

/// One that waits. Ranks are numbers, 0 the most urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) flight: FlightId,
    pub(crate) lane: usize,
    pub(crate) rank: usize,
    pub(crate) arrival: u64,
    since: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Lane {
    pub(crate) running: u32,
    pub(crate) slots: u32,
    pub(crate) held: Option<Instant>,
    passed: u64,
    skipped: u64,
}

impl NaiveQueue {
    pub(crate) fn new(queue_max: usize) -> Self {
        let (waiting, lanes) = (Vec::new(), BTreeMap::new());
        Self { waiting, lanes, queue_max, turns: 0, arrivals: 0, now: None }
    }

    pub(crate) fn set_lane(&mut self, lane: usize, slots: u32) {
        self.lane(lane).slots = slots;
    }

    pub(crate) fn hold(&mut self, lane: usize, until: Instant) {
        let is_over = self.now.is_some_and(|now| until <= now);
        if let Some(known) = self.lanes.get_mut(&lane).filter(|_| !is_over) {
            known.held = Some(until);
        }
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        self.now = Some(now);
        for lane in self.lanes.values_mut() {
            lane.held = lane.held.filter(|until| *until > now);
        }
    }

    pub(crate) fn drop_lane(&mut self, lane: usize) {
        let is_waited_for = self.waiting.iter().any(|entry| entry.lane == lane);
        if !is_waited_for && self.lanes.get(&lane).is_some_and(|lane| lane.running == 0) {
            self.lanes.remove(&lane);
        }
    }

    pub(crate) fn push(&mut self, flight: FlightId, lane: usize, rank: usize) -> Pushed {
        let mut pushed = Pushed::Queued;
        if self.waiting.len() >= self.queue_max {
            let least = self.waiting.iter().map(|entry| entry.rank).max().unwrap_or(0);
            let newest = self.waiting.iter().rposition(|entry| entry.rank == least);
            let Some(newest) = newest.filter(|_| least > rank) else { return Pushed::Full };
            pushed = Pushed::Shed(self.waiting.remove(newest).flight);
        }
        self.pass(flight, lane, rank);
        pushed
    }

    pub(crate) fn pass(&mut self, flight: FlightId, lane: usize, rank: usize) {
        self.arrivals += 1;
        self.put_back(flight, lane, rank, self.arrivals);
    }

    pub(crate) fn put_back(&mut self, flight: FlightId, lane: usize, rank: usize, arrival: u64) {
        self.lane(lane);
        self.waiting.push(Entry { flight, lane, rank, arrival, since: self.now });
        self.waiting.sort_by_key(|entry| entry.arrival);
    }

    pub(crate) fn set_rank(&mut self, flight: FlightId, rank: usize) {
        let now = self.now;
        let entry = self.waiting.iter_mut().find(|entry| entry.flight == flight);
        if let Some(entry) = entry.filter(|entry| entry.rank != rank) {
            (entry.rank, entry.since) = (rank, now);
        }
    }

    pub(crate) fn remove(&mut self, flight: FlightId) {
        self.waiting.retain(|entry| entry.flight != flight);
    }

    /// The turn: of the oldest of the most urgent whose lanes have a slot, but one in ten of the
    /// oldest of the less urgent; and the same again within the lane.
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let ready: Vec<Entry> = self.ready().collect();
        let best = ready.iter().map(|entry| entry.rank).min()?;
        let first =
            |is_wanted: &dyn Fn(&Entry) -> bool| ready.iter().find(|e| is_wanted(e)).copied();
        let mut pick = first(&|entry| entry.rank == best)?;
        if self.turns % 10 == 9 {
            pick = first(&|entry| entry.rank > best).unwrap_or(pick);
        }
        self.turns += 1;
        let lane = pick.lane;
        let mine: Vec<Entry> = ready.into_iter().filter(|entry| entry.lane == lane).collect();
        let peers: Vec<Entry> = mine.iter().filter(|e| e.rank == pick.rank).copied().collect();
        let is_pressed = self.is_pressed(lane, pick.rank);
        let known = self.lane(lane);
        known.running += 1;
        if is_pressed && peers.len() > 1 {
            known.skipped += 1;
            if !known.skipped.is_multiple_of(10) {
                pick = peers[peers.len() - 1];
            }
        }
        let less_urgent = mine.iter().find(|entry| entry.rank > pick.rank);
        if mine.iter().any(|entry| entry.rank < pick.rank) {
            known.passed = 0;
        } else if let Some(other) = less_urgent {
            known.passed += 1;
            pick = if known.passed.is_multiple_of(10) { *other } else { pick };
        }
        self.remove(pick.flight);
        Some(pick)
    }

    pub(crate) fn is_clear(&self, lane: usize) -> bool {
        self.ready().next().is_none() && self.lanes.get(&lane).is_some_and(Lane::has_slot)
    }

    pub(crate) fn ahead(&self, lane: usize, rank: usize) -> Option<usize> {
        self.lanes.get(&lane).filter(|lane| !lane.has_slot())?;
        let own = !self.is_pressed(lane, rank);
        let before = |entry: &&Entry| entry.rank < rank || (own && entry.rank == rank);
        Some(self.waiting.iter().filter(|entry| entry.lane == lane).filter(before).count())
    }

    fn ready(&self) -> impl Iterator<Item = Entry> {
        self.waiting.iter().filter(|entry| self.lanes[&entry.lane].has_slot()).copied()
    }

    fn is_pressed(&self, lane: usize, rank: usize) -> bool {
        let oldest = self.waiting.iter().find(|e| (e.lane, e.rank) == (lane, rank));
        let since = oldest.and_then(|oldest| oldest.since);
        let waited = self.now.zip(since).map(|(now, since)| now - since);
        waited >= Some(Duration::from_secs(1))
    }

    fn lane(&mut self, lane: usize) -> &mut Lane {
        let unknown = Lane { running: 0, slots: 1, held: None, passed: 0, skipped: 0 };
        self.lanes.entry(lane).or_insert(unknown)
    }
}

impl Lane {
    fn has_slot(&self) -> bool {
        self.running < self.slots && self.held.is_none()
    }
}
