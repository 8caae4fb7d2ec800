//! On the wire: what a receiver of the official protos decodes.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Sender, unbounded};
use serde_json::{Value, json};
use spillgate_actors::record::JournalEntry;
use tracing::Subscriber;
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::{Layer, Registry};

use super::receiver::{Receiver, assert_child};
use super::records::{follower_of, retried_call};
use crate::telemetry::options::{OtlpProtocol, TelemetryOptions};
use crate::telemetry::reporter::Reporter;

#[test]
fn third_party_receiver_sees_the_tree_over_http() {
    assert_tree_arrives(Receiver::start(), OtlpProtocol::HttpProtobuf);
}

#[cfg(feature = "otlp-grpc")]
#[test]
fn third_party_receiver_sees_the_tree_over_grpc() {
    assert_tree_arrives(Receiver::start(), OtlpProtocol::Grpc);
}

#[test]
fn own_requests_of_the_exporters_leave_no_span() {
    let (begun, names) = unbounded();
    // Global, for the exporters live on threads of their own; no other test of this crate sets it.
    let subscriber = Registry::default().with(SpanNames(begun));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    tracing::info_span!("control").in_scope(|| ());
    assert_tree_arrives(Receiver::start(), OtlpProtocol::HttpProtobuf);
    #[cfg(feature = "otlp-grpc")]
    assert_tree_arrives(Receiver::start(), OtlpProtocol::Grpc);
    assert_eq!(names.try_iter().collect::<Vec<_>>(), ["control"]);
}

fn assert_tree_arrives(receiver: Receiver, protocol: OtlpProtocol) {
    let otlp = match protocol {
        OtlpProtocol::HttpProtobuf => receiver.http(),
        OtlpProtocol::Grpc => receiver.grpc(),
    };
    let service_name = "shop".to_owned();
    let options = TelemetryOptions {
        otlp: Some(otlp),
        protocol,
        service_name,
        ..TelemetryOptions::default()
    };
    let (journal, entries) = unbounded();
    let reporter = Reporter::start_in(&|_| None, &options, entries, Vec::new()).unwrap();
    let leader = retried_call();
    let follower = follower_of(&leader);
    for record in [leader, follower] {
        journal.send(JournalEntry::Call(Arc::new(record))).unwrap();
    }
    reporter.shutdown(Duration::from_secs(20)).unwrap();

    let spans = receiver.finish();
    assert_eq!(spans.len(), 17 + 1);
    let by_id = |id: &str| spans.iter().find(|span| span["span_id"] == id).unwrap();
    let (call, first, second) =
        (by_id("1010101010101010"), by_id("2121212121212121"), by_id("2222222222222222"));
    assert_eq!(call["trace_id"], "ab".repeat(16));
    assert_eq!(call["parent_span_id"], "01".repeat(8));
    assert_eq!(call["service"], "shop");
    assert_eq!(call["protocol"], if protocol == OtlpProtocol::Grpc { "grpc" } else { "http" });
    assert_eq!((&call["kind"], &call["status"]), (&json!("INTERNAL"), &json!("UNSET")));
    let decision = &call["events"][0]["attributes"];
    let told = decision["spillgate.decision"].as_str().unwrap();
    assert!(told.starts_with("retry in 20 ms; "), "{told}");
    assert_eq!(decision["spillgate.decision.kind"], "retry");
    for (attempt, status) in [(first, "ERROR"), (second, "UNSET")] {
        assert_child(attempt, call);
        assert_eq!((&attempt["kind"], &attempt["status"]), (&json!("CLIENT"), &json!(status)));
    }
    assert_eq!(first["attributes"]["http.response.status_code"], 503);
    for name in ["queue", "back-off"] {
        assert_child(named(&spans, name), call);
    }
    assert_phases_are_below(&spans, first);
    let is_follower = |span: &&Value| span["attributes"]["spillgate.coalesced"] == true;
    let follower = spans.iter().find(is_follower).unwrap();
    let link = json!({ "trace_id": call["trace_id"], "span_id": call["span_id"] });
    assert_eq!(follower["links"], json!([link]));
}

fn assert_phases_are_below(spans: &[Value], attempt: &Value) {
    let connect = named(spans, "connect");
    for name in ["DNS lookup", "socket connect", "TLS client handshake"] {
        assert_child(named(spans, name), connect);
    }
    for name in ["wait_for_connection", "request write", "response wait", "response read"] {
        let mut below = spans
            .iter()
            .filter(|span| span["name"] == name && span["parent_span_id"] == attempt["span_id"]);
        let phase = below.next().unwrap_or_else(|| panic!("no {name} below {attempt:#}"));
        assert_child(phase, attempt);
        assert!(below.next().is_none(), "{name} twice below {attempt:#}");
        if name == "wait_for_connection" {
            assert_child(connect, phase);
        }
    }
}

/// The one span of that name.
fn named<'a>(spans: &'a [Value], name: &str) -> &'a Value {
    let mut found = spans.iter().filter(|span| span["name"] == name);
    let span = found.next().unwrap_or_else(|| panic!("no span {name} in {spans:#?}"));
    assert!(found.next().is_none(), "more than one span {name} in {spans:#?}");
    span
}

/// Tells the name of every span that is begun.
struct SpanNames(Sender<&'static str>);

impl<S: Subscriber> Layer<S> for SpanNames {
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        let _ = self.0.send(span.metadata().name());
    }
}
