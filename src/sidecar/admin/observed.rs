//! What only the journal tells: how long attempts and waits took, and which breakers changed.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use spillgate_actors::core::event::BreakerState;
use spillgate_actors::record::{JournalEntry, WaitCause};

/// What was seen so far; the reporter threads write, the admin listener reads.
#[derive(Default)]
pub(super) struct Observed {
    seen: Mutex<Seen>,
}

/// The same at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) attempts: Histogram,
    pub(super) queued: Histogram,
    /// Changes of breakers, by the state that they came to.
    pub(super) transitions: [u64; 3],
}

/// How many took how long.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram {
    /// Those of each bound, without those below it.
    pub(super) counts: [u64; BOUNDS.len()],
    pub(super) total: u64,
    pub(super) sum: Duration,
}

impl Observed {
    /// Takes an entry of a client's journal.
    pub(super) fn note(&self, entry: &JournalEntry) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match entry {
            JournalEntry::Call(call) => {
                let queued = call.waited(WaitCause::Queue);
                seen.queued.note(queued);
                // A call that shared another's answer sent nothing itself.
                if !call.is_coalesced() {
                    let ended = call.attempts.iter().filter(|attempt| !attempt.goes_on);
                    ended.for_each(|attempt| seen.attempts.note(attempt.ended - attempt.began));
                }
            }
            JournalEntry::Flight(flight) => {
                let attempts = flight.attempts.iter();
                attempts.for_each(|attempt| seen.attempts.note(attempt.ended - attempt.began));
            }
            JournalEntry::Breaker(event) => {
                if let Some(count) = seen.transitions.get_mut(place_of(event.to)) {
                    *count += 1;
                }
            }
            JournalEntry::Hit(_) => {}
        }
    }

    /// What was seen so far.
    pub(super) fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Histogram {
    fn note(&mut self, took: Duration) {
        self.total += 1;
        self.sum += took;
        let bucket = BOUNDS.iter().position(|bound| took.as_secs_f64() <= *bound);
        if let Some(count) = bucket.and_then(|bucket| self.counts.get_mut(bucket)) {
            *count += 1;
        }
    }
}

/// A state as a number: the further from normal, the higher.
pub(super) fn place_of(state: BreakerState) -> usize {
    match state {
        BreakerState::Closed => 0,
        BreakerState::HalfOpen => 1,
        BreakerState::Open => 2,
    }
}

/// The bounds, in seconds, that OpenTelemetry advises for requests.
pub(super) const BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
