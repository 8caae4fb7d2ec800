//! The actor of demand: takes calls, shares flights, hands attempts to hosts, answers callers.
//!
//! It feeds the machine and does what the machine says; payloads and stories are in the ledger.

mod answers;
pub mod operators;
mod redirects;
mod residence;
mod sharing;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use actix::{Actor, Addr, Context, Handler, System};
use spillgate_core::call::{AttemptId, FlightId, HostKey, Target, Ticket};
use spillgate_core::coordinator::Coordinator as Machine;
use spillgate_core::coordinator::port::{Action, Input};
use spillgate_core::device::Sight;
use spillgate_core::remnants::Remnants;
use spillgate_core::verdict::{AbortCause, Offer, Verdict};
use tokio::sync::oneshot;

use crate::course::NoteKind;
use crate::error::Error;
use crate::host::Host;
use crate::hostname::HostName;
use crate::ledger::{Caller, End, Luggage, Streaming, Work};
use crate::messages::{
    Abort, Cancel, Demand, Dispatch, Drained, HedgeDue, HostLimit, Opened, Reply, Report,
    ScopeOpened, Submit,
};
use crate::order::{Outturn, Prepared};
use crate::record::JournalEntry;
use crate::seams::Seams;
use crate::timer::{self, Timer, Wakeful};

/// The demand side of one client.
pub struct Coordinator {
    machine: Machine,
    seams: Arc<Seams>,
    hosts: HashMap<HostKey, Owner>,
    /// What is left of the breakers of hosts that were forgotten.
    remnants: Remnants,
    /// How hosts reach this actor.
    demand: Option<Rc<Demand>>,
    callers: HashMap<Ticket, Caller>,
    works: HashMap<FlightId, Work>,
    streaming: HashMap<AttemptId, Streaming>,
    opened: Option<Opened>,
    draining: Vec<oneshot::Sender<Drained>>,
    timer: Timer,
}

/// A host actor as the coordinator knows it.
struct Owner {
    addr: Addr<Host>,
    /// The upstream it stands for; the keeper of a shared scope stands for none.
    name: Option<HostName>,
    /// Whether nothing would be lost by forgetting it, as it says itself.
    idle: Arc<AtomicBool>,
}

impl Coordinator {
    pub(crate) fn new(seams: Arc<Seams>) -> Self {
        let limits = seams.plan.load().limits();
        Self {
            machine: Machine::new(limits.global, limits.queue_max),
            seams,
            hosts: HashMap::new(),
            remnants: Remnants::default(),
            demand: None,
            callers: HashMap::new(),
            works: HashMap::new(),
            streaming: HashMap::new(),
            opened: None,
            draining: Vec::new(),
            timer: Timer::default(),
        }
    }

    /// Takes a call that passed the door.
    fn admit(&mut self, ctx: &mut Context<Self>, call: Prepared, reply: Reply) {
        let Prepared { spec, order, once, origin, breaker } = call;
        let target = spec.target.clone();
        if let Err(no_room) = self.meet(ctx, &order.host, &target) {
            let caller = Caller { origin, reply: Some(reply), luggage: None, leader: None };
            return self.turn_away(caller, no_room);
        }
        let luggage = Some(Luggage { order, target, once, breaker });
        let caller = Caller { origin, reply: Some(reply), luggage, leader: None };
        self.callers.insert(spec.ticket, caller);
        let lane = spec.target.lane.clone();
        self.step(ctx, Input::Submit(spec));
        self.publish_lane(&lane);
    }

    /// Hands the machine one input and does what follows from it.
    fn step(&mut self, ctx: &mut Context<Self>, input: Input) {
        let now = Instant::now();
        self.machine.handle(now, input);
        while let Some(action) = self.machine.next_action() {
            match action {
                Action::Begin(flight, ticket) => self.begin(now, flight, ticket),
                Action::Join(flight, ticket) => self.join(now, flight, ticket),
                Action::Dispatch(target, offer) => self.dispatch(now, &target, offer),
                Action::Abort(target, attempt, cause) => {
                    self.abort(now, &target, (attempt, cause));
                }
                Action::Answer(ticket, answer) => self.answer(now, ticket, answer),
                Action::End(flight) => self.end(now, flight),
            }
        }
        self.publish();
        let due = self.machine.next_wake();
        timer::arm(self, ctx, due);
        if self.machine.is_idle() {
            self.drained(Drained::Whole);
        }
    }

    fn drained(&mut self, how: Drained) {
        for draining in self.draining.drain(..) {
            let _ = draining.send(how);
        }
    }

    fn dispatch(&mut self, now: Instant, target: &Target, offer: Offer) {
        let (Some(host), Some(work)) =
            (self.hosts.get(&target.keeper), self.works.get_mut(&offer.attempt.flight))
        else {
            debug_assert!(false, "a dispatched flight has a host and a payload");
            return;
        };
        if let Some(beside) = offer.beside {
            let what = NoteKind::Hedged { beside: beside.n };
            work.note(now, Some(offer.attempt.n), what);
        }
        let context = self.seams.ids.span(Some(work.leader()));
        let trial = work.sent(now, &offer, context);
        let (once, breaker) = (work.once.take(), work.breaker.clone());
        host.addr.do_send(Dispatch { offer, trial, once, breaker });
        self.publish_lane(&target.lane);
    }

    fn end(&mut self, now: Instant, flight: FlightId) {
        let Some(work) = self.works.remove(&flight) else { return };
        self.publish_lane(&work.order.lane);
        if let Some(rest) = work.rest(now, flight) {
            self.seams.journal.write(JournalEntry::Flight(Arc::new(rest)));
        }
    }

