//! What a seed stands for: the world's size, its policies, its weather and its manners.

use std::time::Duration;

use spillgate_core::backoff::{BackoffOptions, Jitter};
use spillgate_core::breaker::options::{
    BreakerKind, BreakerOptions, HalfOpen, Ignored, SlowCalls, SlowCount,
};
use spillgate_core::budget::BudgetOptions;
use spillgate_core::call::{
    BreakerUse, CallSpec, CallerKey, FlightKey, HedgeDelay, HedgeUse, HostKey, Priority, Repeat,
    Target, Ticket,
};
use spillgate_core::event::BreakerMode;
use spillgate_core::hedge::HedgeOptions;
use spillgate_core::limit::{LimitKind, LimitOptions};
use spillgate_core::policy::{HostPolicy, RetryOptions, Timeouts};
use spillgate_core::rate::RateOptions;
use spillgate_core::rng::Rng;

use crate::upstream::Weather;
use crate::world::{MS, SECOND};

/// The fixed part of a run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) lanes: usize,
    pub(crate) global: u32,
    pub(crate) queue_max: usize,
    pub(crate) policy: HostPolicy,
    /// The longest a message travels.
    pub(crate) delay_max: u64,
    /// The longest a wake is late.
    pub(crate) late_max: u64,
    /// How likely a message is delivered twice.
    pub(crate) duplicates: f64,
    pub(crate) calls: u64,
    pub(crate) ending: Ending,
}

/// How the client is shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// After everything has ended.
    AtRest,
    /// In the middle, gently.
    Drain,
    /// In the middle, at once.
    Close,
}

/// A call that is still to be made.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) target: Target,
    pub(crate) priority: Priority,
    pub(crate) budget: u64,
    pub(crate) key: Option<u8>,
    pub(crate) repeat: Repeat,
    pub(crate) attempts_max: Option<u32>,
    pub(crate) breaker: BreakerUse,
    pub(crate) stream: bool,
    pub(crate) hedge: HedgeUse,
    pub(crate) cancel_after: Option<u64>,
}

impl Plan {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let ending = match rng.below(6) {
            0 => Ending::Drain,
            1 => Ending::Close,
            _ => Ending::AtRest,
        };
        let mut plan = Self {
            lanes: 2 + pick(rng, &[0, 1, 2]),
            global: pick(rng, &[2, 4, 8, 24]),
            queue_max: pick(rng, &[3, 10, 50, 200]),
            policy: policy(rng),
            delay_max: pick(rng, &[0, MS, 20 * MS, 150 * MS]),
            late_max: pick(rng, &[0, 2 * MS, 80 * MS]),
            duplicates: pick(rng, &[0.0, 0.1, 0.3]),
            calls: pick(rng, &[100, 250, 500]),
            ending,
        };
        plan.policy.breaker.learn = chance(rng, 0.2);
        plan
    }

    /// The keys of all hosts: the lanes, and last the keeper of a scope that two of them share.
    pub(crate) fn keepers(&self) -> Vec<HostKey> {
        let mut keys: Vec<HostKey> = (0..self.lanes).map(lane_key).collect();
        keys.push(SHARED.into());
        keys
    }

    pub(crate) fn keeper_index(&self, keeper: &str) -> usize {
        self.keepers().iter().position(|key| &**key == keeper).expect("a known keeper")
    }

    /// Whether a call finds its own route well while the rest of the host is not.
    pub(crate) fn is_spared(&self, target: &Target, weather: Weather) -> bool {
        let fails = matches!(weather, Weather::Dead | Weather::Resetting | Weather::Flaky);
        let is_steady = target.class.as_ref().is_some_and(|class| class.ends_with(STEADY));
        self.policy.breaker.learn && is_steady && fails
    }

    /// A target: a host's own scope, a route's, or the one shared by the first two lanes.
    pub(crate) fn target(&self, rng: &mut Rng) -> Target {
        let lane = usize::try_from(rng.below(self.lanes as u64)).unwrap_or(0);
        target(lane, rng.below(4))
    }

    pub(crate) fn wish(&self, rng: &mut Rng) -> Wish {
        let key = chance(rng, 0.4).then(|| u8::try_from(rng.below(6)).unwrap_or(0));
        // Equal keys are byte-equal requests, so a key settles where it goes and how it repeats.
        let target = match key {
            Some(key) => target(usize::from(key) % self.lanes, u64::from(key) % 4),
            None => self.target(rng),
        };
        let repeat = match key {
            Some(_) => Repeat::Always,
            None => {
                pick(rng, &[Repeat::Always, Repeat::Always, Repeat::IfNeverSent, Repeat::Never])
            }
        };
        let bypasses = key.is_none() && chance(rng, 0.05);
        let breaker = if bypasses { BreakerUse::Bypassed } else { BreakerUse::Guarded };
        let stream = key.is_none() && chance(rng, 0.15);
        let soon = HedgeUse::after(Duration::from_millis(30));
        let wished = pick(rng, &[HedgeUse::ByPolicy, HedgeUse::ByPolicy, HedgeUse::off(), soon]);
        let hedge = if key.is_none() { wished } else { HedgeUse::ByPolicy };
        Wish {
            target,
            priority: Priority::ALL[usize::try_from(rng.below(4)).unwrap_or(0)],
            budget: pick(rng, &[50 * MS, 500 * MS, 2 * SECOND, 5 * SECOND, 20 * SECOND]),
            key,
            repeat,
            attempts_max: (key.is_none() && chance(rng, 0.2)).then(|| pick(rng, &[1, 2, 6])),
            breaker,
            stream,
            hedge: if stream { HedgeUse::off() } else { hedge },
            cancel_after: chance(rng, 0.2).then(|| rng.below(3 * SECOND)),
        }
    }
}

