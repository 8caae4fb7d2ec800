//! Streamed answers: the slot is held as long as the body runs, and no end is taken for another.

use std::time::Duration;

use spillgate::testing::Drill;
use spillgate::{BreakerState, Client, ErrorKind, Judgement, StreamingResponse};

use crate::bench::{PATIENCE, at_rest, client, drill, eventually, five, guarded, hits, scope_of};

#[tokio::test]
async fn body_comes_whole_and_holds_its_slot_to_the_end() {
    let (drill, client) = (drill(), Client::standard());
    let call = client.get(drill.url("/ok?bytes=3000000")).send_streaming();
    let mut response = call.await.unwrap();
    assert_eq!((response.status().as_u16(), response.report().attempts), (200, 1));
    assert_eq!(client.snapshot().running, 1, "the reader has not begun");
    assert_eq!(read(&mut response).await.unwrap(), 3_000_000);
    at_rest(&client).await;
    assert_eq!(client.snapshot().hosts[0].successes, 1);
}

/// failsafe-go#123, openai-node#1908 (PITFALLS A18).
#[tokio::test]
async fn dropped_body_frees_the_slot_and_says_nothing_of_the_upstream() {
    let (drill, client) = (drill(), guarded(PATIENCE));
    for n in 0..6 {
        let call = client.get(drill.url("/slow?bytes=100000&every=20&chunk=10")).send_streaming();
        let mut response = call.await.unwrap();
        response.chunk().await.unwrap().unwrap();
        drop(response);
        let gone = |ledger: &spillgate::testing::ledger::Ledger| ledger.aborted("/slow") == n + 1;
        drill.wait_for(gone, PATIENCE).await.unwrap();
    }
    at_rest(&client).await;
    let host = &client.snapshot().hosts[0];
    assert_eq!((host.successes, host.failures, host.breaker), (0, 0, BreakerState::Closed));
}

#[tokio::test]
async fn stalled_body_ends_by_the_idle_time_and_is_a_failure() {
    let (drill, client) = (drill(), guarded(PATIENCE));
    let call = client.get(drill.url("/stall?after=100")).read_timeout(Duration::from_millis(150));
    let mut response = call.send_streaming().await.unwrap();
    let error = read(&mut response).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReadTimeout, "{error}");
    assert_eq!(error.last_status().unwrap(), 200);
    at_rest(&client).await;
    drill.wait_for(|ledger| ledger.aborted("/stall") == 1, PATIENCE).await.unwrap();
    assert_eq!(client.snapshot().hosts[0].failures, 1);
}

#[tokio::test]
async fn long_healthy_stream_outlives_the_attempt_timeout_but_not_the_deadline() {
    let (drill, client) = (drill(), Client::standard());
    let short = Duration::from_millis(100);
    let call = client.get(drill.url("/slow?bytes=60&chunk=10&every=100")).timeout(short);
    assert_eq!(read(&mut call.send_streaming().await.unwrap()).await.unwrap(), 60);
    let call = client.get(drill.url("/slow?bytes=10000&chunk=10&every=20")).deadline(short * 4);
    let error = read(&mut call.send_streaming().await.unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error}");
    drill.wait_for(|ledger| ledger.aborted("/slow") == 1, PATIENCE).await.unwrap();
    at_rest(&client).await;
}

#[tokio::test]
async fn broken_body_ends_in_an_error_however_slow_its_reader() {
    let (drill, client) = (drill(), Client::standard());
    for path in ["/truncate?bytes=3000000", "/reset?after=3000000"] {
        let mut response = client.get(drill.url(path)).send_streaming().await.unwrap();
        at_rest_but_for_the_reader(&client, &drill).await;
        let error = read(&mut response).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HttpResponseIncomplete, "{path}: {error}");
        assert!(response.chunk().await.is_none(), "it is told once");
    }
    at_rest(&client).await;
}

#[tokio::test]
async fn reader_too_slow_for_its_deadline_is_told() {
    let (drill, client) = (drill(), Client::standard());
    let call = client.get(drill.url("/ok?bytes=30000000")).deadline(Duration::from_millis(200));
    let mut response = call.send_streaming().await.unwrap();
    at_rest(&client).await;
    let error = read(&mut response).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error}");
}

#[tokio::test]
async fn stream_cut_by_a_shutdown_does_not_look_whole() {
    let (drill, client) = (drill(), Client::standard());
    let call = client.get(drill.url("/slow?bytes=100000&every=20&chunk=10")).send_streaming();
    let mut response = call.await.unwrap();
    client.shutdown(Duration::from_millis(50)).await;
    let error = read(&mut response).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ShuttingDown, "{error}");
}

#[tokio::test]
async fn streams_share_nothing_and_are_not_judged_by_an_absent_body() {
    let drill = drill();
    let client = client(|builder| {
        let judge = |_: &_, body: &[u8]| {
            if body.is_empty() { Judgement::Failure } else { Judgement::ByStatus }
        };
        builder.classifier(judge).host("127.0.0.1", |host| host.breaker(five(PATIENCE)))
    });
    let url = drill.url("/ok?bytes=10");
    let calls = (0..6).map(|_| client.get(&url).send_streaming());
    for response in futures_util::future::join_all(calls).await {
        let mut response = response.unwrap();
        assert!(!response.report().coalesced);
        assert_eq!(read(&mut response).await.unwrap(), 10);
    }
    assert_eq!(drill.hits(), 6);
    at_rest(&client).await;
    assert_eq!(client.breakers().state(scope_of(&drill)), BreakerState::Closed);
}

#[tokio::test]
async fn head_that_may_be_retried_is_retried_and_then_streamed() {
    let (drill, client) = (drill(), crate::bench::quick());
    let call = client.get(drill.url("/status/503?times=2&key=a")).send_streaming();
    let mut response = call.await.unwrap();
    assert_eq!((response.status().as_u16(), response.report().attempts), (200, 3));
    read(&mut response).await.unwrap();
    let mut last = client.get(drill.url("/status/503")).retries(1).send_streaming().await.unwrap();
    assert_eq!((last.status().as_u16(), last.report().attempts), (503, 2));
    assert!(read(&mut last).await.unwrap() > 0);
    let moved = client.get(drill.url("/redirect/2")).send_streaming().await.unwrap();
    assert_eq!(moved.status(), 200);
    assert!(moved.url().ends_with("/ok"), "{}", moved.url());
    drop(moved);
    at_rest(&client).await;
}

#[tokio::test]
async fn dropping_the_call_before_its_head_ends_the_attempt() {
    let (drill, client) = (drill(), Client::standard());
    let call = tokio::spawn(client.get(drill.url("/delay/60000")).send_streaming());
    hits(&drill, 1).await;
    call.abort();
    drill.wait_for(|ledger| ledger.aborted("/delay/60000") == 1, PATIENCE).await.unwrap();
    at_rest(&client).await;
}

async fn read(response: &mut StreamingResponse) -> Result<usize, spillgate::Error> {
    let mut bytes = 0;
    while let Some(chunk) = response.chunk().await {
        bytes += chunk?.len();
    }
    Ok(bytes)
}

/// Waits until the upstream has done what it will, while the reader has not read a byte.
async fn at_rest_but_for_the_reader(client: &Client, drill: &Drill) {
    drill.wait_for(|ledger| ledger.hits() > 0, PATIENCE).await.unwrap();
    eventually("the answer has been begun", || client.snapshot().calls == 0).await;
}
