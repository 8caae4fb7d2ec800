//! The actor of demand: takes calls, shares flights, hands attempts to hosts, answers callers.
//!
//! It feeds the machine and does what the machine says; payloads and stories are in the ledger.

mod answers;
pub mod operators;
mod redirects;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use actix::{Actor, Addr, AsyncContext, Context, Handler};
use spillgate_core::call::{AttemptId, FlightId, HostKey, Target, Ticket};
use spillgate_core::coordinator::Coordinator as Machine;
use spillgate_core::coordinator::port::{Action, Input};
use spillgate_core::policy::HostPolicy;
use spillgate_core::verdict::{AbortCause, Offer, Verdict};
use tokio::sync::oneshot;

use crate::error::Error;
use crate::host::Host;
use crate::hostname::HostName;
use crate::ledger::{Caller, End, Luggage, Streaming, Work};
use crate::messages::{
    Abort, Cancel, Dispatch, Drained, HostLimit, Opened, Reply, Report, ScopeOpened, Stop, Submit,
};
use crate::order::Prepared;
use crate::record::JournalEntry;
use crate::seams::Seams;
use crate::timer::{self, Timer, Wakeful};

/// The demand side of one client.
pub struct Coordinator {
    machine: Machine,
    seams: Arc<Seams>,
    hosts: HashMap<HostKey, Addr<Host>>,
    /// The names of hosts, for new numbers on reload; keepers of shared scopes have none.
    names: HashMap<HostKey, HostName>,
    callers: HashMap<Ticket, Caller>,
    works: HashMap<FlightId, Work>,
    streaming: HashMap<AttemptId, Streaming>,
    opened: Option<Opened>,
    draining: Option<oneshot::Sender<Drained>>,
    timer: Timer,
}

impl Coordinator {
    pub(crate) fn new(seams: Arc<Seams>) -> Self {
        let limits = seams.plan.load().limits();
        Self {
            machine: Machine::new(limits.global, limits.queue_max),
            seams,
            hosts: HashMap::new(),
            names: HashMap::new(),
            callers: HashMap::new(),
            works: HashMap::new(),
            streaming: HashMap::new(),
            opened: None,
            draining: None,
            timer: Timer::default(),
        }
    }

    /// Takes a call that passed the door.
    fn admit(&mut self, ctx: &mut Context<Self>, call: Prepared, reply: Reply) {
        let Prepared { spec, order, once, origin, breaker } = call;
        self.meet(ctx, &order.host, &spec.target);
        let luggage = Some(Luggage { order, once, breaker });
        let caller = Caller { origin, reply: Some(reply), luggage, leader: None };
        self.callers.insert(spec.ticket, caller);
        self.step(ctx, Input::Submit(spec));
    }

    /// Makes lane and actors for a target that is new.
    fn meet(&mut self, ctx: &mut Context<Self>, name: &HostName, target: &Target) {
        if !self.machine.queue().has_lane(&target.lane) {
            let policy = self.seams.plan.load().host(name);
            let slots_max = policy.concurrency;
            self.make_room();
            self.names.insert(target.lane.clone(), name.clone());
            self.make_host(ctx, &target.lane, policy);
            self.machine
                .handle(Instant::now(), Input::Lane { lane: target.lane.clone(), slots_max });
        }
        if !self.hosts.contains_key(&target.keeper) {
            self.make_keeper(ctx, &target.keeper);
        }
    }

    fn make_keeper(&mut self, ctx: &mut Context<Self>, keeper: &HostKey) {
        // It lends no slots: those of the hosts that its calls go to are counted in their lanes.
        let policy = self.seams.plan.load().shared_scope();
        self.make_host(ctx, keeper, policy);
    }

    fn make_host(&mut self, ctx: &mut Context<Self>, key: &HostKey, policy: HostPolicy) {
        let weak = ctx.address().downgrade();
        let host = Host::new(key.clone(), policy, self.seams.clone(), weak).start();
        self.hosts.insert(key.clone(), host);
    }

