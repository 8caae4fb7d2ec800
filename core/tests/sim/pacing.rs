//! What holds a host's attempts back, as the oracle counts: the server's wishes, its quotas, the
//! user's rate.

use std::collections::BTreeMap;
use std::time::Instant;

use spillgate_core::allowance::QUOTA_HOLD_MAX;
use spillgate_core::call::ScopeKey;
use spillgate_core::outcome::Evidence;
use spillgate_core::pace::HOLD_MAX;
use spillgate_core::rate::RateOptions;

use crate::reach::{Mark, Reach};

/// The books of one host.
#[derive(Debug, Default)]
pub(crate) struct Pacing {
    hold: Option<Instant>,
    quotas: BTreeMap<ScopeKey, (u64, Instant)>,
    starts: Vec<Instant>,
}

impl Pacing {
    /// An attempt was answered while so many others of its scope were on their way.
    pub(crate) fn learn(
        &mut self,
        now: Instant,
        scope: &ScopeKey,
        evidence: &Evidence,
        others: usize,
    ) {
        if let (Some(hint), Some(429 | 503)) = (evidence.hint, evidence.status) {
            self.hold = self.hold.max(Some(hint.min(now + HOLD_MAX)));
        }
        if let Some(quota) = evidence.quota {
            let left = quota.remaining.saturating_sub(others as u64);
            let until = now + quota.reset.min(QUOTA_HOLD_MAX);
            self.quotas.insert(scope.clone(), (left, until));
        }
    }

    /// An attempt starts: whether it may.
    pub(crate) fn start(&mut self, now: Instant, scope: &ScopeKey, rate: Option<RateOptions>) {
        assert!(self.hold.is_none_or(|until| until <= now), "the server asked to be left alone");
        if let Some((left, until)) = self.quotas.get_mut(scope) {
            assert!(*left > 0 || *until <= now, "the quota of {scope} is used up");
            *left = left.saturating_sub(1);
        }
        self.starts.push(now);
        assert!(rate.is_none_or(|rate| !self.exceeds(now, rate)), "more than the rate");
    }

    /// The server's wish, or its quota, is said to hold an attempt back.
    pub(crate) fn paced(&self, now: Instant, scope: &ScopeKey, reach: &mut Reach) {
        let is_held = self.hold > Some(now);
        let quota = self.quotas.get(scope);
        let is_spent = quota.is_some_and(|(left, until)| *left == 0 && *until > now);
        assert!(is_held || is_spent, "nobody asked for it");
        reach.hit(if is_held { Mark::Paced } else { Mark::QuotaPaced });
    }

    /// The user's rate is said to hold an attempt back.
    pub(crate) fn rated(&mut self, now: Instant, rate: Option<RateOptions>) {
        self.starts.push(now);
        assert!(rate.is_some_and(|rate| self.exceeds(now, rate)), "the rate leaves room for it");
        self.starts.pop();
    }

    /// Whether in some stretch of time until now there were more starts than a rate allows.
    fn exceeds(&self, now: Instant, rate: RateOptions) -> bool {
        (1_u32..).zip(self.starts.iter().rev()).take(1_000).any(|(count, from)| {
            let seconds = now.saturating_duration_since(*from).as_secs_f64();
            f64::from(count) > f64::from(rate.burst) + rate.per_second * seconds + 1e-6
        })
    }
}
