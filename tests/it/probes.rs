//! Probes over real sockets: who may probe, who waits for the verdict, what becomes of a lost one.

use std::time::{Duration, Instant};

use spillgate::testing::Drill;
use spillgate::testing::received::Received;
use spillgate::{
    Body, BreakerOptions, BreakerState, CancellationToken, Client, ErrorKind, HalfOpen,
    RequestBuilder,
};

use crate::bench::{
    Call, PATIENCE, answer, at_rest, client, drill, error, eventually, fail, five, held_body, hits,
    scope_of, spawn,
};

/// smallrye#319, smallrye#323 (PITFALLS A2): callers that may wait instead of being refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_callers_that_wait_for_a_verdict_send_nothing_before_it() {
    let (drill, client) = half_open(waiting()).await;
    let (release, body) = held_body();
    let probe = spawn(client.put(drill.url("/ok?key=probe")).body(body));
    hits(&drill, 6).await;
    let calls = callers(&client, &drill, 999);
    all_wait(&client, 999).await;
    let impatient = client.get(drill.url("/ok?key=x")).deadline(Duration::from_millis(100));
    assert_eq!(impatient.send().await.unwrap_err().kind(), ErrorKind::DeadlineExceeded);
    assert!(calls.iter().all(|call| !call.is_finished()), "nobody is refused");
    assert_eq!(drill.hits(), 6, "one probe hangs, nobody else is sent");
    release.send(()).unwrap();
    assert_eq!(answer(probe).await.unwrap().status(), 200);
    for call in calls {
        assert_eq!(answer(call).await.unwrap().status(), 200);
    }
    assert_eq!((drill.hits(), drill.hits_of("x")), (6 + 999, 0));
    assert_eq!(client.breakers().state(scope_of(&drill)), BreakerState::Closed);
    at_rest(&client).await;
}

/// smallrye#319 (PITFALLS A2): a bad verdict.
#[tokio::test]
async fn bad_verdict_refuses_all_who_wait_for_it_and_sends_none() {
    let options = BreakerOptions { reset_growth: 100.0, ..waiting() };
    let (drill, client) = half_open(options).await;
    let (release, body) = held_body();
    let probe = spawn(client.put(drill.url("/status/503")).body(body));
    hits(&drill, 6).await;
    let calls = callers(&client, &drill, 100);
    all_wait(&client, 100).await;
    release.send(()).unwrap();
    assert_eq!(answer(probe).await.unwrap().status(), 503);
    for call in calls {
        let error = error(call).await;
        assert!(error.is_circuit_open() && error.retry_at().is_some(), "{error}");
    }
    assert_eq!(drill.hits(), 6);
    at_rest(&client).await;
}

/// R4J#544, R4J#935, R4J#1389, Polly#1979 (PITFALLS A3): whatever a probe ends in.
#[tokio::test]
async fn probe_that_proves_nothing_lets_the_next_caller_probe() {
    let panics = || {
        let stream = futures_util::stream::poll_fn(|_| panic!("planted: the body's stream panics"));
        Body::Stream(Box::pin(stream))
    };
    let (token, cancelled) = (CancellationToken::new(), CancellationToken::new());
    cancelled.cancel();
    let endings: [(&str, &dyn Fn(RequestBuilder) -> RequestBuilder); 4] = [
        ("/status/404", &|probe| probe),
        ("/ok?key=panics", &|probe| probe.body(panics())),
        ("/delay/60000", &|probe| probe.cancel_on(&token)),
        ("/ok?key=never", &|probe| probe.cancel_on(&cancelled)),
    ];
    for (path, change) in endings {
        let (drill, client) = half_open(five(SHORT)).await;
        let probe = spawn(change(client.put(drill.url(path))));
        if path.starts_with("/delay") {
            hits(&drill, 6).await;
            let refused = client.get(drill.url("/ok")).send().await.unwrap_err();
            assert!(refused.is_circuit_open(), "its place is taken: {refused}");
            token.cancel();
        }
        let _ = answer(probe).await;
        at_rest(&client).await;
        let state = client.breakers().state(scope_of(&drill));
        assert_eq!(state, BreakerState::HalfOpen, "{path} shows nothing");
        assert_eq!(client.get(drill.url("/ok")).send().await.unwrap().status(), 200, "{path}");
        let state = client.breakers().state(scope_of(&drill));
        assert_eq!(state, BreakerState::Closed, "{path}");
    }
}

