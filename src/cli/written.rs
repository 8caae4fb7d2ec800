//! Values as TOML writes them.

use std::time::Duration;

use toml::Value;

/// A time.
pub(super) fn time(duration: Duration) -> String {
    quoted(&humantime::format_duration(duration).to_string())
}

/// A text.
pub(super) fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// A number that may have a fraction.
pub(super) fn number(number: f64) -> String {
    Value::Float(number).to_string()
}

/// A list of values.
pub(super) fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}
