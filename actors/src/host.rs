//! The actor of one host: owns its breakers, slots, pace and budget, and starts its attempts.

mod publishing;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler};
use spillgate_core::breaker::options::BreakerOptions;
use spillgate_core::breaker::{Breaker, Stance};
use spillgate_core::call::{AttemptId, BreakerUse, Generation, HostKey, ScopeKey};
use spillgate_core::event::BreakerState;
use spillgate_core::host::{Action, Command, Host as Machine, Input, Order as BreakerOrder};
use spillgate_core::latency::Latency;
use spillgate_core::outcome::Outcome;
use spillgate_core::policy::HostPolicy;
use spillgate_core::rng::Rng;
use spillgate_core::verdict::{Cost, Verdict};
use tokio::sync::oneshot;

use crate::attempt::{self, Run};
use crate::course::{Admission, Settlement, Standing};
use crate::messages::{
    Abort, Demand, Dispatch, HedgeDue, HostLimit, Inherit, NewPolicy, Operate, Report, Settled,
    Stop,
};
use crate::order::{Outturn, Trial};
use crate::phases::{Mark, PhaseMarks};
use crate::record::AttemptRecord;
use crate::registry::HostCard;
use crate::replay::Replay;
use crate::seams::Seams;
use crate::timer::{self, Timer, Wakeful};

/// The supply side of one upstream, or of a scope that several upstreams share.
pub(crate) struct Host {
    key: HostKey,
    machine: Machine,
    seams: Arc<Seams>,
    /// Of an upstream; a shared scope has none, and counts on those of the upstreams.
    card: Option<Arc<HostCard>>,
    demand: Rc<Demand>,
    /// Tells the coordinator whether nothing would be lost by forgetting this host.
    idle: Arc<AtomicBool>,
    /// The breakers that the configuration gives routes of their own, as last heard.
    of_routes: HashMap<ScopeKey, BreakerOptions>,
    offered: HashMap<AttemptId, Offered>,
    running: HashMap<AttemptId, Running>,
    brought: Option<(Outturn, Arc<AttemptRecord>)>,
    /// The streamed body of the attempt that brought it, to be sent again.
    returned: Option<Replay>,
    latency: Latency,
    settled: u64,
    timer: Timer,
}

struct Offered {
    trial: Arc<Trial>,
    once: Option<Replay>,
    deadline: Instant,
    scope: ScopeKey,
    breaker: BreakerUse,
    cost: Cost,
}

struct Running {
    /// Calls the attempt back when dropped.
    cancel: Option<oneshot::Sender<()>>,
    /// The card of the upstream that it was sent to.
    card: Option<Arc<HostCard>>,
    marks: Arc<PhaseMarks>,
}

impl Host {
    /// The owner of `key`; one that stands for an upstream has published its card before.
    pub(crate) fn new(
        key: HostKey,
        policy: HostPolicy,
        seams: Arc<Seams>,
        (demand, idle): (Rc<Demand>, Arc<AtomicBool>),
    ) -> Self {
        let card = seams.registry.host(&key);
        let rng = Rng::new(
            key.bytes().fold(seams.seed, |seed, byte| seed.rotate_left(7) ^ u64::from(byte)),
        );
        Self {
            machine: Machine::new(key.clone(), policy, rng),
            key,
            seams,
            card,
            demand,
            idle,
            of_routes: HashMap::new(),
            offered: HashMap::new(),
            running: HashMap::new(),
            brought: None,
            returned: None,
            latency: Latency::default(),
            settled: 0,
            timer: Timer::default(),
        }
    }

    /// Hands the machine one input and does what follows from it.
    fn step(&mut self, ctx: &mut Context<Self>, input: Input) {
        self.machine.handle(Instant::now(), input);
        while let Some(action) = self.machine.next_action() {
            match action {
                Action::Start { attempt, until, generation, probe } => {
                    self.start(ctx, attempt, until, (generation, probe));
                }
                Action::Cancel(attempt) => self.cancel(attempt),
                Action::Hedge(attempt) => self.ask_for_hedge(attempt),
                Action::Report(attempt, verdict) => self.report(attempt, verdict),
                Action::Event(event) => self.announce(event),
                Action::Split(scope) => self.split(&scope),
                Action::Merged(scope) => self.merged(&scope),
                Action::Limit(slots_max) => {
                    if let Some(coordinator) = self.demand.host_limit.upgrade() {
                        coordinator.do_send(HostLimit { host: self.key.clone(), slots_max });
                    }
                }
            }
        }
        self.publish();
        let due = self.machine.next_wake();
        timer::arm(self, ctx, due);
    }

