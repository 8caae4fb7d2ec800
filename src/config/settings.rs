//! The settings that are no host's policy: what the client does with calls, TLS and telemetry.

use std::fmt;
use std::path::PathBuf;

use http::Method;
use http::header::HeaderName;
use spillgate_core::chaos::Dose;
use url::Url;

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
