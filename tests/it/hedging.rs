//! Hedges over real sockets: who wins, what is sent, and what is left alone.

use std::time::Duration;

use spillgate::testing::Drill;
use spillgate::{CancellationToken, Client, ErrorKind, Hedge, HedgeOptions, Key, RequestBuilder};

use crate::bench::{PATIENCE, answer, at_rest, client, error, eventually, hits, quick, spawn};

#[tokio::test]
async fn slow_first_attempt_loses_to_its_hedge_and_its_connection_is_closed() {
    let (drill, client) = (slow_once(), quick());
    earn(&client, &drill, 1).await;
    let before = drill.hits();
    let response = hedged(client.get(drill.url(SLOW_ONCE))).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let report = response.report();
    assert_eq!((report.attempts, drill.hits() - before), (2, 2));
    let told: Vec<String> = report.decisions().iter().map(ToString::to_string).collect();
    for line in [
        "attempt 2: a hedge beside attempt 1, which is slow",
        "attempt 1: called back, since another attempt answered first",
    ] {
        assert!(told.iter().any(|told| told == line), "{told:#?}");
    }
    eventually("the loser's connection is closed", || drill.aborted(SLOW_ONCE) == 1).await;
    let mut connections = Vec::new();
    drill.read(|ledger| {
        for request in ledger.requests_at(SLOW_ONCE) {
            connections.push(request.connection());
        }
    });
    assert_ne!(connections[0], connections[1], "a hedge has a connection of its own");
    at_rest(&client).await;
    let host = &client.snapshot().hosts[0];
    assert_eq!((host.hedges, host.retries, host.failures), (1, 0, 0));
}

#[tokio::test]
async fn nothing_is_hedged_unless_somebody_wants_it() {
    let (drill, client) = (slow_once(), quick());
    earn(&client, &drill, 2).await;
    let plain = client.get(drill.url("/delay/200?key=plain")).send().await.unwrap();
    let off = client.get(drill.url("/delay/200?key=off")).hedge(Hedge::off()).send().await;
    assert_eq!((plain.report().attempts, off.unwrap().report().attempts), (1, 1));
    assert_eq!((drill.hits_of("plain"), drill.hits_of("off")), (1, 1));
}

