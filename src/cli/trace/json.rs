//! A call's record as JSON; times are milliseconds from the call's beginning.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spillgate_actors::core::advice::ErrorKind;
use spillgate_actors::core::call::{FlightId, Generation};
use spillgate_actors::course::Role;
use spillgate_actors::decision;
use spillgate_actors::record::AttemptRecord;

use crate::cli::end::millis;
use crate::cli::told::Told;
use crate::cli::trace::Answer;

/// The record, indented, with a line break at the end.
pub(super) fn of(answer: &Answer<'_>) -> String {
    let record = answer.record;
    let at = |instant: Instant| millis(instant.saturating_duration_since(record.began));
    let waits = record.waits.iter().map(
        |wait| json!({ "cause": wait.cause.name(), "from": at(wait.from), "to": at(wait.to) }),
    );
    let decisions = decision::of(record);
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
        "flight": record.flight.map(|FlightId(n)| n),
        "role": record.role.map(Role::name),
        "budget_left": record.budget_left(),
        "generation": record.generation().map(|Generation(n)| n),
        "total": at(record.ended),
        "waits": waits.collect::<Vec<Value>>(),
        "attempts": record.attempts.iter().map(|one| of_attempt(one, &at)).collect::<Vec<Value>>(),
        "decisions": decisions.iter().map(|one| Told::of(one, Duration::ZERO)).collect::<Vec<Told>>(),
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
        "hedge": attempt.hedge,
        "probe": attempt.is_probe(),
        "generation": attempt.admission.and_then(|it| it.generation).map(|Generation(n)| n),
        "budget_left": attempt.admission.map(|admission| admission.tokens),
        "chaos": attempt.chaos.as_deref(),
        "phases": phases.collect::<Vec<Value>>(),
    })
}
