//! How an attempt is offered: in its turn, or as a hedge beside one that is slow.

use std::time::{Duration, Instant};

use crate::call::{AttemptId, FlightId, Target};
use crate::coordinator::patience::useful_min;
use crate::coordinator::port::Action;
use crate::coordinator::{Coordinator, Sent};
use crate::flights::{Flight, Stage};
use crate::slots::Taking;
use crate::verdict::{Beside, Cost, Gate, Grounds, Offer, Refusal};

impl Coordinator {
    /// Offers a flight that was given a slot of its lane, unless it is too late for it.
    pub(super) fn send(&mut self, now: Instant, id: FlightId) {
        let Some(flight) = self.flights.of_mut(id) else { return };
        let (deadline, budget) = flight.deadline().unwrap_or((now, Duration::ZERO));
        let useful_min = self.patience.useful_min(budget);
        let left = deadline.saturating_duration_since(now);
        if left < useful_min {
            self.queue.give(&flight.target.lane);
            let grounds = Grounds::TimeLeft { left, needed: useful_min };
            return self.fail_on(id, Refusal { gate: Gate::Deadline, until: None, grounds });
        }
        let attempt = AttemptId { flight: id, n: flight.n + 1 };
        if self.device.is_dark(&flight.target.lane)
            && let Err(until) = self.device.probe(now, attempt)
        {
            self.queue.take_back(&flight.target.lane);
            self.queue.hold(&flight.target.lane, until);
            return self.requeue(id);
        }
        flight.stage = Stage::Running;
        flight.offered = Some(deadline);
        flight.race.begin(attempt.n);
        let offer = Offer { useful_min, ..flight.offer(attempt, (deadline, budget)) };
        let target = flight.target.clone();
        self.put_on_wire(now, target, offer);
    }

    /// Offers a second attempt beside one that is slow, if there are slots for it at once: a hedge
    /// waits for nothing and nobody.
    pub(super) fn hedge(&mut self, now: Instant, first: AttemptId) {
        let id = first.flight;
        let flight = self.flights.of(id).filter(|flight| flight.n == first.n);
        let Some(flight) = flight.filter(|flight| flight.race.is_alone(first.n)) else { return };
        let lane = &flight.target.lane;
        let (taken, slots_max) = (self.queue.running(lane), self.queue.slots_max(lane));
        let is_late = !self.is_useful_at(id, now);
        let is_free = self.global.has_free() && self.queue.is_clear(lane);
        if is_late || self.device.is_dark(lane) || !is_free || !self.queue.take_slot(lane) {
            return;
        }
        let Some(flight) = self.flights.of_mut(id) else { return };
        let (deadline, budget) = flight.deadline().unwrap_or((now, Duration::ZERO));
        let attempt = AttemptId { flight: id, n: flight.n + 1 };
        flight.race.hedge(attempt.n);
        let beside = Some(Beside { n: first.n, taken, slots_max });
        let cost = Cost::Token;
        let offer = Offer { cost, beside, ..flight.offer(attempt, (deadline, budget)) };
        let target = flight.target.clone();
        self.put_on_wire(now, target, offer);
    }

    fn put_on_wire(&mut self, now: Instant, target: Target, offer: Offer) {
        let taking = self.global.take();
        debug_assert_eq!(taking, Taking::Taken, "a free slot was seen");
        self.serial += 1;
        let offer = Offer { serial: self.serial, ..offer };
        self.residents.hold(&target);
        self.running.insert(offer.attempt, Sent { target: target.clone(), at: now });
        self.actions.push_back(Action::Dispatch(target, offer));
    }
}

impl Flight {
    /// Counts one attempt more, as it is offered in its turn; the serial is still to come.
    fn offer(&mut self, attempt: AttemptId, (deadline, budget): (Instant, Duration)) -> Offer {
        self.n = attempt.n;
        self.tries += 1;
        Offer {
            attempt,
            serial: 0,
            lane: self.target.lane.clone(),
            scope: self.target.scope.clone(),
            class: self.target.class.clone(),
            deadline,
            useful_min: useful_min(budget),
            useful_max: budget / 2,
            resend: self.tries - 1,
            cost: self.cost,
            attempts_max: self.attempts_max,
            timeout: self.timeout,
            repeat: self.repeat,
            breaker: self.breaker,
            hedge: self.hedge,
            beside: None,
        }
    }
}
