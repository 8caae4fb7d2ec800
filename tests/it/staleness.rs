//! Stale answers: while they are renewed, in the place of errors, and as views.

use std::time::Duration;

use futures_util::StreamExt;
use spillgate::testing::Drill;
use spillgate::{
    BreakerState, CacheMode, Client, ErrorKind, Freshness, HostOverrides, Priority, Response,
};

use crate::bench::{answer, at_rest, client, drill, eventually, hits, scope_of, spawn};

#[tokio::test]
async fn stale_answer_is_served_while_one_renewal_runs() {
    let drill = scripted("/etag?v=1&max_age=0&swr=60", "/delay/60000");
    let client = Client::standard();
    let url = drill.url("/scenario/x");
    get(&client, &url).await;
    let calls: Vec<_> = (0..50).map(|_| spawn(client.get(&url))).collect();
    for call in calls {
        let cache = answer(call).await.unwrap().report().cache.unwrap();
        assert_eq!((cache.hit, cache.stale, cache.why), (true, true, "stale-while-revalidate"));
    }
    hits(&drill, 2).await;
    get(&client, &url).await;
    assert_eq!(drill.hits(), 2, "one renewal, however many ask");
    assert_eq!(client.snapshot().calls, 1);
}

#[tokio::test]
async fn renewal_is_stored_and_goes_behind_all_others() {
    let drill = scripted("/etag?v=1&max_age=0&swr=60", "/etag?v=2&max_age=60");
    let client = client(|builder| builder.host("127.0.0.1", |host| host.concurrency(1)));
    let url = drill.url("/scenario/x");
    get(&client, &url).await;
    let held = spawn(client.get(drill.url("/delay/60000")));
    hits(&drill, 2).await;
    get(&client, &url).await;
    eventually("the renewal waits", || client.snapshot().hosts[0].queued == [0, 0, 0, 1]).await;
    held.abort();
    eventually("it is renewed", || client.cache().get(&url).unwrap().text().unwrap().contains('2'))
        .await;
    let fresh = get(&client, &url).await;
    assert!(!fresh.report().cache.unwrap().stale && fresh.text().unwrap().contains('2'));
    assert_eq!(drill.hits(), 3);
}

#[tokio::test]
async fn failures_are_covered_within_the_budget() {
    for (step, kind) in [
        ("/status/503", ErrorKind::HttpStatus),
        ("/status/500", ErrorKind::HttpStatus),
        ("/close", ErrorKind::ConnectionTerminated),
        ("/reset", ErrorKind::ConnectionTerminated),
        ("/delay/60000", ErrorKind::DeadlineExceeded),
    ] {
        let drill = scripted("/etag?v=1&max_age=0", step);
        let client = once();
        let url = drill.url("/scenario/x");
        let first = get(&client, &url).await;
        for _ in 0..2 {
            let call = client.get(&url).deadline(Duration::from_millis(500));
            let stale = call.send().await.unwrap();
            assert_eq!((stale.status().as_u16(), stale.bytes()), (200, first.bytes()), "{step}");
            let cache = stale.report().cache.unwrap();
            assert_eq!((cache.hit, cache.stale, cache.why), (true, true, "stale-if-error"));
            assert_eq!(cache.instead_of, Some(kind), "{step}");
        }
    }
}

#[tokio::test]
async fn what_forbids_it_is_minded() {
    for (said, covered) in [
        ("", true),
        ("&header=cache-control:must-revalidate", false),
        ("&header=cache-control:no-cache", false),
        ("&header=cache-control:proxy-revalidate", false),
    ] {
        let drill = scripted("/etag?v=1&max_age=0", "/status/503");
        let client = once();
        let url = drill.url(&format!("/scenario/x?a=b{said}"));
        get(&client, &url).await;
        let status = get(&client, &url).await.status().as_u16();
        assert_eq!(status, if covered { 200 } else { 503 }, "{said}");
    }
    let drill = scripted("/etag?v=1&max_age=0&sie=0", "/status/503");
    let client = once();
    let url = drill.url("/scenario/x");
    get(&client, &url).await;
    assert_eq!(get(&client, &url).await.status(), 503);
    let anything = client.get(&url).fallback_stale().send().await.unwrap();
    let cache = anything.report().cache.unwrap();
    assert_eq!((anything.status().as_u16(), cache.hit, cache.why), (200, true, "fallback-stale"));
    let other = drill.url("/status/503?key=never-stored");
    assert_eq!(client.get(other).fallback_stale().send().await.unwrap().status(), 503);
}

#[tokio::test]
async fn open_breaker_is_covered_without_a_call() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/etag?v=1&max_age=0");
    get(&client, &url).await;
    let breakers = client.breakers();
    breakers.force_open(scope_of(&drill), None);
    eventually("it is open", || breakers.state(scope_of(&drill)) == BreakerState::Open).await;
    let stale = get(&client, &url).await;
    let cache = stale.report().cache.unwrap();
    assert_eq!((cache.hit, cache.instead_of), (true, Some(ErrorKind::CircuitOpen)));
    assert_eq!(drill.hits(), 1);
    let other = client.get(drill.url("/ok")).send().await.unwrap_err();
    assert!(other.is_circuit_open());
}

