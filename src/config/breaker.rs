//! The keys of a breaker, and what they make of the breaker that a layer inherits.

use serde::Deserialize;
use spillgate_core::breaker::options::{
    BreakerKind, BreakerOptions, HalfOpen, SlowCalls, SlowCount,
};
use spillgate_core::event::BreakerMode;

use super::choice::OrOff;
use super::hedge::Switch;
use super::layer::{Slip, first_set, put};
use super::value::{Count, IgnoredFailure, Natural, Number, Positive, Span};

/// How many calls a window of calls may hold.
type WindowCalls = Count<1, 10_000>;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct BreakerShape {
    kind: Option<KindShape>,
    mode: Option<ModeShape>,
    failure_threshold: Option<Natural>,
    failure_rate: Option<Number>,
    min_calls: Option<Positive>,
    window: Option<Span>,
    window_calls: Option<WindowCalls>,
    slow_call: Option<OrOff<Span>>,
    slow_rate: Option<Number>,
    slow_counted: Option<SlowCountShape>,
    reset_timeout: Option<Span>,
    reset_growth: Option<Number>,
    reset_timeout_max: Option<Span>,
    reset_jitter: Option<Number>,
    ramp: Option<Span>,
    probes: Option<Positive>,
    success_threshold: Option<Natural>,
    probe_lease: Option<Span>,
    half_open: Option<HalfOpenShape>,
    ignore: Option<Vec<IgnoredFailure>>,
    learn: Option<Switch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "a text in quotes")]
enum KindShape {
    Rate,
    Consecutive,
    Hybrid,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "a text in quotes")]
enum ModeShape {
    Enforce,
    Shadow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "a text in quotes")]
enum SlowCountShape {
    Finished,
    InFlight,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "a text in quotes")]
enum HalfOpenShape {
    Refuse,
    Wait,
}

impl BreakerShape {
    /// Changes what is named, and what must give way to it.
    ///
    /// A change of kind starts from that kind's preset, because 5 s until the first probe belong to
    /// a rate; what goes with any kind stays.
    pub(super) fn apply(&self, breaker: &mut BreakerOptions) {
        let kind = self.kind(breaker);
        if kind != breaker.kind {
            let ignore = std::mem::take(&mut breaker.ignore);
            let BreakerOptions { mode, slow, half_open, .. } = *breaker;
            *breaker = BreakerOptions { mode, slow, half_open, ignore, ..preset(kind) };
        }
        put(&mut breaker.mode, self.mode.map(BreakerMode::from));
        put(&mut breaker.failure_threshold, self.failure_threshold.map(|count| count.0));
        put(&mut breaker.failure_rate, self.failure_rate.map(|number| number.0));
        self.apply_window(breaker);
        self.apply_slow(breaker);
        self.apply_reset(breaker);
        put(&mut breaker.ramp, self.ramp.map(|span| span.0));
        put(&mut breaker.probes_max, self.probes.map(|count| count.0));
        put(&mut breaker.success_threshold, self.success_threshold.map(|count| count.0));
        put(&mut breaker.probe_lease, self.probe_lease.map(|span| span.0));
        put(&mut breaker.half_open, self.half_open.map(HalfOpen::from));
        put(&mut breaker.learn, self.learn.map(|switch| switch.0));
        if let Some(ignore) = &self.ignore {
            breaker.ignore = ignore.iter().map(|ignored| ignored.0).collect();
        }
    }

    /// Settings that would do nothing over what is inherited, or contradict each other.
    pub(super) fn slips(&self, base: &BreakerOptions) -> Vec<Slip> {
        let mut after = base.clone();
        self.apply(&mut after);
        let slips = [self.idle(&after), self.windows(&after), self.resets(&after)];
        slips.into_iter().flatten().collect()
    }

