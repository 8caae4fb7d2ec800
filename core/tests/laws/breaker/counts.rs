//! What a closed breaker has counted, as lists that are searched from end to end.

use std::time::{Duration, Instant};

use spillgate_core::breaker::options::{BreakerKind, BreakerOptions, SlowCount};
use spillgate_core::event::OpenReason;
use spillgate_core::outcome::{Evidence, Neutral, Outcome};

/// The counts since it closed.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    streak: u32,
    /// What was learned, oldest first.
    learned: Vec<Learned>,
    window_began: Option<Instant>,
    /// Calls in flight whose age matters: number, beginning, whether they were found too old.
    flying: Vec<(u64, Instant, bool)>,
}

#[derive(Debug, Clone, Copy)]
struct Learned {
    /// In which tenth of a window since the first one began.
    tenth: u128,
    calls: u32,
    failures: u32,
    slow: u32,
}

impl Counts {
    pub(crate) fn begin(&mut self, now: Instant, number: u64, options: &BreakerOptions) {
        if in_flight_limit(options).is_some() {
            self.flying.push((number, now, false));
        }
    }

    pub(crate) fn forget(&mut self, number: u64) {
        self.flying.retain(|(other, ..)| *other != number);
    }

    pub(crate) fn configure(&mut self, before: &BreakerOptions, options: &BreakerOptions) {
        if (before.window, before.window_calls) != (options.window, options.window_calls) {
            (self.learned, self.window_began) = (Vec::new(), None);
        }
        if in_flight_limit(options).is_none() {
            self.flying.clear();
        }
    }

    pub(crate) fn record(
        &mut self,
        now: Instant,
        number: u64,
        outcome: Outcome,
        (evidence, options): (&Evidence, &BreakerOptions),
    ) -> Option<OpenReason> {
        let is_known = self.flying.iter().any(|(other, _, is_old)| *other == number && *is_old);
        self.forget(number);
        let calls = u32::from(!is_known);
        let slow = u32::from(!is_known && is_slow(options, evidence));
        match outcome {
            Outcome::Success => {
                self.streak = 0;
                self.learn(now, (calls, 0, slow), options);
            }
            Outcome::Failure => {
                self.streak += 1;
                self.learn(now, (calls, 1, slow), options);
            }
            Outcome::Neutral(Neutral::Throttled) => self.learn(now, (calls, 1, 0), options),
            Outcome::Neutral(_) => return None,
        }
        self.reason(now, options, Some(evidence))
    }

    /// Counts those in flight that are too old by `now`.
    pub(crate) fn age(&mut self, now: Instant, options: &BreakerOptions) -> Option<OpenReason> {
        let limit = in_flight_limit(options)?;
        let is_due = |(_, began, is_old): &&mut (u64, Instant, bool)| {
            !*is_old && now.saturating_duration_since(*began) >= limit
        };
        let aged = self.flying.iter_mut().filter(is_due).map(|call| call.2 = true).count();
        (0..aged).for_each(|_| self.learn(now, (1, 0, 1), options));
        (aged > 0).then(|| self.reason(now, options, None)).flatten()
    }

    pub(crate) fn next_age(&self, options: &BreakerOptions) -> Option<Instant> {
        let limit = in_flight_limit(options)?;
        let young = self.flying.iter().filter(|(.., is_old)| !is_old);
        young.map(|(_, began, _)| *began + limit).min()
    }

    fn learn(
        &mut self,
        now: Instant,
        (calls, failures, slow): (u32, u32, u32),
        options: &BreakerOptions,
    ) {
        let by_calls = options.window_calls.is_some();
        let tenth = if by_calls { 0 } else { self.tenth(now, options) };
        match self.learned.last_mut() {
            Some(latest) if calls == 0 && by_calls => {
                (latest.failures, latest.slow) = (latest.failures + failures, latest.slow + slow);
            }
            Some(_) | None => self.learned.push(Learned { tenth, calls, failures, slow }),
        }
    }

    /// The tenth of a window that `now` falls into.
    fn tenth(&mut self, now: Instant, options: &BreakerOptions) -> u128 {
        let began = *self.window_began.get_or_insert(now);
        let width = options.window.max(Duration::from_millis(10)) / 10;
        now.saturating_duration_since(began).as_nanos() / width.as_nanos()
    }

    fn reason(
        &mut self,
        now: Instant,
        options: &BreakerOptions,
        evidence: Option<&Evidence>,
    ) -> Option<OpenReason> {
        let by_streak = matches!(options.kind, BreakerKind::Consecutive | BreakerKind::Hybrid);
        if by_streak && self.streak >= options.failure_threshold {
            return Some(OpenReason::ConsecutiveFailures {
                failures: self.streak,
                last: evidence.and_then(|evidence| evidence.kind),
                status: evidence.and_then(|evidence| evidence.status),
            });
        }
        let (mut counted, mut enough) = (self.learned.clone(), options.min_calls.max(1));
        if let Some(latest) = options.window_calls {
            counted.drain(..counted.len().saturating_sub(latest as usize));
            enough = enough.min(latest);
        } else {
            let tenth = self.tenth(now, options);
            counted.retain(|learned| learned.tenth + 10 > tenth);
        }
        let calls = counted.iter().map(|learned| learned.calls).sum::<u32>();
        let failures = counted.iter().map(|learned| learned.failures).sum::<u32>();
        let is_share = |part: u32, calls: u32, share: f64| {
            calls >= enough && part > 0 && f64::from(part) >= share * f64::from(calls)
        };
        let by_rate = matches!(options.kind, BreakerKind::Rate | BreakerKind::Hybrid);
        if by_rate && is_share(failures, calls, options.failure_rate) {
            return Some(OpenReason::FailureRate { failures, calls });
        }
        let limits = options.slow?;
        let young = self.flying.iter().filter(|(.., is_old)| !is_old).count();
        let calls = calls + u32::try_from(young).unwrap_or(u32::MAX);
        let slow = counted.iter().map(|learned| learned.slow).sum::<u32>();
        let reason = OpenReason::SlowCalls { slow, calls, limit: limits.limit };
        is_share(slow, calls, limits.rate).then_some(reason)
    }
}

pub(crate) fn is_slow(options: &BreakerOptions, evidence: &Evidence) -> bool {
    options.slow.is_some_and(|slow| evidence.took >= Some(slow.limit))
}

fn in_flight_limit(options: &BreakerOptions) -> Option<Duration> {
    let slow = options.slow.filter(|slow| slow.counted == SlowCount::InFlight)?;
    (options.kind != BreakerKind::Off).then_some(slow.limit)
}
