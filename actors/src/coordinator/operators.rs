//! What operators ask of a coordinator, and the message door for callers.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, ActorContext, AsyncContext, Context, Handler, ResponseFuture};
use spillgate_core::advice::ErrorKind;
use spillgate_core::call::{HostKey, ScopeKey, Target, Ticket};
use spillgate_core::coordinator::port::Input;
use spillgate_core::host::Order;
use tokio::sync::oneshot;

use crate::admission;
use crate::answer::Response;
use crate::coordinator::Coordinator;
use crate::coordinator::residence::NoRoom;
use crate::error::Error;
use crate::fetch::Fetch;
use crate::hostname::HostName;
use crate::messages::{
    Cancel, Drain, Drained, ForceOpen, Halt, Inspect, Invalidate, NewPolicy, Operate, Reload,
    Reply, Reset, Stop,
};
use crate::order::Delivery;
use crate::record::JournalEntry;
use crate::snapshot::Snapshot;

impl Coordinator {
    /// Ends every call, streams included: what their attempts report later says nothing new.
    fn close(&mut self, ctx: &mut Context<Self>) {
        self.step(ctx, Input::Close);
        let now = Instant::now();
        for (_, streaming) in self.streaming.drain() {
            self.seams.journal.write(JournalEntry::Call(Arc::new(streaming.cut(now))));
        }
    }

    /// Passes an order to the actor that owns the scope's breaker, making it if need be.
    fn operate(&mut self, ctx: &mut Context<Self>, operate: Operate) {
        let known = self.seams.registry.scope(&operate.scope).map(|card| card.keeper().clone());
        let keeper = match known {
            Some(keeper) if self.hosts.contains_key(&keeper) => Ok(keeper),
            // It was forgotten while its breaker was not closed.
            Some(keeper) => self.make_owner(ctx, &keeper),
            None => self.make_owner(ctx, &operate.scope),
        };
        // Who finds no room was warned of; the waiting operator sees the order dropped.
        let Ok(keeper) = keeper else { return };
        if let Some(owner) = self.hosts.get(&keeper) {
            owner.idle.store(false, Relaxed);
            owner.addr.do_send(operate);
        }
    }

    /// The owner of a scope that nobody has met yet: the host that the name begins with, or a
    /// keeper for a name of the user's own.
    fn make_owner(&mut self, ctx: &mut Context<Self>, scope: &ScopeKey) -> Result<HostKey, NoRoom> {
        let host = scope.split(' ').next().unwrap_or(scope);
        let name = HostName::parse(host);
        let keeper = name.as_ref().map_or_else(|| scope.clone(), HostName::key);
        if let Some(name) = name {
            let target = Target {
                lane: keeper.clone(),
                keeper: keeper.clone(),
                scope: keeper.clone(),
                class: None,
            };
            self.meet(ctx, &name, &target)?;
        } else {
            self.meet_keeper(ctx, &keeper)?;
        }
        Ok(keeper)
    }
}

impl Handler<Operate> for Coordinator {
    type Result = ();

    fn handle(&mut self, operate: Operate, ctx: &mut Self::Context) {
        self.operate(ctx, operate);
    }
}

impl Handler<Reset> for Coordinator {
    type Result = ();

    fn handle(&mut self, Reset { scope }: Reset, ctx: &mut Self::Context) {
        self.operate(ctx, Operate { scope, order: Order::Reset, done: None });
    }
}

impl Handler<ForceOpen> for Coordinator {
    type Result = ();

    fn handle(&mut self, ForceOpen { scope, duration }: ForceOpen, ctx: &mut Self::Context) {
        let until = duration.and_then(|duration| Instant::now().checked_add(duration));
        self.operate(ctx, Operate { scope, order: Order::ForceOpen(until), done: None });
    }
}

impl Handler<Invalidate> for Coordinator {
    type Result = usize;

    fn handle(&mut self, what: Invalidate, _: &mut Self::Context) -> usize {
        self.seams.forget.as_ref().map_or(0, |forget| forget(what))
    }
}

