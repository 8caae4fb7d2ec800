//! What decided a flight's course, as plain data.
//!
//! These facts are kept of every call, whether or not anybody asks: each is copied from what a machine
//! has just worked out, and the words for them are found only when a report is read.

use std::time::Instant;

use spillgate_core::call::{Generation, HostKey, Priority, ScopeKey};
use spillgate_core::event::OpenReason;
use spillgate_core::verdict::{Cost, Refusal, Verdict};

/// How a call came to its flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// It began the flight.
    Led,
    /// It shared a flight that another call had begun.
    Joined,
    /// It shared a flight and went on with it after the call that began it had left.
    WentOn,
}

impl Role {
    /// The role in one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Led => "led",
            Self::Joined => "joined",
            Self::WentOn => "went_on",
        }
    }
}

/// How an attempt was let through the gates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Admission {
    /// The breaker's epoch; `None` when the breaker was not asked.
    pub generation: Option<Generation>,
    /// Whether it was a breaker's probe.
    pub probe: bool,
    /// What it cost the retry budget.
    pub cost: Cost,
    /// The tokens of the retry budget that were left.
    pub tokens: f64,
}

/// What a host decided about an attempt that ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settlement {
    /// What becomes of its flight.
    pub verdict: Verdict,
    /// The tokens of the retry budget that were left.
    pub tokens: f64,
}

/// What happened besides attempts and waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// When.
    pub at: Instant,
    /// The attempt it speaks of.
    pub attempt: Option<u32>,
    /// What.
    pub what: NoteKind,
}

/// What a note says.
#[derive(Debug, Clone, PartialEq)]
pub enum NoteKind {
    /// A gate did not let an attempt through.
    Refused {
        /// Which gate, until when, and why.
        refusal: Refusal,
        /// What shares the breaker.
        scope: ScopeKey,
        /// How the host stood.
        standing: Standing,
    },
    /// An attempt goes out beside another that is slow.
    Hedged {
        /// The number of the slow one.
        beside: u32,
    },
    /// Another attempt answered first, and this one is called back.
    Outrun,
    /// The answer led elsewhere.
    Redirected {
        /// Scheme, host and port of the next hop.
        host: HostKey,
    },
    /// Callers who came or left changed the flight's place in the queue.
    Ranked {
        /// The rank before.
        from: Priority,
        /// The rank after.
        to: Priority,
    },
    /// It began to wait for a slot; noted for a call that explains.
    Queued {
        /// How many of its host waited at its rank or above.
        ahead: usize,
    },
    /// Another call joined; noted for a flight whose first call explains.
    Shared {
        /// How many wait for the flight.
        waiters: usize,
    },
}

/// How a host stood when it decided.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Standing {
    /// The tokens of the retry budget.
    pub tokens: f64,
    /// The epoch of the scope's breaker.
    pub generation: Option<Generation>,
    /// Why that breaker is open or probes.
    pub reason: Option<OpenReason>,
}
