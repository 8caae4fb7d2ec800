//! The seam to configuration: which numbers apply to which host and call.

use std::time::Duration;

use http::Method;
use spillgate_core::breaker::options::BreakerOptions;
use spillgate_core::call::HedgeUse;
use spillgate_core::policy::{HostPolicy, Limits, Timeouts};

use crate::hostname::HostName;

/// Answers which numbers apply; asked for each call, so answers must be cheap.
pub trait Plan: Send + Sync + 'static {
    /// What bounds the whole client.
    fn limits(&self) -> Limits;

    /// What applies to a host.
    fn host(&self, host: &HostName) -> HostPolicy;

    /// What applies to a call.
    fn call(&self, facts: &CallFacts<'_>) -> CallPlan;

    /// What applies to a breaker that belongs to no host.
    fn shared_scope(&self) -> HostPolicy;
}

/// What a plan may look at.
#[derive(Debug, Clone, Copy)]
pub struct CallFacts<'a> {
    /// Where the call goes.
    pub host: &'a HostName,
    /// Its method.
    pub method: &'a Method,
    /// Its path, without query.
    pub path: &'a str,
    /// Its low-cardinality name, if the caller gave one.
    pub route: Option<&'a str>,
}

/// What applies to a call unless the caller says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct CallPlan {
    /// The time for the whole call.
    pub deadline: Duration,
    /// The bounds within one attempt.
    pub timeouts: Timeouts,
    /// The most attempts for each hop, the first included.
    pub attempts_max: u32,
    /// Whether the method may be repeated without a key.
    pub repeat: MethodRepeat,
    /// Which calls share a flight.
    pub coalesce: Coalesce,
    /// The most redirects that are followed.
    pub redirects_max: u32,
    /// The largest decoded body that is buffered, in bytes.
    pub body_max: usize,
    /// Whether a slow attempt gets a second one beside it.
    pub hedge: HedgeUse,
    /// The route of the configuration that matched, with its breaker if it has one of its own.
    pub route: Option<(String, Option<BreakerOptions>)>,
}

/// Whether a method may be repeated without an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodRepeat {
    /// It is idempotent.
    Idempotent,
    /// It may act twice.
    Unsafe,
}

/// Which calls share a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coalesce {
    /// Safe requests that are equal to the byte, credentials included.
    Identical,
    /// None.
    Off,
}
