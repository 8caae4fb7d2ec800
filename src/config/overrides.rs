//! What a program says about hosts, over what its configuration file says.

use std::time::Duration;

use spillgate_core::allowance::QuotaUse;
use spillgate_core::breaker::options::BreakerOptions;
use spillgate_core::hedge::HedgeOptions;
use spillgate_core::limit::{LimitKind, LimitOptions};
use spillgate_core::policy::{HostPolicy, RetryOptions, Timeouts};
use spillgate_core::rate::RateOptions;

use super::layer::{give_way, put};
use super::settings::{CacheKind, CacheSettings};

/// What is different for some hosts, said in code.
///
/// What is not mentioned comes from the configuration. A bound that is not mentioned gives way to
/// one that is: `.deadline(2 s)` shortens an inherited attempt of 10 s.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HostOverrides {
    deadline: Option<Duration>,
    timeouts: Option<Timeouts>,
    retry: Option<RetryOptions>,
    attempts: Option<u32>,
    breaker: Option<BreakerOptions>,
    concurrency: Option<u32>,
    hedge: Option<Hedging>,
    limit: Option<LimitOptions>,
    adaptive: Option<LimitKind>,
    rate: Option<RateOptions>,
    quota: Option<QuotaUse>,
    cache: Option<CacheKind>,
    stale_if_error: Option<Duration>,
    stale_while_revalidate: Option<Duration>,
    negative: Option<Duration>,
    failures: Option<FailureMemory>,
}

/// What is said of the memory of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailureMemory {
    Off,
    On(Duration),
}

/// What is said of hedging.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Hedging {
    Off,
    On(HedgeOptions),
}

impl HostOverrides {
    /// Sets the time for a whole call that brings no deadline of its own.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets the bounds within one attempt.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = Some(timeouts);
        self
    }

    /// Sets when and how often to try again.
    pub fn retry(mut self, retry: RetryOptions) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Sets the most attempts of a call, the first included; 1 never retries.
    pub fn attempts(mut self, attempts_max: u32) -> Self {
        self.attempts = Some(attempts_max);
        self
    }

    /// Sets when to stop trying.
    pub fn breaker(mut self, breaker: BreakerOptions) -> Self {
        self.breaker = Some(breaker);
        self
    }

    /// Sets how many attempts may be on the wire at once.
    pub fn concurrency(mut self, slots: u32) -> Self {
        self.concurrency = Some(slots);
        self
    }

    /// Sets when a slow attempt gets a second one beside it; `None` never.
    pub fn hedge(mut self, hedge: impl Into<Option<HedgeOptions>>) -> Self {
        self.hedge = Some(hedge.into().map_or(Hedging::Off, Hedging::On));
        self
    }

    /// Sets how the limit moves below [`concurrency`](Self::concurrency).
    pub fn limit(mut self, limit: LimitOptions) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Sets whether the limit moves; `true` is [`LimitKind::Vegas`], `false` [`LimitKind::Fixed`].
    pub fn adaptive(mut self, moves: bool) -> Self {
        self.adaptive = Some(if moves { LimitKind::Vegas } else { LimitKind::Fixed });
        self
    }

    /// Sets the most attempts over time.
    pub fn rate(mut self, rate: RateOptions) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Sets whether quotas that the server tells of are minded.
    pub fn quota(mut self, quota: QuotaUse) -> Self {
        self.quota = Some(quota);
        self
    }

    /// Sets who shares what is stored of these hosts, or that nothing is.
    pub fn cache(mut self, kind: CacheKind) -> Self {
        self.cache = Some(kind);
        self
    }

    /// Sets how long an expired answer may stand in for an error if the answer does not say.
    pub fn stale_if_error(mut self, budget: Duration) -> Self {
        self.stale_if_error = Some(budget);
        self
    }

    /// Sets how long an expired answer is served while it is renewed if the answer does not say.
    pub fn stale_while_revalidate(mut self, budget: Duration) -> Self {
        self.stale_while_revalidate = Some(budget);
        self
    }

    /// Sets how long an answer that says that there is nothing is fresh for if it does not say; zero
    /// stores none of those.
    pub fn negative(mut self, time: Duration) -> Self {
        self.negative = Some(time);
        self
    }

    /// Sets for how long a failure is told again without asking; `None` remembers none.
    pub fn failures(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.failures = Some(time.into().map_or(FailureMemory::Off, FailureMemory::On));
        self
    }

    pub(super) fn apply_cache(&self, cache: &mut CacheSettings) {
        put(&mut cache.mode, self.cache);
        put(&mut cache.stale_if_error, self.stale_if_error);
        put(&mut cache.stale_while_revalidate, self.stale_while_revalidate);
        put(&mut cache.negative, self.negative);
        cache.failures = match self.failures {
            None => cache.failures,
            Some(FailureMemory::Off) => None,
            Some(FailureMemory::On(time)) => Some(time),
        };
    }

    /// Whether anything is said of the cache.
    pub(super) fn says_something_of_cache(&self) -> bool {
        let times = [self.stale_if_error, self.stale_while_revalidate, self.negative];
        self.cache.is_some() || self.failures.is_some() || times.iter().any(Option::is_some)
    }

    /// Changes what is mentioned, and what must give way to it.
    pub(super) fn apply(&self, policy: &mut HostPolicy) {
        put(&mut policy.deadline, self.deadline);
        put(&mut policy.timeouts, self.timeouts);
        if self.timeouts.is_none() {
            give_way(&mut policy.timeouts.attempt, policy.deadline);
            give_way(&mut policy.timeouts.connect, policy.timeouts.attempt);
        }
        put(&mut policy.retry, self.retry.clone());
        put(&mut policy.retry.attempts_max, self.attempts);
        put(&mut policy.breaker, self.breaker.clone());
        put(&mut policy.concurrency, self.concurrency);
        policy.hedge = match self.hedge {
            None => policy.hedge,
            Some(Hedging::Off) => None,
            Some(Hedging::On(options)) => Some(options),
        };
        put(&mut policy.limit, self.limit);
        put(&mut policy.limit.kind, self.adaptive);
        if self.limit.is_none() {
            policy.limit.floor = policy.limit.floor.min(policy.concurrency.max(1));
        }
        put(&mut policy.rate, self.rate.map(Some));
        put(&mut policy.quota, self.quota);
    }
}
