//! What bounds answers, calls and hosts.

use std::time::Duration;

use spillgate::testing::Drill;
use spillgate::{Client, ErrorClass, ErrorKind};

use crate::alone;
use crate::bench::{Call, answer, at_rest, client, drill, error, eventually, hits, quick, spawn};

#[test]
fn decompression_bomb_is_refused_in_bounded_memory() {
    alone::run("limits::decompression_bomb_is_refused_in_bounded_memory", async || {
        let (drill, client) = (drill(), Client::standard());
        let before = alone::peak_memory();
        let error = client.get(drill.url("/gzip?bytes=500000000")).send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HttpResponseBodySize, "{error}");
        assert_eq!((error.class(), error.report().unwrap().attempts), (ErrorClass::Permanent, 1));
        let grown = alone::peak_memory() - before;
        assert!(grown < 60_000_000, "{grown} bytes");
        at_rest(&client).await;
    });
}

#[tokio::test]
async fn body_above_its_limit_is_refused_and_below_it_taken() {
    let drill = drill();
    let client = client(|builder| builder.defaults(|c| c.calls.body_bytes_max = 10_000));
    let fits = client.get(drill.url("/ok?bytes=10000")).send().await.unwrap();
    assert_eq!(fits.bytes().len(), 10_000);
    for path in ["/ok?bytes=10001", "/gzip?bytes=100000"] {
        let error = client.get(drill.url(path)).send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HttpResponseBodySize, "{path}: {error}");
    }
    assert_eq!(drill.hits(), 3, "too large stays too large");
    let mut stream = client.get(drill.url("/ok?bytes=20000")).send_streaming().await.unwrap();
    let mut bytes = 0;
    while let Some(chunk) = stream.chunk().await {
        bytes += chunk.unwrap().len();
    }
    assert_eq!(bytes, 20_000, "a stream is not buffered");
}

#[tokio::test]
async fn calls_beyond_the_admission_limit_are_refused_with_a_typed_error() {
    let drill = drill();
    let client = client(|builder| builder.defaults(|config| config.limits.calls_max = 3));
    let held: Vec<_> =
        (0..3).map(|n| spawn(client.get(drill.url(&format!("/delay/60000?key={n}"))))).collect();
    hits(&drill, 3).await;
    for _ in 0..3 {
        let error = client.get(drill.url("/ok")).send().await.unwrap_err();
        assert_eq!((error.kind(), error.class()), (ErrorKind::Overloaded, ErrorClass::Rejected));
        assert!(error.message().contains('3'), "{error}");
    }
    let message = spillgate::actors::fetch::Fetch::get(drill.url("/ok"));
    let error = client.addr().send(message).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    held.iter().for_each(Call::abort);
    at_rest(&client).await;
    assert_eq!(client.get(drill.url("/ok")).send().await.unwrap().status(), 200);
    assert_eq!(drill.hits(), 4);
}

/// R4J#273, R4J#650, Polly#1495 (PITFALLS A19).
#[tokio::test]
async fn hosts_are_bounded_and_what_is_in_use_or_open_stays() {
    let drill = Drill::builder().listen("0.0.0.0:0").start().unwrap();
    let client = client(|builder| {
        builder
            .defaults(|config| {
                config.limits.hosts_max = 5;
                config.defaults.retry.backoff.base = Duration::from_millis(400);
                config.defaults.retry.backoff.jitter =
                    spillgate::actors::core::backoff::Jitter::None;
            })
            .host("127.0.0.*", |host| host.concurrency(6))
    });
    let port = drill.addr().port();
    let url = |n: u32, path: &str| format!("http://127.0.{}.{}:{port}{path}", n / 200, n % 200 + 1);
    client.breakers().force_open(format!("http://127.0.0.1:{port} /dead"), None);
    let running = spawn(client.get(url(1, "/delay/1000")));
    let named = spawn(client.get(url(2, "/delay/1000?key=named")).scope("payments"));
    let sleeping = spawn(client.get(url(3, "/status/503?times=1")));
    hits(&drill, 3).await;
    for n in 10..60 {
        assert_eq!(client.get(url(n, "/ok")).send().await.unwrap().status(), 200);
    }
    assert!(client.snapshot().hosts.len() <= 5, "{}", client.snapshot().hosts.len());
    for call in [running, named, sleeping] {
        assert_eq!(answer(call).await.unwrap().status(), 200);
    }
    let call = client.get(url(0, "/ok")).route("/dead");
    assert!(call.send().await.unwrap_err().is_circuit_open());
    at_rest(&client).await;
}

#[tokio::test]
async fn spellings_of_one_host_are_one_actor() {
    let (drill, client) = (drill(), Client::standard());
    let port = drill.addr().port();
    for host in ["127.0.0.1", "127.1", "0x7f000001", "2130706433", "0177.0.0.1"] {
        for scheme in ["http", "HTTP"] {
            let url = format!("{scheme}://{host}:{port}/ok");
            assert_eq!(client.get(url).send().await.unwrap().status(), 200, "{host}");
        }
    }
    let hosts = client.snapshot().hosts;
    assert_eq!(hosts.len(), 1, "{hosts:?}");
    assert_eq!((hosts[0].attempts, drill.connections()), (10, 1));
}

#[tokio::test]
async fn answers_that_are_judged_follow_the_judgement() {
    use spillgate::Judgement;
    let drill = drill();
    let client = client(|builder| {
        let judge = |head: &spillgate::Head, _: &[u8]| match head.status.as_u16() {
            200 if head.url.contains("/echo") => Judgement::Failure,
            503 if head.url.contains("/problem") => Judgement::Success,
            422 => Judgement::Business("the card was declined".to_owned()),
            418 => panic!("planted: a classifier panics"),
            _ => Judgement::ByStatus,
        };
        builder.classifier(judge).defaults(|config| {
            config.defaults.retry.backoff.base = Duration::from_millis(1);
        })
    });
    let attempts =
        async |path: &str| client.get(drill.url(path)).send().await.unwrap().report().attempts;
    assert_eq!(attempts("/echo").await, 4, "a failure is retried");
    assert_eq!(attempts("/problem/503").await, 1, "a success is not");
    assert_eq!(attempts("/status/503").await, 4);
    assert_eq!(attempts("/status/418").await, 1);
    let error = client.get(drill.url("/status/422")).send().await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (ErrorKind::Business, ErrorClass::Business));
    assert!(error.to_string().contains("the card was declined"), "{error}");
    assert_eq!((error.last_status().unwrap().as_u16(), drill.hits_at("/status/422")), (422, 1));
    assert_eq!(attempts("/ok").await, 1);
}

#[tokio::test]
async fn fallbacks_answer_in_place_of_errors_and_may_panic() {
    let (drill, client) = (drill(), quick());
    let call = client.get(drill.url("/close")).fallback(|error| {
        assert_eq!(error.kind(), ErrorKind::ConnectionTerminated);
        spillgate::Response::builder()
            .status(203)
            .header("x-from", "cellar")
            .body("from the cellar")
            .build()
    });
    let response = call.send().await.unwrap();
    assert_eq!(
        (response.text().unwrap().as_str(), response.report().attempts),
        ("from the cellar", 4)
    );
    let call = client
        .get(drill.url("/close"))
        .fallback(|_| -> spillgate::Response { panic!("planted: a fallback panics") });
    assert_eq!(error(spawn(call)).await.kind(), ErrorKind::ConnectionTerminated);
    eventually("it is at rest", || client.snapshot().calls == 0).await;
    assert_eq!(client.get(drill.url("/ok")).send().await.unwrap().status(), 200);
}
