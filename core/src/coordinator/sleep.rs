//! Flights that wait for a time rather than for a slot.

use std::time::Instant;

use crate::call::FlightId;
use crate::coordinator::Coordinator;
use crate::flights::Stage;
use crate::verdict::Gate;

impl Coordinator {
    /// Lets a flight wait at the place that it left for its turn.
    pub(super) fn requeue(&mut self, id: FlightId) {
        let Some(flight) = self.flights.of_mut(id) else { return };
        let Some(arrival) = flight.arrival else { return self.enqueue(id) };
        flight.stage = Stage::Queued;
        let Some(flight) = self.flights.of(id) else { return };
        self.queue.put_back(id, &flight.target.lane, self.standing_of(flight), arrival);
    }

    pub(super) fn sleep(&mut self, id: FlightId, at: Instant) {
        let Some(flight) = self.flights.of_mut(id) else { return };
        flight.stage = Stage::Sleeping(at);
        self.sleepers.insert((at, id));
    }

    pub(super) fn wake_up(&mut self, at: Instant, id: FlightId) {
        self.sleepers.remove(&(at, id));
        if let Some(flight) = self.flights.of(id) {
            self.awaiting.end(&flight.target.scope, id);
        }
        self.enqueue(id);
    }

    /// Answers a sleeping flight at once when the waiter that would have waited for its retry left.
    pub(super) fn give_up_sleeping(&mut self, id: FlightId) {
        let Some(flight) = self.flights.of(id).filter(|flight| flight.has_result) else { return };
        if let Stage::Sleeping(at) = flight.stage
            && !self.is_useful_at(id, at)
        {
            self.fail(id, Gate::Deadline, None);
        }
    }
}
