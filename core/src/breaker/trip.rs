//! What opens a closed breaker: a streak, a share of failures, a share of slow calls.
//!
//! All counts are kept whatever the kind, so that new options decide on what is known already. Calls
//! in flight are remembered only when their age counts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::breaker::options::{BreakerKind, BreakerOptions, SlowCalls, SlowCount};
use crate::event::OpenReason;
use crate::outcome::{Evidence, Neutral, Outcome};
use crate::window::{Ring, Tally, Window};

/// The counts of a closed breaker.
#[derive(Debug, Clone)]
pub(super) struct Trip {
    streak: u32,
    tallies: Tallies,
    /// Attempts in flight that are younger than the slow limit, by the order of their starts.
    young: BTreeMap<u64, Instant>,
    /// Attempts in flight that were counted as slow already.
    old: BTreeSet<u64>,
}

#[derive(Debug, Clone)]
enum Tallies {
    Time(Window),
    Count(Ring),
}

impl Trip {
    /// Nothing counted.
    pub(super) fn new(options: &BreakerOptions) -> Self {
        Self {
            streak: 0,
            tallies: Tallies::new(options),
            young: BTreeMap::new(),
            old: BTreeSet::new(),
        }
    }

    /// Takes new options; counts stay unless their window is another.
    pub(super) fn configure(&mut self, before: &BreakerOptions, options: &BreakerOptions) {
        let window = |options: &BreakerOptions| (options.window, options.window_calls);
        if window(before) != window(options) {
            self.tallies = Tallies::new(options);
        }
        if in_flight(options).is_none() {
            self.young.clear();
            self.old.clear();
        }
    }

    /// An attempt begins.
    pub(super) fn begin(&mut self, now: Instant, serial: u64, options: &BreakerOptions) {
        if in_flight(options).is_some() {
            self.young.insert(serial, now);
        }
    }

    /// An attempt was never sent.
    pub(super) fn forget(&mut self, serial: u64) {
        self.young.remove(&serial);
        self.old.remove(&serial);
    }

    /// Counts how an attempt ended.
    pub(super) fn record(
        &mut self,
        now: Instant,
        serial: u64,
        outcome: Outcome,
        (evidence, options): (&Evidence, &BreakerOptions),
    ) -> Option<OpenReason> {
        self.young.remove(&serial);
        let is_new = !self.old.remove(&serial);
        let slow = u32::from(is_new && options.is_slow(evidence));
        let calls = u32::from(is_new);
        match outcome {
            Outcome::Success => {
                self.streak = 0;
                self.tallies.record(now, Tally { calls, failures: 0, slow });
            }
            Outcome::Failure => {
                self.streak = self.streak.saturating_add(1);
                self.tallies.record(now, Tally { calls, failures: 1, slow });
            }
            Outcome::Neutral(Neutral::Throttled) => {
                self.tallies.record(now, Tally { calls, failures: 1, slow: 0 });
            }
            // What says nothing opens nothing, although successes may have left the window.
            Outcome::Neutral(Neutral::Declined | Neutral::Cancelled | Neutral::Ours) => {
                return None;
            }
        }
        self.reason(now, options, Some(evidence))
    }

    /// Counts the attempts in flight that are too old by `now`.
    pub(super) fn age(&mut self, now: Instant, options: &BreakerOptions) -> Option<OpenReason> {
        let slow = in_flight(options)?;
        let mut aged = None;
        while let Some((serial, began)) = self.young.first_key_value()
            && now.saturating_duration_since(*began) >= slow.limit
        {
            let serial = *serial;
            self.young.remove(&serial);
            self.old.insert(serial);
            self.tallies.record(now, Tally { calls: 1, failures: 0, slow: 1 });
            aged = Some(serial);
        }
        aged.and_then(|_| self.reason(now, options, None))
    }

    /// When the next attempt in flight becomes too old.
    pub(super) fn next_age(&self, options: &BreakerOptions) -> Option<Instant> {
        let slow = in_flight(options)?;
        self.young.values().next()?.checked_add(slow.limit)
    }

    fn reason(
        &mut self,
        now: Instant,
        options: &BreakerOptions,
        evidence: Option<&Evidence>,
    ) -> Option<OpenReason> {
        let (by_streak, by_rate) = match options.kind {
            BreakerKind::Off => return None,
            BreakerKind::Consecutive => (true, false),
            BreakerKind::Rate => (false, true),
            BreakerKind::Hybrid => (true, true),
        };
        if by_streak && self.streak >= options.failure_threshold.max(1) {
            let failures = self.streak;
            let last = evidence.and_then(|evidence| evidence.kind);
            let status = evidence.and_then(|evidence| evidence.status);
            return Some(OpenReason::ConsecutiveFailures { failures, last, status });
        }
        let Tally { calls, failures, slow } = self.tallies.tally(now);
        let enough = self.tallies.enough(options);
        if by_rate && calls >= enough && is_share(failures, calls, options.failure_rate) {
            return Some(OpenReason::FailureRate { failures, calls });
        }
        // Those whose end is open count as good until they are too old.
        let calls = calls.saturating_add(u32::try_from(self.young.len()).unwrap_or(u32::MAX));
        let SlowCalls { limit, rate, .. } = options.slow?;
        let trips = calls >= enough && is_share(slow, calls, rate);
        trips.then_some(OpenReason::SlowCalls { slow, calls, limit })
    }
}

impl Tallies {
    fn new(options: &BreakerOptions) -> Self {
        match options.window_calls {
            Some(calls_max) => Self::Count(Ring::new(calls_max)),
            None => Self::Time(Window::new(options.window)),
        }
    }

    fn record(&mut self, now: Instant, learned: Tally) {
        match self {
            Self::Time(window) => window.record(now, learned),
            Self::Count(ring) => ring.record(learned),
        }
    }

    fn tally(&mut self, now: Instant) -> Tally {
        match self {
            Self::Time(window) => window.tally(now),
            Self::Count(ring) => ring.tally(),
        }
    }

    /// The calls that make a share trustworthy; a ring cannot hold more than it holds.
    fn enough(&self, options: &BreakerOptions) -> u32 {
        let min_calls = options.min_calls.max(1);
        match self {
            Self::Time(_) => min_calls,
            Self::Count(ring) => min_calls.min(ring.calls_max()),
        }
    }
}

fn in_flight(options: &BreakerOptions) -> Option<SlowCalls> {
    let counted = |slow: &SlowCalls| slow.counted == SlowCount::InFlight;
    options.slow.filter(|slow| counted(slow) && options.kind != BreakerKind::Off)
}

fn is_share(part: u32, whole: u32, share: f64) -> bool {
    part > 0 && f64::from(part) >= share * f64::from(whole)
}