    fn apply_window(&self, breaker: &mut BreakerOptions) {
        if let Some(Span(window)) = self.window {
            (breaker.window, breaker.window_calls) = (window, None);
        }
        put(&mut breaker.window_calls, self.window_calls.map(|count| Some(count.0)));
        put(&mut breaker.min_calls, self.min_calls.map(|count| count.0));
        if let (None, Some(held)) = (self.min_calls, breaker.window_calls) {
            breaker.min_calls = breaker.min_calls.min(held);
        }
    }

    fn apply_slow(&self, breaker: &mut BreakerOptions) {
        match self.slow_call {
            Some(OrOff::Off) => breaker.slow = None,
            Some(OrOff::On(Span(limit))) => {
                let inherited = breaker.slow.map(|slow| (slow.rate, slow.counted));
                let (rate, counted) = inherited.unwrap_or((SLOW_RATE, SlowCount::default()));
                breaker.slow = Some(SlowCalls { limit, rate, counted });
            }
            None => {}
        }
        if let Some(slow) = &mut breaker.slow {
            put(&mut slow.rate, self.slow_rate.map(|number| number.0));
            put(&mut slow.counted, self.slow_counted.map(SlowCount::from));
        }
    }

    fn apply_reset(&self, breaker: &mut BreakerOptions) {
        put(&mut breaker.reset_timeout, self.reset_timeout.map(|span| span.0));
        if let Some(Span(most)) = self.reset_timeout_max {
            breaker.reset_timeout_max = most;
            // A highest time is only meant by someone who wants the time to grow.
            breaker.reset_growth =
                breaker.reset_growth.max(BreakerOptions::standard().reset_growth);
        }
        put(&mut breaker.reset_growth, self.reset_growth.map(|number| number.0));
        put(&mut breaker.reset_jitter, self.reset_jitter.map(|number| number.0));
        breaker.reset_timeout_max = breaker.reset_timeout_max.max(breaker.reset_timeout);
    }

    /// The kind that is named, or that the other keys imply; one that has them all stays.
    fn kind(&self, base: &BreakerOptions) -> BreakerKind {
        if let Some(kind) = self.kind {
            return kind.into();
        }
        let is_slow = matches!(self.slow_call, Some(OrOff::On(_))) || base.slow.is_some();
        // The window of a streak is that of its slow calls.
        let has_window = base.kind == BreakerKind::Consecutive && is_slow;
        if base.kind == BreakerKind::Hybrid {
            BreakerKind::Hybrid
        } else if self.failure_threshold.is_some() {
            BreakerKind::Consecutive
        } else if self.failure_rate.is_some() || (self.window_key().is_some() && !has_window) {
            BreakerKind::Rate
        } else {
            base.kind
        }
    }

