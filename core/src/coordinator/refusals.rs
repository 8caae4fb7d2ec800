//! What becomes of a flight that a gate of its host refused: it waits, or it fails.

use std::time::{Duration, Instant};

use crate::call::{BreakerUse, FlightId, ScopeKey, Target};
use crate::coordinator::Coordinator;
use crate::coordinator::port::Answer;
use crate::flights::Stage;
use crate::verdict::{Finality, Gate, Refusal};

impl Coordinator {
    pub(super) fn refused(&mut self, now: Instant, id: FlightId, refusal: Refusal) {
        let Some(flight) = self.flights.of_mut(id) else { return };
        flight.tries = flight.tries.saturating_sub(1);
        let has_more = flight.deadline().map(|(deadline, _)| deadline) > flight.offered;
        let again = match refusal.gate {
            Gate::Budget | Gate::Breaker | Gate::Hedge | Gate::Device => None,
            // Somebody with more time may have joined while the offer was on its way.
            Gate::Deadline => Some(now).filter(|now| has_more && self.is_useful_at(id, *now)),
            Gate::Pace => refusal.until.filter(|until| self.is_useful_at(id, *until)),
            Gate::Slot => now.checked_add(SLOT_PAUSE),
            Gate::Rate => return self.hold_lane(id, refusal.until),
            Gate::Probe => return self.await_verdict(now, id, refusal.until),
        };
        match again {
            Some(at) => self.sleep(id, at),
            None => self.fail_on(id, refusal),
        }
    }

    /// Answers a flight that a gate refused for good: with the last real result if there is one.
    pub(super) fn fail(&mut self, id: FlightId, gate: Gate, until: Option<Instant>) {
        self.fail_on(id, Refusal::by(gate, until));
    }

    /// Answers a flight that was refused for good, with what that rests on.
    pub(super) fn fail_on(&mut self, id: FlightId, refusal: Refusal) {
        let Refusal { gate, until, grounds } = refusal;
        let has_result = self.flights.of(id).is_some_and(|flight| flight.has_result);
        let answer = match (has_result, gate) {
            (true, Gate::Breaker | Gate::Probe) => Answer::Arrived(id, Finality::CircuitOpen),
            (true, Gate::Deadline) => {
                Answer::Arrived(id, Finality::DeadlineNear { retry_at: None })
            }
            (true, Gate::Pace | Gate::Rate) => {
                Answer::Arrived(id, Finality::DeadlineNear { retry_at: until })
            }
            (true, Gate::Device) => Answer::Arrived(id, Finality::DeviceOffline),
            (true, Gate::Slot) => Answer::Arrived(id, Finality::QueueFull),
            (true, Gate::Budget | Gate::Hedge) => Answer::Arrived(id, Finality::BudgetSpent),
            (false, gate) => {
                let kind = gate.error_kind();
                Answer::Refused { flight: Some(id), kind, until, grounds }
            }
        };
        self.answer_all(id, answer);
    }

    pub(super) fn scope_opened(&mut self, scope: &ScopeKey, until: Option<Instant>) {
        let waits = |stage| matches!(stage, Stage::Queued | Stage::Sleeping(_));
        let guarded = |breaker| breaker == BreakerUse::Guarded;
        let failing: Vec<FlightId> = self
            .flights
            .iter()
            .filter(|(_, flight)| waits(flight.stage) && guarded(flight.breaker))
            .filter(|(_, flight)| {
                let Target { scope: own, class, .. } = &flight.target;
                own == scope || class.as_ref() == Some(scope)
            })
            .map(|(id, _)| id)
            .collect();
        failing.into_iter().for_each(|id| self.fail(id, Gate::Breaker, until));
    }

    /// An attempt of this scope has ended: whoever waits for a verdict asks again.
    pub(super) fn rouse(&mut self, scope: &ScopeKey) {
        for id in self.awaiting.of(scope) {
            if let Some(Stage::Sleeping(at)) = self.flights.of(id).map(|flight| flight.stage) {
                self.wake_up(at, id);
            }
        }
    }

    /// Lets a flight wait at the place it had for the next token of its host's rate, and nobody of
    /// its lane ask before.
    fn hold_lane(&mut self, id: FlightId, until: Option<Instant>) {
        let (Some(until), Some(flight)) = (until, self.flights.of(id)) else { return };
        let Target { lane, keeper, .. } = flight.target.clone();
        if !self.is_useful_at(id, until) {
            return self.fail(id, Gate::Rate, Some(until));
        }
        if lane != keeper {
            return self.sleep(id, until);
        }
        self.queue.hold(&lane, until);
        self.requeue(id);
    }

    /// Lets a flight wait for the verdict of a probe that is away, however long its lease is: the
    /// deadlines of its callers end the wait.
    fn await_verdict(&mut self, now: Instant, id: FlightId, until: Option<Instant>) {
        let Some(flight) = self.flights.of(id) else { return };
        self.awaiting.begin(&flight.target.scope, id);
        let soonest = now.checked_add(SLOT_PAUSE).unwrap_or(now);
        self.sleep(id, until.unwrap_or(soonest).max(soonest));
    }
}

/// How long a flight waits that found no slot at a host whose limit has shrunk meanwhile.
pub(super) const SLOT_PAUSE: Duration = Duration::from_millis(5);
