//! The oracle beside the coordinator: tickets, flights, slots, deadlines, turns.
//!
//! It is told what the coordinator hears and says, keeps its own books, and compares.

mod device;
mod race;
mod rest;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use spillgate_core::advice::ErrorKind;
use spillgate_core::call::{
    AttemptId, CallSpec, FlightId, HostKey, Priority, ScopeKey, Target, Ticket,
};
use spillgate_core::coordinator::port::{Action, Answer, Input};
use spillgate_core::flights::Stage;
use spillgate_core::verdict::{Finality, Gate, Offer, Verdict};

use crate::demand::device::Network;
use crate::demand::race::Race;
use crate::reach::{Mark, Reach};

/// The books on demand.
#[derive(Debug)]
pub(crate) struct Demand {
    tickets: BTreeMap<Ticket, Caller>,
    /// Tickets that were heard of and have neither left nor got an answer.
    open: BTreeSet<(Instant, Ticket)>,
    flights: BTreeMap<FlightId, Flight>,
    live: BTreeSet<FlightId>,
    /// Attempts dispatched and not yet reported, with the ceilings they were dispatched below.
    outstanding: BTreeMap<AttemptId, Outstanding>,
    called_back: BTreeSet<AttemptId>,
    /// Flights that were answered at the head of a stream.
    opened: BTreeSet<FlightId>,
    ceilings: BTreeMap<HostKey, u32>,
    global: u32,
    draining: bool,
    network: Network,
    /// Flights that wait for a probe's verdict.
    awaiting: BTreeSet<FlightId>,
    /// A scope whose opening is being told.
    told: Option<ScopeKey>,
}

#[derive(Debug)]
struct Caller {
    spec: CallSpec,
    streams: bool,
    cancelled: bool,
    answers: u32,
    /// What it was answered with, if that is all that could be wished for.
    good: bool,
}

#[derive(Debug)]
struct Flight {
    first: CallSpec,
    streams: bool,
    target: Target,
    waiters: BTreeSet<Ticket>,
    n: u32,
    tries: u32,
    has_result: bool,
    race: Race,
    redirected: bool,
    stage: Stage,
    /// While it waits: how often it may be passed over by more urgent ones, and how often it was.
    turns: Option<(u64, u64)>,
}

#[derive(Debug)]
struct Outstanding {
    target: Target,
    lane_max: u32,
    global_max: u32,
}

impl Demand {
    pub(crate) fn new(global: u32) -> Self {
        Self {
            tickets: BTreeMap::new(),
            open: BTreeSet::new(),
            flights: BTreeMap::new(),
            live: BTreeSet::new(),
            outstanding: BTreeMap::new(),
            called_back: BTreeSet::new(),
            opened: BTreeSet::new(),
            ceilings: BTreeMap::new(),
            global,
            draining: false,
            network: Network::default(),
            awaiting: BTreeSet::new(),
            told: None,
        }
    }

    /// A caller is about to submit.
    pub(crate) fn wish(&mut self, spec: &CallSpec, streams: bool) {
        let caller =
            Caller { spec: spec.clone(), streams, cancelled: false, answers: 0, good: false };
        self.tickets.insert(spec.ticket, caller);
    }

    /// The coordinator is about to hear something.
    pub(crate) fn hear(&mut self, now: Instant, input: &Input, reach: &mut Reach) {
        match input {
            Input::Submit(spec) => {
                self.open.insert((spec.deadline, spec.ticket));
                reach.hit_if(Mark::DeadlineOnArrival, spec.deadline <= now);
            }
            Input::Cancel(ticket) => self.cancel(*ticket, reach),
            Input::Report { attempt, verdict, onward } => {
                self.network.end(now, *attempt);
                self.report(*attempt, *verdict, onward.as_ref(), reach);
            }
            Input::LaneLimit { lane, .. } if !self.ceilings.contains_key(lane) => {}
            Input::Lane { lane, slots_max } | Input::LaneLimit { lane, slots_max } => {
                let before = self.ceilings.insert(lane.clone(), *slots_max);
                let lowered = before.is_some_and(|before| before > *slots_max);
                reach.hit_if(Mark::CeilingLowered, lowered && self.running(lane) > *slots_max);
            }
            Input::Resize { global, .. } => self.global = *global,
            Input::Drain | Input::Close => self.draining = true,
            Input::ScopeOpened { scope, .. } => self.told = Some(scope.clone()),
            Input::Seen { attempt, sight } => {
                if let Some(outstanding) = self.outstanding.get(attempt) {
                    let lane = &outstanding.target.lane;
                    self.network.seen(now, (*attempt, lane), *sight, reach);
                }
            }
            Input::DropLane(lane) => {
                let mut live = self.live.iter().map(|id| &self.flights[id]);
                let is_used = live.any(|flight| flight.target.lane == *lane);
                if self.running(lane) == 0 && !is_used {
                    self.network.forget(lane);
                    self.ceilings.remove(lane);
                }
            }
            Input::Opened(_) | Input::HedgeDue(_) | Input::Keeper(_) | Input::Wake => {}
        }
    }

