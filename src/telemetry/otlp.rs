//! Builds the OTLP exporter for a destination.
//!
//! Headers, timeout and compression are the SDK's to read from `OTEL_EXPORTER_OTLP_*`.

use opentelemetry::Key;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector};
use opentelemetry_sdk::trace::SpanExporter as _;

use crate::telemetry::export::{Driver, Exporting};
use crate::telemetry::options::{Destination, Environment, OtlpProtocol, TelemetryError};

/// Builds the exporter; to be called on the thread that exports.
pub(crate) fn build(
    destination: &Destination,
    resource: &Resource,
) -> Result<Exporting<SpanExporter>, TelemetryError> {
    let mut exporting = match destination.protocol {
        OtlpProtocol::HttpProtobuf => over_http(destination)?,
        OtlpProtocol::Grpc => over_grpc(destination)?,
    };
    exporting.exporter.set_resource(resource);
    Ok(exporting)
}

/// What the spans say of the process: its name above all, where the environment has none.
pub(crate) fn resource(service_name: &str, environment: Environment<'_>) -> Resource {
    let detected = EnvResourceDetector::new().detect();
    let is_named = environment("OTEL_SERVICE_NAME").is_some()
        || detected.get(&Key::from_static_str("service.name")).is_some();
    let resource = Resource::builder();
    if is_named {
        return resource.build();
    }
    resource.with_service_name(service_name.to_owned()).build()
}

fn over_http(destination: &Destination) -> Result<Exporting<SpanExporter>, TelemetryError> {
    let builder = SpanExporter::builder().with_http();
    let builder = builder.with_protocol(opentelemetry_otlp::Protocol::HttpBinary);
    let exporter = builder.with_endpoint(&destination.endpoint).build();
    let exporter = exporter.map_err(|error| refusal(destination, &error))?;
    Ok(Exporting { exporter, driver: Driver::Thread })
}

#[cfg(feature = "otlp-grpc")]
fn over_grpc(destination: &Destination) -> Result<Exporting<SpanExporter>, TelemetryError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(TelemetryError::Thread)?;
    let exporter = {
        let _inside = runtime.enter();
        SpanExporter::builder().with_tonic().with_endpoint(&destination.endpoint).build()
    };
    let exporter = exporter.map_err(|error| refusal(destination, &error))?;
    Ok(Exporting { exporter, driver: Driver::Runtime(runtime) })
}

#[cfg(not(feature = "otlp-grpc"))]
fn over_grpc(_: &Destination) -> Result<Exporting<SpanExporter>, TelemetryError> {
    let problem = "this build speaks http/protobuf only (its feature `otlp-grpc` is off)";
    Err(TelemetryError::Exporter(problem.to_owned()))
}

fn refusal(destination: &Destination, error: &ExporterBuildError) -> TelemetryError {
    // The SDK's text quotes the endpoint, userinfo and all.
    let text = error.to_string().replace(&destination.endpoint, &format!("{destination:?}"));
    TelemetryError::Exporter(text)
}
