//! The tree of spans of one call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::Value;
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};
use opentelemetry_sdk::trace::SpanData;
use spillgate_actors::course::{Note, NoteKind};
use spillgate_actors::phases::Phase;
use spillgate_actors::record::{CallRecord, FlightRecord};
use spillgate_core::advice::ErrorKind;
use spillgate_core::call::Priority;

use super::records::{SERVICE_SPAN, TRACE, follower_of, retried_call, single};
use crate::telemetry::spans::SpanAssembler;

#[test]
fn every_span_hangs_from_the_right_parent_and_lies_within_its_time() {
    let spans = assemble(&retried_call());
    let below = |name: &str, nth: usize| {
        let span = nth_named(&spans, name, nth);
        let parent = spans.iter().find(|other| id(other) == span.parent_span_id);
        let parent = parent.unwrap_or_else(|| panic!("{name} hangs from nothing"));
        assert!(span.start_time >= parent.start_time, "{name} begins before its parent");
        assert!(span.end_time <= parent.end_time, "{name} ends after its parent");
        (parent.name.to_string(), parent.span_kind.clone())
    };
    let call = ("GET /users/{id}".to_owned(), SpanKind::Internal);
    let attempt = ("GET /users/{id}".to_owned(), SpanKind::Client);
    assert_eq!(below("queue", 0), call);
    assert_eq!(below("back-off", 0), call);
    for nth in [1, 2] {
        assert_eq!(below("GET /users/{id}", nth), call);
    }
    for phase in ["wait_for_connection", "request write", "response wait", "response read"] {
        assert_eq!(below(phase, 0), attempt);
        assert_eq!(below(phase, 1), attempt);
    }
    assert_eq!(below("connect", 0).0, "wait_for_connection");
    for phase in ["DNS lookup", "socket connect", "TLS client handshake"] {
        assert_eq!(below(phase, 0).0, "connect");
    }
    assert_eq!(spans.len(), 3 + 2 + 8 + 4);
}

#[test]
fn ids_are_those_that_went_out_and_no_id_is_used_twice() {
    let spans = assemble(&retried_call());
    let trace = TraceId::from_bytes(TRACE);
    assert!(spans.iter().all(|span| span.span_context.trace_id() == trace));
    let call = &spans[0];
    assert_eq!(id(call), SpanId::from_bytes([0x10; 8]));
    assert_eq!(call.parent_span_id, SpanId::from_bytes(SERVICE_SPAN));
    let clients: Vec<_> =
        spans.iter().filter(|span| span.span_kind == SpanKind::Client).map(id).collect();
    assert_eq!(clients, [SpanId::from_bytes([0x21; 8]), SpanId::from_bytes([0x22; 8])]);
    let mut ids: Vec<_> = spans.iter().map(|span| id(span).to_bytes()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), spans.len());
}

#[test]
fn siblings_follow_each_other_with_the_noted_lengths() {
    let spans = assemble(&retried_call());
    let lengths = [
        ("DNS lookup", 3),
        ("socket connect", 4),
        ("TLS client handshake", 6),
        ("connect", 13),
        ("request write", 1),
        ("response wait", 14),
        ("response read", 4),
        ("queue", 5),
        ("back-off", 20),
    ];
    for (name, ms) in lengths {
        let span = nth_named(&spans, name, 0);
        let length = span.end_time.duration_since(span.start_time).unwrap();
        assert_eq!(length, Duration::from_millis(ms), "{name}");
    }
    for parent in &spans {
        let mut children: Vec<_> =
            spans.iter().filter(|span| span.parent_span_id == id(parent)).collect();
        children.sort_by_key(|span| span.start_time);
        for pair in children.windows(2) {
            assert!(pair[0].end_time <= pair[1].start_time, "{} | {}", pair[0].name, pair[1].name);
        }
    }
}

#[test]
fn retried_error_is_an_error_of_its_attempt_and_not_of_the_call() {
    let spans = assemble(&retried_call());
    let [call, first, second] = [0, 1, 2].map(|nth| nth_named(&spans, "GET /users/{id}", nth));
    assert_eq!(call.status, Status::Unset);
    assert_eq!(attribute(call, "error.type"), None);
    assert_eq!(attribute(call, "http.response.status_code"), Some(200.into()));
    assert_eq!(first.status, Status::error(""));
    assert_eq!(attribute(first, "error.type"), Some("503".into()));
    assert_eq!(attribute(first, "http.request.resend_count"), None);
    assert_eq!(second.status, Status::Unset);
    assert_eq!(attribute(second, "error.type"), None);
    assert_eq!(attribute(second, "http.request.resend_count"), Some(1.into()));
}

