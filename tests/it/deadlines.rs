//! Time: deadlines, timeouts and `Retry-After` against real sockets.

use std::time::{Duration, Instant};

use spillgate::actors::phases::Phase;
use spillgate::{Client, Deadline, ErrorClass, ErrorKind, with_deadline};

use crate::bench::{PATIENCE, answer, at_rest, drill, eventually, hits, quick, spawn};

#[tokio::test]
async fn deadline_ends_the_call_on_time_and_frees_its_slot() {
    let (drill, client) = (drill(), Client::standard());
    let began = Instant::now();
    let calls: Vec<_> = (0..6)
        .map(|n| client.get(drill.url(&format!("/delay/5000?key={n}"))))
        .map(|call| spawn(call.deadline(Duration::from_millis(500))))
        .collect();
    for call in calls {
        let error = crate::bench::error(call).await;
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
        assert_eq!(error.class(), ErrorClass::Transient);
        assert!(error.is_timeout());
        assert_eq!(error.report().unwrap().attempts, 1);
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(500) && took < Duration::from_millis(650), "{took:?}");
    drill.wait_for(|ledger| ledger.aborted("/delay/5000") == 6, PATIENCE).await.unwrap();
    at_rest(&client).await;
    let calls: Vec<_> =
        (0..6).map(|n| spawn(client.get(drill.url(&format!("/delay/300?key={n}"))))).collect();
    drill.wait_for(|ledger| ledger.in_flight() == 6, PATIENCE).await.unwrap();
    for call in calls {
        assert_eq!(answer(call).await.unwrap().status(), 200);
    }
    assert_eq!(drill.hits(), 12, "nothing more was sent for those that ended");
    assert!(drill.peak() <= 6);
}

#[tokio::test]
async fn child_call_inherits_what_is_left() {
    let (drill, client) = (drill(), Client::standard());
    let began = Instant::now();
    let work = async {
        client.get(drill.url("/delay/250")).send().await.unwrap();
        client.get(drill.url("/delay/5000")).deadline(Duration::from_secs(20)).send().await
    };
    let error = with_deadline(Deadline::after(Duration::from_millis(500)), work).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert!(began.elapsed() < Duration::from_millis(650), "{:?}", began.elapsed());
    let message = async {
        let message = client.get(drill.url("/delay/5001")).into_message();
        client.addr().send(message).await.unwrap()
    };
    let outer = Deadline::after(Duration::from_millis(300));
    let nested = with_deadline(outer, with_deadline(Deadline::after(PATIENCE), message));
    assert_eq!(nested.await.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    let spent = with_deadline(Deadline::after(Duration::ZERO), client.get(drill.url("/ok")).send());
    assert_eq!(spent.await.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    assert_eq!(drill.hits_at("/ok"), 0, "nothing is sent without time");
}

/// temporal#4403 (PITFALLS A16).
#[tokio::test]
async fn back_off_beyond_the_deadline_returns_the_last_answer_at_once() {
    let drill = drill();
    let client = crate::bench::client(|builder| {
        builder.defaults(|config| {
            let backoff = &mut config.defaults.retry.backoff;
            (backoff.base, backoff.cap) = (PATIENCE, PATIENCE);
            backoff.jitter = spillgate::actors::core::backoff::Jitter::None;
        })
    });
    let began = Instant::now();
    let deadline = Duration::from_secs(10);
    let call = client.get(drill.url("/status/503")).deadline(deadline);
    let response = call.send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.report().attempts), (503, 1));
    let error = client.get(drill.url("/close")).deadline(deadline).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionTerminated);
    assert!(began.elapsed() < deadline / 2, "{:?}", began.elapsed());
}

/// reqwest-middleware#146 (PITFALLS A14).
#[tokio::test]
async fn retry_after_beyond_the_deadline_is_told_and_not_waited_for() {
    let (drill, client) = (drill(), quick());
    let began = Instant::now();
    let other = crate::bench::drill();
    for call in [
        client.get(drill.url("/status/429?retry_after=60")),
        client.post(other.url("/status/503?retry_after=60")),
    ] {
        let response = call.deadline(Duration::from_secs(5)).send().await.unwrap();
        assert_eq!(response.report().attempts, 1);
        let asked = response.report().retry_at.expect("it is told");
        assert!(asked >= began + Duration::from_secs(60), "{:?}", asked - began);
        let error = response.error_for_status().unwrap_err();
        assert_eq!((error.kind(), error.retry_at()), (ErrorKind::HttpStatus, Some(asked)));
    }
    let held = client.get(drill.url("/ok")).deadline(Duration::from_secs(5)).send().await;
    let held = held.unwrap_err();
    assert_eq!((held.kind(), held.class()), (ErrorKind::RateLimited, ErrorClass::Rejected));
    assert!(held.retry_at().unwrap() >= began + Duration::from_secs(60));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(drill.hits(), 1);
}

#[tokio::test]
async fn retry_after_is_never_early_and_holds_the_whole_host() {
    let (drill, client) = (drill(), quick());
    let call = spawn(client.get(drill.url("/status/429?retry_after=1&times=1&key=a")));
    hits(&drill, 1).await;
    eventually("the hold is known", || client.snapshot().running == 0).await;
    let other = spawn(client.get(drill.url("/ok")));
    for call in [call, other] {
        let response = answer(call).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.report().back_off >= Duration::from_millis(900));
    }
    let arrivals: Vec<_> =
        drill.requests().iter().map(spillgate::testing::received::Received::at).collect();
    assert_eq!(arrivals.len(), 3);
    for at in &arrivals[1..] {
        assert!(*at - arrivals[0] >= Duration::from_secs(1), "{:?}", *at - arrivals[0]);
    }
}

#[tokio::test]
async fn each_timeout_has_its_kind_and_phase() {
    let (drill, client) = (drill(), Client::standard());
    let short = Duration::from_millis(150);
    let attempt = client.get(drill.url("/delay/5000")).timeout(short).no_retry();
    let idle = client.get(drill.url("/stall?after=10")).read_timeout(short).no_retry();
    let dripped = client.get(drill.url("/drip?bps=50")).timeout(short * 3).no_retry();
    // A TLS server that says nothing: its handshake is part of the connect.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let connect = client.get(url).connect_timeout(short).no_retry();
    for (call, kind, phase) in [
        (attempt, ErrorKind::HttpResponseTimeout, Some(Phase::Wait)),
        (idle, ErrorKind::ConnectionReadTimeout, Some(Phase::Read)),
        (dripped, ErrorKind::HttpResponseTimeout, Some(Phase::Read)),
        (connect, ErrorKind::ConnectionTimeout, Some(Phase::Tls)),
    ] {
        let error = call.send().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.is_timeout());
        assert_eq!(error.class(), ErrorClass::Transient);
        assert_eq!(error.phase(), phase, "{error}");
    }
    at_rest(&client).await;
}

#[tokio::test]
async fn attempt_timeout_is_retried_within_the_deadline() {
    let (drill, client) = (drill(), quick());
    let call = client.get(drill.url("/delay/5000")).timeout(Duration::from_millis(100));
    let error = call.deadline(Duration::from_secs(10)).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HttpResponseTimeout);
    assert_eq!((error.report().unwrap().attempts, drill.hits()), (4, 4));
    assert!(drill.peak() <= 4);
    at_rest(&client).await;
}
