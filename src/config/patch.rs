//! What one layer changes in the policy that the layers below it made.
//!
//! A bound that a layer does not mention gives way to the one it does: `deadline = "2s"` shortens
//! the inherited attempt instead of contradicting it. Only two numbers of one layer, or a raised
//! inner bound, can contradict; [`HostPolicy::check`] finds those.

use std::time::Duration;

use http::Method;
use spillgate_core::backoff::Jitter;
use spillgate_core::breaker::options::{BreakerKind, BreakerOptions};
use spillgate_core::budget::BudgetOptions;
use spillgate_core::limit::LimitKind;
use spillgate_core::policy::{HostPolicy, RetryOptions, Timeouts};

use super::shape::{
    BreakerKindShape, BreakerShape, BudgetShape, DefaultsShape, HostShape, JitterShape, RetryShape,
    RouteShape, TimeoutsShape,
};
use super::value::{Span, Switch};

/// What one table of a file changes.
#[derive(Debug, Clone, Default)]
pub(super) struct PolicyPatch {
    deadline: Option<Span>,
    timeouts: TimeoutsShape,
    pub(super) retry: RetryShape,
    breaker: BreakerShape,
    concurrency: Option<u32>,
    limit: Option<LimitKind>,
}

/// A setting that cannot mean what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slip {
    pub(super) setting: &'static str,
    pub(super) message: String,
    pub(super) hint: &'static str,
}

impl PolicyPatch {
    pub(super) fn of_defaults(shape: &DefaultsShape) -> Self {
        Self {
            deadline: shape.deadline,
            timeouts: shape.timeouts.clone(),
            retry: shape.retry.clone(),
            breaker: shape.breaker.clone(),
            concurrency: shape.limits.per_host.map(|count| count.0),
            limit: shape.limits.adaptive.map(LimitKind::from),
        }
    }

    pub(super) fn of_host(shape: &HostShape) -> Self {
        Self {
            deadline: shape.deadline,
            timeouts: shape.timeouts.clone(),
            retry: shape.retry.clone(),
            breaker: shape.breaker.clone(),
            concurrency: shape.limits.per_host.map(|count| count.0),
            limit: shape.limits.adaptive.map(LimitKind::from),
        }
    }

    pub(super) fn of_route(shape: &RouteShape) -> Self {
        Self {
            deadline: shape.deadline,
            timeouts: shape.timeouts.clone(),
            retry: shape.retry.clone(),
            breaker: shape.breaker.clone(),
            concurrency: None,
            limit: None,
        }
    }

    /// Changes what the patch mentions, and what must give way to it.
    pub(super) fn apply(&self, policy: &mut HostPolicy) {
        put(&mut policy.deadline, self.deadline.map(|span| span.0));
        self.timeouts.apply(&mut policy.timeouts);
        if self.deadline.is_some() && self.timeouts.attempt.is_none() {
            give_way(&mut policy.timeouts.attempt, policy.deadline);
        }
        if self.timeouts.connect.is_none() {
            give_way(&mut policy.timeouts.connect, policy.timeouts.attempt);
        }
        self.retry.apply(&mut policy.retry);
        self.breaker.apply(&mut policy.breaker);
        put(&mut policy.concurrency, self.concurrency);
        put(&mut policy.limit.kind, self.limit);
    }

    /// The methods that may be repeated, if the patch names them.
    pub(super) fn methods(&self) -> Option<impl Iterator<Item = &Method>> {
        self.retry.methods.as_ref().map(|methods| methods.iter().map(|name| &name.0))
    }

    /// Settings that would do nothing, or contradict each other.
    pub(super) fn slips(&self) -> Vec<Slip> {
        self.breaker.slips()
    }
}

impl TimeoutsShape {
    fn apply(&self, timeouts: &mut Timeouts) {
        put(&mut timeouts.connect, self.connect.map(|span| span.0));
        put(&mut timeouts.attempt, self.attempt.map(|span| span.0));
        put(&mut timeouts.read_idle, self.read_idle.map(|span| span.0));
    }
}

impl RetryShape {
    fn apply(&self, retry: &mut RetryOptions) {
        let backoff = &mut retry.backoff;
        put(&mut retry.attempts_max, self.max_attempts.map(|count| count.0));
        put(&mut backoff.base, self.base.map(|span| span.0));
        put(&mut backoff.factor, self.factor.map(|number| number.0));
        put(&mut backoff.cap, self.cap.map(|span| span.0));
        put(&mut backoff.jitter, self.jitter.map(Jitter::from));
        if self.base.is_none() {
            backoff.base = backoff.base.min(backoff.cap);
        }
        if let Some(budget) = &self.budget {
            budget.apply(&mut retry.budget);
        }
    }
}

impl BudgetShape {
    fn apply(&self, budget: &mut BudgetOptions) {
        put(&mut budget.ratio, self.ratio.map(|number| number.0));
        put(&mut budget.initial, self.initial.map(|number| number.0));
        put(&mut budget.cap, self.cap.map(|number| number.0));
    }
}