    fn start(
        &mut self,
        ctx: &Context<Self>,
        attempt: AttemptId,
        until: Instant,
        (generation, probe): (Generation, bool),
    ) {
        let Some(offered) = self.offered.remove(&attempt) else { return };
        let (cost, tokens) = (offered.cost, self.machine.tokens());
        let generation = match offered.breaker {
            BreakerUse::Guarded => Some(generation),
            BreakerUse::Bypassed => None,
        };
        let admission = Admission { generation, probe, cost, tokens };
        let _ = offered.trial.admission.set(admission);
        let (cancel, cancelled) = oneshot::channel();
        let card = self.seams.registry.host(&offered.trial.host);
        if let Some(card) = &card {
            card.started(&offered.trial);
        }
        self.seams.registry.started();
        self.running.insert(
            attempt,
            Running { cancel: Some(cancel), card, marks: offered.trial.marks.clone() },
        );
        actix_rt::spawn(attempt::run(Run {
            trial: offered.trial,
            once: offered.once,
            until,
            deadline: offered.deadline,
            seams: self.seams.clone(),
            host: ctx.address().recipient(),
            opened: self.demand.opened.clone(),
            cancelled,
        }));
    }

    fn cancel(&mut self, attempt: AttemptId) {
        if let Some(running) = self.running.get_mut(&attempt) {
            running.cancel = None;
        }
    }

    /// Asks for a second attempt, unless the first is at its body already.
    fn ask_for_hedge(&self, attempt: AttemptId) {
        let waits = |running: &Running| running.marks.at(Mark::Head).is_none();
        if let (true, Some(coordinator)) =
            (self.running.get(&attempt).is_some_and(waits), self.demand.hedge_due.upgrade())
        {
            coordinator.do_send(HedgeDue { attempt });
        }
    }

    fn report(&mut self, attempt: AttemptId, verdict: Verdict) {
        let offered = self.offered.remove(&attempt);
        if let (Verdict::Refused(_), Some(offered)) = (verdict, &offered)
            && let Some(card) = self.seams.registry.host(&offered.trial.host)
        {
            card.refusals.fetch_add(1, Relaxed);
        }
        let standing = self.standing(offered.as_ref().map(|offered| &offered.scope));
        let once = offered.and_then(|offered| offered.once).or(self.returned.take());
        let mut brought = self.brought.take();
        // The record is not shared yet: it came with the attempt's one message.
        if let Some(record) = brought.as_mut().and_then(|(_, record)| Arc::get_mut(record)) {
            record.settlement = Some(Settlement { verdict, tokens: standing.tokens });
        }
        if let Some(coordinator) = self.demand.report.upgrade() {
            coordinator.do_send(Report { attempt, verdict, standing, brought, once });
        }
    }

    /// How this host stands towards a scope, for the decisions of a call.
    fn standing(&self, scope: Option<&ScopeKey>) -> Standing {
        let breaker = scope.and_then(|scope| self.machine.scopes().breaker(scope));
        Standing {
            tokens: self.machine.tokens(),
            generation: breaker.map(Breaker::generation),
            reason: breaker.and_then(Breaker::reason),
        }
    }

    /// Takes the options of a route that are new; until they change, an operator's own hold.
    fn configure_route(
        &mut self,
        ctx: &mut Context<Self>,
        scope: &ScopeKey,
        options: BreakerOptions,
    ) {
        let known = self.of_routes.get(scope);
        let is_new = match known {
            Some(known) => *known != options,
            None => !self.machine.scopes().is_configured(scope),
        };
        if is_new {
            let order = BreakerOrder::Configure(options.clone());
            self.step(ctx, Input::Command(Command { scope: scope.clone(), order }));
            if self.machine.scopes().is_configured(scope) {
                self.of_routes.insert(scope.clone(), options);
            }
        }
    }

