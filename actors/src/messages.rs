//! Every message between actors, in the order a request meets them.
//!
//! ```text
//! Fetch | Submit -> Coordinator -> Dispatch -> Host -> (attempt) -> Opened | Settled -> Host
//!   -> Report -> Coordinator -> the caller's reply
//! Cancel, the caller's deadline -> Coordinator -> Abort -> Host
//! a breaker opens: Host -> ScopeOpened -> Coordinator
//! a limit moves: Host -> HostLimit -> Coordinator
//! an attempt is slow: Host -> HedgeDue -> Coordinator -> Dispatch
//! a host is forgotten: Coordinator -> Stop -> Host -> Left -> Coordinator
//! and comes again: Coordinator -> Inherit -> Host
//! operators: Inspect, Reset, ForceOpen, ForceClosed, Configure, Reload, Drain -> Coordinator -> Operate -> Host
//! ```
//!
//! No actor waits for another's answer. Every report names what it reports, so that a late or
//! doubled one is harmless.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Message, WeakRecipient};
use crossbeam_channel::Sender;
use spillgate_core::advice::ErrorKind;
use spillgate_core::breaker::options::BreakerOptions;
use spillgate_core::breaker::remnant::Remnant;
use spillgate_core::call::{AttemptId, HostKey, ScopeKey, Ticket};
use spillgate_core::host::Order as BreakerOrder;
use spillgate_core::outcome::Evidence;
use spillgate_core::policy::HostPolicy;
use spillgate_core::verdict::{AbortCause, Offer, Verdict};
use tokio::sync::oneshot;

use crate::answer::{Head, Response, StreamingResponse};
use crate::body::BodyReader;
use crate::course::Standing;
use crate::error::Error;
use crate::order::{Outturn, Prepared, Trial};
use crate::plan::Plan;
use crate::record::AttemptRecord;
use crate::replay::Replay;
use crate::snapshot::Snapshot;

/// A caller wants an answer; the facade's door. The other door is [`crate::fetch::Fetch`] itself.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Submit {
    pub(crate) call: Prepared,
    pub(crate) reply: Reply,
}

/// Where a call's one answer goes.
pub(crate) enum Reply {
    /// To a caller that wants it whole.
    Whole(oneshot::Sender<Result<Response, Error>>),
    /// To a caller that reads the body as it comes.
    Stream(oneshot::Sender<Result<StreamingResponse, Error>>),
}

/// A caller wants its answer no more; the flight goes on if others wait for it.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Cancel {
    /// The call's number.
    pub ticket: Ticket,
    /// What the call ends with: [`ErrorKind::Cancelled`] or [`ErrorKind::Superseded`].
    pub kind: ErrorKind,
}

/// The coordinator offers an attempt to a host.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Dispatch {
    pub(crate) offer: Offer,
    pub(crate) trial: Arc<Trial>,
    pub(crate) once: Option<Replay>,
    pub(crate) breaker: Option<BreakerOptions>,
}

/// The coordinator calls an attempt back.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Abort {
    pub(crate) attempt: AttemptId,
    pub(crate) cause: AbortCause,
}

/// An attempt hands over a head whose body still runs.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Opened {
    pub(crate) attempt: AttemptId,
    pub(crate) head: Head,
    pub(crate) body: BodyReader,
}

/// An attempt has ended, and its connection is free or closed.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Settled {
    pub(crate) attempt: AttemptId,
    pub(crate) evidence: Evidence,
    pub(crate) outturn: Outturn,
    pub(crate) record: Arc<AttemptRecord>,
    /// A streamed body that can be sent again.
    pub(crate) once: Option<Replay>,
}

/// A host reports its verdict on an attempt.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Report {
    pub(crate) attempt: AttemptId,
    pub(crate) verdict: Verdict,
    /// How the host stood when it decided.
    pub(crate) standing: Standing,
    /// What the attempt brought; nothing when it was refused.
    pub(crate) brought: Option<(Outturn, Arc<AttemptRecord>)>,
    /// A streamed body that can be sent again, or was not touched because the attempt was refused.
    pub(crate) once: Option<Replay>,
}

/// A host tells that a breaker opened.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct ScopeOpened {
    pub(crate) scope: ScopeKey,
    pub(crate) until: Option<Instant>,
}

/// A host tells how many attempts it bears at the moment.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct HostLimit {
    pub(crate) host: HostKey,
    pub(crate) slots_max: u32,
}

/// A host asks for a second attempt beside one that has not answered for long.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct HedgeDue {
    pub(crate) attempt: AttemptId,
}

/// A host that is forgotten leaves the breakers that are not closed.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Left {
    pub(crate) keeper: HostKey,
    pub(crate) scopes: Vec<(ScopeKey, Remnant)>,
}

/// What the host had left when it was forgotten.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Inherit(pub(crate) Vec<(ScopeKey, Remnant)>);

/// A host's way back to its coordinator; weak, or the two would keep each other alive.
#[derive(Clone)]
pub(crate) struct Demand {
    pub(crate) report: WeakRecipient<Report>,
    pub(crate) opened: WeakRecipient<Opened>,
    pub(crate) scope_opened: WeakRecipient<ScopeOpened>,
    pub(crate) host_limit: WeakRecipient<HostLimit>,
    pub(crate) hedge_due: WeakRecipient<HedgeDue>,
    pub(crate) left: WeakRecipient<Left>,
}

/// Asks for the published state of everything.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Snapshot")]
pub struct Inspect;

/// Closes a scope's breaker and forgets its counts.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Reset {
    /// What shares the breaker.
    pub scope: ScopeKey,
}

/// Opens a scope's breaker.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct ForceOpen {
    /// What shares the breaker.
    pub scope: ScopeKey,
    /// For how long; `None` is until it is reset.
    pub duration: Option<Duration>,
}

/// Gives a breaker an order and tells when it is carried out.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Operate {
    pub(crate) scope: ScopeKey,
    pub(crate) order: BreakerOrder,
    pub(crate) done: Option<Sender<()>>,
}

/// Forgets stored answers, and those on their way; answered with how many were stored.
#[derive(Clone, PartialEq, Eq, Message)]
#[rtype(result = "usize")]
pub enum Invalidate {
    /// Those of one address.
    Url(String),
    /// Those of all addresses that begin so.
    Prefix(String),
    /// Those that `Surrogate-Key` or `Cache-Tag` calls so.
    Tag(String),
    /// Those of one host, with or without its scheme.
    Host(String),
    /// All.
    Everything,
}

impl std::fmt::Debug for Invalidate {
    /// Says what kind it is: addresses may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Url(_) => "Url(..)",
            Self::Prefix(_) => "Prefix(..)",
            Self::Tag(_) => "Tag(..)",
            Self::Host(_) => "Host(..)",
            Self::Everything => "Everything",
        })
    }
}

/// Takes a new plan; breakers, queues, permits and windows stay.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reload(pub Arc<dyn Plan>);

/// A host gets new numbers.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct NewPolicy(pub(crate) Box<HostPolicy>);

/// Takes no more calls, waits for those inside, and ends the rest when the grace is over.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Drained")]
pub struct Drain {
    /// How long calls inside may still take.
    pub grace: Duration,
}

/// Starts no further attempt; what is on the wire goes on, what waits waits for its deadline.
///
/// For a process that is told to end: unlike [`Drain`], it sends nothing more for calls inside.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Halt;

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every call ended by itself.
    Whole,
    /// The grace ended before some calls did.
    Cut,
}

/// Ends the actors' thread at once.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct Stop;
