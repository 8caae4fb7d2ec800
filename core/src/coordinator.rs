//! The demand machine: who waits, who shares, in what order.
//!
//! It composes the flights (who shares), the queue (who is next) and the global slots, and turns
//! every verdict of a host into answers. Each ticket is answered exactly once: by what arrived, by
//! a refusal, or by its own deadline, whichever comes first.

mod awaiting;
mod entering;
mod foresight;
mod network;
mod patience;
pub mod port;
mod racing;
mod refusals;
mod residence;
mod sending;
mod sleep;
mod standing;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use crate::advice::ErrorKind;
use crate::call::{AttemptId, CallSpec, FlightId, Target, Ticket};
use crate::coordinator::awaiting::Awaiting;
use crate::coordinator::foresight::Foresight;
use crate::coordinator::patience::{Patience, useful_min};
use crate::coordinator::port::{Action, Answer, Input};
use crate::device::Device;
use crate::flights::{Entry, Flight, Flights, Leaving, Stage};
use crate::queue::{Pushed, Queue};
use crate::race::Ending;
use crate::residents::Residents;
use crate::slots::Slots;
use crate::verdict::{AbortCause, Cost, Finality, Gate, Grounds, Retry, Verdict};

/// The machine of demand.
#[derive(Debug)]
pub struct Coordinator {
    flights: Flights,
    queue: Queue,
    global: Slots,
    patience: Patience,
    sleepers: BTreeSet<(Instant, FlightId)>,
    /// Sleepers that a probe's verdict wakes sooner.
    awaiting: Awaiting,
    foresight: Foresight,
    device: Device,
    residents: Residents,
    /// Attempts on the wire, with the target whose lane and slot they hold.
    running: BTreeMap<AttemptId, Sent>,
    actions: VecDeque<Action>,
    serial: u64,
    draining: bool,
}

/// An attempt on the wire.
#[derive(Debug)]
struct Sent {
    target: Target,
    at: Instant,
}

impl Coordinator {
    /// A coordinator with nothing to do.
    pub fn new(global: u32, queue_max: usize) -> Self {
        Self {
            flights: Flights::default(),
            queue: Queue::new(queue_max),
            global: Slots::new(global),
            patience: Patience::default(),
            sleepers: BTreeSet::new(),
            awaiting: Awaiting::default(),
            foresight: Foresight::default(),
            device: Device::default(),
            residents: Residents::default(),
            running: BTreeMap::new(),
            actions: VecDeque::new(),
            serial: 0,
            draining: false,
        }
    }

