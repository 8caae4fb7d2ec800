//! Where spans go: the options of the embedding service, overruled by its `OTEL_*` environment.
//!
//! The environment is read once and handed in as a function, so that every rule of precedence can
//! be tested without touching the process.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use url::Url;

/// Says where spans are exported to and under which name.
#[derive(Clone, PartialEq, Eq)]
pub struct TelemetryOptions {
    /// The collector's base URL, such as `http://127.0.0.1:4318`; without one nothing is exported.
    ///
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` (a full URL) and `OTEL_EXPORTER_OTLP_ENDPOINT` win.
    pub otlp: Option<String>,
    /// The protocol spoken to the collector; `OTEL_EXPORTER_OTLP_PROTOCOL` wins.
    pub protocol: OtlpProtocol,
    /// The service's name in traces; `OTEL_SERVICE_NAME` wins.
    pub service_name: String,
    /// The most calls whose spans wait for the exporter; the spans of further calls are dropped.
    pub export_queue_max: usize,
    /// How long the last spans may take at shutdown.
    pub shutdown_timeout: Duration,
}

/// The ways to speak OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OtlpProtocol {
    /// Protobuf in HTTP POST requests to `/v1/traces`, usually on port 4318.
    #[default]
    HttpProtobuf,
    /// gRPC, usually on port 4317; needs the feature `otlp-grpc`.
    Grpc,
}

/// Says why telemetry did not start, or not end well.
#[derive(Debug)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The collector's address cannot be used.
    Endpoint {
        /// Which option or environment variable named it.
        origin: &'static str,
        /// The address, without userinfo and query.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The protocol's name is not known.
    Protocol {
        /// The name.
        value: String,
    },
    /// The exporter cannot be built.
    Exporter(String),
    /// No thread could be started.
    Thread(io::Error),
    /// The spans were not all exported in time; those left are lost at exit.
    TimedOut(Duration),
    /// The collector did not take the spans.
    Export(String),
}

/// Where spans go, once options and environment are weighed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The full URL for HTTP, the origin for gRPC.
    pub(crate) endpoint: String,
    /// Which option or environment variable named it.
    pub(crate) origin: &'static str,
    /// The protocol spoken there.
    pub(crate) protocol: OtlpProtocol,
}

/// Reads one environment variable; empty counts as unset.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl OtlpProtocol {
    /// The name that `OTEL_EXPORTER_OTLP_PROTOCOL` uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::HttpProtobuf => "http/protobuf",
            Self::Grpc => "grpc",
        }
    }
}

impl FromStr for OtlpProtocol {
    type Err = TelemetryError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::HttpProtobuf, Self::Grpc]
            .into_iter()
            .find(|protocol| name.eq_ignore_ascii_case(protocol.name()))
            .ok_or_else(|| TelemetryError::Protocol { value: name.to_owned() })
    }
}

impl fmt::Display for OtlpProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Default for TelemetryOptions {
    fn default() -> Self {
        Self {
            otlp: None,
            protocol: OtlpProtocol::default(),
            service_name: "spillgate".to_owned(),
            export_queue_max: 2048,
            shutdown_timeout: Duration::from_secs(1),
        }
    }
}

impl fmt::Debug for TelemetryOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetryOptions")
            .field("otlp", &self.otlp.as_deref().map(without_secrets))
            .field("protocol", &self.protocol)
            .field("service_name", &self.service_name)
            .field("export_queue_max", &self.export_queue_max)
            .field("shutdown_timeout", &self.shutdown_timeout)
            .finish()
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} over {} ({})", without_secrets(&self.endpoint), self.protocol, self.origin)
    }
}

impl fmt::Display for TelemetryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint { origin, value, problem } => {
                write!(
                    f,
                    "{origin}: `{value}` {problem}; expected the collector's URL, such as \
                     `http://127.0.0.1:4318` for http/protobuf or `http://127.0.0.1:4317` for grpc"
                )
            }
            Self::Protocol { value } => {
                write!(f, "unknown OTLP protocol `{value}`; expected `http/protobuf` or `grpc`")
            }
            Self::Exporter(problem) => write!(f, "the OTLP exporter cannot be built: {problem}"),
            Self::Thread(_) => f.write_str("the telemetry thread cannot be started"),
            Self::TimedOut(after) => write!(f, "spans are left unexported after {after:?}"),
            Self::Export(problem) => write!(f, "the collector did not take the spans: {problem}"),
        }
    }
}

impl std::error::Error for TelemetryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Thread(source) => Some(source),
            Self::Endpoint { .. }
            | Self::Protocol { .. }
            | Self::Exporter(_)
            | Self::TimedOut(_)
            | Self::Export(_) => None,
        }
    }
}

