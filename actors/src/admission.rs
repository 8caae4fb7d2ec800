//! Who comes in: counts the calls inside, and answers what needs no actor.
//!
//! Both doors pass through here, the facade's and the message's, in the caller's task or the
//! coordinator's: a call that is malformed, one too many, or met by an open circuit costs no message.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::time::Instant;

use spillgate_core::advice::ErrorKind;
use spillgate_core::breaker::Stance;
use spillgate_core::call::BreakerUse;

use crate::error::Error;
use crate::fetch::Fetch;
use crate::intake;
use crate::ledger::{Caller, End};
use crate::order::{Delivery, Prepared};
use crate::record::JournalEntry;
use crate::seams::Seams;

/// Takes a call in, unless it is malformed, the client is full, or its circuit is open.
pub(crate) fn check(
    seams: &Arc<Seams>,
    fetch: Fetch,
    delivery: Delivery,
) -> Result<(Prepared, Inside), Error> {
    let inside = Inside::enter(seams)?;
    let call = intake::prepare(seams, fetch, delivery)?;
    if call.spec.breaker == BreakerUse::Bypassed {
        return Ok((call, inside));
    }
    let Stance::Refusing { until } = seams.registry.stance(&call.spec.target.scope) else {
        return Ok((call, inside));
    };
    if until.is_some_and(|until| until <= Instant::now()) {
        return Ok((call, inside));
    }
    let scope = &call.spec.target.scope;
    let text = format!("the circuit of {scope} is open; nothing was sent");
    let error = Error::new(ErrorKind::CircuitOpen, text).until(until);
    let caller = Caller { origin: call.origin, reply: None, luggage: None, leader: None };
    let end = End { error: Some(ErrorKind::CircuitOpen), retry_at: until, ..End::default() };
    let record = Arc::new(caller.record(Instant::now(), None, end));
    seams.journal.write(JournalEntry::Call(record.clone()));
    Err(caller.dress(error, &record))
}

/// The answer of a thread that has ended.
pub(crate) fn lost() -> Error {
    Error::new(ErrorKind::ShuttingDown, "the client has shut down")
}

/// A call inside the client, counted.
pub(crate) struct Inside(Arc<Seams>);

impl Inside {
    fn enter(seams: &Arc<Seams>) -> Result<Self, Error> {
        let calls_max = seams.plan.load().limits().calls_max;
        let before = seams.registry.calls.fetch_add(1, AcqRel);
        let inside = Self(seams.clone());
        if before >= calls_max {
            let text = format!("{calls_max} calls are inside the client already (limits.calls)");
            return Err(Error::new(ErrorKind::Overloaded, text));
        }
        Ok(inside)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.registry.calls.fetch_sub(1, AcqRel);
        self.0.registry.answers.fetch_add(1, Relaxed);
    }
}