impl BreakerShape {
    /// A change of kind starts from that kind's preset: 5 s until the first probe belong to a rate.
    fn apply(&self, breaker: &mut BreakerOptions) {
        if let Some(kind) = self.kind()
            && kind != breaker.kind
        {
            let preset = match kind {
                BreakerKind::Consecutive => BreakerOptions::default(),
                BreakerKind::Rate => BreakerOptions::standard(),
                BreakerKind::Hybrid => BreakerOptions { kind, ..BreakerOptions::standard() },
                BreakerKind::Off => BreakerOptions::off(),
            };
            let ignore = std::mem::take(&mut breaker.ignore);
            *breaker = BreakerOptions { ignore, ..preset };
        }
        put(&mut breaker.failure_threshold, self.failure_threshold.map(|count| count.0));
        put(&mut breaker.success_threshold, self.success_threshold.map(|count| count.0));
        put(&mut breaker.failure_rate, self.failure_rate.map(|number| number.0));
        put(&mut breaker.min_calls, self.min_calls.map(|count| count.0));
        put(&mut breaker.window, self.window.map(|span| span.0));
        put(&mut breaker.probes_max, self.probes.map(|count| count.0));
        put(&mut breaker.reset_timeout, self.reset_timeout.map(|span| span.0));
        if let Some(Span(most)) = self.reset_timeout_max {
            breaker.reset_timeout_max = most;
            // A highest time is only meant by someone who wants the time to grow.
            breaker.reset_growth =
                breaker.reset_growth.max(BreakerOptions::standard().reset_growth);
        }
        breaker.reset_timeout_max = breaker.reset_timeout_max.max(breaker.reset_timeout);
        put(&mut breaker.learn, self.learn.map(|switch| switch.0));
        if let Some(ignore) = &self.ignore {
            breaker.ignore = ignore.iter().map(|ignored| ignored.0).collect();
        }
    }

    /// The kind that is named, or that the other keys imply.
    fn kind(&self) -> Option<BreakerKind> {
        match self.kind {
            Some(BreakerKindShape::Rate) => Some(BreakerKind::Rate),
            Some(BreakerKindShape::Consecutive) => Some(BreakerKind::Consecutive),
            Some(BreakerKindShape::Off) => Some(BreakerKind::Off),
            None if self.failure_threshold.is_some() => Some(BreakerKind::Consecutive),
            None => self.rate_key().map(|_| BreakerKind::Rate),
        }
    }

    /// The first key that only a rate has.
    fn rate_key(&self) -> Option<&'static str> {
        [
            ("breaker.failure_rate", self.failure_rate.is_some()),
            ("breaker.min_calls", self.min_calls.is_some()),
            ("breaker.window", self.window.is_some()),
        ]
        .into_iter()
        .find_map(|(key, is_set)| is_set.then_some(key))
    }

    fn slips(&self) -> Vec<Slip> {
        let mut slips = Vec::new();
        let idle = |setting: &'static str, kind, hint| {
            let key = setting.strip_prefix("breaker.").unwrap_or(setting);
            let message = format!("`{key}` does nothing for a breaker of kind \"{kind}\"");
            Slip { setting, message, hint }
        };
        match self.kind() {
            Some(BreakerKind::Consecutive) => slips.extend(self.rate_key().map(|setting| {
                idle(setting, "consecutive", "leave it out, or choose kind = \"rate\"")
            })),
            Some(BreakerKind::Rate) if self.failure_threshold.is_some() => slips.push(idle(
                "breaker.failure_threshold",
                "rate",
                "leave it out, or choose kind = \"consecutive\"",
            )),
            Some(BreakerKind::Rate | BreakerKind::Hybrid | BreakerKind::Off) | None => {}
        }
        if let (Some(Span(first)), Some(Span(most))) = (self.reset_timeout, self.reset_timeout_max)
            && first > most
        {
            slips.push(Slip {
                setting: "breaker.reset_timeout",
                message: format!("a reset of {first:?} is above its highest of {most:?}"),
                hint: "expected reset_timeout <= reset_timeout_max",
            });
        }
        slips
    }
}

impl From<JitterShape> for Jitter {
    fn from(shape: JitterShape) -> Self {
        match shape {
            JitterShape::Full => Self::Full,
            JitterShape::Equal => Self::Equal,
            JitterShape::None => Self::None,
        }
    }
}

impl From<Switch> for LimitKind {
    fn from(adaptive: Switch) -> Self {
        if adaptive.0 { Self::Vegas } else { Self::Fixed }
    }
}

/// Lowers an inherited bound; never to zero, which would blame it for the other's fault.
pub(super) fn give_way(bound: &mut Duration, most: Duration) {
    if !most.is_zero() {
        *bound = (*bound).min(most);
    }
}

/// Changes `field` if there is something to change it to.
pub(super) fn put<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}
