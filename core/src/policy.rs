//! The numbers of one host's pipeline and of the whole client, with their checks.
//!
//! Plain structs with public fields; `check` runs once, at the rim. Why each default is what it is
//! stands in `docs/defaults.md`.

use std::fmt;
use std::time::Duration;

use crate::allowance::QuotaUse;
use crate::backoff::BackoffOptions;
use crate::breaker::options::BreakerOptions;
use crate::budget::BudgetOptions;
use crate::call::HedgeDelay;
use crate::hedge::HedgeOptions;
use crate::limit::LimitOptions;
use crate::rate::RateOptions;

/// What applies to the calls of one host.
#[derive(Debug, Clone, PartialEq)]
pub struct HostPolicy {
    /// The time for a whole call that brings no deadline of its own.
    pub deadline: Duration,
    /// The bounds within one attempt.
    pub timeouts: Timeouts,
    /// When and how often to try again.
    pub retry: RetryOptions,
    /// When to stop trying.
    pub breaker: BreakerOptions,
    /// Attempts on the wire at once: the ceiling.
    pub concurrency: u32,
    /// How the limit moves below that ceiling.
    pub limit: LimitOptions,
    /// The most attempts over time; `None` sets no bound.
    pub rate: Option<RateOptions>,
    /// Whether quotas that the server tells of are minded.
    pub quota: QuotaUse,
    /// When a slow attempt gets a second one beside it; `None` never, unless a call asks for it.
    pub hedge: Option<HedgeOptions>,
}

/// The bounds within one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Name resolution, connect and TLS handshake together.
    pub connect: Duration,
    /// From the start of the attempt to its last byte; for a stream, to its head.
    pub attempt: Duration,
    /// The longest gap between two chunks of a body.
    pub read_idle: Duration,
}

/// When and how often to try again.
#[derive(Debug, Clone, PartialEq)]
pub struct RetryOptions {
    /// The most attempts, the first included.
    pub attempts_max: u32,
    /// The delays between them.
    pub backoff: BackoffOptions,
    /// What pays for them.
    pub budget: BudgetOptions,
}

/// What bounds the whole client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Attempts on the wire at once, over all hosts.
    pub global: u32,
    /// Flights that may wait for a slot.
    pub queue_max: usize,
    /// Calls inside the client at once, waiting, running and answered but unread.
    pub calls_max: usize,
    /// Hosts that are remembered.
    pub hosts_max: usize,
}

/// Two numbers, or one, that cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    /// The setting, as configuration spells it.
    pub setting: &'static str,
    /// What is wrong, with the numbers.
    pub problem: String,
}

impl Default for HostPolicy {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            timeouts: Timeouts::default(),
            retry: RetryOptions::default(),
            breaker: BreakerOptions::standard(),
            concurrency: 6,
            limit: LimitOptions::default(),
            rate: None,
            quota: QuotaUse::Obey,
            hedge: None,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            attempt: Duration::from_secs(10),
            read_idle: Duration::from_secs(15),
        }
    }
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            attempts_max: 4,
            backoff: BackoffOptions::default(),
            budget: BudgetOptions::default(),
        }
    }
}