/// R4J#1389 (PITFALLS A4).
#[tokio::test]
async fn silent_probe_reopens_it_for_longer_while_it_still_hangs() {
    let lease = Duration::from_millis(100);
    let longer = BreakerOptions { reset_growth: 100.0, probe_lease: lease, ..five(SHORT) };
    let (drill, client) = half_open(longer).await;
    let probe = spawn(client.get(drill.url("/delay/60000")).timeout(PATIENCE));
    hits(&drill, 6).await;
    let scope = scope_of(&drill);
    eventually("it opens again", || client.breakers().state(&scope) == BreakerState::Open).await;
    assert_eq!((probe.is_finished(), drill.in_flight()), (false, 1));
    let error = client.get(drill.url("/ok")).send().await.unwrap_err();
    let left = error.retry_at().unwrap() - Instant::now();
    assert!(error.is_circuit_open() && left > SHORT * 10, "{left:?}");
    probe.abort();
    drill.wait_for(|ledger| ledger.aborted("/delay/60000") == 1, PATIENCE).await.unwrap();
    at_rest(&client).await;
    assert_eq!(client.breakers().state(&scope), BreakerState::Open, "its end comes too late");
    assert_eq!(drill.hits(), 6);
}

/// Sentinel#1638 (PITFALLS A5): the server asked for a pause, which outlasts the reset time.
#[tokio::test]
async fn probe_that_must_wait_for_the_servers_pause_is_not_used_up_by_it() {
    let drill = drill();
    let client =
        client(|builder| builder.host("127.0.0.1", |host| host.attempts(1).breaker(five(SHORT))));
    fail(&client, &drill.url("/status/503"), 4).await;
    fail(&client, &drill.url("/status/503?retry_after=1"), 1).await;
    let scope = scope_of(&drill);
    eventually("it admits", || client.breakers().allow_request(&scope)).await;
    for _ in 0..10 {
        let hasty = client.get(drill.url("/ok?key=hasty")).deadline(SHORT);
        assert_eq!(hasty.send().await.unwrap_err().kind(), ErrorKind::RateLimited);
    }
    let patient = client.get(drill.url("/ok")).send().await.unwrap();
    assert_eq!((patient.status().as_u16(), drill.hits()), (200, 6));
    let arrivals: Vec<_> = drill.requests().iter().map(Received::at).collect();
    assert!(arrivals[5] - arrivals[4] >= Duration::from_secs(1), "{arrivals:?}");
    assert_eq!(client.breakers().state(&scope), BreakerState::Closed);
}

/// A client whose breaker for a drill that failed five times is half-open.
async fn half_open(options: BreakerOptions) -> (Drill, Client) {
    let drill = drill();
    let client =
        client(|builder| builder.host("127.0.0.1", |host| host.attempts(1).breaker(options)));
    fail(&client, &drill.url("/status/503"), 5).await;
    let scope = scope_of(&drill);
    eventually("it admits", || client.breakers().allow_request(&scope)).await;
    (drill, client)
}

fn callers(client: &Client, drill: &Drill, count: usize) -> Vec<Call> {
    (0..count).map(|n| spawn(client.get(drill.url(&format!("/ok?key={n}"))))).collect()
}

/// Waits until all of these were told to wait, and one attempt is on the wire.
async fn all_wait(client: &Client, count: u64) {
    eventually("they wait", || {
        let state = client.snapshot();
        (state.running, state.queued, state.hosts[0].refusals) == (1, 0, count)
    })
    .await;
}

/// Five failures open it, and callers wait while the probe is away.
fn waiting() -> BreakerOptions {
    BreakerOptions { half_open: HalfOpen::Queue, ..five(SHORT) }
}

/// Short enough to be waited for.
const SHORT: Duration = Duration::from_millis(150);