    /// Forgets a host that nothing is known of but its name, when there are too many.
    fn make_room(&mut self) {
        if self.hosts.len() < self.seams.plan.load().limits().hosts_max {
            return;
        }
        let idle = |key: &&HostKey| {
            let queue = self.machine.queue();
            queue.running(key) == 0
                && queue.depth(key).iter().all(|depth| *depth == 0)
                && self.seams.registry.scope(key).is_none()
        };
        let Some(key) = self.hosts.keys().find(idle).cloned() else { return };
        if let Some(host) = self.hosts.remove(&key) {
            host.do_send(Stop);
        }
        self.names.remove(&key);
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
                Action::Join(flight, ticket) => self.join(flight, ticket),
                Action::Dispatch(target, offer) => self.dispatch(now, &target, offer),
                Action::Abort(target, attempt, cause) => self.abort(&target, attempt, cause),
                Action::Answer(ticket, answer) => self.answer(now, ticket, answer),
                Action::End(flight) => drop(self.works.remove(&flight)),
            }
        }
        self.publish();
        let due = self.machine.next_wake();
        timer::arm(self, ctx, due);
        if self.machine.is_idle()
            && let Some(draining) = self.draining.take()
        {
            let _ = draining.send(Drained::Whole);
        }
    }

    fn begin(&mut self, now: Instant, flight: FlightId, ticket: Ticket) {
        let Some(caller) = self.callers.get_mut(&ticket) else { return };
        let Some(luggage) = caller.luggage.take() else { return };
        self.works.insert(flight, Work::new(luggage, caller.origin.context, now));
    }

    fn join(&mut self, flight: FlightId, ticket: Ticket) {
        let Some(caller) = self.callers.get_mut(&ticket) else { return };
        caller.luggage = None;
        caller.leader = self.works.get(&flight).map(|work| work.leader);
        self.seams.registry.coalesced.fetch_add(1, Relaxed);
        if let Some(card) = self.seams.registry.host(&caller.origin.host) {
            card.coalesced.fetch_add(1, Relaxed);
        }
    }

    fn dispatch(&mut self, now: Instant, target: &Target, offer: Offer) {
        let (Some(host), Some(work)) =
            (self.hosts.get(&target.keeper), self.works.get_mut(&offer.attempt.flight))
        else {
            debug_assert!(false, "a dispatched flight has a host and a payload");
            return;
        };
        let context = self.seams.ids.span(Some(work.leader));
        let trial = work.sent(now, &offer, context);
        let (once, breaker) = (work.once.take(), work.breaker.clone());
        host.do_send(Dispatch { offer, trial, once, breaker });
    }

    fn abort(&mut self, target: &Target, attempt: AttemptId, cause: AbortCause) {
        if let Some(host) = self.hosts.get(&target.keeper) {
            host.do_send(Abort { attempt, cause });
        }
    }

    fn publish(&self) {
        let registry = &self.seams.registry;
        let global = self.machine.global();
        registry.running.store(global.taken(), Relaxed);
        registry.running_peak.store(global.peak(), Relaxed);
        registry.queued.store(self.machine.queue().len(), Relaxed);
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
        let lane = call.spec.target.lane.clone();
        self.admit(ctx, call, reply);
        self.publish_lane(&lane);
    }
}

impl Handler<Cancel> for Coordinator {
    type Result = ();

    fn handle(&mut self, Cancel { ticket, kind }: Cancel, ctx: &mut Self::Context) {
        if let Some(mut caller) = self.callers.remove(&ticket) {
            let flight = self.machine.flights().flight_of(ticket);
            let work = flight.and_then(|flight| self.works.get(&flight));
            let end = End { flight, error: Some(kind), ..End::default() };
            let record = Arc::new(caller.record(Instant::now(), work, end));
            self.seams.journal.write(JournalEntry::Call(record.clone()));
            let error = Error::new(kind, format!("the call was {}", kind.name()));
            caller.refuse(error, &record);
        }
        self.step(ctx, Input::Cancel(ticket));
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
        let Report { attempt, verdict, brought, once } = report;
        if let Some(streaming) = self.streaming.remove(&attempt) {
            self.finish_stream(streaming, brought.as_ref().map(|(_, record)| record.clone()));
        }
        let now = Instant::now();
        let mut onward = None;
        let mut lane = None;
        if let Some(work) = self.works.get_mut(&attempt.flight) {
            work.settled(brought);
            work.once = once.or(work.once.take());
            work.note(now, verdict);
            lane = Some(work.order.host.key());
            if let Verdict::Done(_) = verdict {
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
