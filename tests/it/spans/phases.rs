//! The phases of an attempt: with a connect of its own, and without.

use serde_json::Value;
use spillgate::testing::Drill;
use spillgate::{ClientBuilder, OtlpProtocol, Protocols};

use super::bench::{Bench, Spans, received_traceparents, traceparent};

#[tokio::test]
async fn cold_https_call_shows_every_phase_over_http() {
    assert_cold_call(OtlpProtocol::HttpProtobuf, Protocols::Negotiated, "2").await;
}

#[tokio::test]
async fn cold_https_call_shows_every_phase_over_grpc() {
    assert_cold_call(OtlpProtocol::Grpc, Protocols::Negotiated, "2").await;
}

#[tokio::test]
async fn cold_https_call_of_http1_shows_every_phase() {
    assert_cold_call(OtlpProtocol::HttpProtobuf, Protocols::Http1, "1.1").await;
}

#[tokio::test]
async fn plain_call_by_address_resolves_nothing_and_shakes_no_hands() {
    let bench = Bench::plain();
    let call = bench.client.post(bench.drill.url("/echo")).route("/echo").body("hello");
    call.send().await.unwrap();
    let (spans, drill) = bench.finish().await;
    let attempt = spans.attempt(spans.call("/echo"));
    assert_eq!(spans.names_below(attempt), PHASES);
    assert_eq!(connect_phases(&spans, attempt), ["socket connect"]);
    assert_eq!(attempt["attributes"]["http.request.method"], "POST");
    assert_eq!(attempt["attributes"]["http.request.body.size"], 5);
    assert_eq!(attempt["attributes"]["network.peer.port"], drill.addr().port());
}

#[tokio::test]
async fn reused_connection_has_no_connect() {
    for protocols in [Protocols::Http1, Protocols::Negotiated] {
        let bench = Bench::tls(OtlpProtocol::HttpProtobuf, speaking(protocols));
        for route in ["cold", "warm"] {
            bench.client.get(bench.url_by_name("/ok")).route(route).send().await.unwrap();
        }
        let (spans, drill) = bench.finish().await;
        assert_eq!(drill.connections(), 1);
        for (route, origin, phases) in
            [("cold", "fresh", &["connect"][..]), ("warm", "reused", &[][..])]
        {
            let attempt = spans.attempt(spans.call(route));
            assert_eq!(attempt["attributes"]["spillgate.connection"], origin);
            assert_eq!(spans.names_below(attempt), PHASES, "{route}");
            let acquire = spans.phase(attempt, "wait_for_connection");
            assert_eq!(spans.names_below(acquire), phases, "{route}");
        }
    }
}

#[tokio::test]
async fn refused_connect_is_all_there_is_to_its_attempt() {
    let bench = Bench::plain();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let call = bench.client.get(format!("http://{closed}/")).route("/refused").no_retry();
    call.send().await.unwrap_err();
    let (spans, _) = bench.finish().await;
    let call = spans.call("/refused");
    let attempt = spans.attempt(call);
    assert_eq!(spans.names_below(attempt), ["wait_for_connection"]);
    assert_eq!(connect_phases(&spans, attempt), ["socket connect"]);
    for span in [call, attempt] {
        assert_eq!(span["status"], "ERROR");
        assert_eq!(span["attributes"]["error.type"], "connection_refused");
    }
}

#[tokio::test]
async fn untrusted_certificate_ends_the_attempt_in_its_handshake() {
    let stranger = Drill::builder().tls().start().unwrap();
    let bench = Bench::plain();
    let url = format!("https://localhost:{}/ok", stranger.addr().port());
    bench.client.get(url).route("/untrusted").no_retry().send().await.unwrap_err();
    let (spans, _) = bench.finish().await;
    let attempt = spans.attempt(spans.call("/untrusted"));
    assert_eq!(spans.names_below(attempt), ["wait_for_connection"]);
    assert_eq!(connect_phases(&spans, attempt), CONNECT_PHASES);
    assert_eq!(attempt["attributes"]["error.type"], "tls_certificate_error");
    assert_eq!(stranger.hits(), 0);
}

async fn assert_cold_call(otlp: OtlpProtocol, protocols: Protocols, version: &str) {
    let bench = Bench::tls(otlp, speaking(protocols));
    let url = bench.url_by_name("/ok");
    bench.client.get(&url).route("/ok").send().await.unwrap();
    let (spans, drill) = bench.finish().await;
    let call = spans.call("/ok");
    assert_eq!((&call["kind"], &call["name"]), (&"INTERNAL".into(), &"GET /ok".into()));
    assert_eq!(call["status"], "UNSET");
    assert_eq!(call["protocol"], if otlp == OtlpProtocol::Grpc { "grpc" } else { "http" });
    let attempt = spans.attempt(call);
    assert_eq!((&attempt["name"], &attempt["status"]), (&"GET /ok".into(), &"UNSET".into()));
    assert_eq!(spans.names_below(attempt), PHASES);
    assert_eq!(connect_phases(&spans, attempt), CONNECT_PHASES);
    for (key, value) in [
        ("http.request.method", Value::from("GET")),
        ("http.response.status_code", 200.into()),
        ("network.protocol.version", version.into()),
        ("network.peer.address", "127.0.0.1".into()),
        ("server.address", "localhost".into()),
        ("server.port", drill.addr().port().into()),
        ("spillgate.connection", "fresh".into()),
        ("url.full", url.into()),
    ] {
        assert_eq!(attempt["attributes"][key], value, "{key}");
    }
    assert_eq!(received_traceparents(&drill), [traceparent(attempt)]);
}

/// The names below the only connect of an attempt.
fn connect_phases<'a>(spans: &'a Spans, attempt: &Value) -> Vec<&'a str> {
    let acquire = spans.phase(attempt, "wait_for_connection");
    assert_eq!(spans.names_below(acquire), ["connect"]);
    spans.names_below(spans.phase(acquire, "connect"))
}

fn speaking(protocols: Protocols) -> impl FnOnce(ClientBuilder) -> ClientBuilder {
    move |builder| builder.transport_options(|options| options.protocols = protocols)
}

const PHASES: [&str; 4] =
    ["wait_for_connection", "request write", "response wait", "response read"];
const CONNECT_PHASES: [&str; 3] = ["DNS lookup", "socket connect", "TLS client handshake"];
