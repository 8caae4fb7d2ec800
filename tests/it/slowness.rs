//! Slowness over real sockets: what hangs, what stalls, and the slots that it holds.

use std::time::Duration;

use spillgate::actors::phases::Phase;
use spillgate::testing::received::Received;
use spillgate::{
    Breaker, BreakerOptions, BreakerState, ErrorKind, Key, Protocols, SlowCalls, SlowCount,
};

use crate::bench::{
    Call, PATIENCE, at_rest, client, drill, error, eventually, guarded, hits, quick, scope_of,
    spawn,
};

/// opossum, xberg#1641 (PITFALLS A24): over connections of their own, and over streams of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slot_of_a_timed_out_attempt_is_free_once_its_connection_is_closed() {
    for protocols in [Protocols::Http1, Protocols::Http2PriorKnowledge] {
        let drill = drill();
        let client = client(|builder| {
            builder
                .transport_options(|options| options.protocols = protocols)
                .defaults(|config| config.defaults.breaker = Breaker::off())
                .host("127.0.0.1", |host| host.concurrency(2).attempts(1))
        });
        let short = Duration::from_millis(40);
        let calls: Vec<_> = (0..30)
            .map(|n| client.get(drill.url(&format!("/delay/60000?key={n}"))).timeout(short))
            .map(spawn)
            .collect();
        for call in calls {
            assert_eq!(error(call).await.kind(), ErrorKind::HttpResponseTimeout, "{protocols:?}");
        }
        drill.wait_for(|ledger| ledger.in_flight() == 0, PATIENCE).await.unwrap();
        // On a busy machine the time of some is up before they are on the wire.
        let (hits, peak) = (drill.hits(), drill.peak());
        assert!(hits > 2 && peak <= 2, "{protocols:?}: {peak} of {hits} at once");
        assert_eq!(drill.aborted("/delay/60000"), hits, "{protocols:?}");
        at_rest(&client).await;
    }
}

/// R4J#1597 (PITFALLS A26).
#[tokio::test]
async fn calls_that_hang_open_the_breaker_before_any_of_them_ends() {
    let limit = Duration::from_millis(100);
    let slow = Some(SlowCalls { limit, rate: 0.75, counted: SlowCount::InFlight });
    let drill = drill();
    let client = client(|builder| {
        let options = BreakerOptions { slow, ..BreakerOptions::rate(0.5) };
        builder.host("127.0.0.1", |host| host.concurrency(20).breaker(options))
    });
    let calls: Vec<_> =
        (0..20).map(|n| spawn(client.get(drill.url(&format!("/delay/60000?key={n}"))))).collect();
    hits(&drill, 20).await;
    let scope = scope_of(&drill);
    eventually("it opens", || client.breakers().state(&scope) == BreakerState::Open).await;
    assert!(calls.iter().all(|call| !call.is_finished()), "none has ended");
    assert_eq!((drill.in_flight(), drill.aborted("/delay/60000")), (20, 0));
    assert!(client.get(drill.url("/ok")).send().await.unwrap_err().is_circuit_open());
    assert_eq!(drill.hits(), 20);
    calls.iter().for_each(Call::abort);
    at_rest(&client).await;
}

/// failsafe-go#123, openai-node#1908 (PITFALLS A18): a body that is read for its caller.
#[tokio::test]
async fn stalled_body_that_is_read_into_memory_frees_its_slot_and_is_a_failure() {
    let (drill, client) = (drill(), guarded(PATIENCE));
    for n in 0..5 {
        let call = client.get(drill.url(&format!("/stall?after=100&key={n}")));
        let error = call.read_timeout(Duration::from_millis(50)).send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReadTimeout, "{error}");
    }
    at_rest(&client).await;
    drill.wait_for(|ledger| ledger.aborted("/stall") == 5, PATIENCE).await.unwrap();
    let host = &client.snapshot().hosts[0];
    assert_eq!((host.failures, host.breaker), (5, BreakerState::Open));
}

/// dotnet/extensions#5248 (PITFALLS A13): it may have been acted on.
#[tokio::test]
async fn post_that_times_out_after_it_was_written_is_sent_once() {
    let (drill, client) = (drill(), quick());
    let short = Duration::from_millis(100);
    let post = || client.post(drill.url("/delay/60000")).body("pay").timeout(short);
    let error = post().send().await.unwrap_err();
    assert_eq!((error.kind(), error.phase()), (ErrorKind::HttpResponseTimeout, Some(Phase::Wait)));
    assert_eq!((error.report().unwrap().attempts, drill.hits()), (1, 1));
    let keyed = post().idempotency_key(Key::new("order-7")).retries(1);
    assert_eq!(keyed.send().await.unwrap_err().report().unwrap().attempts, 2);
    let keys: Vec<_> = drill.requests().iter().skip(1).map(key_of).collect();
    assert_eq!(keys, [Some("order-7".to_owned()), Some("order-7".to_owned())]);
}

fn key_of(received: &Received) -> Option<String> {
    received.header("idempotency-key").map(str::to_owned)
}
