//! Collectors that cannot be reached: calls do not notice, and the exit does not wait.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use spillgate::testing::Drill;
use spillgate::{Client, OtlpProtocol, TelemetryOptions};

use super::bench::PATIENCE;
use crate::examples::Example;

#[tokio::test]
async fn refusing_collector_holds_up_nothing() {
    for protocol in BOTH {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let otlp = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        assert_unaffected(otlp, protocol).await;
    }
}

#[tokio::test]
async fn silent_collector_holds_up_nothing() {
    for protocol in BOTH {
        // The system completes the handshakes of the backlog; nobody ever answers.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let otlp = format!("http://{}", listener.local_addr().unwrap());
        assert_unaffected(otlp, protocol).await;
    }
}

#[tokio::test]
async fn process_that_drops_its_client_does_not_wait_for_a_silent_collector() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let otlp = format!("http://{}", listener.local_addr().unwrap());
    for protocol in BOTH {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.as_str()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.name()),
        ];
        // It ends after this line, without a shutdown of the client.
        let mut example = Example::start("messages", &[], &variables);
        example.line("Drain: ").await;
        example.line("Fetch: shutting_down").await;
        let took = example.end().await;
        assert!(took < EXIT_MAX, "{protocol}: {took:?}");
    }
}

async fn assert_unaffected(otlp: String, protocol: OtlpProtocol) {
    let drill = Drill::start().unwrap();
    let options = TelemetryOptions { otlp: Some(otlp), protocol, ..TelemetryOptions::default() };
    let client = Client::builder().telemetry(options).build().unwrap();
    // More spans than a batch, so that the exporter is stuck while calls go on.
    for _ in 0..200 {
        let call = client.get(drill.url("/ok")).send();
        assert_eq!(call.await.unwrap().status(), 200);
    }
    assert_eq!(drill.hits(), 200);
    let asked = Instant::now();
    client.shutdown(PATIENCE).await;
    assert!(asked.elapsed() < EXIT_MAX, "{protocol}: {:?}", asked.elapsed());
}

const BOTH: [OtlpProtocol; 2] = [OtlpProtocol::HttpProtobuf, OtlpProtocol::Grpc];

/// How long an exit may take with an unreachable collector.
const EXIT_MAX: Duration = Duration::from_secs(2);