#[test]
fn attributes_follow_the_conventions() {
    let spans = assemble(&retried_call());
    let [call, first, second] = [0, 1, 2].map(|nth| nth_named(&spans, "GET /users/{id}", nth));
    for span in [call, first] {
        for (key, value) in [
            ("http.request.method", Value::from("GET")),
            ("url.full", "https://api.example.com/users/1?sig=REDACTED".into()),
            ("url.template", "/users/{id}".into()),
            ("server.address", "api.example.com".into()),
            ("server.port", 443.into()),
        ] {
            assert_eq!(attribute(span, key), Some(value), "{key}");
        }
    }
    for (key, value) in [
        ("network.peer.address", Value::from("::1")),
        ("network.peer.port", 443.into()),
        ("network.protocol.version", "2".into()),
        ("http.request.body.size", 0.into()),
        ("http.response.body.size", 512.into()),
        ("spillgate.attempt", 1.into()),
        ("spillgate.connection", "fresh".into()),
        ("spillgate.probe", false.into()),
    ] {
        assert_eq!(attribute(first, key), Some(value), "{key}");
    }
    assert_eq!(attribute(first, "spillgate.hedge"), None);
    assert_eq!(attribute(second, "spillgate.connection"), Some("reused".into()));
    for (key, value) in [
        ("spillgate.scope", Value::from("https://api.example.com:443")),
        ("spillgate.priority", "foreground".into()),
        ("spillgate.attempts", 2.into()),
        ("spillgate.coalesced", false.into()),
        ("spillgate.flight", 3.into()),
        ("spillgate.ticket", 7.into()),
    ] {
        assert_eq!(attribute(call, key), Some(value), "{key}");
    }
}

#[test]
fn hedge_is_an_attempt_that_says_so() {
    let spans = assemble(&single(|_, attempt| attempt.hedge = true));
    let attempt = spans.iter().find(|span| span.span_kind == SpanKind::Client);
    let hedge = attempt.and_then(|span| attribute(span, "spillgate.hedge"));
    assert_eq!(hedge, Some(true.into()));
}

#[test]
fn transport_error_is_named_and_a_cancel_is_no_error() {
    let cases = [
        (ErrorKind::ConnectionRefused, "error.type", Status::error("connection_refused")),
        (ErrorKind::DeadlineExceeded, "error.type", Status::error("deadline_exceeded")),
        (ErrorKind::Cancelled, "spillgate.ended_by", Status::Unset),
        (ErrorKind::Superseded, "spillgate.ended_by", Status::Unset),
    ];
    for (kind, key, status) in cases {
        let spans = assemble(&single(|record, attempt| {
            (record.status, record.error) = (None, Some(kind));
            (attempt.status, attempt.error) = (None, Some(kind));
        }));
        for span in &spans[..2] {
            assert_eq!(span.status, status, "{kind:?}");
            assert_eq!(attribute(span, key), Some(kind.name().into()));
            assert_eq!(attribute(span, "http.response.body.size"), None);
        }
    }
}

#[test]
fn follower_links_to_its_leader_and_repeats_no_attempt() {
    let leader = retried_call();
    let spans = assemble(&follower_of(&leader));
    assert_eq!(spans.len(), 1);
    let [link] = &spans[0].links.links[..] else { panic!("{:?}", spans[0].links) };
    assert_eq!(link.span_context.span_id(), SpanId::from_bytes(leader.context.span_id));
    assert_eq!(link.span_context.trace_id(), TraceId::from_bytes(TRACE));
    assert_eq!(attribute(&spans[0], "spillgate.coalesced"), Some(true.into()));
    assert_eq!(spans[0].parent_span_id, SpanId::INVALID);
}

#[test]
fn attempt_that_goes_on_is_told_with_its_flight_and_only_there() {
    let mut record = retried_call();
    Arc::make_mut(&mut record.attempts[1]).goes_on = true;
    let spans = assemble(&record);
    let clients = spans.iter().filter(|span| span.span_kind == SpanKind::Client);
    assert_eq!(clients.map(id).collect::<Vec<_>>(), [SpanId::from_bytes([0x21; 8])]);

    let mut attempt = (*retried_call().attempts[1]).clone();
    attempt.ended = record.ended + Duration::from_secs(1);
    let mut rest = FlightRecord {
        flight: record.flight.unwrap(),
        leader: record.context,
        url: record.url.clone(),
        route: record.route.clone(),
        attempts: vec![Arc::new(attempt.clone())],
    };
    let spans = SpanAssembler::new(1).assemble_rest(&rest);
    assert_eq!(id(&spans[0]), SpanId::from_bytes([0x22; 8]));
    assert_eq!(spans[0].parent_span_id, SpanId::from_bytes([0x10; 8]));
    assert_eq!(spans[0].name, "GET /users/{id}");
    let length = spans[0].end_time.duration_since(spans[0].start_time).unwrap();
    assert_eq!(length, attempt.ended - attempt.began);
    rest.leader.sampled = false;
    assert!(SpanAssembler::new(1).assemble_rest(&rest).is_empty());
}

