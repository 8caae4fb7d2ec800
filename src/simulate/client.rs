//! What drives a policy in a world: the seam between a modelled world and who calls into it.

use std::time::Instant;

use spillgate_core::advice::ErrorKind;
use spillgate_core::call::{AttemptId, Priority, Ticket};
use spillgate_core::outcome::{Evidence, Outcome};

/// One caller's wish in a modelled world.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// The caller's number.
    pub(super) ticket: Ticket,
    /// Which part of the upstream it goes to.
    pub(super) route: usize,
    /// How urgent it is.
    pub(super) priority: Priority,
    /// When its answer is of no more use.
    pub(super) deadline: Instant,
    /// What it may share a flight by.
    pub(super) key: Option<u64>,
}

/// What a call is for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Errand {
    /// Which part of the upstream.
    pub(super) route: usize,
    /// How urgent.
    pub(super) priority: Priority,
    /// What it may share.
    pub(super) key: Option<u64>,
}

/// What a client wants of the world.
#[derive(Debug, Clone, Copy)]
pub(super) enum Effect {
    /// An attempt leaves, on behalf of a ticket.
    Send {
        /// Which.
        attempt: AttemptId,
        /// The ticket that began its flight.
        ticket: Ticket,
        /// Where it goes.
        route: usize,
        /// When it is cut off.
        until: Instant,
    },
    /// A running attempt is called back.
    Recall(AttemptId),
    /// A ticket shares the flight of another.
    Join(Ticket),
    /// A ticket has its answer.
    Answer {
        /// Whose.
        ticket: Ticket,
        /// With what.
        reply: Reply,
    },
}

/// What a ticket is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// An answer with this status.
    Status(u16),
    /// None, for this reason.
    Error(ErrorKind),
}

impl Reply {
    /// What an attempt brought.
    pub(super) fn of(evidence: &Evidence) -> Self {
        let error = || Self::Error(evidence.kind.unwrap_or(ErrorKind::Internal));
        evidence.status.map_or_else(error, Self::Status)
    }

    /// Whether it is what the caller wished for.
    pub(super) fn is_good(self) -> bool {
        match self {
            Self::Status(status) => Outcome::of_status(status) == Outcome::Success,
            Self::Error(_) => false,
        }
    }
}

/// Someone who calls into a modelled world by some policy.
pub(super) trait Client {
    /// Takes a wish.
    fn submit(&mut self, now: Instant, wish: Wish, effects: &mut Vec<Effect>);

    /// Learns how an attempt ended.
    fn settle(
        &mut self,
        now: Instant,
        attempt: AttemptId,
        evidence: Evidence,
        effects: &mut Vec<Effect>,
    );

    /// Lets time pass.
    fn wake(&mut self, now: Instant, effects: &mut Vec<Effect>);

    /// When it wants to be woken.
    fn next_wake(&self) -> Option<Instant>;
}
