//! The waiting queue: one lane per host, four ranks per lane, one order over all lanes.
//!
//! A full host never blocks another's calls: only lanes with a free slot offer their heads. The
//! most urgent head runs first, the oldest among equals; every tenth turn goes to the oldest of the
//! less urgent, so that nothing waits for ever behind hot traffic. The same holds within each lane:
//! a lane whose turns never fall on a tenth of all would starve its own. When the queue is full the
//! newest of the least urgent is shed first.
//!
//! Within a rank of a lane the callers take turns (`turns`), and what is shed is of the caller with
//! most waiting (`crowd`); calls that name no caller are one caller's. Once the oldest of a caller's
//! has waited for a second its newest goes first, but for every tenth of its turns: an overload then
//! costs some their answer instead of making everybody's late.

mod crowd;
mod holds;
mod lane;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::call::{CallerKey, FlightId, HostKey, Priority};
use crate::queue::crowd::Crowd;
use crate::queue::lane::{Lane, RANKS};
use crate::queue::turns::{Joining, SHARE_ONE_IN, Turns};

/// Flights that wait for a slot of their host.
#[derive(Debug)]
pub struct Queue {
    lanes: BTreeMap<HostKey, Lane>,
    places: BTreeMap<FlightId, Place>,
    /// Everything that waits, by rank and caller: what shedding looks at.
    waiting: [Crowd; RANKS],
    /// The heads of lanes with a free slot, by rank and age: what the next turn looks at.
    heads: [BTreeMap<u64, HostKey>; RANKS],
    /// Lanes that are held, with the end of each hold.
    holds: BTreeSet<(Instant, HostKey)>,
    queue_max: usize,
    arrivals: u64,
    turns: u64,
    now: Option<Instant>,
}

/// How a flight stands among those that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How urgent it is.
    pub rank: Priority,
    /// Whose turns it takes.
    pub caller: CallerKey,
}

#[derive(Debug, Clone)]
struct Place {
    lane: HostKey,
    standing: Standing,
    arrival: u64,
    /// Since when it waits at this rank, if anybody told the time.
    since: Option<Instant>,
}