impl RetryOptions {
    /// The standard mode of the AWS SDKs, as of 2026: three attempts, short delays, a quota.
    pub fn aws_standard() -> Self {
        Self {
            attempts_max: 3,
            backoff: BackoffOptions::aws_standard(),
            budget: BudgetOptions::aws_standard(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { global: 24, queue_max: 1_000, calls_max: 10_000, hosts_max: 10_000 }
    }
}

impl HostPolicy {
    /// Refuses what cannot work, naming the setting and the numbers.
    pub fn check(&self) -> Result<(), PolicyError> {
        self.check_times()?;
        self.check_retry()?;
        self.check_breaker()?;
        self.check_hedge()?;
        if self.concurrency == 0 {
            return refuse("limits.per_host", "0 slots let no call pass; expected at least 1");
        }
        if let Some(RateOptions { per_second, burst }) = self.rate
            && !(per_second.is_finite() && per_second > 0.0 && burst > 0)
        {
            let problem = format!(
                "{per_second} a second in bursts of {burst} lets no call pass; \
                 expected per_second above 0 and burst at least 1"
            );
            return Err(PolicyError { setting: "limits.rate", problem });
        }
        if self.limit.floor > self.concurrency {
            let (floor, ceiling) = (self.limit.floor, self.concurrency);
            let problem = format!("a floor of {floor} is above the ceiling of {ceiling}");
            return Err(PolicyError { setting: "limits.floor", problem });
        }
        Ok(())
    }

    fn check_times(&self) -> Result<(), PolicyError> {
        let Timeouts { connect, attempt, read_idle } = self.timeouts;
        for (setting, value) in [
            ("deadline", self.deadline),
            ("timeouts.connect", connect),
            ("timeouts.attempt", attempt),
            ("timeouts.read_idle", read_idle),
        ] {
            if value.is_zero() {
                return refuse(setting, "0s leaves no time at all; expected more than zero");
            }
        }
        if attempt > self.deadline {
            let deadline = self.deadline;
            let problem = format!(
                "an attempt of {attempt:?} can never fit a deadline of {deadline:?}; \
                 expected timeouts.attempt <= deadline"
            );
            return Err(PolicyError { setting: "timeouts.attempt", problem });
        }
        if connect > attempt {
            let problem = format!(
                "a connect of {connect:?} can never fit an attempt of {attempt:?}; \
                 expected timeouts.connect <= timeouts.attempt"
            );
            return Err(PolicyError { setting: "timeouts.connect", problem });
        }
        Ok(())
    }

    fn check_retry(&self) -> Result<(), PolicyError> {
        let RetryOptions { attempts_max, backoff, budget } = &self.retry;
        if *attempts_max == 0 {
            return refuse("retry.max_attempts", "0 attempts send nothing; expected at least 1");
        }
        if !(backoff.factor.is_finite() && backoff.factor >= 1.0) {
            let problem = format!("a factor of {} shrinks delays; expected >= 1", backoff.factor);
            return Err(PolicyError { setting: "retry.factor", problem });
        }
        if backoff.base > backoff.cap {
            let (base, cap) = (backoff.base, backoff.cap);
            let problem = format!("a base of {base:?} is above its cap of {cap:?}");
            return Err(PolicyError { setting: "retry.base", problem });
        }
        let ratio = budget.ratio;
        if !(0.0..=1.0).contains(&ratio) {
            let problem = format!("a ratio of {ratio} is no share; expected 0 to 1");
            return Err(PolicyError { setting: "retry.budget", problem });
        }
        if !(budget.price >= 0.0 && budget.price_throttled >= 0.0) {
            return refuse("retry.budget", "a price must not be negative");
        }
        if !(budget.initial >= 0.0 && budget.cap >= 0.0 && budget.cap.is_finite()) {
            return refuse("retry.budget", "credit and cap must not be negative");
        }
        Ok(())
    }

    fn check_breaker(&self) -> Result<(), PolicyError> {
        let breaker = &self.breaker;
        if breaker.failure_threshold == 0 {
            return refuse("breaker.failure_threshold", "0 is never closed; expected at least 1");
        }
        if breaker.success_threshold == 0 {
            return refuse("breaker.success_threshold", "0 closes unproven; expected at least 1");
        }
        if !(breaker.failure_rate > 0.0 && breaker.failure_rate <= 1.0) {
            let problem = format!("{} is no share; expected above 0, to 1", breaker.failure_rate);
            return Err(PolicyError { setting: "breaker.failure_rate", problem });
        }
        if breaker.window_calls == Some(0) {
            return refuse("breaker.window_calls", "0 calls hold nothing; expected at least 1");
        }
        if let Some(slow) = breaker.slow {
            if slow.limit.is_zero() {
                let problem = "0s finds every call slow; expected more than zero";
                return refuse("breaker.slow_call", problem);
            }
            if !(slow.rate > 0.0 && slow.rate <= 1.0) {
                let problem = format!("{} is no share; expected above 0, to 1", slow.rate);
                return Err(PolicyError { setting: "breaker.slow_rate", problem });
            }
        }
        self.check_reset()
    }

    fn check_reset(&self) -> Result<(), PolicyError> {
        let BreakerOptions { reset_growth, reset_jitter, probe_lease, .. } = self.breaker;
        if self.breaker.reset_timeout.is_zero() || self.breaker.window.is_zero() {
            return refuse("breaker", "reset_timeout and window must be above zero");
        }
        if !(reset_growth.is_finite() && reset_growth >= 1.0) {
            let problem = format!("a growth of {reset_growth} shrinks the time; expected >= 1");
            return Err(PolicyError { setting: "breaker.reset_growth", problem });
        }
        if !(0.0..=1.0).contains(&reset_jitter) {
            let problem = format!("{reset_jitter} is no share; expected 0 to 1");
            return Err(PolicyError { setting: "breaker.reset_jitter", problem });
        }
        if probe_lease.is_zero() {
            return refuse("breaker.probe_lease", "0s ends each probe; expected more than zero");
        }
        if self.breaker.probes_max == 0 {
            return refuse("breaker.probes", "0 probes never close it; expected at least 1");
        }
        Ok(())
    }

    fn check_hedge(&self) -> Result<(), PolicyError> {
        let Some(HedgeOptions { delay, ratio, cap, busy_max }) = self.hedge else { return Ok(()) };
        if delay == HedgeDelay::Fixed(Duration::ZERO) {
            return refuse("hedge.delay", "0s sends everything twice; expected more than zero");
        }
        for (setting, share) in [("hedge.budget", ratio), ("hedge.busy_max", busy_max)] {
            if !(0.0..=1.0).contains(&share) {
                let problem = format!("{share} is no share; expected 0 to 1");
                return Err(PolicyError { setting, problem });
            }
        }
        if !(cap >= 0.0 && cap.is_finite()) {
            return refuse("hedge.budget", "a cap must not be negative");
        }
        Ok(())
    }
}

impl Limits {
    /// Refuses what cannot work, naming the setting and the numbers.
    pub fn check(&self) -> Result<(), PolicyError> {
        if self.global == 0 {
            return refuse("limits.global", "0 slots let no call pass; expected at least 1");
        }
        if self.calls_max == 0 {
            return refuse("limits.calls", "0 admits no call; expected at least 1");
        }
        if self.hosts_max == 0 {
            return refuse("limits.hosts", "0 knows no host; expected at least 1");
        }
        Ok(())
    }
}

fn refuse<T>(setting: &'static str, problem: &str) -> Result<T, PolicyError> {
    Err(PolicyError { setting, problem: problem.to_owned() })
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.problem)
    }
}