    /// The coordinator wants something done.
    pub(crate) fn see(&mut self, now: Instant, action: &Action, reach: &mut Reach) {
        match action {
            Action::Begin(flight, ticket) => self.begin(*flight, *ticket),
            Action::Join(flight, ticket) => self.join(*flight, *ticket, reach),
            Action::Dispatch(target, offer) => self.dispatch(now, target, offer, reach),
            Action::Abort(target, attempt, cause) => {
                let outstanding = self.outstanding.get(attempt).expect("what runs is aborted");
                assert_eq!(outstanding.target, *target, "an abort goes where the offer went");
                self.check_abort(*attempt, *cause, reach);
                self.called_back.insert(*attempt);
            }
            Action::Answer(ticket, answer) => self.answer(now, *ticket, *answer, reach),
            Action::End(flight) => {
                assert!(self.live.remove(flight), "{flight:?} ends once");
                let ended = &self.flights[flight];
                assert!(ended.waiters.is_empty(), "a flight ends when all have their answer");
                let mut running = self.outstanding.keys().filter(|id| id.flight == *flight);
                let idle = running.find(|id| !self.called_back.contains(id));
                let fine = idle.is_none() || self.opened.contains(flight);
                assert!(fine, "{idle:?} runs for nobody");
            }
        }
    }

    /// An attempt starts: where it goes and whether its caller wants a stream.
    pub(crate) fn starts(&self, offer: &Offer) -> (Target, bool) {
        let id = offer.attempt;
        let outstanding = self.outstanding.get(&id).expect("what starts was dispatched");
        (outstanding.target.clone(), self.flights[&id.flight].streams)
    }

    /// The ceilings of lane and world under which an attempt was dispatched.
    pub(crate) fn ceilings(&self, attempt: AttemptId) -> (u32, u32) {
        let outstanding = &self.outstanding[&attempt];
        (outstanding.lane_max, outstanding.global_max)
    }

    /// Nothing is left to happen.
    pub(crate) fn check_end(&self) {
        for (ticket, caller) in &self.tickets {
            let fine = caller.answers == 1 || (caller.cancelled && caller.answers == 0);
            assert!(fine, "{ticket:?} has {} answers", caller.answers);
        }
    }

    /// How many of the calls from this one on had a good answer, and how many there were.
    pub(crate) fn good_from(&self, first: Ticket) -> (usize, usize) {
        let late = self.tickets.range(first..).map(|(_, caller)| caller);
        (late.clone().filter(|caller| caller.good).count(), late.count())
    }

    fn cancel(&mut self, ticket: Ticket, reach: &mut Reach) {
        let Some(caller) = self.tickets.get_mut(&ticket) else { return };
        caller.cancelled = true;
        let deadline = caller.spec.deadline;
        if !self.open.remove(&(deadline, ticket)) {
            return;
        }
        for id in &self.live {
            let Some(flight) = self.flights.get_mut(id) else { continue };
            if flight.waiters.remove(&ticket) && !flight.waiters.is_empty() {
                reach.hit_if(Mark::LeaderLeft, flight.first.ticket == ticket);
                let latest = flight.waiters.iter().map(|t| self.tickets[t].spec.deadline).max();
                reach.hit_if(Mark::LongestWaiterLeft, latest < Some(deadline));
            }
        }
    }

