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
    /// Who is next, for each lane and rank, and how often each passed over something older.
    rings: BTreeMap<(usize, usize), Vec<(u64, u64)>>,
    turns: u64,
    arrivals: u64,
    now: Option<Instant>,
}

/// A rank, 0 the most urgent, and a caller.
pub(crate) type Standing = (usize, u64);

/// One that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) flight: FlightId,
    pub(crate) lane: usize,
    pub(crate) rank: usize,
    pub(crate) caller: u64,
    pub(crate) arrival: u64,
    since: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Lane {
    pub(crate) running: u32,
    pub(crate) slots: u32,
    pub(crate) held: Option<Instant>,
    passed: u64,
}

impl NaiveQueue {
    pub(crate) fn new(queue_max: usize) -> Self {
        let (waiting, lanes) = (Vec::new(), BTreeMap::new());
        let rings = BTreeMap::new();
        Self { waiting, lanes, queue_max, rings, turns: 0, arrivals: 0, now: None }
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

    pub(crate) fn push(&mut self, flight: FlightId, lane: usize, standing: Standing) -> Pushed {
        let mut pushed = Pushed::Queued;
        if self.waiting.len() >= self.queue_max {
            let Some(shed) = self.sheddable(standing) else { return Pushed::Full };
            self.remove(shed);
            pushed = Pushed::Shed(shed);
        }
        self.pass(flight, lane, standing);
        pushed
    }

    pub(crate) fn pass(&mut self, flight: FlightId, lane: usize, standing: Standing) {
        self.arrivals += 1;
        self.insert(flight, lane, standing, (self.arrivals, self.now));
    }

    /// It comes back as if it had never had its turn, and so does its caller.
    pub(crate) fn put_back(
        &mut self,
        flight: FlightId,
        lane: usize,
        (rank, caller): Standing,
        arrival: u64,
    ) {
        self.insert(flight, lane, (rank, caller), (arrival, self.now));
        let ring = self.rings.entry((lane, rank)).or_default();
        let at = ring.iter().position(|(other, _)| *other == caller).expect("it takes turns");
        let own = ring.remove(at);
        ring.insert(0, own);
    }

    pub(crate) fn stand(&mut self, flight: FlightId, (rank, caller): Standing) {
        let Some(entry) = self.waiting.iter().find(|entry| entry.flight == flight).copied() else {
            return;
        };
        if (entry.rank, entry.caller) != (rank, caller) {
            self.remove(flight);
            let since = if entry.rank == rank { entry.since } else { self.now };
            self.insert(flight, entry.lane, (rank, caller), (entry.arrival, since));
        }
    }

    pub(crate) fn remove(&mut self, flight: FlightId) {
        let at = self.waiting.iter().position(|entry| entry.flight == flight);
        let Some(gone) = at.map(|at| self.waiting.remove(at)) else { return };
        let (lane, rank, caller) = (gone.lane, gone.rank, gone.caller);
        if self.of(lane, (rank, caller)).is_empty() {
            let ring = self.rings.entry((lane, rank)).or_default();
            ring.retain(|(other, _)| *other != caller);
        }
    }

    /// The turn: of the oldest of the most urgent whose lanes have a slot, but one in ten of the
    /// oldest of the less urgent; and the same again within the lane. There the callers go round.
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
        let (lane, mut rank, mut may_press) = (pick.lane, pick.rank, true);
        let mine: Vec<Entry> = ready.into_iter().filter(|entry| entry.lane == lane).collect();
        let less_urgent = mine.iter().find(|entry| entry.rank > rank);
        let known = self.lane(lane);
        known.running += 1;
        if mine.iter().any(|entry| entry.rank < rank) {
            known.passed = 0;
        } else if let Some(other) = less_urgent {
            known.passed += 1;
            if known.passed.is_multiple_of(10) {
                (rank, may_press) = (other.rank, false);
            }
        }
        let pick = self.turn(lane, rank, may_press);
        self.remove(pick.flight);
        Some(pick)
    }

    pub(crate) fn is_clear(&self, lane: usize) -> bool {
        self.ready().next().is_none() && self.lanes.get(&lane).is_some_and(Lane::has_slot)
    }

