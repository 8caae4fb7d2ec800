//! Names and attributes of spans, after the OpenTelemetry semantic conventions for HTTP clients.
//!
//! What the conventions have no word for is under `spillgate.`. URLs come redacted from the record.

use std::sync::Arc;

use http::{Method, Version};
use opentelemetry::trace::Status;
use opentelemetry::{KeyValue, StringValue};
use spillgate_actors::record::{AttemptRecord, CallRecord};
use spillgate_core::advice::{ErrorClass, ErrorKind};
use spillgate_core::call::{FlightId, Generation, Ticket};

/// The name of call and attempt spans: `{method} {route}`, or `{method}`, never the path.
pub(crate) fn span_name(method: &Method, route: Option<&str>) -> String {
    // The conventions keep the set of names small: any other method is called `HTTP`.
    let method = known_method(method).unwrap_or("HTTP");
    route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"))
}

/// The attributes of a call's span.
pub(crate) fn of_call(record: &CallRecord) -> Vec<KeyValue> {
    let Ticket(ticket) = record.ticket;
    let mut attributes = Vec::with_capacity(17);
    push_request(&mut attributes, &record.method, &record.url, &record.host);
    attributes.extend([
        KeyValue::new("spillgate.scope", Arc::clone(&record.scope)),
        KeyValue::new("spillgate.priority", record.priority.name()),
        KeyValue::new("spillgate.ticket", integer(ticket)),
        KeyValue::new("spillgate.attempts", integer(record.attempts.len())),
        KeyValue::new("spillgate.coalesced", record.is_coalesced()),
    ]);
    attributes
        .extend(record.flight.map(|FlightId(n)| KeyValue::new("spillgate.flight", integer(n))));
    attributes.extend(record.role.map(|role| KeyValue::new("spillgate.role", role.name())));
    attributes.extend(record.route.clone().map(|route| KeyValue::new("url.template", route)));
    attributes.extend(record.status.map(status_code));
    attributes.extend(record.error.map(error_or_cancel));
    attributes
}

/// The attributes of an attempt's span; `route` is left out when a redirect led elsewhere.
pub(crate) fn of_attempt(attempt: &AttemptRecord, route: Option<&Arc<str>>) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(20);
    push_request(&mut attributes, &attempt.method, &attempt.url, &attempt.host);
    attributes.extend([
        KeyValue::new("spillgate.attempt", i64::from(attempt.n)),
        KeyValue::new("spillgate.probe", attempt.is_probe()),
    ]);
    if attempt.hedge {
        attributes.push(KeyValue::new("spillgate.hedge", true));
    }
    attributes.extend(attempt.chaos.clone().map(|fault| KeyValue::new("spillgate.chaos", fault)));
    if let Some(admission) = attempt.admission {
        attributes.push(KeyValue::new("spillgate.budget_left", admission.tokens));
        let generation = admission.generation.map(|Generation(n)| integer(n));
        attributes.extend(generation.map(|n| KeyValue::new("spillgate.generation", n)));
    }
    attributes.extend(route.cloned().map(|route| KeyValue::new("url.template", route)));
    if attempt.resend > 0 {
        attributes.push(KeyValue::new("http.request.resend_count", i64::from(attempt.resend)));
    }
    let sent = attempt.request_bytes.map(integer);
    attributes.extend(sent.map(|bytes| KeyValue::new("http.request.body.size", bytes)));
    if let Some(status) = attempt.status {
        attributes.push(status_code(status));
        attributes.push(KeyValue::new("http.response.body.size", integer(attempt.response_bytes)));
    }
    let version = attempt.version.and_then(protocol_version);
    attributes.extend(version.map(|version| KeyValue::new("network.protocol.version", version)));
    if let Some(connection) = attempt.connection {
        attributes.extend([
            KeyValue::new("network.peer.address", connection.peer.ip().to_string()),
            KeyValue::new("network.peer.port", i64::from(connection.peer.port())),
            KeyValue::new("spillgate.connection", connection.origin.name()),
        ]);
    }
    let refused = attempt.status.filter(|status| *status >= 400);
    let error_type = refused.map(|status| KeyValue::new("error.type", status.to_string()));
    attributes.extend(error_type.or_else(|| attempt.error.map(error_or_cancel)));
    attributes
}