impl Wish {
    /// A plain call, as the liveness phase makes them.
    pub(crate) fn plain(target: Target) -> Self {
        Self {
            target,
            priority: Priority::Normal,
            budget: 20 * SECOND,
            key: None,
            repeat: Repeat::Always,
            attempts_max: None,
            breaker: BreakerUse::Guarded,
            stream: false,
            hedge: HedgeUse::ByPolicy,
            cancel_after: None,
        }
    }

    pub(crate) fn spec(&self, ticket: Ticket, deadline: std::time::Instant) -> CallSpec {
        CallSpec {
            ticket,
            target: self.target.clone(),
            priority: self.priority,
            caller: CallerKey(ticket.0 % 3),
            deadline,
            key: self.key.map(|byte| FlightKey([byte; 32])),
            repeat: self.repeat,
            attempts_max: self.attempts_max,
            timeout: None,
            breaker: self.breaker,
            hedge: self.hedge,
        }
    }
}

pub(crate) fn target(lane: usize, kind: u64) -> Target {
    let host = lane_key(lane);
    match kind {
        0 if lane < 2 => {
            Target { lane: host, keeper: SHARED.into(), scope: SHARED.into(), class: None }
        }
        1 => {
            let scope = format!("{host} /route").into();
            Target { scope, keeper: host.clone(), lane: host, class: None }
        }
        _ => {
            let class = Some(format!("{host} {}", if kind == 2 { STEADY } else { OTHER }).into());
            Target { lane: host.clone(), keeper: host.clone(), scope: host, class }
        }
    }
}

pub(crate) fn lane_key(lane: usize) -> HostKey {
    format!("h{lane}").into()
}

