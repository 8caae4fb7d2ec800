//! The identity and the wishes of a call: who it is, how urgent, what it shares.
//!
//! Everything a machine may know about a request is here; methods, headers and bodies stay with
//! the actors, so that a decision can never depend on them by accident.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Numbers one caller's wish; never reused within a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Numbers the shared work of identical calls; never reused within a coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlightId(pub u64);

/// Names one try: the flight and which of its attempts, counted from 1 over all redirects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId {
    /// The flight that is being tried.
    pub flight: FlightId,
    /// The attempt's number within the flight, from 1.
    pub n: u32,
}

/// Counts the epochs of a breaker; an outcome of an old epoch changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u64);

/// Names what shares slots: scheme, host and port of an upstream.
pub type HostKey = Arc<str>;

/// Names what shares a breaker: a host, a route of a host, or a name of the user's.
pub type ScopeKey = Arc<str>;

/// Names who asks, among whom turns are taken: a keyed digest of a name of the service's own, which is
/// never shown. Whoever gives no name is the default.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CallerKey(pub u64);

/// Says how urgent a call is; the greater runs first.
///
/// The order is that of RFC 9218 urgencies, coarsened to what a client library can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// Prefetching, refreshing, batch work: first to be shed.
    Background,
    /// The default.
    #[default]
    Normal,
    /// A person waits for it.
    Foreground,
    /// The service stands or falls with it: health, payment, login.
    Critical,
}

impl Priority {
    /// All priorities, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::Foreground, Self::Normal, Self::Background];

    /// The name in lower case, as configuration and metrics spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Background => "background",
            Self::Normal => "normal",
            Self::Foreground => "foreground",
            Self::Critical => "critical",
        }
    }

    /// The position in tables that hold one entry per priority: 0 is the most urgent.
    pub fn index(self) -> usize {
        match self {
            Self::Critical => 0,
            Self::Foreground => 1,
            Self::Normal => 2,
            Self::Background => 3,
        }
    }
}

/// Identifies calls that may share one flight: a digest over method, URL, headers and body.
///
/// The digest is keyed and made by the facade; equal digests mean byte-equal requests of one
/// identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlightKey(pub [u8; 32]);

/// Says when an attempt may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Repeat {
    /// The request is idempotent, carries an idempotency key, or its caller permits it.
    Always,
    /// Only if no byte of the attempt can have reached the upstream.
    IfNeverSent,
    /// Never: the caller forbade it, or the body cannot be sent twice.
    Never,
}

/// Says whether a slow attempt of a call may get a second one beside it, whose answer counts if it
/// comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HedgeUse {
    /// As the host's policy has it.
    #[default]
    ByPolicy,
    /// It may not.
    Off,
    /// It may once the first has taken this long, if it may be repeated and calls have earned it.
    On(HedgeDelay),
}

/// How long a first attempt may take before it is hedged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HedgeDelay {
    /// As long as 95 of 100 recent ones took; nothing is hedged before that is known.
    LiveP95,
    /// Always so long.
    Fixed(Duration),
}

impl HedgeUse {
    /// A second attempt once the first has taken this long.
    pub fn after(delay: Duration) -> Self {
        Self::On(HedgeDelay::Fixed(delay))
    }

    /// A second attempt once the first takes longer than 95 of 100 recent ones did.
    pub fn live() -> Self {
        Self::On(HedgeDelay::LiveP95)
    }

    /// No second attempt.
    pub fn off() -> Self {
        Self::Off
    }
}

impl From<Duration> for HedgeUse {
    fn from(delay: Duration) -> Self {
        Self::after(delay)
    }
}

/// Where a flight is sent: the lane it queues in and the owner of its breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The upstream whose slots the call needs.
    pub lane: HostKey,
    /// The host actor that decides; the lane itself unless the scope is shared across hosts.
    pub keeper: HostKey,
    /// What shares the breaker.
    pub scope: ScopeKey,
    /// The name of the route's own breaker, should it get one; `None` if the call said what it shares.
    pub class: Option<ScopeKey>,
}

/// What a coordinator needs to know of a call to queue, share and end it.
#[derive(Debug, Clone)]
pub struct CallSpec {
    /// The caller's number.
    pub ticket: Ticket,
    /// Where the call goes first.
    pub target: Target,
    /// Its place in the queue.
    pub priority: Priority,
    /// Whose turns it takes there.
    pub caller: CallerKey,
    /// When its answer is of no more use.
    pub deadline: Instant,
    /// What it may share a flight by; `None` never shares.
    pub key: Option<FlightKey>,
    /// Whether its attempts may be repeated.
    pub repeat: Repeat,
    /// The most attempts for each hop, the first included; `None` leaves it to the host's policy.
    pub attempts_max: Option<u32>,
    /// The time for one attempt; `None` leaves it to the host's policy.
    pub timeout: Option<Duration>,
    /// Whether breakers are consulted and fed.
    pub breaker: BreakerUse,
    /// Whether a slow attempt may get a second one beside it.
    pub hedge: HedgeUse,
}

/// Says whether a call goes through its scope's breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BreakerUse {
    /// The breaker admits and learns.
    #[default]
    Guarded,
    /// The breaker is neither asked nor told.
    Bypassed,
}

impl fmt::Debug for CallerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerKey(..)")
    }
}
