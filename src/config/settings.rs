//! The settings that are no host's policy: what the client does with calls, TLS and telemetry.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use http::header::HeaderName;
use spillgate_core::cache::rules::SetCookie;
use spillgate_core::chaos::Dose;
use url::Url;

use crate::cache::key::Identity;
use crate::cache::regime::PartitionRules;

/// What the client does with each call before and after the machines decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallDefaults {
    /// Methods that may be repeated without being told so; hosts and routes can differ.
    pub methods_repeatable: Vec<Method>,
    /// Which calls share one request.
    pub coalesce: Coalesce,
    /// Redirects that are followed for one call; 0 follows none.
    pub redirects_max: u32,
    /// Bytes of a decoded body that is buffered.
    pub body_bytes_max: u64,
}

/// Says which calls share one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Coalesce {
    /// Those that are byte for byte the same, identity included.
    #[default]
    Identical,
    /// None.
    Off,
}

/// What the cache does; hosts and routes can differ in its mode and its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSettings {
    /// Who shares it.
    pub mode: CacheKind,
    /// Where answers are kept.
    pub store: CacheStorage,
    /// The file of a store on disk.
    pub path: Option<PathBuf>,
    /// The most bytes that are stored.
    pub max_bytes: u64,
    /// How long an expired answer may stand in for an error if the answer does not say.
    pub stale_if_error: Duration,
    /// How long an expired answer is served while it is renewed if the answer does not say.
    pub stale_while_revalidate: Duration,
    /// How long an answer that says that there is nothing is fresh for if it does not say; zero
    /// stores none of those.
    pub negative: Duration,
    /// For how long a failure is told again without asking; `None` remembers none.
    pub failures: Option<Duration>,
    /// Fields that are read before `Cache-Control` (RFC 9213), in order of precedence.
    pub targeted: Vec<HeaderName>,
    /// What becomes of answers that set a cookie.
    pub set_cookie: SetCookie,
    /// How requests with credentials are kept apart.
    pub identity: Identity,
    /// By which rules answers are stored inside the partition of one set of credentials.
    pub partitions: PartitionRules,
}

/// Says where stored answers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CacheStorage {
    /// In memory: gone with the process.
    #[default]
    Memory,
    /// In a file: still there after a restart. Needs the feature `cache-disk`.
    Disk,
}

/// Says who shares a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CacheKind {
    /// Many users: what is meant for one is not stored.
    #[default]
    Shared,
    /// A single user, or a service with a single identity.
    Private,
    /// Nobody: nothing is stored, and nothing that is stored is used.
    Off,
}

/// What is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSettings {
    /// A PEM file with certificate authorities to trust beside the platform's.
    pub ca_file: Option<PathBuf>,
}

/// A fault that is injected only if a program or a flag asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct ChaosSettings {
    /// The fault, and how often and when.
    pub dose: Dose,
    /// The hosts it may strike; all without one.
    pub host: Option<String>,
    /// The calls it may strike; all without one.
    pub route: Option<String>,
}

/// Where spans go, and what must not be in them; `OTEL_*` variables win.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct TelemetrySettings {
    /// The collector's base URL; without one nothing is exported.
    pub otlp: Option<Url>,
    /// The service's name in traces.
    pub service_name: Option<String>,
    /// The protocol spoken to the collector, as `OTEL_EXPORTER_OTLP_PROTOCOL` spells it.
    pub protocol: Option<ExportProtocol>,
    /// What is covered beside what always is.
    pub redact: Redaction,
}

/// Says how spans travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExportProtocol {
    /// Protobuf in HTTP requests.
    HttpProtobuf,
    /// gRPC.
    Grpc,
}

/// What is covered in logs, spans and rows beside what always is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redaction {
    /// Headers.
    pub headers: Vec<HeaderName>,
    /// Keys of the query, in any case.
    pub query: Vec<String>,
}

impl ExportProtocol {
    /// The name that `OTEL_EXPORTER_OTLP_PROTOCOL` uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::HttpProtobuf => "http/protobuf",
            Self::Grpc => "grpc",
        }
    }
}

impl Default for CallDefaults {
    fn default() -> Self {
        Self {
            methods_repeatable: vec![Method::GET, Method::HEAD, Method::OPTIONS],
            coalesce: Coalesce::default(),
            redirects_max: 5,
            body_bytes_max: 10 * 1024 * 1024,
        }
    }
}

impl CacheSettings {
    /// What of it cannot work, as the setting, the problem and what to do.
    pub(crate) fn problem(&self) -> Option<(&'static str, &'static str, &'static str)> {
        if self.store == CacheStorage::Memory {
            return None;
        }
        if cfg!(not(feature = "cache-disk")) {
            let hint = "build with the feature `cache-disk`, or write store = \"memory\"";
            return Some(("cache.store", "this build has no store on disk", hint));
        }
        let hint = "write path = \"cache.spillgate\", or store = \"memory\"";
        let homeless = self.path.is_none();
        homeless.then_some(("cache.store", "a store on disk needs a path", hint))
    }
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            mode: CacheKind::Shared,
            store: CacheStorage::Memory,
            path: None,
            max_bytes: 64 * 1024 * 1024,
            stale_if_error: Duration::from_secs(3_600),
            stale_while_revalidate: Duration::ZERO,
            negative: Duration::from_secs(2),
            failures: None,
            targeted: Vec::new(),
            set_cookie: SetCookie::Decline,
            identity: Identity::ByCredentials,
            partitions: PartitionRules::Shared,
        }
    }
}

impl fmt::Debug for TelemetrySettings {
    /// Shows of the collector's URL its origin: userinfo, path and query may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let otlp = self.otlp.as_ref().map(|url| url.origin().ascii_serialization());
        f.debug_struct("TelemetrySettings")
            .field("otlp", &otlp)
            .field("service_name", &self.service_name)
            .field("protocol", &self.protocol)
            .field("redact", &self.redact)
            .finish()
    }
}
