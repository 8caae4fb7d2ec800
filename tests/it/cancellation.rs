//! A caller's own change of mind: told as such wherever it comes, and cheap for the others.

use std::time::Duration;

use spillgate::actors::core::backoff::Jitter;
use spillgate::{CancellationToken, Client, ErrorClass, ErrorKind};

use crate::bench::{PATIENCE, at_rest, client, drill, error, eventually, hits, quick, spawn};

/// Polly#3086 (PITFALLS A27): on the wire, before a retry, and while it waits for a slot.
#[tokio::test]
async fn cancellation_is_never_told_as_a_timeout() {
    let drill = drill();
    let sleepy = client(|builder| {
        builder.defaults(|config| {
            let backoff = &mut config.defaults.retry.backoff;
            (backoff.base, backoff.cap) = (PATIENCE, PATIENCE);
            backoff.jitter = Jitter::None;
        })
    });
    let narrow = client(|builder| builder.host("127.0.0.1", |host| host.concurrency(1)));
    let held = spawn(narrow.get(drill.url("/delay/60000?key=held")));
    hits(&drill, 1).await;
    let on_the_wire = |client: &Client| client.snapshot().running == 1;
    let asleep = |client: &Client| {
        let state = client.snapshot();
        (state.calls, state.running, state.hosts.len()) == (1, 0, 1) && state.hosts[0].failures == 1
    };
    let queued = |client: &Client| client.snapshot().queued == 1;
    let cases: [(&Client, &str, Reached); 3] = [
        (&quick(), "/delay/60000", on_the_wire),
        (&sleepy, "/status/503", asleep),
        (&narrow, "/ok", queued),
    ];
    for (client, path, reached) in cases {
        let token = CancellationToken::new();
        let call = client.get(drill.url(path)).cancel_on(&token);
        let call = spawn(call.timeout(PATIENCE / 2).deadline(PATIENCE * 3));
        eventually(path, || reached(client)).await;
        token.cancel();
        let error = error(call).await;
        assert_eq!((error.kind(), error.class()), (ErrorKind::Cancelled, ErrorClass::Cancelled));
        assert!(!error.is_timeout(), "{path}: {error}");
    }
    assert_eq!((drill.hits_at("/ok"), drill.hits_at("/status/503")), (0, 1));
    held.abort();
    at_rest(&narrow).await;
}

/// Polly#3086 (PITFALLS A27): after attempts that did time out.
#[tokio::test]
async fn cancellation_after_timed_out_attempts_is_still_one() {
    let (drill, client) = (drill(), quick());
    let token = CancellationToken::new();
    let call = client.get(drill.url("/delay/60000")).timeout(Duration::from_millis(100));
    let call = spawn(call.retries(1_000).cancel_on(&token));
    hits(&drill, 3).await;
    token.cancel();
    let error = error(call).await;
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert!(!error.is_timeout());
    at_rest(&client).await;
}

/// Whether a client's only call has come to where it is to be cancelled.
type Reached = fn(&Client) -> bool;
