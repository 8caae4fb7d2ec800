//! One armed wake-up per actor.
//!
//! An actor's context polls everything it holds on every wake; a hundred pending timers make it six
//! times slower. So there is one, and the machine says when it is due.

use std::time::Instant;

use actix::{Actor, AsyncContext, Context, SpawnHandle};

/// An actor that wants to be woken.
pub(crate) trait Wakeful: Actor<Context = Context<Self>> {
    /// Its timer.
    fn timer(&mut self) -> &mut Timer;

    /// The time has come.
    fn woken(&mut self, ctx: &mut Context<Self>);
}

/// At most one pending wake-up.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    armed: Option<(Instant, SpawnHandle)>,
}

/// Sees to it that `actor` is woken at `due` at the latest.
///
/// A wake-up that is armed for an earlier time stays: waking early costs less than arming anew for
/// each call that ends.
pub(crate) fn arm<A: Wakeful>(actor: &mut A, ctx: &mut Context<A>, due: Option<Instant>) {
    let Some(due) = due else { return };
    if let Some((armed_for, handle)) = actor.timer().armed {
        if armed_for <= due {
            return;
        }
        ctx.cancel_future(handle);
    }
    let delay = due.saturating_duration_since(Instant::now());
    let handle = ctx.run_later(delay, |actor, ctx| {
        actor.timer().armed = None;
        actor.woken(ctx);
    });
    actor.timer().armed = Some((due, handle));
}