    pub(crate) fn ahead(&self, lane: usize, (rank, caller): Standing) -> Option<usize> {
        self.lanes.get(&lane).filter(|lane| !lane.has_slot())?;
        let in_lane = self.waiting.iter().filter(|entry| entry.lane == lane);
        let more_urgent = in_lane.filter(|entry| entry.rank < rank).count();
        let own = self.of(lane, (rank, caller));
        let own = if self.is_pressed(&own) { 0 } else { own.len() };
        let others = self.rings.get(&(lane, rank)).into_iter().flatten();
        let others = others.filter(|(other, _)| *other != caller);
        let before = others.map(|(other, _)| self.of(lane, (rank, *other)).len().min(own + 1));
        Some(more_urgent + own + before.sum::<usize>())
    }

    fn ready(&self) -> impl Iterator<Item = Entry> {
        self.waiting.iter().filter(|entry| self.lanes[&entry.lane].has_slot()).copied()
    }

    fn insert(
        &mut self,
        flight: FlightId,
        lane: usize,
        (rank, caller): Standing,
        (arrival, since): (u64, Option<Instant>),
    ) {
        self.lane(lane);
        self.waiting.push(Entry { flight, lane, rank, caller, arrival, since });
        self.waiting.sort_by_key(|entry| entry.arrival);
        let ring = self.rings.entry((lane, rank)).or_default();
        if !ring.iter().any(|(other, _)| *other == caller) {
            ring.push((caller, 0));
        }
    }

    /// The newest of the least urgent, of the caller with most of that; an equal yields only to a
    /// caller that would still have less.
    fn sheddable(&self, (rank, caller): Standing) -> Option<FlightId> {
        let least = self.waiting.iter().map(|entry| entry.rank).max()?;
        let crowd: Vec<Entry> =
            self.waiting.iter().filter(|entry| entry.rank == least).copied().collect();
        let of = |caller| crowd.iter().filter(|entry| entry.caller == caller).count();
        let most = crowd.iter().map(|entry| of(entry.caller)).max()?;
        let newest = crowd.iter().rfind(|entry| of(entry.caller) == most)?;
        let yields = least > rank || (least == rank && most > of(caller) + 1);
        yields.then_some(newest.flight)
    }

    /// Whose turn it is within a rank, and which of its own goes.
    fn turn(&mut self, lane: usize, rank: usize, may_press: bool) -> Entry {
        let ring = self.rings.get_mut(&(lane, rank)).expect("somebody waits");
        ring.rotate_left(1);
        let (caller, _) = *ring.last().expect("somebody waits");
        let own = self.of(lane, (rank, caller));
        if !may_press || own.len() < 2 || !self.is_pressed(&own) {
            return own[0];
        }
        let (_, skipped) =
            self.rings.get_mut(&(lane, rank)).and_then(|ring| ring.last_mut()).expect("it waits");
        *skipped += 1;
        if !skipped.is_multiple_of(10) {
            return own[own.len() - 1];
        }
        let hopeful = own.iter().find(|entry| self.waited(entry) < Some(Duration::from_secs(5)));
        *hopeful.unwrap_or(&own[0])
    }

    /// What a caller has waiting, the oldest first.
    fn of(&self, lane: usize, (rank, caller): Standing) -> Vec<Entry> {
        let is_own = |e: &&Entry| (e.lane, e.rank, e.caller) == (lane, rank, caller);
        self.waiting.iter().filter(is_own).copied().collect()
    }

    fn is_pressed(&self, own: &[Entry]) -> bool {
        own.first().and_then(|oldest| self.waited(oldest)) >= Some(Duration::from_secs(1))
    }

    fn waited(&self, entry: &Entry) -> Option<Duration> {
        self.now.zip(entry.since).map(|(now, since)| now - since)
    }

    fn lane(&mut self, lane: usize) -> &mut Lane {
        let unknown = Lane { running: 0, slots: 1, held: None, passed: 0 };
        self.lanes.entry(lane).or_insert(unknown)
    }
}

impl Lane {
    fn has_slot(&self) -> bool {
        self.running < self.slots && self.held.is_none()
    }
}