#[tokio::test]
async fn full_queue_is_covered() {
    let drill = drill();
    let client = client(|builder| {
        builder
            .defaults(|config| config.limits.queue_max = 1)
            .host("127.0.0.1", |host| host.concurrency(1))
    });
    let url = drill.url("/etag?v=1&max_age=0");
    get(&client, &url).await;
    let held = spawn(client.get(drill.url("/delay/60000?key=1")));
    hits(&drill, 2).await;
    let queued = spawn(client.get(drill.url("/ok")).priority(Priority::Foreground));
    eventually("one waits", || client.snapshot().queued == 1).await;
    let cache = get(&client, &url).await.report().cache.unwrap();
    assert_eq!((cache.hit, cache.instead_of), (true, Some(ErrorKind::QueueFull)));
    held.abort();
    answer(queued).await.unwrap();
    at_rest(&client).await;
}

#[tokio::test]
async fn budgets_differ_by_host() {
    let none = |host: HostOverrides| host.attempts(1).stale_if_error(Duration::ZERO);
    let drill = scripted("/etag?v=1&max_age=0", "/status/503");
    let client = client(|builder| builder.host("127.0.0.1", none));
    let url = drill.url("/scenario/x");
    get(&client, &url).await;
    assert_eq!(get(&client, &url).await.status(), 503);
    let renewed = |host: HostOverrides| host.stale_while_revalidate(Duration::from_secs(60));
    let drill = scripted("/etag?v=1&max_age=0", "/etag?v=2&max_age=60");
    let client = crate::bench::client(|builder| builder.host("127.0.0.1", renewed));
    let url = drill.url("/scenario/x");
    get(&client, &url).await;
    assert_eq!(get(&client, &url).await.report().cache.unwrap().why, "stale-while-revalidate");
    hits(&drill, 2).await;
}

#[tokio::test]
async fn caller_says_how_stale_it_takes_it() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/etag?v=1&max_age=0");
    get(&client, &url).await;
    let stale = client.get(&url).max_stale(Duration::from_secs(60)).send().await.unwrap();
    assert_eq!(stale.report().cache.unwrap().why, "max-stale");
    assert_eq!(drill.hits(), 1);
}

#[tokio::test]
async fn failures_are_remembered_only_on_request_and_until_the_first_success() {
    let drill = scripted("/status/503", "/ok?bytes=3");
    let client = client(|builder| {
        let remember = Some(Duration::from_secs(10));
        builder
            .host("127.0.0.1", |host| host.attempts(1))
            .defaults(move |config| config.cache.failures = remember)
    });
    let url = drill.url("/scenario/x");
    for hit in [false, true, true] {
        let failed = get(&client, &url).await;
        let cache = failed.report().cache.unwrap();
        assert_eq!((failed.status().as_u16(), cache.hit), (503, hit));
        assert_eq!(cache.why == "failure-memory", hit);
    }
    assert_eq!(drill.hits(), 1);
    let anew = client.get(&url).cache_mode(CacheMode::Reload).send().await.unwrap();
    assert_eq!(anew.bytes().len(), 3);
    assert_eq!(get(&client, &url).await.status(), 200);
    assert_eq!(drill.hits(), 3);
    let dead = drill.url("/close");
    for nothing_sent in [false, true] {
        let error = client.get(&dead).send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionTerminated);
        assert_eq!(error.message().contains("remembered"), nothing_sent, "{error}");
        assert_eq!(error.retry_at().is_some(), nothing_sent);
    }
    assert_eq!(drill.hits_at("/close"), 1);
}

#[tokio::test]
async fn watch_shows_the_stale_one_and_then_the_fresh_one() {
    let drill = scripted("/etag?v=1&max_age=0", "/etag?v=2&max_age=60");
    let client = Client::standard();
    let url = drill.url("/scenario/x");
    get(&client, &url).await;
    let views: Vec<_> = client.get(&url).watch().collect().await;
    assert_eq!(views.len(), 2);
    assert!(matches!(views[0].freshness, Freshness::Stale { .. }) && views[0].refreshing);
    assert!(views[0].response.text().unwrap().contains('1'));
    assert!(views[1].freshness == Freshness::Fresh && !views[1].refreshing);
    assert!(views[1].response.text().unwrap().contains('2'));
    let views: Vec<_> = client.get(&url).watch().collect().await;
    assert_eq!((views.len(), views[0].freshness), (1, Freshness::Fresh));
    assert_eq!(drill.hits(), 2);
}

#[tokio::test]
async fn watch_keeps_the_stale_view_when_renewing_fails() {
    let drill = scripted("/etag?v=1&max_age=0", "/close");
    let client = once();
    let url = drill.url("/scenario/x");
    get(&client, &url).await;
    let mut views = client.get(&url).watch();
    for refreshing in [true, false] {
        let view = views.next().await.unwrap();
        assert!(matches!(view.freshness, Freshness::Stale { .. }));
        assert_eq!(view.refreshing, refreshing);
    }
    assert!(views.next().await.is_none());
    assert_eq!(views.error().unwrap().kind(), ErrorKind::ConnectionTerminated);
    let mut nothing = client.get(drill.url("/close")).watch();
    assert!(nothing.next().await.is_none() && nothing.error().is_some());
}

async fn get(client: &Client, url: &str) -> Response {
    client.get(url).send().await.unwrap()
}

/// A client that sends everything once.
fn once() -> Client {
    client(|builder| builder.host("127.0.0.1", |host| host.attempts(1)))
}

/// A drill whose `/scenario/x` answers as `first` once, and then as `rest`.
fn scripted(first: &str, rest: &str) -> Drill {
    let steps = format!("steps = [{{ path = \"{first}\" }}, {{ path = \"{rest}\" }}]");
    Drill::builder().script(format!("[scenario.x]\n{steps}")).start().unwrap()
}