/// The status of a call's span: retried errors are not errors of the call.
pub(crate) fn call_status(record: &CallRecord) -> Status {
    record.error.map_or(Status::Unset, error_status)
}

/// The status of an attempt's span, which is of kind CLIENT.
pub(crate) fn attempt_status(attempt: &AttemptRecord) -> Status {
    match (attempt.status, attempt.error) {
        // A description would only repeat the status code.
        (Some(400..), _) => Status::error(""),
        (_, Some(error)) => error_status(error),
        (_, None) => Status::Unset,
    }
}

fn error_status(error: ErrorKind) -> Status {
    if is_cancel(error) { Status::Unset } else { Status::error(error.name()) }
}

fn error_or_cancel(error: ErrorKind) -> KeyValue {
    // `error.type` marks an operation as failed, which a cancelled one is not.
    let key = if is_cancel(error) { "spillgate.ended_by" } else { "error.type" };
    KeyValue::new(key, error.name())
}

fn is_cancel(error: ErrorKind) -> bool {
    error.class() == ErrorClass::Cancelled
}

fn push_request(attributes: &mut Vec<KeyValue>, method: &Method, url: &Arc<str>, host: &str) {
    let known = known_method(method);
    attributes.push(KeyValue::new("http.request.method", known.unwrap_or("_OTHER")));
    if known.is_none() {
        let original = method.as_str().to_owned();
        attributes.push(KeyValue::new("http.request.method_original", original));
    }
    attributes.push(KeyValue::new("url.full", Arc::clone(url)));
    let (address, port) = server(host);
    attributes.push(KeyValue::new("server.address", address));
    attributes.extend(port.map(|port| KeyValue::new("server.port", port)));
}

/// Splits `scheme://host:port`; a port that is left out follows from the scheme.
fn server(host: &str) -> (StringValue, Option<i64>) {
    let (scheme, authority) = host.split_once("://").unwrap_or(("", host));
    let explicit = authority.rsplit_once(':').and_then(|(address, port)| {
        // The colons of a bare IPv6 address are inside its brackets.
        Some((address, i64::from(port.parse::<u16>().ok()?)))
    });
    let implied = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let (address, port) =
        explicit.map_or((authority, implied), |(address, port)| (address, Some(port)));
    let address = address.trim_start_matches('[').trim_end_matches(']');
    (address.to_owned().into(), port)
}

fn known_method(method: &Method) -> Option<&'static str> {
    KNOWN_METHODS.into_iter().find(|known| *known == method.as_str())
}

fn protocol_version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_09 => Some("0.9"),
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

fn status_code(status: u16) -> KeyValue {
    KeyValue::new("http.response.status_code", i64::from(status))
}

fn integer(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// RFC 9110 and PATCH, the conventions' default.
const KNOWN_METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_key_splits_into_address_and_port() {
        for (host, address, port) in [
            ("https://api.example.com:8443", "api.example.com", Some(8443)),
            ("https://api.example.com", "api.example.com", Some(443)),
            ("http://[::1]:8080", "::1", Some(8080)),
            ("http://[::1]", "::1", Some(80)),
            ("odd", "odd", None),
        ] {
            assert_eq!(server(host), (StringValue::from(address), port), "{host}");
        }
    }

    #[test]
    fn names_never_hold_a_path_or_an_unknown_method() {
        let odd = Method::from_bytes(b"BREW").unwrap();
        for (method, route, name) in [
            (&Method::GET, None, "GET"),
            (&Method::PATCH, Some("/users/{id}"), "PATCH /users/{id}"),
            (&odd, None, "HTTP"),
            (&odd, Some("/pot"), "HTTP /pot"),
        ] {
            assert_eq!(span_name(method, route), name);
        }
    }
}
