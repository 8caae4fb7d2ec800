//! Records of calls as the actors would leave them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, Version};
use spillgate_actors::course::{Admission, Role, Settlement};
use spillgate_actors::phases::{Mark, PhaseMarks};
use spillgate_actors::record::{AttemptRecord, CallRecord, SpanContext, Wait, WaitCause};
use spillgate_actors::transport::{Connection, ConnectionOrigin};
use spillgate_core::call::{FlightId, Generation, Priority, Ticket};
use spillgate_core::verdict::{Cost, Finality, Grounds, Retry, Verdict};

/// The trace of all records made here.
pub(super) const TRACE: [u8; 16] = [0xab; 16];

/// The service's span around the call.
pub(super) const SERVICE_SPAN: [u8; 8] = [1; 8];

/// A span of that trace.
pub(super) fn context(id: u8) -> SpanContext {
    SpanContext { trace_id: TRACE, span_id: [id; 8], sampled: true }
}

/// A cold HTTPS call: queued, answered 503 over a new connection, answered 200 over the same.
pub(super) fn retried_call() -> CallRecord {
    let began = Instant::now();
    let at = |ms| began + Duration::from_millis(ms);
    let wait = |cause, from, to| Wait { cause, from: at(from), to: at(to) };
    CallRecord {
        ticket: Ticket(7),
        flight: Some(FlightId(3)),
        role: Some(Role::Led),
        context: context(0x10),
        parent_span_id: Some(SERVICE_SPAN),
        leader: None,
        method: Method::GET,
        url: "https://api.example.com/users/1?sig=REDACTED".into(),
        host: "https://api.example.com:443".into(),
        route: Some("/users/{id}".into()),
        scope: "https://api.example.com:443".into(),
        priority: Priority::Foreground,
        began,
        deadline: at(30_000),
        ended: at(100),
        waits: vec![wait(WaitCause::Queue, 0, 5), wait(WaitCause::BackOff, 40, 60)],
        attempts: vec![Arc::new(cold_attempt(at(5))), Arc::new(warm_attempt(at(60)))],
        status: Some(200),
        error: None,
        retry_at: None,
        finality: Some(Finality::Settled),
        grounds: Grounds::Gate,
        notes: Vec::new(),
        notes_left_out: 0,
        explains: false,
    }
}

/// A call that shares the flight of `leader`.
pub(super) fn follower_of(leader: &CallRecord) -> CallRecord {
    CallRecord {
        ticket: Ticket(8),
        context: SpanContext { trace_id: [0xcd; 16], span_id: [0x30; 8], sampled: true },
        parent_span_id: None,
        leader: Some(leader.context),
        ..leader.clone()
    }
}

/// The same call with its only attempt changed.
pub(super) fn single(change: impl FnOnce(&mut CallRecord, &mut AttemptRecord)) -> CallRecord {
    let mut record = retried_call();
    let mut attempt = warm_attempt(record.began);
    attempt.resend = 0;
    record.waits.clear();
    change(&mut record, &mut attempt);
    record.attempts = vec![Arc::new(attempt)];
    record
}

fn cold_attempt(began: Instant) -> AttemptRecord {
    let phases = [
        (Mark::ConnectBegin, 1),
        (Mark::DnsBegin, 1),
        (Mark::DnsEnd, 4),
        (Mark::TlsBegin, 8),
        (Mark::TlsEnd, 14),
        (Mark::ConnectEnd, 14),
        (Mark::WriteBegin, 15),
        (Mark::WriteEnd, 16),
        (Mark::Head, 30),
        (Mark::ReadEnd, 34),
    ];
    let cold = attempt(1, began, &phases, ConnectionOrigin::Fresh);
    let retry = Retry { at: cold.ended + Duration::from_millis(20), hint: None, cost: Cost::Token };
    let verdict = Verdict::RetryAt(retry);
    let settlement = Some(Settlement { verdict, tokens: 10.0 });
    AttemptRecord { status: Some(503), settlement, ..cold }
}

fn warm_attempt(began: Instant) -> AttemptRecord {
    let phases =
        [(Mark::WriteBegin, 1), (Mark::WriteEnd, 2), (Mark::Head, 20), (Mark::ReadEnd, 30)];
    attempt(2, began, &phases, ConnectionOrigin::Reused)
}

fn attempt(
    n: u32,
    began: Instant,
    phases: &[(Mark, u64)],
    origin: ConnectionOrigin,
) -> AttemptRecord {
    let marks = PhaseMarks::new(began);
    for (mark, ms) in phases {
        marks.note_at(*mark, began + Duration::from_millis(*ms));
    }
    let ended = began + Duration::from_millis(35);
    let generation = Some(Generation(0));
    let (cost, tokens) = (Cost::Free, 10.0);
    let admission = Admission { generation, probe: false, cost, tokens };
    AttemptRecord {
        n,
        resend: n - 1,
        context: context(0x20 + u8::try_from(n).unwrap()),
        method: Method::GET,
        url: "https://api.example.com/users/1?sig=REDACTED".into(),
        host: "https://api.example.com:443".into(),
        began,
        ended,
        phases: marks.spans(ended),
        status: Some(200),
        version: Some(Version::HTTP_2),
        error: None,
        connection: Some(Connection {
            local: "127.0.0.1:50000".parse().unwrap(),
            peer: "[::1]:443".parse().unwrap(),
            origin,
        }),
        request_bytes: Some(0),
        response_bytes: 512,
        hedge: false,
        chaos: None,
        admission: Some(admission),
        settlement: None,
        goes_on: false,
    }
}
