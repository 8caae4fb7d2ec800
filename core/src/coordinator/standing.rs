//! How a flight stands in the queue: the rank that its waiters lend it, and whose turns it takes.
//!
//! Of the callers at its rank it takes the turns of one with least waiting, so that who joins what
//! another queued is served no later than alone.

use crate::call::{CallSpec, FlightId};
use crate::coordinator::Coordinator;
use crate::flights::Flight;
use crate::queue::Standing;

impl Coordinator {
    /// How a flight is to stand. O(its waiters).
    pub(super) fn standing_of(&self, flight: &Flight) -> Standing {
        let (lane, rank) = (&flight.target.lane, flight.rank());
        let standings = flight.callers(rank).map(|caller| Standing { rank, caller });
        let least = standings.min_by_key(|standing| self.queue.waiting_of(lane, *standing));
        least.unwrap_or(Standing::from(rank))
    }

    /// Lets a flight stand as one who joined it would, if that is better.
    pub(super) fn lift(&mut self, id: FlightId, spec: &CallSpec) {
        self.restand(id);
        let (Some(flight), Some(present)) = (self.flights.of(id), self.queue.standing(id)) else {
            return;
        };
        let lane = &flight.target.lane;
        let joiners = Standing { rank: spec.priority, caller: spec.caller };
        // The flight itself is one of those that wait for the present caller's turns.
        let is_better =
            self.queue.waiting_of(lane, joiners) + 1 < self.queue.waiting_of(lane, present);
        if joiners.rank == present.rank && is_better {
            self.queue.stand(id, joiners);
        }
    }

    /// Lets a flight stand as those can who still wait for it.
    pub(super) fn restand(&mut self, id: FlightId) {
        let (Some(flight), Some(present)) = (self.flights.of(id), self.queue.standing(id)) else {
            return;
        };
        let holds = flight.rank() == present.rank
            && flight.callers(present.rank).any(|caller| caller == present.caller);
        if !holds {
            self.queue.stand(id, self.standing_of(flight));
        }
    }
}
