//! How calls come to flights and leave them, and what their coming and going changes.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use spillgate_core::call::{FlightId, Priority, Ticket};
use spillgate_core::flights::{Flight, Stage};

use crate::coordinator::Coordinator;
use crate::course::NoteKind;
use crate::ledger::Work;

impl Coordinator {
    pub(super) fn begin(&mut self, now: Instant, flight: FlightId, ticket: Ticket) {
        let Some(caller) = self.callers.get_mut(&ticket) else { return };
        let Some(luggage) = caller.luggage.take() else { return };
        let mut work = Work::new(luggage, &caller.origin, now);
        if work.explains()
            && let Some(Stage::Queued) = self.machine.flights().of(flight).map(|f| f.stage)
        {
            let depth = self.machine.queue().depth(&work.target.lane);
            let above = depth.iter().take(work.rank.index() + 1).sum::<usize>();
            work.note(now, None, NoteKind::Queued { ahead: above.saturating_sub(1) });
        }
        self.works.insert(flight, work);
    }

    pub(super) fn join(&mut self, now: Instant, flight: FlightId, ticket: Ticket) {
        let Some(caller) = self.callers.get_mut(&ticket) else { return };
        caller.luggage = None;
        if let Some(work) = self.works.get_mut(&flight) {
            caller.leader = Some(work.leader());
            work.ranks(now, work.rank.max(caller.origin.priority));
            if work.explains() {
                let waiters = self.machine.flights().of(flight).map_or(0, Flight::waiters);
                work.note(now, None, NoteKind::Shared { waiters });
            }
        }
        self.seams.registry.coalesced.fetch_add(1, Relaxed);
        if let Some(card) = self.seams.registry.host(&caller.origin.host) {
            card.coalesced.fetch_add(1, Relaxed);
        }
    }

    /// A call of this priority has left a flight that goes on. O(waiters), if it may have lent the
    /// flight its place.
    pub(super) fn parted(&mut self, now: Instant, flight: FlightId, priority: Priority) {
        let (Some(work), Some(flight)) =
            (self.works.get_mut(&flight), self.machine.flights().of(flight))
        else {
            return;
        };
        if work.rank == priority {
            work.ranks(now, flight.rank());
        }
    }
}