    fn report(
        &mut self,
        id: AttemptId,
        verdict: Verdict,
        onward: Option<&Target>,
        reach: &mut Reach,
    ) {
        let is_over = !self.live.contains(&id.flight) || self.called_back.contains(&id);
        if self.outstanding.remove(&id).is_none() || is_over {
            return;
        }
        let Some(flight) = self.flights.get_mut(&id.flight) else { return };
        flight.race.end(id.n, verdict, reach);
        match (verdict, onward) {
            (Verdict::Done(_), Some(target)) => {
                (flight.target, flight.tries, flight.has_result) = (target.clone(), 0, false);
                flight.redirected = true;
                reach.hit(Mark::Redirect);
            }
            (Verdict::Done(_) | Verdict::RetryAt(_), _) => flight.has_result = true,
            (Verdict::Refused(refusal), _) => {
                flight.tries -= 1;
                if refusal.gate == Gate::Probe {
                    self.awaiting.insert(id.flight);
                }
            }
        }
    }

    fn begin(&mut self, id: FlightId, ticket: Ticket) {
        assert!(!self.draining, "nothing begins once it drains");
        let caller = &self.tickets[&ticket];
        if let Some(key) = caller.spec.key {
            let twin = |id: &&FlightId| self.flights[id].first.key == Some(key);
            assert_eq!(self.live.iter().find(twin), None, "equal calls share");
        }
        let flight = Flight {
            first: caller.spec.clone(),
            streams: caller.streams,
            target: caller.spec.target.clone(),
            waiters: BTreeSet::from([ticket]),
            n: 0,
            tries: 0,
            has_result: false,
            race: Race::default(),
            redirected: false,
            stage: Stage::Queued,
            turns: None,
        };
        assert!(self.flights.insert(id, flight).is_none(), "{id:?} begins once");
        self.live.insert(id);
    }

    fn join(&mut self, id: FlightId, ticket: Ticket, reach: &mut Reach) {
        assert!(self.live.contains(&id), "nobody joins a flight that has ended");
        let key = self.tickets[&ticket].spec.key;
        let flight = self.flights.get_mut(&id).expect("it began");
        assert!(key.is_some() && key == flight.first.key, "only equal calls share");
        assert!(flight.waiters.insert(ticket), "{ticket:?} joins once");
        reach.hit(Mark::Coalesced);
    }

    fn dispatch(&mut self, now: Instant, target: &Target, offer: &Offer, reach: &mut Reach) {
        let id = offer.attempt.flight;
        assert!(self.live.contains(&id), "nothing is sent for nobody");
        self.check_beside(offer);
        let lane_max = self.ceilings.get(&target.lane).copied().unwrap_or(1);
        assert!(self.running(&target.lane) < lane_max, "{} is full", target.lane);
        assert!((self.outstanding.len() as u64) < u64::from(self.global), "all slots are taken");
        let flight = self.flights.get_mut(&id).expect("it began");
        let deadlines = flight.waiters.iter().map(|ticket| self.tickets[ticket].spec.deadline);
        assert_eq!(deadlines.max(), Some(offer.deadline), "the latest deadline counts");
        assert!(offer.deadline > now, "nothing is sent after the deadline");
        assert_eq!((&flight.target, &*offer.lane), (target, &*target.lane));
        assert_eq!((offer.attempt.n, offer.resend), (flight.n + 1, flight.tries));
        flight.n += 1;
        flight.tries += 1;
        flight.race.begin(offer);
        assert!(!flight.streams || offer.beside.is_none(), "a stream is not hedged");
        flight.turns = None;
        reach.hit_if(Mark::AwaitedAskedAgain, self.awaiting.remove(&id));
        self.network.send(now, offer.attempt, &target.lane, reach);
        let outstanding = Outstanding { target: target.clone(), lane_max, global_max: self.global };
        self.outstanding.insert(offer.attempt, outstanding);
        let rank = rank(&self.flights[&id], &self.tickets);
        let mut passed_over = false;
        for other in &self.live {
            let Some(flight) = self.flights.get_mut(other) else { continue };
            if flight.target.lane != target.lane {
                continue;
            }
            let Some((bound, seen)) = &mut flight.turns else { continue };
            assert_eq!(offer.beside, None, "a hedge goes before nobody: {other:?} waits");
            let own = flight.waiters.iter().map(|ticket| self.tickets[ticket].spec.priority).max();
            passed_over |= own > Some(rank);
            *seen += u64::from(own < Some(rank));
            assert!(*seen <= *bound, "{other:?} was passed over {seen} times in its lane");
        }
        reach.hit_if(Mark::LessUrgentShare, passed_over);
    }