/// What became of a flight that wants to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// It waits.
    Queued,
    /// It waits, and the named flight was shed to make room: a less urgent one, or one of a caller
    /// with more waiting.
    Shed(FlightId),
    /// It does not wait: the queue is full of what has as good a claim.
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
    pub fn push(
        &mut self,
        flight: FlightId,
        lane: &HostKey,
        standing: impl Into<Standing>,
    ) -> Pushed {
        let (standing, mut pushed) = (standing.into(), Pushed::Queued);
        if self.places.len() >= self.queue_max {
            let Some(shed) = self.sheddable(standing) else { return Pushed::Full };
            self.remove(shed);
            pushed = Pushed::Shed(shed);
        }
        self.pass(flight, lane, standing);
        pushed
    }

    /// Takes in a flight that goes out in this very turn, which no bound on waiting is meant for.
    pub fn pass(&mut self, flight: FlightId, lane: &HostKey, standing: impl Into<Standing>) {
        self.arrivals += 1;
        let (lane, standing) = (lane.clone(), standing.into());
        let place = Place { lane, standing, arrival: self.arrivals, since: self.now };
        self.insert(flight, place, Joining::Last);
    }

    /// Lets a flight wait where it would if it had never had its turn; it is never shed for that.
    pub fn put_back(
        &mut self,
        flight: FlightId,
        lane: &HostKey,
        standing: impl Into<Standing>,
        arrival: u64,
    ) {
        let (lane, standing) = (lane.clone(), standing.into());
        let place = Place { lane, standing, arrival, since: self.now };
        self.insert(flight, place, Joining::First);
    }

    /// When a waiting flight came, as a number that grows with each push.
    pub fn arrival(&self, flight: FlightId) -> Option<u64> {
        self.places.get(&flight).map(|place| place.arrival)
    }

    /// Takes a flight out, wherever it waits; one that does not wait is no error.
    pub fn remove(&mut self, flight: FlightId) {
        let Some(place) = self.places.remove(&flight) else { return };
        let Standing { rank, caller } = place.standing;
        if let Some(waiting) = self.waiting.get_mut(rank.index()) {
            waiting.remove(caller, place.arrival);
        }
        if let Some(lane) = self.lanes.get_mut(&place.lane)
            && let Some(turns) = lane.ranks.get_mut(rank.index())
        {
            turns.remove(caller, place.arrival);
        }
        self.refresh(&place.lane);
    }

    /// Changes how a waiting flight stands; its age stays.
    pub fn stand(&mut self, flight: FlightId, standing: impl Into<Standing>) {
        let standing = standing.into();
        let Some(place) = self.places.get(&flight).cloned() else { return };
        if place.standing == standing {
            return;
        }
        let same_rank = place.standing.rank == standing.rank;
        let since = if same_rank { place.since } else { self.now };
        self.remove(flight);
        self.insert(flight, Place { standing, since, ..place }, Joining::Last);
    }

    /// Takes the flight whose turn it is, and a slot of its lane for it.
    pub fn pop(&mut self) -> Option<FlightId> {
        let rank = self.next_rank()?;
        let key = self.heads.get(rank)?.values().next()?.clone();
        let lane = self.lanes.get_mut(&key)?;
        let flight = lane.turn(rank, self.now)?;
        self.turns += 1;
        self.remove(flight);
        Some(flight)
    }

    /// Takes a slot of a lane for what waits for no turn; says whether one was free.
    pub fn take_slot(&mut self, lane: &HostKey) -> bool {
        let known = self.lanes.get_mut(lane).filter(|known| known.has_slot());
        let is_free = known.map(|known| known.running += 1).is_some();
        self.refresh(lane);
        is_free
    }

    /// Gives back the slot that a popped flight of this lane held.
    pub fn give(&mut self, lane: &HostKey) {
        if let Some(known) = self.lanes.get_mut(lane) {
            debug_assert!(known.running > 0, "a lane's slot is given back once");
            known.running = known.running.saturating_sub(1);
        }
        self.refresh(lane);
    }

    /// Takes the latest turn back, which was this lane's: it counts as none, so that a share that was
    /// due is due still.
    pub fn take_back(&mut self, lane: &HostKey) {
        self.turns = self.turns.saturating_sub(1);
        if let Some(known) = self.lanes.get_mut(lane) {
            known.take_back();
        }
        self.refresh(lane);
    }

    /// How a waiting flight stands.
    pub fn standing(&self, flight: FlightId) -> Option<Standing> {
        self.places.get(&flight).map(|place| place.standing)
    }

    /// How many flights of a caller wait at a rank of a lane.
    pub fn waiting_of(&self, lane: &HostKey, standing: Standing) -> usize {
        let lane = self.lanes.get(lane);
        let turns = lane.and_then(|lane| lane.ranks.get(standing.rank.index()));
        turns.map_or(0, |turns| turns.of(standing.caller))
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
        [0, 1, 2, 3].map(|rank: usize| lane.ranks.get(rank).map_or(0, Turns::len))
    }

    /// The flights of a lane that wait, the most urgent rank first, the oldest first in each.
    pub fn waiting(&self, lane: &HostKey) -> impl Iterator<Item = FlightId> {
        let lane = self.lanes.get(lane).into_iter();
        lane.flat_map(|lane| &lane.ranks).flat_map(Turns::flights)
    }

    /// How many flights of a lane run.
    pub fn running(&self, lane: &HostKey) -> u32 {
        self.lanes.get(lane).map_or(0, |lane| lane.running)
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

    /// How many go before a flight that comes to a lane; `None` if it can go at once. O(callers that
    /// wait at its rank).
    pub fn ahead(&self, lane: &HostKey, standing: impl Into<Standing>) -> Option<usize> {
        let Standing { rank, caller } = standing.into();
        let known = self.lanes.get(lane).filter(|known| !known.has_slot())?;
        let more_urgent: usize = known.ranks.iter().take(rank.index()).map(Turns::len).sum();
        let own = known.ranks.get(rank.index()).map_or(0, |turns| turns.ahead(self.now, caller));
        Some(more_urgent + own)
    }

    /// How many flights of a lane may run at once.
    pub fn slots_max(&self, lane: &HostKey) -> u32 {
        self.lanes.get(lane).map_or(0, |lane| lane.slots_max)
    }

    /// Whether a lane is known.
    pub fn has_lane(&self, lane: &HostKey) -> bool {
        self.lanes.contains_key(lane)
    }

    fn insert(&mut self, flight: FlightId, place: Place, joining: Joining) {
        let Place { standing: Standing { rank, caller }, arrival, since, .. } = place;
        if let Some(waiting) = self.waiting.get_mut(rank.index()) {
            waiting.insert(caller, arrival, flight);
        }
        let lane = self.lanes.entry(place.lane.clone()).or_insert_with(|| Lane::new(1));
        if let Some(turns) = lane.ranks.get_mut(rank.index()) {
            turns.insert(caller, (arrival, flight), since, joining);
        }
        let lane = place.lane.clone();
        self.places.insert(flight, place);
        self.refresh(&lane);
    }

    /// What makes room for a flight: the newest of the least urgent, of the caller with most of that
    /// waiting. Nobody makes room for his equal, unless that one has less waiting and still would.
    fn sheddable(&self, standing: Standing) -> Option<FlightId> {
        let Standing { rank, caller } = standing;
        let least_urgent = self.waiting.iter().enumerate().rev().find(|(_, set)| !set.is_empty());
        let (found, crowd) = least_urgent?;
        let (most, flight) = crowd.most()?;
        let yields = found > rank.index()
            || (found == rank.index() && most > crowd.of(caller).saturating_add(1));
        yields.then_some(flight)
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
            let head = entries.oldest().filter(|_| has_slot);
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

impl From<Priority> for Standing {
    /// At this rank, in the turns of those who name no caller.
    fn from(rank: Priority) -> Self {
        Self { rank, caller: CallerKey::default() }
    }
}