impl TelemetryOptions {
    /// Weighs options and environment; `None` if nothing is to be exported.
    pub(crate) fn destination(
        &self,
        environment: Environment<'_>,
    ) -> Result<Option<Destination>, TelemetryError> {
        if is_switched_off(environment) {
            return Ok(None);
        }
        let protocol = self.chosen_protocol(environment);
        let Some((origin, value, address)) = self.named_endpoint(environment) else {
            return Ok(None);
        };
        let refusal = |problem: String| TelemetryError::Endpoint {
            origin,
            value: without_secrets(&value),
            problem,
        };
        let mut url = Url::parse(&value).map_err(|error| refusal(format!("is no URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refusal("is no http or https URL".to_owned()));
        }
        if protocol == OtlpProtocol::Grpc && url.scheme() == "https" {
            return Err(refusal("asks for TLS, which is exported over http/protobuf only".into()));
        }
        if protocol == OtlpProtocol::HttpProtobuf && address == Address::Base {
            let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
        let endpoint = url.into();
        Ok(Some(Destination { endpoint, origin, protocol }))
    }

    fn chosen_protocol(&self, environment: Environment<'_>) -> OtlpProtocol {
        // A name that is not known is passed over with a warning: the specification asks for it.
        let known = |variable: &'static str| {
            let name = environment(variable)?;
            let parsed = name.parse().ok();
            if parsed.is_none() {
                tracing::warn!(variable, value = name, "OTLP protocol is not known and ignored");
            }
            parsed
        };
        known("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
            .or_else(|| known("OTEL_EXPORTER_OTLP_PROTOCOL"))
            .unwrap_or(self.protocol)
    }

    fn named_endpoint(
        &self,
        environment: Environment<'_>,
    ) -> Option<(&'static str, String, Address)> {
        const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        const ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        environment(TRACES)
            .map(|value| (TRACES, value, Address::Full))
            .or_else(|| environment(ALL).map(|value| (ALL, value, Address::Base)))
            .or_else(|| self.otlp.clone().map(|value| ("otlp", value, Address::Base)))
    }
}

/// Reads the process's environment.
pub(crate) fn process_environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// Whether an endpoint still lacks the signal's path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Address {
    Base,
    Full,
}

fn is_switched_off(environment: Environment<'_>) -> bool {
    let says = |variable, word| environment(variable).is_some_and(|v| v.eq_ignore_ascii_case(word));
    says("OTEL_SDK_DISABLED", "true") || says("OTEL_TRACES_EXPORTER", "none")
}

/// The address without userinfo, query and fragment, even if it is no URL.
fn without_secrets(address: &str) -> String {
    let plain = address.split(['?', '#']).next().unwrap_or_default();
    let Some((before, after)) = plain.rsplit_once('@') else {
        return plain.to_owned();
    };
    match before.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://***@{after}"),
        None => format!("***@{after}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Variables<'a> = &'a [(&'a str, &'a str)];

    #[test]
    fn nothing_is_exported_without_an_endpoint() {
        assert!(weigh(None, &[]).unwrap().is_none());
        assert!(weigh(Some("http://c:4318"), &[("OTEL_SDK_DISABLED", "TRUE")]).unwrap().is_none());
        let none = [("OTEL_TRACES_EXPORTER", "none")];
        assert!(weigh(Some("http://c:4318"), &none).unwrap().is_none());
    }

    #[test]
    fn base_url_gets_the_signal_path_and_a_traces_url_stays_as_it_is() {
        let cases = [
            (Some("http://c:4318"), None, None, "http://c:4318/v1/traces"),
            (Some("http://c:4318/prefix/"), None, None, "http://c:4318/prefix/v1/traces"),
            (Some("http://c:4318"), Some("http://e:1"), None, "http://e:1/v1/traces"),
            (Some("http://c:4318"), Some("http://e:1"), Some("http://t:2/x"), "http://t:2/x"),
        ];
        for (option, all, traces, expected) in cases {
            let variables: Vec<_> = [
                all.map(|value| ("OTEL_EXPORTER_OTLP_ENDPOINT", value)),
                traces.map(|value| ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", value)),
            ]
            .into_iter()
            .flatten()
            .collect();
            assert_eq!(weigh(option, &variables).unwrap().unwrap().endpoint, expected);
        }
    }

    #[test]
    fn environment_chooses_the_protocol_and_unknown_names_are_passed_over() {
        let cases: [(Variables<'_>, OtlpProtocol); 4] = [
            (&[], OtlpProtocol::HttpProtobuf),
            (&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], OtlpProtocol::Grpc),
            (&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")], OtlpProtocol::HttpProtobuf),
            (
                &[
                    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
                ],
                OtlpProtocol::HttpProtobuf,
            ),
        ];
        for (variables, expected) in cases {
            let destination = weigh(Some("http://c:1"), variables).unwrap().unwrap();
            assert_eq!(destination.protocol, expected, "{variables:?}");
        }
    }

    #[test]
    fn bad_endpoint_is_named_with_the_expectation_and_without_secrets() {
        let grpc = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        let cases: [(&str, Variables<'_>, &str); 5] = [
            ("127.0.0.1:4318", &[], "otlp: `127.0.0.1:4318`"),
            ("ftp://c", &[], "is no http or https URL"),
            ("", &[], "is no URL"),
            ("http://user:hunter2@:4318?key=hunter2", &[], "`http://***@:4318`"),
            ("https://c:4317", &grpc, "asks for TLS"),
        ];
        for (value, variables, part) in cases {
            let message = weigh(Some(value), variables).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
            assert!(message.contains("expected the collector's URL"), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn debug_shows_no_userinfo() {
        let otlp = Some("http://user:hunter2@c:4318/?k=hunter2".to_owned());
        let options = TelemetryOptions { otlp, ..TelemetryOptions::default() };
        let destination = options.destination(&|_| None).unwrap().unwrap();
        assert!(!format!("{options:?} {destination:?}").contains("hunter2"));
        assert!(destination.endpoint.contains("hunter2"));
    }

    fn weigh(
        otlp: Option<&str>,
        variables: Variables<'_>,
    ) -> Result<Option<Destination>, TelemetryError> {
        let options =
            TelemetryOptions { otlp: otlp.map(str::to_owned), ..TelemetryOptions::default() };
        options.destination(&|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }
}