    fn answer(&mut self, now: Instant, ticket: Ticket, answer: Answer, reach: &mut Reach) {
        let caller = self.tickets.get_mut(&ticket).expect("somebody asked");
        caller.answers += 1;
        assert_eq!(caller.answers, 1, "{ticket:?} is answered once");
        assert!(!caller.cancelled, "who has left is not answered");
        assert!(self.open.remove(&(caller.spec.deadline, ticket)));
        let id = match answer {
            Answer::Arrived(id, _) | Answer::Opened(id) => Some(id),
            Answer::Refused { flight, .. } => flight,
        };
        let Some(flight) = id.and_then(|id| self.flights.get_mut(&id)) else {
            reach.hit_if(Mark::DrainRefused, self.draining);
            assert!(
                self.draining || caller.spec.deadline <= now,
                "refused at the door for a reason"
            );
            return;
        };
        assert!(flight.waiters.remove(&ticket), "{ticket:?} did not wait for {id:?}");
        caller.good = matches!(answer, Answer::Arrived(_, Finality::Settled));
        match answer {
            Answer::Arrived(_, finality) => {
                assert!(flight.has_result, "nothing has arrived: {finality:?}");
                reach.arrived(finality);
            }
            Answer::Opened(_) => {
                assert!(flight.streams, "only a stream is answered at its head");
                self.opened.extend(id);
                reach.hit(Mark::StreamOpened);
            }
            Answer::Refused { kind, .. } => {
                let left = caller.spec.deadline.saturating_duration_since(now);
                mark_refusal(flight, kind, left, reach);
            }
        }
    }

    fn running(&self, lane: &HostKey) -> u32 {
        let on_lane = self.outstanding.values().filter(|o| o.target.lane == *lane).count();
        u32::try_from(on_lane).unwrap_or(u32::MAX)
    }

    fn is_left(&self, attempt: AttemptId) -> bool {
        self.flights.get(&attempt.flight).is_some_and(|flight| flight.waiters.is_empty())
    }
}

fn rank(flight: &Flight, tickets: &BTreeMap<Ticket, Caller>) -> Priority {
    let ranks = flight.waiters.iter().map(|ticket| tickets[ticket].spec.priority);
    ranks.max().expect("somebody waits")
}

fn mark_refusal(flight: &Flight, kind: ErrorKind, left: Duration, reach: &mut Reach) {
    let of_deadline = match flight.stage {
        Stage::Queued => Mark::DeadlineInQueue,
        Stage::Running => Mark::DeadlineInAttempt,
        Stage::Sleeping(_) => Mark::DeadlineInBackOff,
    };
    if kind == ErrorKind::DeadlineExceeded && left.is_zero() {
        return reach.hit(of_deadline);
    }
    if kind == ErrorKind::ShuttingDown {
        return reach.hit(Mark::Closed);
    }
    let was_shed = flight.turns.is_some();
    let marks = [
        (ErrorKind::DeadlineExceeded, Mark::TooLateToSend),
        (
            ErrorKind::CircuitOpen,
            if flight.redirected { Mark::RedirectRefused } else { Mark::CircuitRefused },
        ),
        (ErrorKind::RateLimited, Mark::PacedBeyondDeadline),
        (ErrorKind::DeviceOffline, Mark::OfflineRefused),
        (ErrorKind::QueueFull, if was_shed { Mark::Shed } else { Mark::QueueFull }),
    ];
    let mark = marks.into_iter().find(|(known, _)| *known == kind).map(|(_, mark)| mark);
    let mark = mark.expect("no flight is refused for another reason");
    assert!(mark != Mark::TooLateToSend || left < Duration::from_millis(300), "time enough");
    assert!(!flight.has_result, "a real result is not replaced by {kind:?}");
    reach.hit(mark);
}
