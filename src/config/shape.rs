//! The shape of a configuration file: which keys stand where, and what they hold.
//!
//! Everything is optional, because layers only say what they change; unknown keys are errors.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};

use super::administering::AdminShape;
use super::breaker::BreakerShape;
use super::caching::{CacheShape, HostCacheShape};
use super::choice::Hinted;
use super::hedge::HedgeShape;
use super::limiting::{HostLimitsShape, LimitsShape};
use super::serving::ListenerShape;
use super::settings::Coalesce;
use super::value::{
    ByteSize, CollectorUrl, Count, HeaderText, MethodName, Natural, Number, Positive, Span, Text,
};

/// How many redirects may be followed; more are a loop.
pub(super) type Hops = Count<0, 20>;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct FileShape {
    pub(super) defaults: DefaultsShape,
    pub(super) host: Vec<HostShape>,
    pub(super) chaos: Vec<ChaosShape>,
    pub(super) telemetry: TelemetryShape,
    pub(super) listener: Vec<ListenerShape>,
    pub(super) admin: AdminShape,
}

/// What environment variables can say: all but the hosts.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct EnvironmentShape {
    pub(super) defaults: DefaultsShape,
    pub(super) telemetry: TelemetryShape,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct DefaultsShape {
    pub(super) deadline: Option<Span>,
    pub(super) timeouts: TimeoutsShape,
    pub(super) retry: RetryShape,
    pub(super) breaker: BreakerShape,
    pub(super) limits: LimitsShape,
    pub(super) hedge: HedgeShape,
    pub(super) cache: CacheShape,
    pub(super) coalesce: Option<CoalesceShape>,
    pub(super) redirects: Option<Hops>,
    pub(super) body_max: Option<ByteSize>,
    pub(super) tls: TlsShape,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct HostShape {
    #[serde(rename = "match")]
    pub(super) pattern: String,
    #[serde(default)]
    pub(super) deadline: Option<Span>,
    #[serde(default)]
    pub(super) timeouts: TimeoutsShape,
    #[serde(default)]
    pub(super) retry: RetryShape,
    #[serde(default)]
    pub(super) breaker: BreakerShape,
    #[serde(default)]
    pub(super) limits: HostLimitsShape,
    #[serde(default)]
    pub(super) hedge: HedgeShape,
    #[serde(default)]
    pub(super) cache: HostCacheShape,
    #[serde(default)]
    pub(super) route: Vec<RouteShape>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct RouteShape {
    #[serde(rename = "match")]
    pub(super) pattern: String,
    #[serde(default)]
    pub(super) deadline: Option<Span>,
    #[serde(default)]
    pub(super) timeouts: TimeoutsShape,
    #[serde(default)]
    pub(super) retry: RetryShape,
    #[serde(default)]
    pub(super) breaker: BreakerShape,
    #[serde(default)]
    pub(super) hedge: HedgeShape,
    #[serde(default)]
    pub(super) cache: HostCacheShape,
}

/// A fault to inject; which keys go with which fault is checked later.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct ChaosShape {
    pub(super) fault: FaultShape,
    pub(super) share: Number,
    #[serde(default)]
    pub(super) latency: Option<Span>,
    #[serde(default)]
    pub(super) jitter: Option<Span>,
    #[serde(default)]
    pub(super) error: Option<Text>,
    #[serde(default)]
    pub(super) status: Option<Natural>,
    #[serde(default)]
    pub(super) retry_after: Option<Span>,
    #[serde(default)]
    pub(super) host: Option<Text>,
    #[serde(default)]
    pub(super) route: Option<Text>,
    #[serde(default)]
    pub(super) from: Option<Span>,
    #[serde(default)]
    pub(super) until: Option<Span>,
    #[serde(default)]
    pub(super) times: Option<Positive>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "a text in quotes")]
pub(super) enum FaultShape {
    Latency,
    Error,
    Status,
    Hang,
    Truncate,
    Stall,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct TimeoutsShape {
    pub(super) connect: Option<Span>,
    pub(super) attempt: Option<Span>,
    pub(super) read_idle: Option<Span>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct RetryShape {
    pub(super) preset: Option<PresetShape>,
    pub(super) max_attempts: Option<Natural>,
    pub(super) base: Option<Span>,
    pub(super) factor: Option<Number>,
    pub(super) cap: Option<Span>,
    pub(super) jitter: Option<JitterShape>,
    pub(super) base_throttled: Option<Span>,
    pub(super) retry_after: Option<Hinted>,
    pub(super) methods: Option<Vec<MethodName>>,
    pub(super) budget: Option<BudgetShape>,
}

/// A budget: a table, or the ratio alone.
#[derive(Debug, Clone, Default)]
pub(super) struct BudgetShape {
    pub(super) ratio: Option<Number>,
    pub(super) initial: Option<Number>,
    pub(super) cap: Option<Number>,
    pub(super) price: Option<Number>,
    pub(super) price_throttled: Option<Number>,
    pub(super) refund: Option<RefundShape>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a ratio such as 0.1 or a table")]
struct BudgetTable {
    ratio: Option<Number>,
    initial: Option<Number>,
    cap: Option<Number>,
    price: Option<Number>,
    price_throttled: Option<Number>,
    refund: Option<RefundShape>,
}

/// Retries as somebody else makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "a text in quotes")]
pub(super) enum PresetShape {
    Standard,
    AwsStandard,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "a text in quotes")]
pub(super) enum RefundShape {
    Ratio,
    Price,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "a text in quotes")]
pub(super) enum JitterShape {
    Full,
    Equal,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "a text in quotes")]
pub(super) enum CoalesceShape {
    Identical,
    Off,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct TlsShape {
    pub(super) ca: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct TelemetryShape {
    pub(super) otlp: Option<CollectorUrl>,
    pub(super) service_name: Option<Text>,
    pub(super) protocol: Option<ProtocolShape>,
    pub(super) redact: RedactShape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(expecting = "a text in quotes")]
pub(super) enum ProtocolShape {
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
    #[serde(rename = "grpc")]
    Grpc,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct RedactShape {
    pub(super) headers: Option<Vec<HeaderText>>,
    pub(super) query: Option<Vec<Text>>,
}

impl<'de> Deserialize<'de> for BudgetShape {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BudgetVisitor)
    }
}

struct BudgetVisitor;

impl<'de> Visitor<'de> for BudgetVisitor {
    type Value = BudgetShape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a ratio such as 0.1 or a table")
    }

    fn visit_i64<E: de::Error>(self, ratio: i64) -> Result<BudgetShape, E> {
        let ratio = i32::try_from(ratio)
            .map_err(|_| E::invalid_value(de::Unexpected::Signed(ratio), &self))?;
        self.visit_f64(f64::from(ratio))
    }

    fn visit_f64<E: de::Error>(self, ratio: f64) -> Result<BudgetShape, E> {
        Ok(BudgetShape { ratio: Some(Number(ratio)), ..BudgetShape::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<BudgetShape, A::Error> {
        let table = BudgetTable::deserialize(MapAccessDeserializer::new(table))?;
        let BudgetTable { ratio, initial, cap, price, price_throttled, refund } = table;
        Ok(BudgetShape { ratio, initial, cap, price, price_throttled, refund })
    }
}

impl From<CoalesceShape> for Coalesce {
    fn from(shape: CoalesceShape) -> Self {
        match shape {
            CoalesceShape::Identical => Self::Identical,
            CoalesceShape::Off => Self::Off,
        }
    }
}
