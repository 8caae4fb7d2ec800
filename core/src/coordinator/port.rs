//! What goes into a coordinator and what comes out.

use std::time::Instant;

use crate::advice::ErrorKind;
use crate::call::{AttemptId, CallSpec, FlightId, HostKey, ScopeKey, Target, Ticket};
use crate::device::Sight;
use crate::verdict::{AbortCause, Finality, Grounds, Offer, Verdict};

/// What a coordinator is told.
#[derive(Debug, Clone)]
pub enum Input {
    /// A caller wants an answer.
    Submit(CallSpec),
    /// A caller wants it no more.
    Cancel(Ticket),
    /// An attempt's answer is handed over while its body still runs.
    Opened(AttemptId),
    /// An attempt has run for so long without an answer that it is to be hedged.
    HedgeDue(AttemptId),
    /// An attempt that ends shows this of the machine's network; told before its report.
    Seen {
        /// Which attempt.
        attempt: AttemptId,
        /// What it shows.
        sight: Sight,
    },
    /// A host has decided.
    Report {
        /// About which attempt.
        attempt: AttemptId,
        /// What.
        verdict: Verdict,
        /// Where the answer points to, when it is a redirect to be followed.
        onward: Option<Target>,
    },
    /// A breaker opened: who waits for its scope need not wait.
    ScopeOpened {
        /// Which.
        scope: ScopeKey,
        /// Until when it refuses.
        until: Option<Instant>,
    },
    /// A host may run that many attempts.
    Lane {
        /// Which host.
        lane: HostKey,
        /// How many.
        slots_max: u32,
    },
    /// A scope that hosts share has got a keeper.
    Keeper(HostKey),
    /// A host bears that many attempts at the moment; ignored if it is not known.
    LaneLimit {
        /// Which host.
        lane: HostKey,
        /// How many.
        slots_max: u32,
    },
    /// A host or a keeper is not needed any more; ignored while it is busy.
    DropLane(HostKey),
    /// New bounds; who waits or runs stays.
    Resize {
        /// Attempts on the wire over all hosts.
        global: u32,
        /// Flights that may wait.
        queue_max: usize,
    },
    /// Take no more calls; those inside end normally.
    Drain,
    /// End every call now.
    Close,
    /// Time has passed.
    Wake,
}

/// What a coordinator wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// A flight begins, on behalf of this ticket.
    Begin(FlightId, Ticket),
    /// A ticket shares a flight under way.
    Join(FlightId, Ticket),
    /// Offer an attempt to the keeper of the flight's scope.
    Dispatch(Target, Offer),
    /// Call an attempt back.
    Abort(Target, AttemptId, AbortCause),
    /// Answer a ticket, once.
    Answer(Ticket, Answer),
    /// Forget what is kept of a flight.
    End(FlightId),
}

/// What a ticket is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// What the flight's latest attempt brought, well or badly.
    Arrived(FlightId, Finality),
    /// The head of an answer whose body still runs.
    Opened(FlightId),
    /// Nothing was sent for it, or nothing more will be.
    Refused {
        /// The flight, if it came that far.
        flight: Option<FlightId>,
        /// Why.
        kind: ErrorKind,
        /// When asking again makes sense.
        until: Option<Instant>,
        /// What it rests on.
        grounds: Grounds,
    },
}