    /// Learns what an attempt shows of this machine's network.
    fn look(&mut self, ctx: &mut Context<Self>, attempt: AttemptId, outturn: Option<&Outturn>) {
        let Some(outturn) = outturn else { return };
        let sight = Sight::of(outturn.as_ref().err().map(|failure| failure.kind));
        if sight == Sight::Offline || self.machine.is_offline() {
            self.step(ctx, Input::Seen { attempt, sight });
        }
    }

    fn abort(&mut self, now: Instant, target: &Target, (attempt, cause): (AttemptId, AbortCause)) {
        if let (AbortCause::Outrun, Some(work)) = (cause, self.works.get_mut(&attempt.flight)) {
            work.outrun(now, attempt);
        }
        if let Some(host) = self.hosts.get(&target.keeper) {
            host.addr.do_send(Abort { attempt, cause });
        }
    }

    fn publish(&self) {
        self.seams.registry.queued.store(self.machine.queue().len(), Relaxed);
    }

    fn publish_lane(&self, lane: &HostKey) {
        let Some(card) = self.seams.registry.host(lane) else { return };
        for (cell, depth) in card.queued.iter().zip(self.machine.queue().depth(lane)) {
            cell.store(depth, Relaxed);
        }
    }
}

impl Actor for Coordinator {
    type Context = Context<Self>;

    /// Ends the thread, also when the actor ends before its `Stop` is read: a mailbox whose last
    /// address is gone may be closed with a message in it.
    fn stopped(&mut self, _: &mut Self::Context) {
        System::current().stop();
    }
}

impl Wakeful for Coordinator {
    fn timer(&mut self) -> &mut Timer {
        &mut self.timer
    }

    fn woken(&mut self, ctx: &mut Context<Self>) {
        self.step(ctx, Input::Wake);
    }
}

impl Handler<Submit> for Coordinator {
    type Result = ();

    fn handle(&mut self, Submit { call, reply }: Submit, ctx: &mut Self::Context) {
        self.admit(ctx, call, reply);
    }
}

impl Handler<Cancel> for Coordinator {
    type Result = ();

    fn handle(&mut self, Cancel { ticket, kind }: Cancel, ctx: &mut Self::Context) {
        let Some(mut caller) = self.callers.remove(&ticket) else {
            return self.step(ctx, Input::Cancel(ticket));
        };
        let flight = self.machine.flights().flight_of(ticket);
        let waiters = flight.and_then(|flight| self.machine.flights().of(flight));
        let goes_on = waiters.is_some_and(|flight| flight.waiters() > 1);
        let end = End { flight, error: Some(kind), goes_on, ..End::default() };
        let record = self.leave(Instant::now(), &caller, end);
        let error = Error::new(kind, format!("the call was {}", kind.name()));
        caller.refuse(error, &record);
        self.step(ctx, Input::Cancel(ticket));
        if let Some(flight) = flight {
            self.parted(Instant::now(), flight, caller.origin.priority);
        }
        // A flight that goes on without it may have fallen to another rank.
        self.publish_lane(&caller.origin.host);
    }
}

impl Handler<Opened> for Coordinator {
    type Result = ();

    fn handle(&mut self, opened: Opened, ctx: &mut Self::Context) {
        let attempt = opened.attempt;
        self.opened = Some(opened);
        self.step(ctx, Input::Opened(attempt));
        self.opened = None;
    }
}

impl Handler<Report> for Coordinator {
    type Result = ();

    fn handle(&mut self, report: Report, ctx: &mut Self::Context) {
        let Report { attempt, verdict, standing, brought, once } = report;
        if let Some(streaming) = self.streaming.remove(&attempt) {
            let record = streaming.ended(brought.as_ref().map(|(_, attempt)| attempt.clone()));
            self.seams.journal.write(JournalEntry::Call(Arc::new(record)));
        }
        self.look(ctx, attempt, brought.as_ref().map(|(outturn, _)| outturn));
        let now = Instant::now();
        let mut onward = None;
        let mut lane = None;
        if let Some(work) = self.works.get_mut(&attempt.flight) {
            let counts = work.settled(attempt, brought);
            work.once = once.or(work.once.take());
            lane = Some(work.order.lane.clone());
            if counts {
                work.judged(now, attempt.n, verdict, standing);
            }
            if let (true, Verdict::Done(_)) = (counts, verdict) {
                onward = work.redirect(now, &self.seams);
            }
        }
        let onward = onward.and_then(|(name, target)| {
            let met = self.meet(ctx, &name, &target);
            if let (Err(_), Some(work)) = (met, self.works.get_mut(&attempt.flight)) {
                work.stranded();
            }
            met.is_ok().then_some(target)
        });
        self.step(ctx, Input::Report { attempt, verdict, onward });
        if let Some(lane) = lane {
            self.publish_lane(&lane);
        }
    }
}

impl Handler<ScopeOpened> for Coordinator {
    type Result = ();

    fn handle(&mut self, ScopeOpened { scope, until }: ScopeOpened, ctx: &mut Self::Context) {
        self.step(ctx, Input::ScopeOpened { scope, until });
    }
}

impl Handler<HostLimit> for Coordinator {
    type Result = ();

    fn handle(&mut self, HostLimit { host, slots_max }: HostLimit, ctx: &mut Self::Context) {
        self.step(ctx, Input::LaneLimit { lane: host, slots_max });
    }
}

impl Handler<HedgeDue> for Coordinator {
    type Result = ();

    fn handle(&mut self, HedgeDue { attempt }: HedgeDue, ctx: &mut Self::Context) {
        self.step(ctx, Input::HedgeDue(attempt));
    }
}
