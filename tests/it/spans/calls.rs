//! The tree of a call: retries, waits, and calls that end otherwise.

use std::time::{Duration, SystemTime};

use spillgate::{CancellationToken, ErrorKind};

use super::bench::{Bench, PATIENCE, end, received_traceparents, start, traceparent};

#[tokio::test]
async fn each_attempt_has_a_span_that_its_request_names() {
    let bench = Bench::plain();
    let url = bench.drill.url("/status/503?times=2");
    let response = bench.client.get(url).route("/flaky").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.report().attempts), (200, 3));
    let (spans, drill) = bench.finish().await;
    let call = spans.call("/flaky");
    assert_eq!((&call["status"], &call["attributes"]["error.type"]), (&"UNSET".into(), &().into()));
    let attempts = spans.attempts(call);
    let sent: Vec<_> = attempts.iter().map(|attempt| traceparent(attempt)).collect();
    assert_eq!(received_traceparents(&drill), sent);
    let resends: Vec<_> = attempts
        .iter()
        .map(|attempt| attempt["attributes"]["http.request.resend_count"].as_u64())
        .collect();
    assert_eq!(resends, [None, Some(1), Some(2)]);
    let outcomes: Vec<_> = attempts
        .iter()
        .map(|attempt| (attempt["status"].as_str(), attempt["attributes"]["error.type"].as_str()))
        .collect();
    let failed = (Some("ERROR"), Some("503"));
    assert_eq!(outcomes, [failed, failed, (Some("UNSET"), None)]);
    let mut names = spans.names_below(call);
    names.retain(|name| *name != "queue");
    assert_eq!(names, ["GET /flaky", "back-off", "GET /flaky", "back-off", "GET /flaky"]);
    assert_eq!(call["events"].as_array().unwrap().len(), 2, "{call:#}");
}

#[tokio::test]
async fn call_without_a_slot_shows_its_wait_in_the_queue() {
    let bench = Bench::with(|builder| builder.host("*", |host| host.concurrency(1)));
    let get = |path: &str, route: &'static str| {
        bench.client.get(bench.drill.url(path)).route(route).send()
    };
    let first = get("/delay/200", "/first");
    let second = async {
        bench.drill.wait_for(|state| state.in_flight() == 1, PATIENCE).await.unwrap();
        get("/ok", "/second").await
    };
    let (first, second) = tokio::join!(first, second);
    first.and(second).unwrap();
    let (spans, _) = bench.finish().await;
    let (first, second) = (spans.call("/first"), spans.call("/second"));
    assert_eq!(spans.names_below(first), ["GET /first"]);
    assert_eq!(spans.names_below(second), ["queue", "GET /second"]);
    let queue = spans.phase(second, "queue");
    assert_eq!(queue["kind"], "INTERNAL");
    assert!(start(queue) < end(spans.attempt(first)), "{queue:#}");
    assert!(end(queue) >= end(spans.attempt(first)), "{queue:#}");
}

#[tokio::test]
async fn cancelled_call_is_no_error() {
    let bench = Bench::plain();
    let token = CancellationToken::new();
    let url = bench.drill.url("/delay/60000");
    let call = bench.client.get(url).route("/slow").cancel_on(&token).send();
    let cancel = async {
        bench.drill.wait_for(|state| state.in_flight() == 1, PATIENCE).await.unwrap();
        token.cancel();
    };
    let (answer, ()) = tokio::join!(call, cancel);
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Cancelled);
    let (spans, drill) = bench.finish().await;
    let call = spans.call("/slow");
    let attempt = spans.attempt(call);
    for span in [call, attempt] {
        assert_eq!(span["status"], "UNSET", "{span:#}");
        assert!(span["attributes"]["error.type"].is_null(), "{span:#}");
        assert_eq!(span["attributes"]["spillgate.ended_by"], "cancelled", "{span:#}");
    }
    assert_eq!(received_traceparents(&drill), [traceparent(attempt)]);
}

#[tokio::test]
async fn deadline_cuts_the_attempt_short() {
    let bench = Bench::plain();
    let call = bench.client.get(bench.drill.url("/delay/60000")).route("/late");
    let error = call.deadline(Duration::from_millis(300)).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    let (spans, _) = bench.finish().await;
    let call = spans.call("/late");
    let attempt = spans.attempt(call);
    for span in [call, attempt] {
        assert_eq!(
            (&span["status"], &span["message"]),
            (&"ERROR".into(), &"deadline_exceeded".into())
        );
        assert_eq!(span["attributes"]["error.type"], "deadline_exceeded");
        assert!(span["attributes"]["http.response.status_code"].is_null(), "{span:#}");
    }
    let phases = spans.names_below(attempt);
    assert_eq!(phases, ["wait_for_connection", "request write", "response wait"]);
    assert_eq!(end(spans.phase(attempt, "response wait")), end(attempt));
}

#[tokio::test]
async fn span_of_a_stream_ends_with_its_body() {
    let bench = Bench::plain();
    // More than fits between the upstream and its reader: it cannot end before it is read.
    let url = bench.drill.url(&format!("/ok?bytes={LARGE}"));
    let mut stream = bench.client.get(url).route("/stream").send_streaming().await.unwrap();
    let opened = nanos_since_epoch();
    let mut bytes = 0;
    while let Some(chunk) = stream.chunk().await {
        bytes += chunk.unwrap().len();
    }
    assert_eq!(bytes, LARGE);
    let (spans, _) = bench.finish().await;
    let call = spans.call("/stream");
    let attempt = spans.attempt(call);
    let read = spans.phase(attempt, "response read");
    assert!(u128::from(end(read)) > opened, "{read:#}");
    assert_eq!(call["attributes"]["http.response.status_code"], 200);
    assert_eq!(attempt["attributes"]["http.response.body.size"], LARGE);
    assert_eq!((&call["status"], &attempt["status"]), (&"UNSET".into(), &"UNSET".into()));
}

