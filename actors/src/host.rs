//! The actor of one host: owns its breakers, slots, pace and budget, and starts its attempts.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use actix::{Actor, AsyncContext, Context, Handler, WeakAddr};
use spillgate_core::breaker::{Breaker, Stance};
use spillgate_core::call::{AttemptId, HostKey};
use spillgate_core::event::{BreakerEvent, BreakerMode, BreakerState};
use spillgate_core::host::{Action, Command, Host as Machine, Input, Order as BreakerOrder};
use spillgate_core::latency::Latency;
use spillgate_core::outcome::Outcome;
use spillgate_core::policy::HostPolicy;
use spillgate_core::rng::Rng;
use spillgate_core::verdict::Verdict;
use tokio::sync::oneshot;

use crate::attempt::{self, Run};
use crate::coordinator::Coordinator;
use crate::messages::{
    Abort, Dispatch, HostLimit, NewPolicy, Operate, Report, ScopeOpened, Settled, Stop,
};
use crate::order::{Outturn, Trial};
use crate::record::{AttemptRecord, JournalEntry};
use crate::registry::HostCard;
use crate::seams::Seams;
use crate::timer::{self, Timer, Wakeful};
use crate::transport::BodyStream;

/// The supply side of one upstream.
pub(crate) struct Host {
    key: HostKey,
    machine: Machine,
    seams: Arc<Seams>,
    card: Arc<HostCard>,
    coordinator: WeakAddr<Coordinator>,
    offered: HashMap<AttemptId, Offered>,
    cancels: HashMap<AttemptId, oneshot::Sender<()>>,
    brought: Option<(Outturn, Arc<AttemptRecord>)>,
    latency: Latency,
    settled: u64,
    timer: Timer,
}

struct Offered {
    trial: Arc<Trial>,
    once: Option<BodyStream>,
    deadline: Instant,
}

impl Host {
    pub(crate) fn new(
        key: HostKey,
        policy: HostPolicy,
        seams: Arc<Seams>,
        coordinator: WeakAddr<Coordinator>,
    ) -> Self {
        let card = seams.registry.add_host(&key);
        card.slots_max.store(policy.concurrency, Relaxed);
        let rng = Rng::new(
            key.bytes().fold(seams.seed, |seed, byte| seed.rotate_left(7) ^ u64::from(byte)),
        );
        Self {
            machine: Machine::new(key.clone(), policy, rng),
            key,
            seams,
            card,
            coordinator,
            offered: HashMap::new(),
            cancels: HashMap::new(),
            brought: None,
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
                Action::Start { attempt, until, probe, .. } => {
                    self.start(ctx, attempt, until, probe);
                }
                Action::Cancel(attempt) => drop(self.cancels.remove(&attempt)),
                Action::Report(attempt, verdict) => self.report(attempt, verdict),
                Action::Event(event) => self.announce(event),
                Action::Limit(slots_max) => {
                    if let Some(coordinator) = self.coordinator.upgrade() {
                        coordinator.do_send(HostLimit { host: self.key.clone(), slots_max });
                    }
                }
            }
        }
        self.publish();
        let due = self.machine.next_wake();
        timer::arm(self, ctx, due);
    }

    fn start(&mut self, ctx: &Context<Self>, attempt: AttemptId, until: Instant, probe: bool) {
        let Some(offered) = self.offered.remove(&attempt) else { return };
        let (cancel, cancelled) = oneshot::channel();
        self.cancels.insert(attempt, cancel);
        self.card.attempts.fetch_add(1, Relaxed);
        if offered.trial.resend > 0 {
            self.card.retries.fetch_add(1, Relaxed);
        }
        actix_rt::spawn(attempt::run(Run {
            trial: offered.trial,
            once: offered.once,
            until,
            deadline: offered.deadline,
            probe,
            seams: self.seams.clone(),
            host: ctx.address(),
            coordinator: self.coordinator.clone(),
            cancelled,
        }));
    }

    fn report(&mut self, attempt: AttemptId, verdict: Verdict) {
        let once = self.offered.remove(&attempt).and_then(|offered| offered.once);
        if let Verdict::Refused(_) = verdict {
            self.card.refusals.fetch_add(1, Relaxed);
        }
        let brought = self.brought.take();
        if let Some(coordinator) = self.coordinator.upgrade() {
            coordinator.do_send(Report { attempt, verdict, brought, once });
        }
    }

    fn announce(&mut self, event: BreakerEvent) {
        let breaker = self.machine.scopes().breaker(&event.scope);
        let stance = breaker.map_or(Stance::Admitting, Breaker::stance);
        let state = breaker.map_or(BreakerState::Closed, Breaker::state);
        self.seams.registry.publish(&event.scope, &self.key, state, stance);
        tracing::info!(
            scope = &*event.scope,
            shadow = event.mode == BreakerMode::Shadow,
            from = event.from.name(),
            to = event.to.name(),
            reason = event.reason.map(|reason| reason.to_string()),
            "breaker changed its state"
        );
        if let (BreakerState::Open, Some(coordinator)) = (state, self.coordinator.upgrade()) {
            let (scope, until) = (event.scope.clone(), event.retry_at);
            coordinator.do_send(ScopeOpened { scope, until });
        }
        self.seams.journal.write(JournalEntry::Breaker(event));
    }

    fn publish(&self) {
        let slots = self.machine.slots();
        self.card.running.store(slots.taken(), Relaxed);
        self.card.running_peak.store(slots.peak(), Relaxed);
        self.card.slots_max.store(slots.slots_max(), Relaxed);
        let milli = (self.machine.tokens() * 1000.0).clamp(0.0, f64::from(u32::MAX));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        self.card.tokens_milli.store(milli as u64, Relaxed);
    }

    fn count(&mut self, settled: &Settled) {
        match settled.evidence.outcome {
            Outcome::Success => {
                self.card.successes.fetch_add(1, Relaxed);
                self.latency.record(settled.record.ended - settled.record.began);
            }
            Outcome::Failure => drop(self.card.failures.fetch_add(1, Relaxed)),
            Outcome::Neutral(_) => {}
        }
        self.settled += 1;
        if self.settled < FEW || self.settled.is_multiple_of(FEW) {
            for (cell, quantile) in [(&self.card.p50_us, 0.5), (&self.card.p95_us, 0.95)] {
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
        if let Some(options) = breaker
            && self.machine.scopes().breaker(&offer.scope).is_none()
        {
            let order = BreakerOrder::Configure(options);
            self.step(ctx, Input::Command(Command { scope: offer.scope.clone(), order }));
        }
        let offered = Offered { trial, once, deadline: offer.deadline };
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
        let Settled { attempt, evidence, outturn, record } = settled;
        self.cancels.remove(&attempt);
        self.brought = Some((outturn, record));
        self.step(ctx, Input::Settled { attempt, evidence });
        self.brought = None;
    }
}

impl Handler<Operate> for Host {
    type Result = ();

    fn handle(&mut self, operate: Operate, ctx: &mut Self::Context) {
        let Operate { scope, order, done } = operate;
        self.step(ctx, Input::Command(Command { scope: scope.clone(), order }));
        if let Some(breaker) = self.machine.scopes().breaker(&scope) {
            let (state, stance) = (breaker.state(), breaker.stance());
            self.seams.registry.publish(&scope, &self.key, state, stance);
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

impl Handler<Stop> for Host {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        use actix::ActorContext as _;
        ctx.stop();
    }
}

/// Quantiles are published for each of the first attempts, then for one in this many.
const FEW: u64 = 32;