    /// Takes one input; what follows from it is fetched with [`Coordinator::next_action`].
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.queue.tick(now);
        match input {
            Input::Submit(spec) => self.submit(now, &spec),
            Input::Cancel(ticket) => self.leave(ticket, AbortCause::Cancelled),
            Input::Opened(attempt) => self.opened(attempt),
            Input::HedgeDue(attempt) => self.hedge(now, attempt),
            Input::Seen { attempt, sight } => self.seen(now, attempt, sight),
            Input::Report { attempt, verdict, onward } => {
                self.report(now, attempt, verdict, onward);
            }
            Input::ScopeOpened { scope, until } => self.scope_opened(&scope, until),
            Input::Lane { lane, slots_max } => {
                self.queue.set_lane(&lane, slots_max);
                self.residents.settle(&lane);
            }
            Input::Keeper(keeper) => self.residents.settle(&keeper),
            Input::LaneLimit { lane, slots_max } => {
                if self.queue.has_lane(&lane) {
                    self.queue.set_lane(&lane, slots_max);
                }
            }
            Input::DropLane(lane) => self.drop_lane(&lane),
            Input::Resize { global, queue_max } => {
                self.global.resize(global);
                self.queue.set_max(queue_max);
            }
            Input::Drain => self.draining = true,
            Input::Close => self.close(),
            Input::Wake => {}
        }
        self.wake(now);
        self.give_up_offline(now);
        self.dispatch(now);
    }

    /// The next thing to do, in order.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Input::Wake`] is due.
    pub fn next_wake(&self) -> Option<Instant> {
        let sleeper = self.sleepers.first().map(|(at, _)| *at);
        let deadline = self.patience.next_end();
        let release = self.queue.next_release();
        let lasting = self.next_lasting();
        sleeper.into_iter().chain(deadline).chain(release).chain(lasting).min()
    }

    fn submit(&mut self, now: Instant, spec: &CallSpec) {
        let ticket = spec.ticket;
        if self.flights.flight_of(ticket).is_some() {
            return;
        }
        if self.draining {
            return self.refuse(ticket, None, ErrorKind::ShuttingDown, None);
        }
        if spec.deadline <= now {
            return self.refuse(ticket, None, ErrorKind::DeadlineExceeded, None);
        }
        self.patience.begin(ticket, spec.deadline);
        match self.flights.enter(now, spec) {
            Entry::Began(flight) => {
                self.residents.hold(&spec.target);
                self.actions.push_back(Action::Begin(flight, ticket));
                match self.too_late_at(now, flight) {
                    Some(until) => self.fail(flight, Gate::Slot, Some(until)),
                    None => self.enqueue(flight),
                }
            }
            Entry::Joined(flight) => {
                self.actions.push_back(Action::Join(flight, ticket));
                self.lift(flight, spec);
            }
        }
    }

    fn leave(&mut self, ticket: Ticket, cause: AbortCause) {
        self.patience.end(ticket);
        match self.flights.leave(ticket) {
            None => {}
            Some(Leaving::Others(flight)) => {
                self.restand(flight);
                self.give_up_sleeping(flight);
            }
            Some(Leaving::Nobody(flight)) => self.abandon(flight, cause),
        }
    }

    /// Ends a flight that nobody waits for; an attempt on the wire keeps its slots until it settles.
    fn abandon(&mut self, id: FlightId, cause: AbortCause) {
        self.call_back(id, cause);
        self.forget(id);
    }

    fn opened(&mut self, attempt: AttemptId) {
        let settled = Verdict::Done(Finality::Settled);
        let Some(flight) = self.flights.of_mut(attempt.flight) else { return };
        if let Ending::Decided(_) = flight.race.end(attempt.n, settled) {
            self.call_back(attempt.flight, AbortCause::Outrun);
            self.answer_all(attempt.flight, Answer::Opened(attempt.flight));
        }
    }

    fn report(
        &mut self,
        now: Instant,
        attempt: AttemptId,
        verdict: Verdict,
        onward: Option<Target>,
    ) {
        let Some(Sent { target, at }) = self.running.remove(&attempt) else { return };
        self.unprobe(now, attempt);
        self.global.give();
        self.queue.give(&target.lane);
        self.residents.release(&target);
        if !matches!(verdict, Verdict::Refused(_)) {
            self.foresight.record(&target.lane, now.saturating_duration_since(at));
            self.rouse(&target.scope);
        }
        let id = attempt.flight;
        let Some(verdict) = self.decide(attempt, verdict) else { return };
        self.call_back(id, AbortCause::Outrun);
        let Some(flight) = self.flights.of_mut(id) else { return };
        match (verdict, onward) {
            (Verdict::Done(_), Some(target)) => {
                // What points elsewhere is no answer: a refusal of the next hop is told as such.
                self.residents.release(&flight.target);
                self.residents.hold(&target);
                (flight.target, flight.tries, flight.has_result) = (target, 0, false);
                flight.cost = Cost::Free;
                self.enqueue(id);
            }
            (Verdict::Done(finality), None) => self.answer_all(id, Answer::Arrived(id, finality)),
            (Verdict::RetryAt(retry), _) => self.retry(id, retry),
            (Verdict::Refused(refusal), _) => self.refused(now, id, refusal),
        }
    }

    fn retry(&mut self, id: FlightId, retry: Retry) {
        let Some(flight) = self.flights.of_mut(id) else { return };
        (flight.has_result, flight.cost) = (true, retry.cost);
        if self.is_useful_at(id, retry.at) {
            return self.sleep(id, retry.at);
        }
        let finality = Finality::DeadlineNear { retry_at: retry.hint };
        self.answer_all(id, Answer::Arrived(id, finality));
    }

    fn close(&mut self) {
        self.draining = true;
        for (attempt, sent) in &self.running {
            let abort = Action::Abort(sent.target.clone(), *attempt, AbortCause::Cancelled);
            self.actions.push_back(abort);
        }
        let all: Vec<FlightId> = self.flights.iter().map(|(id, _)| id).collect();
        for id in all {
            let (flight, kind, grounds) = (Some(id), ErrorKind::ShuttingDown, Grounds::Gate);
            self.answer_all(id, Answer::Refused { flight, kind, until: None, grounds });
        }
    }

    fn wake(&mut self, now: Instant) {
        while let Some(ticket) = self.patience.pop_ended(now) {
            let flight = self.flights.flight_of(ticket);
            self.refuse(ticket, flight, ErrorKind::DeadlineExceeded, None);
            self.leave(ticket, AbortCause::Deadline);
        }
        while let Some((at, id)) = self.sleepers.first().copied()
            && at <= now
        {
            self.wake_up(at, id);
        }
    }

    fn dispatch(&mut self, now: Instant) {
        while self.global.has_free() {
            let Some(id) = self.queue.pop() else { return };
            self.send(now, id);
        }
    }

    fn enqueue(&mut self, id: FlightId) {
        let Some(flight) = self.flights.of_mut(id) else { return };
        flight.stage = Stage::Queued;
        let Some(flight) = self.flights.of(id) else { return };
        let (lane, standing) = (flight.target.lane.clone(), self.standing_of(flight));
        if self.global.has_free() && self.queue.is_clear(&lane) {
            // A queue that is full of one host's calls must not stop another's.
            self.queue.pass(id, &lane, standing);
            return self.arrived(id);
        }
        let pushed = self.queue.push(id, &lane, standing);
        self.arrived(id);
        match pushed {
            Pushed::Queued => {}
            Pushed::Shed(other) => self.fail(other, Gate::Slot, None),
            Pushed::Full => self.fail(id, Gate::Slot, None),
        }
    }

    /// Remembers the place in the queue that a flight was given.
    fn arrived(&mut self, id: FlightId) {
        if let Some(flight) = self.flights.of_mut(id) {
            flight.arrival = self.queue.arrival(id);
        }
    }

    /// Whether an attempt at `at` leaves enough time for the waiter with the latest deadline.
    fn is_useful_at(&self, id: FlightId, at: Instant) -> bool {
        let latest = self.flights.of(id).and_then(Flight::deadline);
        latest.is_some_and(|(deadline, budget)| {
            deadline.saturating_duration_since(at) > useful_min(budget)
        })
    }

    fn answer_all(&mut self, id: FlightId, answer: Answer) {
        for ticket in self.forget_flight(id) {
            self.patience.end(ticket);
            self.actions.push_back(Action::Answer(ticket, answer));
        }
        self.actions.push_back(Action::End(id));
    }

    fn forget(&mut self, id: FlightId) {
        self.forget_flight(id);
        self.actions.push_back(Action::End(id));
    }

    fn forget_flight(&mut self, id: FlightId) -> Vec<Ticket> {
        self.queue.remove(id);
        if let Some(flight) = self.flights.of(id) {
            self.residents.release(&flight.target);
            if let Stage::Sleeping(at) = flight.stage {
                self.sleepers.remove(&(at, id));
                self.awaiting.end(&flight.target.scope, id);
            }
        }
        self.flights.end(id)
    }

    fn refuse(
        &mut self,
        ticket: Ticket,
        flight: Option<FlightId>,
        kind: ErrorKind,
        until: Option<Instant>,
    ) {
        let answer = Answer::Refused { flight, kind, until, grounds: Grounds::Gate };
        self.actions.push_back(Action::Answer(ticket, answer));
    }
}