    /// The first key that only shares have.
    fn window_key(&self) -> Option<&'static str> {
        first_set(&[
            ("breaker.min_calls", self.min_calls.is_some()),
            ("breaker.window", self.window.is_some()),
            ("breaker.window_calls", self.window_calls.is_some()),
        ])
    }

    /// A key that does nothing for the breaker that comes of it all.
    fn idle(&self, after: &BreakerOptions) -> Option<Slip> {
        let slow = first_set(&[
            ("breaker.slow_rate", self.slow_rate.is_some()),
            ("breaker.slow_counted", self.slow_counted.is_some()),
        ]);
        if let (Some(setting), None) = (slow, after.slow) {
            let message = format!("`{}` does nothing without `slow_call`", bare(setting));
            return Some(Slip::new(setting, message, "name slow_call = \"2s\" beside it"));
        }
        let of_kind = |setting: &'static str, kind: &str, hint| {
            let message =
                format!("`{}` does nothing for a breaker of kind \"{kind}\"", bare(setting));
            Slip::new(setting, message, hint)
        };
        match after.kind {
            BreakerKind::Consecutive if self.failure_rate.is_some() => Some(of_kind(
                "breaker.failure_rate",
                "consecutive",
                "leave it out, or choose kind = \"rate\" or \"hybrid\"",
            )),
            BreakerKind::Consecutive if after.slow.is_none() => self.window_key().map(|setting| {
                let hint = "leave it out, name slow_call, or choose kind = \"rate\" or \"hybrid\"";
                of_kind(setting, "consecutive", hint)
            }),
            BreakerKind::Rate if self.failure_threshold.is_some() => Some(of_kind(
                "breaker.failure_threshold",
                "rate",
                "leave it out, or choose kind = \"consecutive\" or \"hybrid\"",
            )),
            BreakerKind::Off if matches!(self.slow_call, Some(OrOff::On(_))) => {
                Some(of_kind("breaker.slow_call", "off", "leave it out, or choose another kind"))
            }
            BreakerKind::Consecutive
            | BreakerKind::Rate
            | BreakerKind::Hybrid
            | BreakerKind::Off => None,
        }
    }

    fn windows(&self, after: &BreakerOptions) -> Option<Slip> {
        if let (Some(Span(window)), Some(Count(calls))) = (self.window, self.window_calls) {
            let message =
                format!("a window of {window:?} and one of {calls} calls are two windows");
            return Some(Slip::new("breaker.window_calls", message, "leave one of them out"));
        }
        let held = after.window_calls?;
        let min_calls = after.min_calls;
        (min_calls > held).then(|| {
            let message = format!("{min_calls} calls are more than a window of {held} calls holds");
            Slip::new("breaker.min_calls", message, "expected min_calls <= window_calls")
        })
    }

    fn resets(&self, after: &BreakerOptions) -> Option<Slip> {
        if let (Some(Span(first)), Some(Span(most))) = (self.reset_timeout, self.reset_timeout_max)
            && first > most
        {
            return Some(Slip::new(
                "breaker.reset_timeout",
                format!("a reset of {first:?} is above its highest of {most:?}"),
                "expected reset_timeout <= reset_timeout_max",
            ));
        }
        let growth = self.reset_growth?.0;
        let BreakerOptions { reset_timeout, reset_timeout_max, .. } = after;
        (growth > 1.0 && reset_timeout_max <= reset_timeout).then(|| {
            Slip::new(
                "breaker.reset_growth",
                format!(
                    "a growth of {growth} does nothing: a reset of {reset_timeout:?} is at its \
                     highest of {reset_timeout_max:?}"
                ),
                "leave it out, or raise reset_timeout_max",
            )
        })
    }
}

/// The key within its table.
fn bare(setting: &'static str) -> &'static str {
    setting.strip_prefix("breaker.").unwrap_or(setting)
}

/// What a kind begins with.
fn preset(kind: BreakerKind) -> BreakerOptions {
    match kind {
        BreakerKind::Consecutive => BreakerOptions::default(),
        BreakerKind::Rate => BreakerOptions::standard(),
        BreakerKind::Hybrid => BreakerOptions { kind, ..BreakerOptions::standard() },
        BreakerKind::Off => BreakerOptions::off(),
    }
}

impl From<KindShape> for BreakerKind {
    fn from(shape: KindShape) -> Self {
        match shape {
            KindShape::Rate => Self::Rate,
            KindShape::Consecutive => Self::Consecutive,
            KindShape::Hybrid => Self::Hybrid,
            KindShape::Off => Self::Off,
        }
    }
}

impl From<ModeShape> for BreakerMode {
    fn from(shape: ModeShape) -> Self {
        match shape {
            ModeShape::Enforce => Self::Enforcing,
            ModeShape::Shadow => Self::Shadow,
        }
    }
}

impl From<SlowCountShape> for SlowCount {
    fn from(shape: SlowCountShape) -> Self {
        match shape {
            SlowCountShape::Finished => Self::AtItsEnd,
            SlowCountShape::InFlight => Self::InFlight,
        }
    }
}

impl From<HalfOpenShape> for HalfOpen {
    fn from(shape: HalfOpenShape) -> Self {
        match shape {
            HalfOpenShape::Refuse => Self::FailFast,
            HalfOpenShape::Wait => Self::Queue,
        }
    }
}

/// The share of slow calls that opens a breaker which names no other.
const SLOW_RATE: f64 = 0.8;