#[test]
fn times_outside_the_parent_are_clamped_into_it() {
    let record = single(|record, attempt| {
        attempt.began = record.began.checked_sub(Duration::from_millis(50)).unwrap();
        attempt.ended = record.ended + Duration::from_millis(50);
        for phase in &mut attempt.phases {
            phase.to += Duration::from_secs(1);
        }
        let late = record.ended + Duration::from_secs(1);
        record.notes = vec![note_at(late)];
    });
    let spans = assemble(&record);
    let call = &spans[0];
    for span in &spans {
        assert!(span.start_time >= call.start_time, "{}", span.name);
        assert!(span.start_time <= span.end_time, "{}", span.name);
        assert!(span.end_time <= call.end_time, "{}", span.name);
    }
    assert_eq!(call.events[0].timestamp, call.end_time);
}

#[test]
fn connect_that_goes_on_for_others_ends_with_the_wait_for_it() {
    let mut record = retried_call();
    for phase in &mut Arc::make_mut(&mut record.attempts[0]).phases {
        if matches!(phase.phase, Phase::Connect | Phase::Tls) {
            phase.to += Duration::from_millis(10);
        }
    }
    let spans = assemble(&record);
    let [acquire, connect, tls] = ["wait_for_connection", "connect", "TLS client handshake"]
        .map(|name| nth_named(&spans, name, 0));
    assert_eq!(connect.end_time, acquire.end_time);
    assert_eq!(tls.end_time, connect.end_time);
}

#[test]
fn redirected_attempt_does_not_carry_the_route() {
    let spans = assemble(&single(|_, attempt| {
        attempt.url = Arc::from("https://other.example.com/");
        attempt.host = Arc::from("https://other.example.com");
    }));
    assert_eq!(spans[1].name, "GET");
    assert_eq!(attribute(&spans[1], "url.template"), None);
    assert_eq!(attribute(&spans[1], "server.address"), Some("other.example.com".into()));
}

#[test]
fn decisions_become_a_bounded_number_of_events() {
    let mut record = retried_call();
    let spans = assemble(&record);
    let event = &spans[0].events[0];
    assert_eq!(event.name, "decision");
    let told = event.attributes[0].value.as_str();
    assert!(told.starts_with("retry in 20 ms"), "{told}");
    assert_eq!((spans[0].events.len(), spans[0].events.dropped_count), (1, 0));

    record.notes = vec![note_at(record.began); 100];
    let spans = assemble(&record);
    let (kept, dropped) = (spans[0].events.len(), spans[0].events.dropped_count);
    assert!(kept <= 64 && dropped > 36, "{kept} {dropped}");
}

#[test]
fn call_that_explains_shows_every_decision_and_a_plain_one_none() {
    let mut record = single(|_, _| {});
    assert_eq!(assemble(&record)[0].events.len(), 0);
    record.explains = true;
    let spans = assemble(&record);
    let kinds: Vec<_> =
        spans[0].events.iter().map(|event| event.attributes[1].value.to_string()).collect();
    assert_eq!(kinds, ["entered", "passed", "ended", "answered"]);
}

#[test]
fn unsampled_call_builds_nothing() {
    let mut record = retried_call();
    record.context.sampled = false;
    assert!(assemble(&record).is_empty());
}

fn note_at(at: Instant) -> Note {
    let (from, to) = (Priority::Normal, Priority::Critical);
    Note { at, attempt: None, what: NoteKind::Ranked { from, to } }
}

fn assemble(record: &CallRecord) -> Vec<SpanData> {
    SpanAssembler::new(1).assemble(record)
}

fn id(span: &SpanData) -> SpanId {
    span.span_context.span_id()
}

fn nth_named<'a>(spans: &'a [SpanData], name: &str, nth: usize) -> &'a SpanData {
    let found = spans.iter().filter(|span| span.name == name).nth(nth);
    found.unwrap_or_else(|| panic!("no span {name} number {nth}"))
}

fn attribute(span: &SpanData, key: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| attribute.value.clone())
}
