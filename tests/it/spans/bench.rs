//! A drill, a client and a receiver, and the spans that came of it.

use std::io::Write as _;
use std::time::Duration;

use serde_json::Value;
use spillgate::testing::Drill;
use spillgate::{Client, ClientBuilder, OtlpProtocol, TelemetryOptions};
use tempfile::NamedTempFile;

use crate::otlp::{Receiver, assert_child};

/// A client whose spans go to a receiver, and an upstream to call.
pub(super) struct Bench {
    pub(super) drill: Drill,
    pub(super) client: Client,
    receiver: Receiver,
}

/// All spans that a client sent.
pub(super) struct Spans(Vec<Value>);

impl Bench {
    /// A plain upstream, a standard client, OTLP over HTTP.
    pub(super) fn plain() -> Self {
        Self::with(|builder| builder)
    }

    /// A plain upstream, OTLP over HTTP, and a client with these changes.
    pub(super) fn with(change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Self {
        Self::build(Drill::start().unwrap(), OtlpProtocol::HttpProtobuf, change)
    }

    /// An upstream that speaks TLS, and a client that trusts it.
    pub(super) fn tls(
        protocol: OtlpProtocol,
        change: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Self {
        let drill = Drill::builder().tls().start().unwrap();
        let mut ca = NamedTempFile::new().unwrap();
        ca.write_all(drill.ca_pem().unwrap().as_bytes()).unwrap();
        let trusting = |builder: ClientBuilder| change(builder.ca_file(ca.path()));
        // The file is read when the client is built.
        Self::build(drill, protocol, trusting)
    }

    fn build(
        drill: Drill,
        protocol: OtlpProtocol,
        change: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Self {
        let receiver = Receiver::start();
        let otlp = match protocol {
            OtlpProtocol::HttpProtobuf => receiver.http(),
            OtlpProtocol::Grpc => receiver.grpc(),
        };
        let options = TelemetryOptions {
            otlp: Some(otlp),
            protocol,
            shutdown_timeout: PATIENCE,
            ..TelemetryOptions::default()
        };
        let client = change(Client::builder().telemetry(options)).build().unwrap();
        Self { drill, client, receiver }
    }

    /// The URL of a path by the upstream's name, which has to be resolved.
    pub(super) fn url_by_name(&self, path: &str) -> String {
        let scheme = if self.drill.ca_pem().is_some() { "https" } else { "http" };
        format!("{scheme}://localhost:{}{path}", self.drill.addr().port())
    }

    /// Ends the client and returns all its spans, after a look at what holds for any of them.
    pub(super) async fn finish(self) -> (Spans, Drill) {
        let (spans, drill) = self.finish_untidy().await;
        spans.assert_tidy();
        (spans, drill)
    }

    /// Ends the client and returns all its spans.
    pub(super) async fn finish_untidy(self) -> (Spans, Drill) {
        self.client.shutdown(PATIENCE).await;
        (Spans(self.receiver.finish()), self.drill)
    }
}

impl Spans {
    /// The span of the only call of this route.
    pub(super) fn call(&self, route: &str) -> &Value {
        let [call] = self.calls(route)[..] else { panic!("not one call {route}: {:#?}", self.0) };
        call
    }

    /// The spans of all calls of this route, in order of time.
    pub(super) fn calls(&self, route: &str) -> Vec<&Value> {
        let is_call = |span: &&Value| {
            span["attributes"]["url.template"] == route
                && !span["attributes"]["spillgate.ticket"].is_null()
        };
        in_order(self.0.iter().filter(is_call).collect())
    }

    /// The spans below `parent`, in order of time.
    pub(super) fn below(&self, parent: &Value) -> Vec<&Value> {
        let id = &parent["span_id"];
        in_order(self.0.iter().filter(|span| span["parent_span_id"] == *id).collect())
    }

    /// The names of the spans below `parent`, in order of time.
    pub(super) fn names_below(&self, parent: &Value) -> Vec<&str> {
        self.below(parent).iter().map(|span| span["name"].as_str().unwrap()).collect()
    }

    /// The CLIENT spans below `call`, in order of time.
    pub(super) fn attempts(&self, call: &Value) -> Vec<&Value> {
        self.below(call).into_iter().filter(|span| span["kind"] == "CLIENT").collect()
    }

    /// The only CLIENT span below `call`.
    pub(super) fn attempt(&self, call: &Value) -> &Value {
        let [attempt] = self.attempts(call)[..] else { panic!("not one attempt: {:#?}", self.0) };
        attempt
    }

    /// The only span of that name below `parent`.
    pub(super) fn phase(&self, parent: &Value, name: &str) -> &Value {
        let found: Vec<_> =
            self.below(parent).into_iter().filter(|span| span["name"] == name).collect();
        let [phase] = found[..] else { panic!("not one {name} below {parent:#}: {:#?}", self.0) };
        phase
    }

    /// Everything, as text.
    pub(super) fn text(&self) -> String {
        format!("{:#?}", self.0)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Children lie within their parents, siblings within a call follow each other, no id is used
    /// twice, and only calls hang from something that was not exported.
    fn assert_tidy(&self) {
        for span in &self.0 {
            let twins = self.0.iter().filter(|other| other["span_id"] == span["span_id"]).count();
            assert_eq!(twins, 1, "{span:#}");
            let parent = self.0.iter().find(|other| other["span_id"] == span["parent_span_id"]);
            match parent {
                Some(parent) => assert_child(span, parent),
                None => assert!(!span["attributes"]["spillgate.ticket"].is_null(), "{span:#}"),
            }
            for pair in self.below(span).windows(2) {
                assert!(end(pair[0]) <= start(pair[1]), "{:#} overlaps {:#}", pair[0], pair[1]);
            }
        }
    }
}

/// When a span began, in nanoseconds.
pub(super) fn start(span: &Value) -> u64 {
    span["start"].as_u64().unwrap()
}

/// When a span ended, in nanoseconds.
pub(super) fn end(span: &Value) -> u64 {
    span["end"].as_u64().unwrap()
}

/// What `traceparent` names this span as the parent.
pub(super) fn traceparent(span: &Value) -> String {
    let id = |key: &str| span[key].as_str().unwrap().to_owned();
    format!("00-{}-{}-01", id("trace_id"), id("span_id"))
}

/// The `traceparent` of each request that the drill received, in order of arrival.
pub(super) fn received_traceparents(drill: &Drill) -> Vec<String> {
    let requests = drill.requests();
    requests.iter().map(|request| request.header("traceparent").unwrap().to_owned()).collect()
}

fn in_order(mut spans: Vec<&Value>) -> Vec<&Value> {
    spans.sort_by_key(|span| (start(span), end(span)));
    spans
}

/// Far more than any of these steps takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
