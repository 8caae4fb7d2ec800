//! How a breaker decides, as plain data.

use std::time::Duration;

use crate::advice::ErrorKind;
use crate::event::BreakerMode;
use crate::outcome::Evidence;
use crate::rng::Rng;

/// How a breaker decides; the default is the preset of 5 consecutive failures.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerOptions {
    /// What makes it open.
    pub kind: BreakerKind,
    /// Failures in a row that open it (kinds `Consecutive` and `Hybrid`).
    pub failure_threshold: u32,
    /// Successful probes that close it.
    pub success_threshold: u32,
    /// The share of failed calls in the window that opens it (kinds `Rate` and `Hybrid`).
    pub failure_rate: f64,
    /// The fewest calls in the window before a share of them is trusted.
    pub min_calls: u32,
    /// The window of shares, in time.
    pub window: Duration,
    /// The window of shares in calls, instead of time; at most 10,000 count.
    pub window_calls: Option<u32>,
    /// What opens it for being slow, whatever its kind; `None` minds no latency.
    pub slow: Option<SlowCalls>,
    /// How long it stays open at first.
    pub reset_timeout: Duration,
    /// By what the time grows with each failed probe; 1 keeps it.
    pub reset_growth: f64,
    /// The longest it stays open between probes.
    pub reset_timeout_max: Duration,
    /// The largest share of the reset time that is added at random, so that clients spread.
    pub reset_jitter: f64,
    /// Probes at a time while half-open.
    pub probes_max: u32,
    /// How long a probe may stay away before it counts as failed.
    pub probe_lease: Duration,
    /// What callers do while all probes are away.
    pub half_open: HalfOpen,
    /// How long the admitted share grows after a probe closed it, unless good answers end that
    /// sooner; zero admits all at once.
    pub ramp: Duration,
    /// Whether it refuses, or only tells what it would refuse.
    pub mode: BreakerMode,
    /// What counts as neutral although it is a failure.
    pub ignore: Vec<Ignored>,
    /// Whether calls that name no route get a breaker for theirs once it fails while the rest of the
    /// host is well.
    pub learn: bool,
}

/// What makes a breaker open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerKind {
    /// A streak of failures.
    Consecutive,
    /// A share of failures in a window.
    Rate,
    /// A streak or a share, whichever comes first.
    Hybrid,
    /// Nothing: every call passes.
    Off,
}

/// When an upstream counts as too slow to be asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowCalls {
    /// What takes at least this long is slow.
    pub limit: Duration,
    /// The share of slow calls in the window that opens the breaker.
    pub rate: f64,
    /// When a call is found to be slow.
    pub counted: SlowCount,
}

/// When a slow call is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SlowCount {
    /// Once it has ended.
    #[default]
    AtItsEnd,
    /// As soon as it is older than the limit, so that calls that hang open the breaker before any
    /// of them ends (resilience4j#1597). A streamed body counts while it runs.
    InFlight,
}

/// What callers do while all probes are away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HalfOpen {
    /// They are refused.
    #[default]
    FailFast,
    /// They wait for the probe's verdict, within their deadlines.
    Queue,
}

/// A failure that a breaker is told to overlook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// An error of this kind.
    Kind(ErrorKind),
    /// An answer with this status.
    Status(u16),
}

impl BreakerOptions {
    /// Opens after `failures` in a row, for 60 s, and closes on one successful probe.
    pub fn consecutive(failures: u32) -> Self {
        Self { failure_threshold: failures, ..Self::default() }
    }

    /// Opens when at least `failure_rate` of at least 20 calls in 10 s failed; 5 s growing
    /// by half to 60 s, then a ramp of 30 s.
    pub fn rate(failure_rate: f64) -> Self {
        Self {
            kind: BreakerKind::Rate,
            failure_rate,
            reset_timeout: Duration::from_secs(5),
            reset_growth: 1.5,
            reset_jitter: 0.2,
            ramp: Duration::from_secs(30),
            learn: true,
            ..Self::default()
        }
    }

    /// Opens after `failures` in a row or at this failure rate, whichever comes first; the rest is
    /// that of [`rate`](Self::rate).
    pub fn hybrid(failures: u32, failure_rate: f64) -> Self {
        let kind = BreakerKind::Hybrid;
        Self { kind, failure_threshold: failures, ..Self::rate(failure_rate) }
    }

    /// The breaker of the standard pipeline: a failure rate of one half.
    pub fn standard() -> Self {
        Self::rate(0.5)
    }

    /// Never opens.
    pub fn off() -> Self {
        Self { kind: BreakerKind::Off, ..Self::default() }
    }

    /// Whether a failure is one that it is told to overlook.
    pub(crate) fn ignores(&self, evidence: &Evidence) -> bool {
        self.ignore.iter().any(|ignored| match ignored {
            Ignored::Kind(kind) => evidence.kind == Some(*kind),
            Ignored::Status(status) => evidence.status == Some(*status),
        })
    }

    /// How long it stays open after `openings` earlier ones.
    pub(super) fn reset_time(&self, openings: u32, rng: &mut Rng) -> Duration {
        let exponent = i32::try_from(openings.min(64)).unwrap_or(64);
        let grown = self.reset_growth.max(1.0).powi(exponent);
        let most = self.reset_timeout_max.max(self.reset_timeout);
        let seconds = (self.reset_timeout.as_secs_f64() * grown).min(most.as_secs_f64());
        let reset = Duration::try_from_secs_f64(seconds).unwrap_or(most);
        reset + rng.up_to(reset.mul_f64(self.reset_jitter.clamp(0.0, 1.0)))
    }

    pub(super) fn is_slow(&self, evidence: &Evidence) -> bool {
        let limit = self.slow.map(|slow| slow.limit);
        evidence.took.zip(limit).is_some_and(|(took, limit)| took >= limit)
    }
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self {
            kind: BreakerKind::Consecutive,
            failure_threshold: 5,
            success_threshold: 1,
            failure_rate: 0.5,
            min_calls: 20,
            window: Duration::from_secs(10),
            window_calls: None,
            slow: None,
            reset_timeout: Duration::from_secs(60),
            reset_growth: 1.0,
            reset_timeout_max: Duration::from_secs(60),
            reset_jitter: 0.0,
            probes_max: 1,
            probe_lease: Duration::from_secs(30),
            half_open: HalfOpen::FailFast,
            ramp: Duration::ZERO,
            mode: BreakerMode::Enforcing,
            ignore: Vec::new(),
            learn: false,
        }
    }
}