impl Handler<Inspect> for Coordinator {
    type Result = actix::MessageResult<Inspect>;

    fn handle(&mut self, _: Inspect, _: &mut Self::Context) -> Self::Result {
        let dropped = self.seams.journal.dropped();
        actix::MessageResult(Snapshot::of(&self.seams.registry, dropped))
    }
}

impl Handler<Reload> for Coordinator {
    type Result = ();

    fn handle(&mut self, Reload(plan): Reload, ctx: &mut Self::Context) {
        let limits = plan.limits();
        for (key, owner) in &self.hosts {
            let policy = match &owner.name {
                Some(name) => {
                    let policy = plan.host(name);
                    let (lane, slots_max) = (key.clone(), policy.concurrency);
                    self.machine.handle(Instant::now(), Input::Lane { lane, slots_max });
                    policy
                }
                None => plan.shared_scope(),
            };
            owner.addr.do_send(NewPolicy(Box::new(policy)));
        }
        self.seams.plan.store(Arc::new(plan));
        let (global, queue_max) = (limits.global, limits.queue_max);
        self.step(ctx, Input::Resize { global, queue_max });
    }
}

impl Handler<Drain> for Coordinator {
    type Result = ResponseFuture<Drained>;

    fn handle(&mut self, Drain { grace }: Drain, ctx: &mut Self::Context) -> Self::Result {
        let (sender, drained) = oneshot::channel();
        self.draining.push(sender);
        self.step(ctx, Input::Drain);
        ctx.run_later(grace, |actor, ctx| {
            // Who drains with less patience ends it for all.
            let cut = std::mem::take(&mut actor.draining);
            if !cut.is_empty() {
                actor.close(ctx);
                actor.draining = cut;
                actor.drained(Drained::Cut);
            }
        });
        Box::pin(async move { drained.await.unwrap_or(Drained::Cut) })
    }
}

impl Handler<Halt> for Coordinator {
    type Result = ();

    fn handle(&mut self, _: Halt, ctx: &mut Self::Context) {
        let queue_max = self.seams.plan.load().limits().queue_max;
        self.step(ctx, Input::Resize { global: 0, queue_max });
    }
}

impl Handler<Stop> for Coordinator {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        self.close(ctx);
        ctx.stop();
    }
}

/// The answer to a [`Fetch`] that is still on its way.
pub struct Pending {
    ticket: Ticket,
    coordinator: actix::Addr<Coordinator>,
    answer: Pin<Box<dyn Future<Output = Result<Response, Error>>>>,
}

impl Handler<Fetch> for Coordinator {
    type Result = Pending;

    fn handle(&mut self, fetch: Fetch, ctx: &mut Self::Context) -> Self::Result {
        let ticket = fetch.ticket();
        let coordinator = ctx.address();
        match admission::check(&self.seams, fetch, Delivery::Whole) {
            Err(error) => {
                Pending { ticket, coordinator, answer: Box::pin(std::future::ready(Err(error))) }
            }
            Ok((call, inside)) => {
                let (sender, receiver) = oneshot::channel();
                self.admit(ctx, call, Reply::Whole(sender));
                let answer = async move {
                    let _inside = inside;
                    receiver.await.unwrap_or_else(|_| Err(admission::lost()))
                };
                Pending { ticket, coordinator, answer: Box::pin(answer) }
            }
        }
    }
}

impl MessageResponse<Coordinator, Fetch> for Pending {
    fn handle(
        self,
        _: &mut <Coordinator as Actor>::Context,
        reply: Option<OneshotSender<Result<Response, Error>>>,
    ) {
        let Self { ticket, coordinator, answer } = self;
        actix_rt::spawn(async move {
            let Some(mut reply) = reply else {
                let _ = answer.await;
                return;
            };
            tokio::select! {
                biased;
                answer = answer => drop(reply.send(answer)),
                // The sender of the message has gone: its call is cancelled like a dropped future.
                () = reply.closed() => {
                    coordinator.do_send(Cancel { ticket, kind: ErrorKind::Cancelled });
                }
            }
        });
    }
}
