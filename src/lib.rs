//! x
pub mod transport;
pub mod redaction;
pub mod config;
#[cfg(feature = "testing")]
pub mod testing;
#[expect(dead_code, reason = "the facade starts it")]
mod telemetry;

pub use telemetry::options::{OtlpProtocol, TelemetryError, TelemetryOptions};
