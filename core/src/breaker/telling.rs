//! What the world is told of a breaker's changes.

use std::time::Instant;

use crate::breaker::{Breaker, Forced, Phase};
use crate::event::{BreakerEvent, BreakerMode, BreakerState, OpenReason};

impl Breaker {
    /// The state that events tell of: in shadow, the one it would have.
    pub(super) fn told(&self) -> BreakerState {
        match (self.forced, &self.phase) {
            (Some(Forced::Open { .. }), _) | (None, Phase::Open(_)) => BreakerState::Open,
            (Some(Forced::Closed), _) | (None, Phase::Closed { .. }) => BreakerState::Closed,
            (None, Phase::HalfOpen { .. }) => BreakerState::HalfOpen,
        }
    }

    /// Why it is open or probes; `None` while it is closed.
    pub fn reason(&self) -> Option<OpenReason> {
        match (self.forced, &self.phase) {
            (Some(Forced::Open { .. }), _) => Some(OpenReason::Forced),
            (Some(Forced::Closed), _) | (None, Phase::Closed { .. }) => None,
            (None, Phase::Open(opening) | Phase::HalfOpen { opening, .. }) => Some(opening.reason),
        }
    }

    pub(super) fn event(&self, from: BreakerState, at: Instant) -> BreakerEvent {
        let (opened_at, reason, retry_at) = match (self.forced, &self.phase) {
            (Some(Forced::Open { since, until }), _) => {
                (Some(since), Some(OpenReason::Forced), until)
            }
            (Some(Forced::Closed), _) | (None, Phase::Closed { .. }) => (None, None, None),
            (None, Phase::Open(opening)) => {
                (Some(opening.since), Some(opening.reason), Some(opening.until))
            }
            (None, Phase::HalfOpen { opening, .. }) => {
                (Some(opening.since), Some(opening.reason), None)
            }
        };
        let (scope, mode, to) = (self.scope.clone(), self.told_mode(), self.told());
        BreakerEvent { scope, mode, from, to, at, opened_at, reason, retry_at }
    }

    /// What an operator forces is enforced, in shadow, too.
    pub(super) fn told_mode(&self) -> BreakerMode {
        if self.forced.is_some() { BreakerMode::Enforcing } else { self.options.mode }
    }
}