impl std::error::Error for PolicyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_pass_their_own_checks() {
        assert_eq!(HostPolicy::default().check(), Ok(()));
        assert_eq!(Limits::default().check(), Ok(()));
    }

    #[test]
    fn contradictions_are_named_with_both_numbers() {
        let timeouts = Timeouts { attempt: Duration::from_secs(40), ..Timeouts::default() };
        let error = HostPolicy { timeouts, ..HostPolicy::default() }.check().unwrap_err();
        assert_eq!(error.setting, "timeouts.attempt");
        assert!(error.problem.contains("40s") && error.problem.contains("30s"), "{error}");
    }

    #[test]
    fn zeros_are_refused() {
        let check = |change: fn(&mut HostPolicy), setting| {
            let mut policy = HostPolicy::default();
            change(&mut policy);
            assert_eq!(policy.check().map_err(|error| error.setting), Err(setting));
        };
        check(|policy| policy.concurrency = 0, "limits.per_host");
        check(|policy| policy.deadline = Duration::ZERO, "deadline");
        check(|policy| policy.retry.attempts_max = 0, "retry.max_attempts");
        check(|policy| policy.breaker.failure_threshold = 0, "breaker.failure_threshold");
        check(|policy| policy.retry.budget.ratio = f64::NAN, "retry.budget");
        let hedge = HedgeOptions::default();
        check(|policy| policy.hedge = Some(hedge_after(Duration::ZERO)), "hedge.delay");
        assert!(HostPolicy { hedge: Some(hedge), ..HostPolicy::default() }.check().is_ok());
        assert!(Limits { global: 0, ..Limits::default() }.check().is_err());
    }

    fn hedge_after(delay: Duration) -> HedgeOptions {
        HedgeOptions { delay: HedgeDelay::Fixed(delay), ..HedgeOptions::default() }
    }
}
