//! What the integration tests stand on: clients for drills, and waiting for facts.

use std::time::{Duration, Instant};

use spillgate::actors::core::backoff::{BackoffOptions, Jitter};
use spillgate::testing::Drill;
use spillgate::{Body, BreakerOptions, Client, ClientBuilder, Error, RequestBuilder, Response};
use tokio::sync::oneshot;

/// How long a test waits for what must happen before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running call.
pub(crate) type Call = tokio::task::JoinHandle<Result<Response, Error>>;

/// A drill on one port.
pub(crate) fn drill() -> Drill {
    Drill::start().expect("a loopback port is free")
}

/// A client that differs from the standard as told.
pub(crate) fn client(change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    change(Client::builder()).build().expect("the client can work")
}

/// A client that retries at once, as often as the standard.
pub(crate) fn quick() -> Client {
    client(|builder| {
        builder.defaults(|config| {
            let base = Duration::from_millis(1);
            let backoff = &mut config.defaults.retry.backoff;
            *backoff = BackoffOptions { base, jitter: Jitter::None, ..backoff.clone() };
        })
    })
}

/// A client whose breakers open after five failures, and which retries nothing.
pub(crate) fn guarded(reset_timeout: Duration) -> Client {
    client(|builder| {
        builder.host("127.0.0.1", |host| host.attempts(1).breaker(five(reset_timeout)))
    })
}

/// Five consecutive failures, with a reset time for tests.
pub(crate) fn five(reset_timeout: Duration) -> BreakerOptions {
    BreakerOptions { reset_timeout, ..BreakerOptions::consecutive(5) }
}

/// A body that ends when its sender says so, so that its request is on the wire until then.
pub(crate) fn held_body() -> (oneshot::Sender<()>, Body) {
    let (release, released) = oneshot::channel();
    let pieces = futures_util::stream::once(async {
        let _ = released.await;
        Ok("late".into())
    });
    (release, Body::Stream(Box::pin(pieces)))
}

/// Sends a request in a task of its own.
pub(crate) fn spawn(request: RequestBuilder) -> Call {
    tokio::spawn(request.send())
}

/// Sends `count` failing calls one after the other, so that five of them open a breaker.
pub(crate) async fn fail(client: &Client, url: &str, count: usize) {
    for _ in 0..count {
        let answer = client.get(url).no_retry().no_coalesce().send().await;
        assert_eq!(answer.expect("a 503 is an answer").status(), 503);
    }
}

/// Waits until a condition holds, asking again and again.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until the drill has received so many requests.
pub(crate) async fn hits(drill: &Drill, count: u64) {
    drill.wait_for(|ledger| ledger.hits() >= count, PATIENCE).await.expect("the requests arrive");
}

/// Waits until a client is at rest: nothing waits, runs or is unread.
pub(crate) async fn at_rest(client: &Client) {
    eventually("the client is at rest", || {
        let state = client.snapshot();
        let idle = state.hosts.iter().all(|host| host.running == 0 && host.queued == [0; 4]);
        (state.calls, state.running, state.queued) == (0, 0, 0) && idle
    })
    .await;
}

/// The answer of a call that was sent in a task of its own.
pub(crate) async fn answer(call: Call) -> Result<Response, Error> {
    let ended = tokio::time::timeout(PATIENCE, call).await.expect("a call ends");
    ended.expect("no call panics")
}

/// The error of a call that was sent in a task of its own.
pub(crate) async fn error(call: Call) -> Error {
    answer(call).await.expect_err("the call fails")
}

/// The scope of a drill's own breaker.
pub(crate) fn scope_of(drill: &Drill) -> String {
    format!("http://{}", drill.addr())
}
