//! What the breakers did, as they told it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use spillgate_actors::core::call::ScopeKey;
use spillgate_actors::core::event::{BreakerEvent, BreakerState};

/// The story of all breakers.
#[derive(Debug, Default)]
pub(super) struct Chronicle {
    story: Mutex<Story>,
}

/// What is known of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Story {
    /// Changes so far.
    pub(super) transitions: u64,
    /// Changes to open.
    pub(super) opened: u64,
    /// Changes to half-open.
    pub(super) half_opened: u64,
    /// Changes to closed.
    pub(super) closed: u64,
    /// Changes that did not begin where the one before had ended, or lead where none may lead.
    pub(super) out_of_order: u64,
    /// The latest changes, the oldest first.
    pub(super) latest: VecDeque<BreakerEvent>,
    states: BTreeMap<ScopeKey, BreakerState>,
}

impl Chronicle {
    /// Remembers a change.
    pub(super) fn note(&self, event: &BreakerEvent) {
        self.story().note(event);
    }

    /// What is known so far.
    pub(super) fn told(&self) -> Story {
        self.story().clone()
    }

    fn story(&self) -> MutexGuard<'_, Story> {
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Story {
    fn note(&mut self, event: &BreakerEvent) {
        self.transitions += 1;
        match event.to {
            BreakerState::Open => self.opened += 1,
            BreakerState::HalfOpen => self.half_opened += 1,
            BreakerState::Closed => self.closed += 1,
        }
        let before = self.states.insert(event.scope.clone(), event.to).unwrap_or_default();
        let lawful = match (event.from, event.to) {
            (BreakerState::Closed, BreakerState::Open)
            | (BreakerState::Open, BreakerState::HalfOpen)
            | (BreakerState::HalfOpen, BreakerState::Open | BreakerState::Closed) => true,
            (BreakerState::Closed, BreakerState::Closed | BreakerState::HalfOpen)
            | (BreakerState::Open, BreakerState::Open | BreakerState::Closed)
            | (BreakerState::HalfOpen, BreakerState::HalfOpen) => false,
        };
        self.out_of_order += u64::from(event.from != before || !lawful);
        if self.latest.len() >= LATEST_MAX {
            self.latest.pop_front();
        }
        self.latest.push_back(event.clone());
    }
}

/// Changes that are kept to be shown.
const LATEST_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use BreakerState::{Closed, HalfOpen, Open};

    use super::*;
    use spillgate_actors::core::event::BreakerMode;

    #[test]
    fn a_change_must_begin_where_the_last_one_ended() {
        assert_eq!(told(&[(Closed, Open), (Open, HalfOpen), (HalfOpen, Closed)]).out_of_order, 0);
        assert_eq!(told(&[(Closed, Open), (Closed, Open)]).out_of_order, 1);
        assert_eq!(told(&[(Closed, Open), (Open, Closed)]).out_of_order, 1);
    }

    #[test]
    fn the_latest_changes_are_kept_and_all_are_counted() {
        let story = told(&[(Closed, Open), (Open, HalfOpen)].repeat(LATEST_MAX));
        assert_eq!(story.latest.len(), LATEST_MAX);
        assert_eq!((story.opened, story.half_opened, story.closed), (64, 64, 0));
    }

    fn told(changes: &[(BreakerState, BreakerState)]) -> Story {
        let chronicle = Chronicle::default();
        for (from, to) in changes {
            chronicle.note(&BreakerEvent {
                mode: BreakerMode::Enforcing,
                scope: "a".into(),
                from: *from,
                to: *to,
                at: Instant::now(),
                opened_at: None,
                reason: None,
                retry_at: None,
            });
        }
        chronicle.told()
    }
}
