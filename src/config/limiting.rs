//! The keys that bound how much is sent at once and over time.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use spillgate_core::allowance::QuotaUse;
use spillgate_core::limit::LimitKind;
use spillgate_core::policy::{HostPolicy, Limits};
use spillgate_core::rate::RateOptions;

use super::choice::Adaptive;
use super::layer::{Slip, put};
use super::value::{Natural, Number, Positive};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct LimitsShape {
    pub(super) per_host: Option<Natural>,
    pub(super) adaptive: Option<Adaptive>,
    pub(super) floor: Option<Positive>,
    pub(super) rate: Option<RateShape>,
    pub(super) quota: Option<QuotaShape>,
    pub(super) global: Option<Natural>,
    pub(super) queue: Option<Natural>,
    pub(super) calls: Option<Natural>,
    pub(super) hosts: Option<Natural>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct HostLimitsShape {
    per_host: Option<Natural>,
    adaptive: Option<Adaptive>,
    floor: Option<Positive>,
    rate: Option<RateShape>,
    quota: Option<QuotaShape>,
}

/// A rate: a table, the number a second alone, or none.
#[derive(Debug, Clone, Copy)]
pub(super) enum RateShape {
    Off,
    Of { per_second: Option<Number>, burst: Option<Positive> },
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a rate such as 10, a table or \"off\"")]
struct RateTable {
    per_second: Option<Number>,
    burst: Option<Positive>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "a text in quotes")]
pub(super) enum QuotaShape {
    Obey,
    Ignore,
}

impl LimitsShape {
    /// The keys that a host may have, too.
    pub(super) fn of_host(&self) -> HostLimitsShape {
        let Self { per_host, adaptive, floor, rate, quota, .. } = *self;
        HostLimitsShape { per_host, adaptive, floor, rate, quota }
    }

    /// Changes what is named of the whole client.
    pub(super) fn apply(&self, limits: &mut Limits) {
        put(&mut limits.global, self.global.map(|count| count.0));
        put(&mut limits.queue_max, self.queue.map(|count| count.0 as usize));
        put(&mut limits.calls_max, self.calls.map(|count| count.0 as usize));
        put(&mut limits.hosts_max, self.hosts.map(|count| count.0 as usize));
    }
}

impl HostLimitsShape {
    /// Changes what is named, and the floor that must give way to a lower ceiling.
    pub(super) fn apply(&self, policy: &mut HostPolicy) {
        put(&mut policy.concurrency, self.per_host.map(|count| count.0));
        put(&mut policy.limit.kind, self.adaptive.map(|adaptive| adaptive.0));
        put(&mut policy.limit.floor, self.floor.map(|count| count.0));
        if self.floor.is_none() {
            policy.limit.floor = policy.limit.floor.min(policy.concurrency.max(1));
        }
        let inherited = policy.rate;
        put(&mut policy.rate, self.rate.map(|rate| rate.over(inherited)));
        put(&mut policy.quota, self.quota.map(QuotaUse::from));
    }

    /// Settings that would do nothing over what is inherited.
    pub(super) fn slips(&self, base: &HostPolicy) -> Vec<Slip> {
        let mut after = base.clone();
        self.apply(&mut after);
        let idle_floor =
            (self.floor.is_some() && after.limit.kind == LimitKind::Fixed).then(|| {
                let message = String::from("`floor` does nothing for a limit that does not move");
                Slip::new("limits.floor", message, "leave it out, or choose adaptive = true")
            });
        let idle_burst = match (self.rate, after.rate) {
            (Some(RateShape::Of { .. }), None) => Some(Slip::new(
                "limits.rate",
                String::from("a burst without `per_second` is no rate"),
                "write rate = { per_second = 10, burst = 20 }",
            )),
            (Some(_) | None, _) => None,
        };
        [idle_floor, idle_burst].into_iter().flatten().collect()
    }

    /// A host that is given more than there is for all.
    ///
    /// Only a number that is named is meant: whoever lowers `global` alone means all hosts.
    pub(super) fn excess(&self, limits: &Limits) -> Option<Slip> {
        let (per_host, global) = (self.per_host?.0, limits.global);
        (global > 0 && per_host > global).then(|| {
            Slip::new(
                "limits.per_host",
                format!("{per_host} slots of one host are more than the {global} of all hosts"),
                "raise `global` in `[defaults.limits]`, or lower this",
            )
        })
    }
}

impl RateShape {
    /// The rate that comes of an inherited one.
    fn over(self, inherited: Option<RateOptions>) -> Option<RateOptions> {
        let Self::Of { per_second, burst } = self else { return None };
        let per_second =
            per_second.map(|number| number.0).or(inherited.map(|rate| rate.per_second))?;
        let burst = burst.map(|count| count.0).or(inherited.map(|rate| rate.burst)).unwrap_or(1);
        Some(RateOptions { per_second, burst })
    }
}

impl From<QuotaShape> for QuotaUse {
    fn from(shape: QuotaShape) -> Self {
        match shape {
            QuotaShape::Obey => Self::Obey,
            QuotaShape::Ignore => Self::Ignore,
        }
    }
}

impl<'de> Deserialize<'de> for RateShape {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RateVisitor)
    }
}

struct RateVisitor;

impl<'de> Visitor<'de> for RateVisitor {
    type Value = RateShape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a rate such as 10, a table or \"off\"")
    }

    fn visit_i64<E: de::Error>(self, rate: i64) -> Result<RateShape, E> {
        let whole = i32::try_from(rate);
        let whole = whole.map_err(|_| E::invalid_value(de::Unexpected::Signed(rate), &self))?;
        self.visit_f64(f64::from(whole))
    }

    fn visit_f64<E: de::Error>(self, rate: f64) -> Result<RateShape, E> {
        Ok(RateShape::Of { per_second: Some(Number(rate)), burst: None })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<RateShape, E> {
        if text == "off" {
            return Ok(RateShape::Off);
        }
        Err(E::custom(format!(
            "the text {text:?} is no rate, expected a number such as 10, a table or \"off\""
        )))
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<RateShape, A::Error> {
        let table = RateTable::deserialize(MapAccessDeserializer::new(table))?;
        Ok(RateShape::Of { per_second: table.per_second, burst: table.burst })
    }
}
