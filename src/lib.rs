#![doc = include_str!("../README.md")]

#[macro_use]
mod verbs;

mod breakers;
mod builder;
pub mod cache;
mod caching;
mod chaos;
mod client;
pub mod config;
mod context;
mod engine;
#[cfg(doctest)]
mod howto;
mod lifecycle;
mod plan;
mod redaction;
mod request;
mod response;
#[cfg(feature = "sidecar")]
pub mod sidecar;
#[cfg(feature = "simulate")]
pub mod simulate;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
mod transport;
mod turns;

#[cfg(feature = "cli")]
pub mod cli;

pub use breakers::{Breaker, BreakerHandle, BreakerOpened, Breakers};
pub use builder::ClientBuilder;
pub use cache::ask::CacheMode;
pub use cache::key::Identity;
pub use cache::purge::Purge;
pub use cache::regime::PartitionRules;
pub use cache::tally::CacheTally;
pub use caching::handle::{CacheHandle, CacheSize, CachedAnswer};
pub use caching::views::{Freshness, View, Views};
pub use chaos::injector::Injected;
pub use chaos::spec::ChaosSpecError;
pub use chaos::{Chaos, Fault};
pub use client::Client;
pub use config::Config;
pub use config::overrides::HostOverrides;
pub use config::settings::{CacheKind, CacheSettings, CacheStorage};
pub use context::with_deadline;
pub use lifecycle::{Debounced, Latest, LatestGuard, Scope};
pub use request::RequestBuilder;
pub use response::Response;
pub use spillgate_actors as actors;
pub use spillgate_actors::answer::{Head, ResponseBuilder, StreamingResponse};
pub use spillgate_actors::body::BodyReader;
pub use spillgate_actors::cache_use::{CacheHit, CacheUse};
pub use spillgate_actors::core::advice::{Advice, ErrorClass, ErrorKind, Remedy};
pub use spillgate_actors::core::allowance::QuotaUse;
pub use spillgate_actors::core::backoff::{BackoffOptions, HintUse, Jitter};
pub use spillgate_actors::core::breaker::options::{
    BreakerKind, BreakerOptions, HalfOpen, Ignored, SlowCalls, SlowCount,
};
pub use spillgate_actors::core::budget::{BudgetOptions, Refund};
pub use spillgate_actors::core::call::{HedgeDelay, HedgeUse as Hedge, Priority, Ticket};
pub use spillgate_actors::core::event::{BreakerEvent, BreakerMode, BreakerState, OpenReason};
pub use spillgate_actors::core::hedge::HedgeOptions;
pub use spillgate_actors::core::limit::{LimitKind, LimitOptions};
pub use spillgate_actors::core::policy::{HostPolicy, Limits, RetryOptions, Timeouts};
pub use spillgate_actors::core::rate::RateOptions;
pub use spillgate_actors::course::Role;
pub use spillgate_actors::deadline::Deadline;
pub use spillgate_actors::decision::{Decision, DecisionKind};
pub use spillgate_actors::error::Error;
pub use spillgate_actors::fetch::Key;
pub use spillgate_actors::messages::Drained;
pub use spillgate_actors::record::{CallRecord, JournalEntry};
pub use spillgate_actors::report::{CallReport, PhaseTimes};
pub use spillgate_actors::request_body::Body;
pub use spillgate_actors::seams::Judgement;
pub use spillgate_actors::snapshot::{BreakerSnapshot, HostSnapshot, Snapshot};
pub use telemetry::options::{OtlpProtocol, TelemetryError, TelemetryOptions};
pub use tokio_util::sync::CancellationToken;
pub use transport::ReqwestTransport;
pub use transport::options::{Protocols, TransportOptions, TransportSetupError};
