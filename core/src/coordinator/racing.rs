//! What the end of one attempt means while another of its flight may run.

use crate::call::{AttemptId, FlightId};
use crate::coordinator::Coordinator;
use crate::coordinator::port::Action;
use crate::race::Ending;
use crate::verdict::{AbortCause, Verdict};

impl Coordinator {
    /// What a flight goes on with; `None` while its other attempt may do better, or if the attempt
    /// counts no more. A hedge that was refused was no try.
    pub(super) fn decide(&mut self, attempt: AttemptId, verdict: Verdict) -> Option<Verdict> {
        let flight = self.flights.of_mut(attempt.flight)?;
        let refused = matches!(verdict, Verdict::Refused(_));
        match flight.race.end(attempt.n, verdict) {
            Ending::Stale => None,
            Ending::Decided(decided) if decided == verdict => Some(decided),
            Ending::Decided(decided) => {
                flight.tries -= u32::from(refused && flight.tries > 0);
                Some(decided)
            }
            Ending::Open => {
                flight.tries -= u32::from(refused && flight.tries > 0);
                flight.has_result |= !refused;
                None
            }
        }
    }

    /// Calls back whatever of a flight runs; it keeps its slots until it settles.
    pub(super) fn call_back(&mut self, id: FlightId, cause: AbortCause) {
        let Some(flight) = self.flights.of_mut(id) else { return };
        for n in flight.race.call_back() {
            let attempt = AttemptId { flight: id, n };
            if let Some(sent) = self.running.get(&attempt) {
                let target = sent.target.clone();
                self.actions.push_back(Action::Abort(target, attempt, cause));
            }
        }
    }
}