    fn count(&mut self, settled: &Settled) {
        let Some(running) = self.running.remove(&settled.attempt) else { return };
        self.seams.registry.ended();
        let outcome = settled.evidence.outcome;
        if let Some(card) = running.card {
            card.ended(outcome);
        }
        let Some(card) = &self.card else { return };
        if outcome == Outcome::Success {
            self.latency.record(settled.record.ended - settled.record.began);
        }
        self.settled += 1;
        if self.settled < FEW || self.settled.is_multiple_of(FEW) {
            for (cell, quantile) in [(&card.p50_us, 0.5), (&card.p95_us, 0.95)] {
                let micros = self.latency.quantile(quantile).as_micros();
                cell.store(u64::try_from(micros).unwrap_or(u64::MAX), Relaxed);
            }
        }
    }
}

impl Actor for Host {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Its only senders are the coordinator and at most one task an attempt: bounded by both.
        ctx.set_mailbox_capacity(0);
        if self.card.is_none() && self.seams.registry.scope(&self.key).is_none() {
            let (state, stance) = (BreakerState::Closed, Stance::Admitting);
            self.seams.registry.publish(&self.key, &self.key, state, stance);
        }
    }
}

impl Wakeful for Host {
    fn timer(&mut self) -> &mut Timer {
        &mut self.timer
    }

    fn woken(&mut self, ctx: &mut Context<Self>) {
        self.step(ctx, Input::Wake);
    }
}

impl Handler<Dispatch> for Host {
    type Result = ();

    fn handle(&mut self, message: Dispatch, ctx: &mut Self::Context) {
        let Dispatch { offer, trial, once, breaker } = message;
        if let Some(options) = breaker {
            self.configure_route(ctx, &offer.scope, options);
        }
        let offered = Offered {
            trial,
            once,
            deadline: offer.deadline,
            scope: offer.scope.clone(),
            breaker: offer.breaker,
            cost: offer.cost,
        };
        self.offered.insert(offer.attempt, offered);
        self.step(ctx, Input::Offer(offer));
    }
}

impl Handler<Abort> for Host {
    type Result = ();

    fn handle(&mut self, Abort { attempt, cause }: Abort, ctx: &mut Self::Context) {
        self.step(ctx, Input::Abort { attempt, cause });
    }
}

impl Handler<Settled> for Host {
    type Result = ();

    fn handle(&mut self, settled: Settled, ctx: &mut Self::Context) {
        self.count(&settled);
        let Settled { attempt, evidence, outturn, record, once } = settled;
        self.brought = Some((outturn, record));
        self.returned = once;
        self.step(ctx, Input::Settled { attempt, evidence });
        self.brought = None;
        self.returned = None;
    }
}

impl Handler<Operate> for Host {
    type Result = ();

    fn handle(&mut self, operate: Operate, ctx: &mut Self::Context) {
        let Operate { scope, order, done } = operate;
        self.step(ctx, Input::Command(Command { scope: scope.clone(), order }));
        if self.machine.scopes().breaker(&scope).is_some() {
            self.publish_scope(&scope);
        }
        if let Some(done) = done {
            let _ = done.try_send(());
        }
    }
}

impl Handler<NewPolicy> for Host {
    type Result = ();

    fn handle(&mut self, NewPolicy(policy): NewPolicy, ctx: &mut Self::Context) {
        self.step(ctx, Input::Reload(policy));
    }
}

impl Handler<Inherit> for Host {
    type Result = ();

    fn handle(&mut self, Inherit(scopes): Inherit, ctx: &mut Self::Context) {
        for (scope, remnant) in scopes {
            self.step(ctx, Input::Resume(scope, remnant));
        }
    }
}

impl Handler<Stop> for Host {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        self.leave();
        ctx.stop();
    }
}

/// Quantiles are published for each of the first attempts, then for one in this many.
const FEW: u64 = 32;