#[tokio::test]
async fn stream_that_its_reader_drops_is_no_error() {
    let bench = Bench::plain();
    let url = bench.drill.url("/stall?after=10");
    let stream = bench.client.get(url).route("/left").send_streaming().await.unwrap();
    drop(stream);
    bench.drill.wait_for(|state| state.aborted("/stall") == 1, PATIENCE).await.unwrap();
    let (spans, _) = bench.finish().await;
    let call = spans.call("/left");
    for span in [call, spans.attempt(call)] {
        assert_eq!(span["status"], "UNSET", "{span:#}");
        assert_eq!(span["attributes"]["spillgate.ended_by"], "cancelled", "{span:#}");
    }
}

#[tokio::test]
async fn stream_that_the_client_does_not_outlive_has_its_span() {
    let bench = Bench::plain();
    let url = bench.drill.url("/stall?after=10");
    let mut stream = bench.client.get(url).route("/cut").send_streaming().await.unwrap();
    bench.client.shutdown(Duration::from_millis(1)).await;
    // Its end must not pass for the end of a whole body.
    let mut last = stream.chunk().await;
    while let Some(Ok(_)) = last {
        last = stream.chunk().await;
    }
    assert_eq!(last.unwrap().unwrap_err().kind(), ErrorKind::ShuttingDown);
    let (spans, _) = bench.finish().await;
    let call = spans.call("/cut");
    for span in [call, spans.attempt(call)] {
        assert_eq!(span["attributes"]["error.type"], "shutting_down", "{span:#}");
        assert_eq!(span["attributes"]["http.response.status_code"], 200);
    }
}

#[tokio::test]
async fn broken_stream_is_an_error_of_its_call() {
    let bench = Bench::plain();
    let url = bench.drill.url("/truncate?bytes=10");
    let mut stream = bench.client.get(url).route("/broken").send_streaming().await.unwrap();
    while let Some(Ok(_)) = stream.chunk().await {}
    let (spans, _) = bench.finish().await;
    let call = spans.call("/broken");
    for span in [call, spans.attempt(call)] {
        assert_eq!(span["status"], "ERROR", "{span:#}");
        assert_eq!(span["attributes"]["http.response.status_code"], 200);
    }
}

#[tokio::test]
async fn refusal_of_an_open_circuit_is_a_call_without_attempts() {
    let bench = Bench::plain();
    let url = bench.drill.url("/ok");
    let scope = url.trim_end_matches("/ok");
    bench.client.breakers().force_open(format!("{scope} /guarded"), None);
    let error = bench.client.get(&url).route("/guarded").send().await.unwrap_err();
    assert!(error.is_circuit_open());
    let (spans, drill) = bench.finish().await;
    let call = spans.call("/guarded");
    assert_eq!(spans.names_below(call), [""; 0]);
    assert_eq!((&call["kind"], &call["status"]), (&"INTERNAL".into(), &"ERROR".into()));
    assert_eq!(call["attributes"]["error.type"], "circuit_open");
    assert_eq!(call["attributes"]["spillgate.attempts"], 0);
    assert_eq!(drill.hits(), 0);
}

#[tokio::test]
async fn each_hop_of_a_redirect_is_an_attempt() {
    let bench = Bench::plain();
    bench.client.get(bench.drill.url("/redirect/2")).route("/hops").send().await.unwrap();
    let (spans, drill) = bench.finish().await;
    let attempts = spans.attempts(spans.call("/hops"));
    let sent: Vec<_> = attempts.iter().map(|attempt| traceparent(attempt)).collect();
    assert_eq!((sent.len(), received_traceparents(&drill)), (3, sent));
    for attempt in attempts {
        assert!(attempt["attributes"]["http.request.resend_count"].is_null(), "{attempt:#}");
    }
}

#[tokio::test]
async fn secrets_stay_out_of_spans() {
    let bench = Bench::with(|builder| {
        builder.defaults(|config| config.telemetry.redact.query.push("to".to_owned()))
    });
    let address = bench.drill.addr();
    let url =
        format!("http://canary:canary@{address}/redirect/1?to=/ok?sig=canary&token=canary&q=1");
    let call = bench.client.post(url).route("/signed").bearer_auth("canary").body("canary");
    call.header("x-api-key", "canary").send().await.unwrap();
    let refused = format!("https://canary:canary@{address}/ok?password=canary");
    bench.client.get(refused).route("/broken").no_retry().send().await.unwrap_err();
    let (spans, drill) = bench.finish().await;
    assert!(drill.requests()[0].query().unwrap().contains("token=canary"));
    assert!(!spans.text().contains("canary"), "{}", spans.text());
    let shown = spans.call("/signed")["attributes"]["url.full"].as_str().unwrap();
    assert!(shown.ends_with("&token=REDACTED&q=1"), "{shown}");
}

fn nanos_since_epoch() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos()
}

/// Far more bytes than sockets and channels hold.
const LARGE: usize = 64 * 1024 * 1024;
