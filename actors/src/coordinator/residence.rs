//! Which hosts have an actor, and how one is forgotten to make room for another.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use actix::{Actor, AsyncContext, Context, Handler};
use spillgate_core::advice::ErrorKind;
use spillgate_core::call::{HostKey, Target};
use spillgate_core::coordinator::port::Input;
use spillgate_core::policy::HostPolicy;

use crate::coordinator::{Coordinator, Owner};
use crate::error::Error;
use crate::host::Host;
use crate::hostname::HostName;
use crate::ledger::{Caller, End};
use crate::messages::{Demand, Inherit, Left, Stop};

/// Every host that is remembered is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoRoom {
    hosts_max: usize,
}

impl Coordinator {
    /// Makes lane and actors for a target that is new.
    pub(super) fn meet(
        &mut self,
        ctx: &mut Context<Self>,
        name: &HostName,
        target: &Target,
    ) -> Result<(), NoRoom> {
        let has_lane = self.machine.queue().has_lane(&target.lane);
        let has_keeper = self.hosts.contains_key(&target.keeper);
        if has_lane && has_keeper {
            return Ok(());
        }
        self.make_room(target)?;
        if !has_lane {
            self.make_lane(ctx, &target.lane, name);
        }
        if !self.hosts.contains_key(&target.keeper) {
            self.make_keeper(ctx, &target.keeper);
        }
        Ok(())
    }

    /// Makes the actor of a scope that hosts share, if it is new.
    pub(super) fn meet_keeper(
        &mut self,
        ctx: &mut Context<Self>,
        keeper: &HostKey,
    ) -> Result<(), NoRoom> {
        if !self.hosts.contains_key(keeper) {
            let (lane, scope) = (keeper.clone(), keeper.clone());
            self.make_room(&Target { lane, keeper: keeper.clone(), scope, class: None })?;
            self.make_keeper(ctx, keeper);
        }
        Ok(())
    }

    /// Answers a call whose host finds no room.
    pub(super) fn turn_away(&mut self, mut caller: Caller, no_room: NoRoom) {
        let end = End { error: Some(ErrorKind::Overloaded), ..End::default() };
        let record = self.leave(Instant::now(), &caller, end);
        caller.refuse(no_room.error(), &record);
    }

    fn make_lane(&mut self, ctx: &mut Context<Self>, lane: &HostKey, name: &HostName) {
        let policy = self.seams.plan.load().host(name);
        let slots_max = policy.concurrency;
        self.seams.registry.add_host(lane);
        self.make_host(ctx, lane, Some(name.clone()), policy);
        self.machine.handle(Instant::now(), Input::Lane { lane: lane.clone(), slots_max });
    }

    fn make_keeper(&mut self, ctx: &mut Context<Self>, keeper: &HostKey) {
        if let Some(name) = HostName::parse(keeper).filter(|name| name.key() == *keeper) {
            // What is named after a host is that host's, which may be called later.
            return self.make_lane(ctx, keeper, &name);
        }
        // It lends no slots: those of the hosts that its calls go to are counted in their lanes.
        let policy = self.seams.plan.load().shared_scope();
        self.make_host(ctx, keeper, None, policy);
        self.machine.handle(Instant::now(), Input::Keeper(keeper.clone()));
    }

    fn make_host(
        &mut self,
        ctx: &mut Context<Self>,
        key: &HostKey,
        name: Option<HostName>,
        policy: HostPolicy,
    ) {
        let demand = self.demand.get_or_insert_with(|| Rc::new(demand_of(ctx))).clone();
        let idle = Arc::new(AtomicBool::new(true));
        let publishes = (demand, idle.clone());
        let addr = Host::new(key.clone(), policy, self.seams.clone(), publishes).start();
        let left = self.remnants.take(key);
        if !left.is_empty() {
            addr.do_send(Inherit(left));
        }
        self.hosts.insert(key.clone(), Owner { addr, name, idle });
    }

    /// Forgets hosts that nothing uses until there is room for `target`: those first of which
    /// nothing is known but their names.
    fn make_room(&mut self, target: &Target) -> Result<(), NoRoom> {
        let hosts_max = self.seams.plan.load().limits().hosts_max.max(HOSTS_MIN);
        let is_new = |key: &HostKey| usize::from(!self.hosts.contains_key(key));
        let shared = target.lane != target.keeper;
        let new = is_new(&target.lane) + if shared { is_new(&target.keeper) } else { 0 };
        while self.hosts.len() + new > hosts_max {
            let hosts = &self.hosts;
            let is_plain =
                |key: &HostKey| hosts.get(key).is_none_or(|owner| owner.idle.load(Relaxed));
            let Some(key) = self.machine.dispensable(target, is_plain) else {
                tracing::warn!(hosts_max, "every host that is remembered is in use");
                return Err(NoRoom { hosts_max });
            };
            self.forget(key);
        }
        Ok(())
    }

    fn forget(&mut self, key: HostKey) {
        if let Some(owner) = self.hosts.remove(&key) {
            owner.addr.do_send(Stop);
        }
        self.seams.registry.drop_host(&key);
        self.machine.handle(Instant::now(), Input::DropLane(key));
    }
}

impl NoRoom {
    fn error(self) -> Error {
        let hosts_max = self.hosts_max;
        let text = format!("all {hosts_max} hosts that are remembered are in use (limits.hosts)");
        Error::new(ErrorKind::Overloaded, text)
    }
}

impl Handler<Left> for Coordinator {
    type Result = ();

    fn handle(&mut self, Left { keeper, scopes }: Left, _: &mut Self::Context) {
        if let Some(owner) = self.hosts.get(&keeper) {
            // It came again before its last words did.
            return owner.addr.do_send(Inherit(scopes));
        }
        let hosts_max = self.seams.plan.load().limits().hosts_max.max(HOSTS_MIN);
        for (scope, remnant) in scopes {
            let remnants_max = hosts_max.saturating_mul(REMNANTS_A_HOST);
            if let Some(gone) = self.remnants.keep(&keeper, &scope, remnant, remnants_max) {
                tracing::warn!(scope = &*gone, "too many breakers are open; one is forgotten");
                self.seams.registry.drop_scope(&gone);
            }
        }
    }
}

fn demand_of(ctx: &Context<Coordinator>) -> Demand {
    let own = ctx.address();
    Demand {
        report: own.clone().recipient().downgrade(),
        opened: own.clone().recipient().downgrade(),
        scope_opened: own.clone().recipient().downgrade(),
        host_limit: own.clone().recipient().downgrade(),
        hedge_due: own.clone().recipient().downgrade(),
        left: own.recipient().downgrade(),
    }
}

/// A call in a shared scope needs the actors of both.
const HOSTS_MIN: usize = 2;
/// Breakers of forgotten hosts that are remembered while they are not closed, for each host that
/// may be.
const REMNANTS_A_HOST: usize = 4;
