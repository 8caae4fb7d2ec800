//! Whether a call that comes can be served before its deadline.

use std::time::Instant;

use crate::call::FlightId;
use crate::coordinator::Coordinator;
use crate::coordinator::patience::useful_min;

impl Coordinator {
    /// When to come again with a new flight that its lane cannot serve in time as things stand;
    /// `None` lets it wait. Only the lane's own slots are looked at: where all hosts together are
    /// the bottleneck, this errs towards waiting.
    pub(super) fn too_late_at(&self, now: Instant, id: FlightId) -> Option<Instant> {
        let flight = self.flights.of(id)?;
        let lane = &flight.target.lane;
        let ahead = self.queue.ahead(lane, self.standing_of(flight))?;
        let wait = self.foresight.of(lane)?.wait(ahead, self.queue.slots_max(lane))?;
        let (deadline, budget) = flight.deadline()?;
        let left = deadline.saturating_duration_since(now);
        let excess = (wait + useful_min(budget)).checked_sub(left).filter(|e| !e.is_zero())?;
        now.checked_add(excess)
    }
}
