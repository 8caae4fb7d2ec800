//! Retries over real sockets: what is sent again, how often, and with which key.

use std::time::Duration;

use spillgate::actors::transport::TransportError;
use spillgate::{Body, Client, ErrorClass, ErrorKind, Key};

use crate::bench::{drill, quick};

/// dotnet/extensions#5248, axios-retry#17 (PITFALLS A13).
#[tokio::test]
async fn post_answered_503_is_sent_exactly_once() {
    let (drill, client) = (drill(), quick());
    let response = client.post(drill.url("/status/503")).body("pay").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.report().attempts), (503, 1));
    assert_eq!(drill.hits(), 1);
}

#[tokio::test]
async fn post_with_a_key_is_retried_with_that_very_key() {
    let (drill, client) = (drill(), quick());
    for (path, key) in
        [("/status/503?key=a", Key::new("order-7")), ("/status/503?key=b", Key::auto())]
    {
        let call = client.post(drill.url(path)).body("pay").idempotency_key(key);
        let response = call.send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.report().attempts), (503, 4));
    }
    let keys_of = |key: &str| {
        let requests = drill.requests();
        let sent = requests.iter().filter(|request| request.key() == Some(key));
        let mut keys: Vec<_> =
            sent.map(|r| (r.header("idempotency-key").unwrap().to_owned(), r.body_len())).collect();
        assert_eq!(keys.len(), 4);
        keys.dedup();
        keys
    };
    assert_eq!(keys_of("a"), [("order-7".to_owned(), 3)]);
    let fresh = keys_of("b");
    assert_eq!(fresh.len(), 1);
    assert!(fresh[0].0.len() >= 32, "at least 128 bit in hex: {fresh:?}");
}

#[tokio::test]
async fn refused_connection_is_retried_even_for_a_post() {
    let client = quick();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    for call in [client.get(&url), client.post(&url).body("pay")] {
        let error = call.send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
        assert_eq!(error.class(), ErrorClass::Transient);
        assert_eq!(error.report().unwrap().attempts, 4);
    }
}

#[tokio::test]
async fn post_whose_answer_was_lost_is_not_repeated() {
    let (drill, client) = (drill(), quick());
    for path in ["/close", "/reset", "/truncate"] {
        let error = client.post(drill.url(path)).body("pay").send().await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Transient, "{error}");
        assert_eq!((error.report().unwrap().attempts, drill.hits_at(path)), (1, 1), "{path}");
    }
    let call = client.post(drill.url("/delay/5000")).timeout(Duration::from_millis(100));
    let error = call.send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HttpResponseTimeout);
    assert_eq!(drill.hits_at("/delay/5000"), 1);
}

#[tokio::test]
async fn caller_decides_whether_and_how_often() {
    let (drill, client) = (drill(), quick());
    let url = |key: &str| drill.url(&format!("/status/503?key={key}"));
    let calls = [
        ("default", client.get(url("default")), 4),
        ("no_retry", client.get(url("no_retry")).no_retry(), 1),
        ("none", client.get(url("none")).retries(0), 1),
        ("one", client.get(url("one")).retries(1), 2),
        ("allowed", client.post(url("allowed")).body("x").allow_retry(), 4),
        ("forbidden", client.post(url("forbidden")).idempotency_key(Key::auto()).no_retry(), 1),
        ("delete", client.delete(url("delete")), 1),
        ("head", client.head(url("head")), 4),
    ];
    for (key, call, expected) in calls {
        let response = call.send().await.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(u64::from(response.report().attempts), expected, "{key}");
        assert_eq!(drill.hits_of(key), expected, "{key}");
    }
}

#[tokio::test]
async fn upstream_that_recovers_answers_the_same_call() {
    let (drill, client) = (drill(), quick());
    let response = client.get(drill.url("/status/503?times=2&key=a")).send().await.unwrap();
    let report = response.report();
    assert_eq!((response.status().as_u16(), report.attempts), (200, 3));
    assert!(report.back_off > Duration::ZERO);
    let decisions = report.decisions();
    let retries = decisions.iter().filter(|decision| decision.what.name() == "retry").count();
    assert_eq!(retries, 2, "{decisions:?}");
    assert_eq!(drill.hits_of("a"), 3);
}

/// reqwest-middleware#44, dotnet/extensions#5105 (PITFALLS A17).
#[tokio::test]
async fn body_that_may_not_be_kept_is_sent_once_and_whole() {
    let (drill, client) = (drill(), quick());
    let body = || {
        let pieces = ["one ", "two ", "three"].map(|piece| Ok(piece.into()));
        Body::Stream(Box::pin(futures_util::stream::iter(pieces)))
    };
    for path in ["/status/503", "/close"] {
        let call = client.put(drill.url(path)).body(body()).allow_retry().replay_max(0);
        let attempts = match call.send().await {
            Ok(response) => response.report().attempts,
            Err(error) => error.report().unwrap().attempts,
        };
        assert_eq!((attempts, drill.hits_at(path)), (1, 1), "{path}");
    }
    assert_eq!(drill.requests()[0].body_len(), 13);
}

#[tokio::test]
async fn body_stream_that_fails_or_panics_fails_the_call_alone() {
    let (drill, client) = (drill(), quick());
    let pieces = [Ok("one".into()), Err(TransportError::sent(ErrorKind::InvalidRequest))];
    let broken = Body::Stream(Box::pin(futures_util::stream::iter(pieces)));
    let error = client.post(drill.url("/ok")).body(broken).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
    let panics = futures_util::stream::poll_fn(|_| panic!("planted: the caller's stream panics"));
    let body = Body::Stream(Box::pin(panics));
    let error = client.post(drill.url("/ok")).body(body).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    assert_eq!(client.get(drill.url("/ok")).send().await.unwrap().status(), 200);
    assert_eq!(client.snapshot().hosts[0].failures, 0, "it is not the upstream's");
}

/// smithy-rs#1197 (PITFALLS A15).
#[tokio::test]
async fn dead_upstream_gets_no_more_than_calls_and_initial_credit() {
    let (drill, client) = (
        drill(),
        crate::bench::client(|builder| {
            builder.defaults(|config| {
                config.defaults.retry.backoff.base = Duration::from_millis(1);
                config.defaults.breaker = spillgate::Breaker::off();
            })
        }),
    );
    for n in 0..60 {
        let response = client.get(drill.url(&format!("/status/503?key={n}"))).send().await.unwrap();
        assert_eq!(response.status(), 503);
    }
    assert_eq!(drill.hits(), 60 + 10, "ten tokens to begin with, and none earned");
    assert!(client.snapshot().hosts[0].tokens < 1.0);
}

#[tokio::test]
async fn client_error_is_an_answer_and_never_repeated() {
    let (drill, client) = (drill(), Client::standard());
    for code in [400, 401, 403, 404, 409, 410, 422, 501] {
        let response = client.get(drill.url(&format!("/status/{code}"))).send().await.unwrap();
        assert_eq!(response.report().attempts, 1, "{code}");
        let error = response.error_for_status().unwrap_err();
        assert_eq!((error.kind(), error.class()), (ErrorKind::HttpStatus, ErrorClass::Permanent));
        assert_eq!(error.last_status().unwrap().as_u16(), code);
    }
    assert_eq!(drill.hits(), 8);
}
