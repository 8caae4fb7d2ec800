//! Lanes that are held: who waits there keeps his place, and no turn falls on it for a while.

use std::time::Instant;

use crate::call::HostKey;
use crate::queue::Queue;

impl Queue {
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

    /// Until when no turn falls on a lane.
    pub fn held_until(&self, lane: &HostKey) -> Option<Instant> {
        self.lanes.get(lane)?.held
    }
}
