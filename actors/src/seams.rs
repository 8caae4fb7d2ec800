//! What the actors are given from outside, shared by all of them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderMap;
use url::Url;

use crate::answer::Head;
use crate::flight_key::FlightKeys;
use crate::journal::Journal;
use crate::messages::Invalidate;
use crate::plan::Plan;
use crate::record::SpanContext;
use crate::registry::Registry;
use crate::trace_ids::TraceIds;
use crate::transport::Transport;

/// Turns a URL into text without secrets.
pub type Redact = Arc<dyn Fn(&Url) -> String + Send + Sync>;

/// Finds the OpenTelemetry identity of a service's span.
pub type ParentOf = fn(&tracing::Span) -> Option<SpanContext>;

/// A user's judgement of whole answers; a panic in it counts as [`Judgement::ByStatus`].
pub type Classifier = Arc<dyn Fn(&Head, &[u8]) -> Judgement + Send + Sync>;

/// Forgets stored answers, in whatever cache stands before the actors, and says how many.
pub type Forget = Arc<dyn Fn(Invalidate) -> usize + Send + Sync>;

/// What a classifier thinks of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// What its status says.
    ByStatus,
    /// It is good, whatever its status.
    Success,
    /// The upstream failed, whatever its status: counts for the breaker, may be retried.
    Failure,
    /// The upstream works and declined; the call ends with [`spillgate_core::advice::ErrorKind::Business`].
    Business(String),
}

/// What a runtime is made of.
pub struct Parts {
    /// The network.
    pub transport: Arc<dyn Transport>,
    /// The configuration.
    pub plan: Arc<dyn Plan>,
    /// The way to the reporter.
    pub journal: Journal,
    /// How URLs are shown.
    pub redact: Redact,
    /// How parents are found.
    pub parent_of: ParentOf,
    /// What tells business from trouble.
    pub classifier: Option<Classifier>,
    /// Headers that every request carries unless it brings its own.
    pub headers: HeaderMap,
    /// What forgets stored answers, if any are stored.
    pub forget: Option<Forget>,
    /// Where randomness starts: jitter and ids follow from it.
    pub seed: u64,
}

/// The parts as the actors share them.
pub(crate) struct Seams {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) plan: ArcSwap<Arc<dyn Plan>>,
    pub(crate) journal: Journal,
    pub(crate) redact: Redact,
    pub(crate) parent_of: ParentOf,
    pub(crate) classifier: Option<Classifier>,
    pub(crate) headers: HeaderMap,
    pub(crate) forget: Option<Forget>,
    pub(crate) seed: u64,
    pub(crate) registry: Registry,
    pub(crate) ids: TraceIds,
    pub(crate) keys: FlightKeys,
}

impl Seams {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            transport: parts.transport,
            plan: ArcSwap::from_pointee(parts.plan),
            journal: parts.journal,
            redact: parts.redact,
            parent_of: parts.parent_of,
            classifier: parts.classifier,
            headers: parts.headers,
            forget: parts.forget,
            seed: parts.seed,
            registry: Registry::new(),
            ids: TraceIds::new(parts.seed),
            keys: FlightKeys::new(),
        }
    }
}