pub(crate) fn breaker(rng: &mut Rng) -> BreakerOptions {
    let kinds = [BreakerKind::Consecutive, BreakerKind::Rate, BreakerKind::Hybrid];
    let limit = Duration::from_millis(pick(rng, &[200, 600]));
    let counted = pick(rng, &[SlowCount::AtItsEnd, SlowCount::InFlight]);
    let slow = Some(SlowCalls { limit, rate: pick(rng, &[0.2, 0.5]), counted });
    let shadow = chance(rng, 0.1);
    let ignored = pick(rng, &[Ignored::Status(500), Ignored::Status(503)]);
    BreakerOptions {
        kind: pick(rng, &kinds),
        failure_threshold: pick(rng, &[1, 3, 5]),
        success_threshold: pick(rng, &[1, 1, 3]),
        min_calls: pick(rng, &[2, 4, 10]),
        window_calls: pick(rng, &[None, None, Some(RING_CALLS)]),
        slow: slow.filter(|_| chance(rng, 0.6)),
        reset_timeout: Duration::from_millis(pick(rng, &[200, 1_000, 3_000])),
        reset_growth: pick(rng, &[1.0, 2.0]),
        reset_timeout_max: Duration::from_secs(6),
        reset_jitter: pick(rng, &[0.0, 0.2]),
        probes_max: pick(rng, &[1, 1, 2]),
        probe_lease: Duration::from_millis(pick(rng, &[300, 1_000, 5_000])),
        half_open: pick(rng, &[HalfOpen::FailFast, HalfOpen::Queue]),
        ramp: Duration::from_millis(pick(rng, &[0, 0, 2_000, 10_000])),
        mode: if shadow { BreakerMode::Shadow } else { BreakerMode::Enforcing },
        ignore: chance(rng, 0.1).then_some(ignored).into_iter().collect(),
        ..BreakerOptions::default()
    }
}

fn policy(rng: &mut Rng) -> HostPolicy {
    let attempt = Duration::from_millis(pick(rng, &[500, 2_000, 6_000]));
    let initial = pick(rng, &[0.0, 2.0, 10.0]);
    HostPolicy {
        deadline: Duration::from_secs(30),
        timeouts: Timeouts { attempt, ..Timeouts::default() },
        retry: RetryOptions {
            attempts_max: pick(rng, &[1, 2, 4, 4]),
            backoff: BackoffOptions {
                base: Duration::from_millis(pick(rng, &[20, 250, 1_000])),
                jitter: pick(rng, &[Jitter::Full, Jitter::Equal, Jitter::None]),
                ..BackoffOptions::default()
            },
            budget: BudgetOptions {
                ratio: pick(rng, &[0.1, 0.5]),
                initial,
                ..BudgetOptions::default()
            },
        },
        breaker: breaker(rng),
        concurrency: pick(rng, &[1, 2, 6]),
        hedge: hedge(rng),
        limit: LimitOptions {
            kind: pick(rng, &[LimitKind::Fixed, LimitKind::Vegas, LimitKind::Aimd]),
            floor: pick(rng, &[0, 1, 1, 2]),
        },
        rate: pick(rng, &[None, None, Some(RateOptions { per_second: 20.0, burst: 3 })]),
        ..HostPolicy::default()
    }
}

/// Off, or so eager that the few calls of a run earn some.
fn hedge(rng: &mut Rng) -> Option<HedgeOptions> {
    let delay = HedgeDelay::Fixed(Duration::from_millis(pick(rng, &[20, 100, 400])));
    let delay = pick(rng, &[delay, delay, HedgeDelay::LiveP95]);
    let (ratio, busy_max) = (pick(rng, &[0.1, 0.5]), pick(rng, &[0.7, 1.0]));
    let options = HedgeOptions { delay, ratio, busy_max, ..HedgeOptions::default() };
    pick(rng, &[None, Some(options), Some(options)])
}

/// One of these.
pub(crate) fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[usize::try_from(rng.below(from.len() as u64)).unwrap_or(0)]
}

/// Whether something happens that is this likely.
pub(crate) fn chance(rng: &mut Rng, share: f64) -> bool {
    rng.unit() < share
}

/// The calls of a window over calls.
pub(crate) const RING_CALLS: u32 = 8;
pub(crate) const SHARED: &str = "shared";
/// A route that is well in most weathers, where hosts learn of their routes.
pub(crate) const STEADY: &str = "/steady";
const OTHER: &str = "/other";
