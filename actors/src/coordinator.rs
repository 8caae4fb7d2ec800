//! The actor of demand: takes calls, shares flights, hands attempts to hosts, answers callers.
//!
//! It feeds the machine and does what the machine says; payloads and stories are in the ledger.

mod answers;
pub mod operators;
mod redirects;
mod sharing;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use actix::{Actor, Addr, AsyncContext, Context, Handler, System};
use spillgate_core::breaker::Stance;
use spillgate_core::call::{AttemptId, FlightId, HostKey, Target, Ticket};
use spillgate_core::coordinator::Coordinator as Machine;
use spillgate_core::coordinator::port::{Action, Input};
use spillgate_core::device::Sight;
use spillgate_core::event::BreakerState;
use spillgate_core::policy::HostPolicy;
use spillgate_core::verdict::{AbortCause, Offer, Verdict};
use tokio::sync::oneshot;

use crate::course::NoteKind;
use crate::error::Error;
use crate::host::Host;
use crate::hostname::HostName;
use crate::ledger::{Caller, End, Luggage, Streaming, Work};
use crate::messages::{
    Abort, Cancel, Demand, Dispatch, Drained, HedgeDue, HostLimit, Opened, Reply, Report,
    ScopeOpened, Stop, Submit,
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
        self.meet(ctx, &order.host, &spec.target);
        let target = spec.target.clone();
        let luggage = Some(Luggage { order, target, once, breaker });
        let caller = Caller { origin, reply: Some(reply), luggage, leader: None };
        self.callers.insert(spec.ticket, caller);
        let lane = spec.target.lane.clone();
        self.step(ctx, Input::Submit(spec));
        self.publish_lane(&lane);
    }

    /// Makes lane and actors for a target that is new.
    fn meet(&mut self, ctx: &mut Context<Self>, name: &HostName, target: &Target) {
        if !self.machine.queue().has_lane(&target.lane) {
            let policy = self.seams.plan.load().host(name);
            let slots_max = policy.concurrency;
            self.make_room(target);
            self.seams.registry.add_host(&target.lane);
            self.make_host(ctx, &target.lane, Some(name.clone()), policy);
            self.machine
                .handle(Instant::now(), Input::Lane { lane: target.lane.clone(), slots_max });
        }
        if !self.hosts.contains_key(&target.keeper) {
            self.make_room(target);
            self.make_keeper(ctx, &target.keeper);
        }
    }

    fn make_keeper(&mut self, ctx: &mut Context<Self>, keeper: &HostKey) {
        // It lends no slots: those of the hosts that its calls go to are counted in their lanes.
        let policy = self.seams.plan.load().shared_scope();
        self.make_host(ctx, keeper, None, policy);
        let (state, stance) = (BreakerState::Closed, Stance::Admitting);
        self.seams.registry.publish(keeper, keeper, state, stance);
    }

    fn make_host(
        &mut self,
        ctx: &mut Context<Self>,
        key: &HostKey,
        name: Option<HostName>,
        policy: HostPolicy,
    ) {
        let own = ctx.address();
        let demand = Demand {
            report: own.clone().recipient().downgrade(),
            opened: own.clone().recipient().downgrade(),
            scope_opened: own.clone().recipient().downgrade(),
            host_limit: own.clone().recipient().downgrade(),
            hedge_due: own.recipient().downgrade(),
        };
        let idle = Arc::new(AtomicBool::new(true));
        let publishes = (demand, idle.clone());
        let host = Host::new(key.clone(), policy, self.seams.clone(), publishes);
        self.hosts.insert(key.clone(), Owner { addr: host.start(), name, idle });
    }

    /// Forgets a host that nothing is known of but its name, when there are too many; `target` is
    /// about to be used. O(flights + hosts), once a new host beyond the limit.
    fn make_room(&mut self, target: &Target) {
        if self.hosts.len() < self.seams.plan.load().limits().hosts_max {
            return;
        }
        let targets = self.machine.targets().chain([target]);
        let used: HashSet<&HostKey> = targets.flat_map(|t| [&t.lane, &t.keeper]).collect();
        let mut hosts = self.hosts.iter();
        let unused = hosts.find(|(key, owner)| owner.idle.load(Relaxed) && !used.contains(key));
        let Some(key) = unused.map(|(key, _)| key.clone()) else { return };
        if let Some(owner) = self.hosts.remove(&key) {
            owner.addr.do_send(Stop);
        }
        self.seams.registry.drop_host(&key);
        self.machine.handle(Instant::now(), Input::DropLane(key));
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
        self.publish_lane(&work.order.host.key());
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
            lane = Some(work.order.host.key());
            if counts {
                work.judged(now, attempt.n, verdict, standing);
            }
            if let (true, Verdict::Done(_)) = (counts, verdict) {
                onward = work.redirect(now, &self.seams);
            }
        }
        let onward = onward.map(|(name, target)| {
            self.meet(ctx, &name, &target);
            target
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