#[tokio::test]
async fn post_is_hedged_only_with_a_key() {
    let (drill, client) = (slow_once(), quick());
    earn(&client, &drill, 2).await;
    let post = || hedged(client.post(drill.url("/delay/200")).body("pay"));
    assert_eq!(post().send().await.unwrap().report().attempts, 1);
    assert_eq!(drill.hits_at("/delay/200"), 1);
    let keyed = post().idempotency_key(Key::new("order-7")).send().await.unwrap();
    assert_eq!(keyed.report().attempts, 2);
    let keys = drill.read(|ledger| {
        let sent = ledger.requests_at("/delay/200").filter_map(|r| r.header("idempotency-key"));
        sent.map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(keys, ["order-7", "order-7"]);
}

#[tokio::test]
async fn brownout_is_hedged_for_one_call_in_twenty() {
    let (drill, client) = (slow_once(), quick());
    for _ in 0..50 {
        let calls = (0..4).map(|_| hedged(client.get(drill.url("/delay/40"))).no_coalesce());
        let calls: Vec<_> = calls.map(spawn).collect();
        for call in calls {
            assert_eq!(answer(call).await.unwrap().status().as_u16(), 200);
        }
    }
    let hedges = drill.hits() - 200;
    assert!((1..=10).contains(&hedges), "{hedges} hedges for 200 calls");
    assert_eq!(client.snapshot().hosts[0].hedges, hedges);
}

#[tokio::test]
async fn scarce_slots_are_left_to_first_attempts() {
    let (drill, client) = (slow_once(), quick());
    earn(&client, &drill, 3).await;
    let before = drill.hits();
    let token = CancellationToken::new();
    let others = (0..4).map(|n| client.get(drill.url(&format!("/delay/60000?key={n}"))));
    let others: Vec<_> = others.map(|call| spawn(call.cancel_on(&token))).collect();
    hits(&drill, before + 4).await;
    let call = hedged(client.get(drill.url("/delay/300"))).send().await.unwrap();
    assert_eq!((call.report().attempts, drill.hits_at("/delay/300")), (1, 1));
    token.cancel();
    for other in others {
        assert_eq!(error(other).await.kind(), ErrorKind::Cancelled);
    }
}

/// failsafe-go#141 (PITFALLS A15).
#[tokio::test]
async fn refused_hedge_never_cancels_the_first_attempt() {
    let (drill, client) = (slow_once(), quick());
    for _ in 0..5 {
        let call = hedged(client.get(drill.url("/delay/100"))).send().await.unwrap();
        assert_eq!((call.status().as_u16(), call.report().attempts), (200, 1), "none is earned");
    }
    assert_eq!((drill.hits(), drill.aborted("/delay/100")), (5, 0));
    let host = &client.snapshot().hosts[0];
    assert!((host.tokens - 10.0).abs() < 1e-3, "it paid nothing: {}", host.tokens);
}

/// Polly#3086 (PITFALLS A27), resilience4j#682 (PITFALLS A8).
#[tokio::test]
async fn caller_who_leaves_cancels_both_and_hears_cancelled() {
    let (drill, client) = (slow_once(), quick());
    earn(&client, &drill, 1).await;
    let token = CancellationToken::new();
    let path = "/delay/60000";
    let call = spawn(hedged(client.get(drill.url(path))).cancel_on(&token));
    eventually("both are away", || drill.hits_at(path) == 2).await;
    token.cancel();
    assert_eq!(error(call).await.kind(), ErrorKind::Cancelled);
    eventually("both are closed", || drill.aborted(path) == 2).await;
    at_rest(&client).await;
    assert_eq!(client.snapshot().hosts[0].failures, 0);
}

#[tokio::test]
async fn live_hedge_follows_what_is_usual() {
    let drill = slow_once();
    let client =
        client(|builder| builder.host("127.0.0.1", |host| host.hedge(HedgeOptions::default())));
    for _ in 0..120 {
        client.get(drill.url("/ok")).no_coalesce().send().await.unwrap();
    }
    let response = client.get(drill.url(SLOW_ONCE)).send().await.unwrap();
    assert_eq!((response.status().as_u16(), drill.hits_at(SLOW_ONCE)), (200, 2));
}

#[tokio::test]
async fn hedge_counts_as_an_attempt_and_a_stream_has_none() {
    let (drill, client) = (slow_once(), quick());
    earn(&client, &drill, 2).await;
    let once = hedged(client.get(drill.url("/delay/200?key=once"))).retries(0).send().await;
    assert_eq!((once.unwrap().report().attempts, drill.hits_of("once")), (1, 1));
    let stream = hedged(client.get(drill.url("/delay/200?key=stream"))).send_streaming().await;
    assert_eq!((stream.unwrap().status().as_u16(), drill.hits_of("stream")), (200, 1));
}

#[tokio::test]
async fn hedge_after_nothing_is_refused() {
    let error = quick().get("http://127.0.0.1:9/").hedge(Duration::ZERO).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{error}");
}

fn hedged(request: RequestBuilder) -> RequestBuilder {
    request.hedge(Hedge::after(Duration::from_millis(20)))
}

/// Makes calls that earn this many hedges and send none.
async fn earn(client: &Client, drill: &Drill, hedges: usize) {
    for _ in 0..20 * hedges {
        let call = client.get(drill.url("/ok")).no_coalesce().hedge(Hedge::after(PATIENCE));
        assert_eq!(call.send().await.unwrap().status().as_u16(), 200);
    }
}

/// A drill with a path that hangs once.
fn slow_once() -> Drill {
    let script = r#"
        [scenario.once]
        steps = [{ path = "/delay/60000" }, { path = "/ok" }]
    "#;
    Drill::builder().script(script).start().expect("a loopback port is free")
}

const SLOW_ONCE: &str = "/scenario/once";
