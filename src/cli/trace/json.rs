//! A call's record as JSON; times are milliseconds from the call's beginning.

use std::time::Instant;

use serde_json::{Value, json};
use spillgate_actors::core::advice::ErrorKind;
use spillgate_actors::record::{AttemptRecord, WaitCause};

use crate::cli::end::millis;
use crate::cli::trace::Answer;

/// The record, indented, with a line break at the end.
pub(super) fn of(answer: &Answer<'_>) -> String {
    let record = answer.record;
    let at = |instant: Instant| millis(instant.saturating_duration_since(record.began));
    let waits = record.waits.iter().map(|wait| {
        let cause = match wait.cause {
            WaitCause::Queue => "queue",
            WaitCause::BackOff => "back-off",
        };
        json!({ "cause": cause, "from": at(wait.from), "to": at(wait.to) })
    });
    let decisions = record.decisions.iter();
    let value = json!({
        "trace_id": record.context.trace_id_hex(),
        "span_id": record.context.span_id_hex(),
        "method": record.method.as_str(),
        "url": &*record.url,
        "host": &*record.host,
        "route": record.route.as_deref(),
        "scope": &*record.scope,
        "priority": record.priority.name(),
        "status": answer.status.map(|status| status.as_u16()),
        "error_kind": answer.error.map(|error| error.kind().name()),
        "class": answer.error.map(|error| error.class().name()),
        "error": answer.error.map(ToString::to_string),
        "bytes": answer.bytes,
        "coalesced": record.is_coalesced(),
        "total": at(record.ended),
        "waits": waits.collect::<Vec<Value>>(),
        "attempts": record.attempts.iter().map(|one| of_attempt(one, &at)).collect::<Vec<Value>>(),
        "decisions": decisions
            .map(|decision| json!({ "at": at(decision.at), "text": decision.text }))
            .collect::<Vec<Value>>(),
    });
    format!("{value:#}\n")
}

fn of_attempt(attempt: &AttemptRecord, at: &impl Fn(Instant) -> f64) -> Value {
    let phases = attempt.phases.iter().map(
        |span| json!({ "phase": span.phase.span_name(), "from": at(span.from), "to": at(span.to) }),
    );
    json!({
        "n": attempt.n,
        "span_id": attempt.context.span_id_hex(),
        "url": &*attempt.url,
        "from": at(attempt.began),
        "to": at(attempt.ended),
        "status": attempt.status,
        "error_kind": attempt.error.map(ErrorKind::name),
        "version": attempt.version.map(|version| format!("{version:?}")),
        "connection": attempt.connection.map(|connection| json!({
            "local": connection.local.to_string(),
            "peer": connection.peer.to_string(),
            "origin": connection.origin.name(),
        })),
        "request_bytes": attempt.request_bytes,
        "response_bytes": attempt.response_bytes,
        "probe": attempt.probe,
        "chaos": attempt.chaos.as_deref(),
        "phases": phases.collect::<Vec<Value>>(),
    })
}
