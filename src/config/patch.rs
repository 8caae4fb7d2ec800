//! What one layer changes in the policy that the layers below it made.
//!
//! A bound that a layer does not mention gives way to the one it does: `deadline = "2s"` shortens
//! the inherited attempt instead of contradicting it. Only two numbers of one layer, or a raised
//! inner bound, can contradict; [`HostPolicy::check`] finds those.

use http::Method;
use spillgate_core::backoff::Jitter;
use spillgate_core::budget::{BudgetOptions, Refund};
use spillgate_core::policy::{HostPolicy, Limits, RetryOptions, Timeouts};

use super::breaker::BreakerShape;
use super::caching::HostCacheShape;
use super::hedge::HedgeShape;
use super::layer::{Slip, first_set, give_way, put};
use super::limiting::HostLimitsShape;
use super::shape::{
    BudgetShape, DefaultsShape, HostShape, JitterShape, PresetShape, RefundShape, RetryShape,
    RouteShape, TimeoutsShape,
};
use super::value::{Number, Span};

/// What one table of a file changes.
#[derive(Debug, Clone, Default)]
pub(super) struct PolicyPatch {
    deadline: Option<Span>,
    timeouts: TimeoutsShape,
    pub(super) retry: RetryShape,
    breaker: BreakerShape,
    limits: HostLimitsShape,
    pub(super) hedge: HedgeShape,
    pub(super) cache: HostCacheShape,
}

impl PolicyPatch {
    pub(super) fn of_defaults(shape: &DefaultsShape) -> Self {
        Self {
            deadline: shape.deadline,
            timeouts: shape.timeouts.clone(),
            retry: shape.retry.clone(),
            breaker: shape.breaker.clone(),
            limits: shape.limits.of_host(),
            hedge: shape.hedge.clone(),
            cache: shape.cache.of_host(),
        }
    }

    pub(super) fn of_host(shape: &HostShape) -> Self {
        Self {
            deadline: shape.deadline,
            timeouts: shape.timeouts.clone(),
            retry: shape.retry.clone(),
            breaker: shape.breaker.clone(),
            limits: shape.limits.clone(),
            hedge: shape.hedge.clone(),
            cache: shape.cache.clone(),
        }
    }

    pub(super) fn of_route(shape: &RouteShape) -> Self {
        Self {
            deadline: shape.deadline,
            timeouts: shape.timeouts.clone(),
            retry: shape.retry.clone(),
            breaker: shape.breaker.clone(),
            limits: HostLimitsShape::default(),
            hedge: shape.hedge.clone(),
            cache: shape.cache.clone(),
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
        self.limits.apply(policy);
        self.hedge.apply(&mut policy.hedge);
    }

    /// The methods that may be repeated, if the patch names them.
    pub(super) fn methods(&self) -> Option<impl Iterator<Item = &Method>> {
        self.retry.methods.as_ref().map(|methods| methods.iter().map(|name| &name.0))
    }

    /// Settings that would do nothing over what is inherited, or contradict each other.
    pub(super) fn slips(&self, base: &HostPolicy, limits: &Limits) -> Vec<Slip> {
        let mut slips = self.breaker.slips(&base.breaker);
        slips.extend(self.retry.slips(&base.retry));
        slips.extend(self.limits.slips(base));
        slips.extend(self.limits.excess(limits));
        slips
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
        put(retry, self.preset.map(RetryOptions::from));
        let backoff = &mut retry.backoff;
        put(&mut retry.attempts_max, self.max_attempts.map(|count| count.0));
        put(&mut backoff.base, self.base.map(|span| span.0));
        put(&mut backoff.factor, self.factor.map(|number| number.0));
        put(&mut backoff.cap, self.cap.map(|span| span.0));
        put(&mut backoff.jitter, self.jitter.map(Jitter::from));
        put(&mut backoff.base_throttled, self.base_throttled.map(|span| span.0));
        put(&mut backoff.hint, self.retry_after.map(|hinted| hinted.0));
        if self.base.is_none() {
            backoff.base = backoff.base.min(backoff.cap);
        }
        if let Some(budget) = &self.budget {
            budget.apply(&mut retry.budget);
        }
    }

    /// The first key that belongs to a host as a whole, because its calls share what it sets.
    pub(super) fn key_of_host(&self) -> Option<&'static str> {
        first_set(&[
            ("retry.budget", self.budget.is_some()),
            ("retry.preset", self.preset.is_some()),
            ("retry.base", self.base.is_some()),
            ("retry.factor", self.factor.is_some()),
            ("retry.cap", self.cap.is_some()),
            ("retry.jitter", self.jitter.is_some()),
            ("retry.base_throttled", self.base_throttled.is_some()),
            ("retry.retry_after", self.retry_after.is_some()),
        ])
    }

    fn slips(&self, base: &RetryOptions) -> Option<Slip> {
        let budget = self.budget.as_ref()?;
        let mut after = base.clone();
        self.apply(&mut after);
        if let (Some(Number(initial)), Some(Number(cap))) = (budget.initial, budget.cap)
            && initial > cap
        {
            let message = format!("{initial} tokens at first are more than the cap of {cap}");
            return Some(Slip::new("retry.budget", message, "expected initial <= cap"));
        }
        let BudgetOptions { cap, price, price_throttled, .. } = after.budget;
        let dearest = price.max(price_throttled);
        // Without any cap there are no retries, whatever they cost.
        let is_out_of_reach = budget.names_price() && cap > 0.0 && dearest > cap;
        is_out_of_reach.then(|| {
            let message = format!("a retry of {dearest} tokens can never be paid from {cap}");
            Slip::new("retry.budget", message, "expected price <= cap")
        })
    }
}

impl BudgetShape {
    fn apply(&self, budget: &mut BudgetOptions) {
        put(&mut budget.ratio, self.ratio.map(|number| number.0));
        put(&mut budget.initial, self.initial.map(|number| number.0));
        put(&mut budget.cap, self.cap.map(|number| number.0));
        put(&mut budget.price, self.price.map(|number| number.0));
        put(&mut budget.price_throttled, self.price_throttled.map(|number| number.0));
        put(&mut budget.refund, self.refund.map(Refund::from));
    }

    fn names_price(&self) -> bool {
        self.price.is_some() || self.price_throttled.is_some()
    }
}

impl From<PresetShape> for RetryOptions {
    fn from(shape: PresetShape) -> Self {
        match shape {
            PresetShape::Standard => Self::default(),
            PresetShape::AwsStandard => Self::aws_standard(),
        }
    }
}

impl From<RefundShape> for Refund {
    fn from(shape: RefundShape) -> Self {
        match shape {
            RefundShape::Ratio => Self::Ratio,
            RefundShape::Price => Self::Price,
        }
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
