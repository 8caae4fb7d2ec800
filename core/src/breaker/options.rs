//! How a breaker decides, as plain data.

use std::time::Duration;

use crate::advice::ErrorKind;
use crate::outcome::Evidence;

/// How a breaker decides; the default is the preset of 5 consecutive failures.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerOptions {
    /// What makes it open.
    pub kind: BreakerKind,
    /// Failures in a row that open it (kind `Consecutive`).
    pub failure_threshold: u32,
    /// Successful probes that close it.
    pub success_threshold: u32,
    /// The share of failed calls in the window that opens it (kind `Rate`).
    pub failure_rate: f64,
    /// The fewest calls in the window before a rate is trusted.
    pub min_calls: u32,
    /// The window of the rate.
    pub window: Duration,
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
    /// What counts as neutral although it is a failure.
    pub ignore: Vec<Ignored>,
}

/// What makes a breaker open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerKind {
    /// A streak of failures.
    Consecutive,
    /// A share of failures in a time window.
    Rate,
    /// Nothing: every call passes.
    Off,
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

    /// Opens when at least `failure_rate` of at least 20 calls in 10 s failed; 5 s doubling to 60 s.
    pub fn rate(failure_rate: f64) -> Self {
        Self {
            kind: BreakerKind::Rate,
            failure_rate,
            reset_timeout: Duration::from_secs(5),
            reset_growth: 2.0,
            reset_jitter: 0.2,
            ..Self::default()
        }
    }

    /// The breaker of the standard pipeline: a failure rate of one half.
    pub fn standard() -> Self {
        Self::rate(0.5)
    }

    /// Never opens.
    pub fn off() -> Self {
        Self { kind: BreakerKind::Off, ..Self::default() }
    }

    pub(super) fn ignores(&self, evidence: &Evidence) -> bool {
        self.ignore.iter().any(|ignored| match ignored {
            Ignored::Kind(kind) => evidence.kind == Some(*kind),
            Ignored::Status(status) => evidence.status == Some(*status),
        })
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
            reset_timeout: Duration::from_secs(60),
            reset_growth: 1.0,
            reset_timeout_max: Duration::from_secs(60),
            reset_jitter: 0.0,
            probes_max: 1,
            probe_lease: Duration::from_secs(30),
            ignore: Vec::new(),
        }
    }
}
