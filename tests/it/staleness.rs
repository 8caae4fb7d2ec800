//! Stale answers: while they are renewed, in the place of errors, and as views.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use spillgate::testing::Drill;
use spillgate::{
    BreakerOptions, BreakerState, BudgetOptions, CacheMode, Client, Config, ErrorKind, Freshness,
    HostOverrides, Priority, Response,
};

use crate::bench::{answer, at_rest, client, drill, eventually, hits, scope_of, spawn};
use crate::caching::with_headers;
use crate::offline::Network;

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

#[tokio::test]
async fn half_open_breaker_is_covered_while_its_probe_runs() {
    let options = BreakerOptions {
        reset_timeout: Duration::from_millis(1),
        ..BreakerOptions::consecutive(1)
    };
    let drill = drill();
    let client =
        client(|builder| builder.host("127.0.0.1", |host| host.attempts(1).breaker(options)));
    let url = drill.url("/etag?v=1&max_age=0");
    get(&client, &url).await;
    get(&client, &drill.url("/status/503")).await;
    let mut probes = Vec::new();
    eventually("a probe runs", || {
        probes.push(spawn(client.get(drill.url("/delay/60000?key=probe"))));
        drill.hits_of("probe") == 1
    })
    .await;
    assert_eq!(client.breakers().state(scope_of(&drill)), BreakerState::HalfOpen);
    let stale = get(&client, &url).await;
    let cache = stale.report().cache.unwrap();
    assert_eq!((cache.hit, cache.instead_of), (true, Some(ErrorKind::CircuitOpen)));
    assert_eq!(drill.hits(), 3, "the probe is the only one");
    probes.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn time_that_is_too_short_to_be_of_use_is_covered() {
    let drill = drill();
    let client = client(|builder| builder.host("127.0.0.1", |host| host.concurrency(1)));
    let url = drill.url("/etag?v=1&max_age=0");
    get(&client, &url).await;
    let held = spawn(client.get(drill.url("/delay/60000")));
    hits(&drill, 2).await;
    let hasty = client.get(&url).deadline(Duration::from_millis(100)).send().await.unwrap();
    let cache = hasty.report().cache.unwrap();
    assert_eq!((cache.hit, cache.instead_of), (true, Some(ErrorKind::DeadlineExceeded)));
    assert!(hasty.headers().contains_key("age"));
    assert_eq!(drill.hits(), 2);
    held.abort();
}

#[tokio::test]
async fn machine_without_network_is_covered() {
    let (drill, network) = (drill(), Network::without());
    network.is_up.store(true, Ordering::SeqCst);
    let client = client(|builder| builder.transport(network.clone()));
    let url = drill.url("/etag?v=1&max_age=0");
    get(&client, &url).await;
    network.is_up.store(false, Ordering::SeqCst);
    let cache = get(&client, &url).await.report().cache.unwrap();
    assert_eq!((cache.hit, cache.instead_of), (true, Some(ErrorKind::DeviceOffline)));
    let other = client.get(drill.url("/ok")).send().await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::DeviceOffline);
    assert_eq!(drill.hits(), 1);
}

#[tokio::test]
async fn renewal_goes_past_no_open_breaker() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/etag?v=1&max_age=0&swr=60");
    get(&client, &url).await;
    client.breakers().force_open(scope_of(&drill), None);
    for _ in 0..5 {
        let cache = get(&client, &url).await.report().cache.unwrap();
        assert_eq!((cache.hit, cache.why), (true, "stale-while-revalidate"));
    }
    at_rest(&client).await;
    assert_eq!(drill.hits(), 1);
    client.breakers().reset(scope_of(&drill));
    get(&client, &url).await;
    hits(&drill, 2).await;
}

#[tokio::test]
async fn renewal_waits_for_the_pace_that_the_server_asks_for() {
    let (drill, client) = (drill(), once());
    let url = drill.url("/etag?v=1&max_age=0&swr=60");
    get(&client, &url).await;
    get(&client, &drill.url("/status/503?retry_after=5")).await;
    for _ in 0..3 {
        assert!(get(&client, &url).await.report().cache.unwrap().hit);
    }
    eventually("the renewal is under way", || client.snapshot().calls == 1).await;
    let hasty = client.get(drill.url("/ok")).deadline(Duration::from_millis(500));
    assert_eq!(hasty.send().await.unwrap_err().kind(), ErrorKind::RateLimited);
    let state = client.snapshot();
    assert_eq!((drill.hits(), state.calls, state.running), (2, 1, 0));
}

#[tokio::test]
async fn renewals_share_the_one_budget_of_retries() {
    let drill = scripted("/etag?v=1&max_age=0&swr=60", "/status/503");
    let client = client(|builder| {
        builder.defaults(|config| {
            let retry = &mut config.defaults.retry;
            retry.backoff.base = Duration::from_millis(1);
            retry.budget = BudgetOptions { ratio: 0.0, initial: 2.0, cap: 10.0, ..retry.budget };
        })
    });
    let url = drill.url("/scenario/x");
    get(&client, &url).await;
    for round in 1..=2 {
        // Two retries are paid for, whoever asks; after these each renewal is one request.
        eventually("it is renewed", || {
            drop(spawn(client.get(&url)));
            drill.hits() > round + 2
        })
        .await;
        at_rest(&client).await;
        assert_eq!(drill.hits(), 1 + round + 2, "round {round}");
    }
}

#[tokio::test]
async fn budgets_differ_by_route() {
    let (drill, text) = (
        drill(),
        "[[host]]\nmatch = \"127.0.0.1\"\nretry = { max_attempts = 1 }\n\
         cache = { stale_if_error = \"24h\" }\n\
         [[host.route]]\nmatch = \"/etag\"\ncache = { stale_if_error = \"0s\" }\n\
         [[host.route]]\nmatch = \"/news/{id}\"\ncache = { stale_if_error = \"0s\" }",
    );
    let config = Config::from_toml(text, "test").unwrap();
    let client = client(|builder| builder.config(config));
    let expired =
        |path: &str| with_headers(&drill, path, &["cache-control:max-age=0", "etag:\"1\""]);
    let (news, catalogue) = (drill.url("/etag?max_age=0"), expired("/ok"));
    let named = || client.get(expired("/ok?key=named")).route("/news/{id}").send();
    for url in [&news, &catalogue] {
        get(&client, url).await;
    }
    named().await.unwrap();
    client.breakers().force_open(scope_of(&drill), None);
    assert!(client.get(&news).send().await.unwrap_err().is_circuit_open());
    assert!(named().await.unwrap_err().is_circuit_open(), "the name that a call gives itself");
    assert!(get(&client, &catalogue).await.report().cache.unwrap().stale);
}

#[tokio::test]
async fn hosts_differ_in_what_is_missing_and_in_what_failed() {
    let drill = drill();
    let told = |host: HostOverrides| {
        host.attempts(1).negative(Duration::ZERO).failures(Duration::from_secs(5))
    };
    let client = client(|builder| builder.host("127.0.0.1", told));
    for (path, hit) in [("/status/404", false), ("/status/503", true)] {
        get(&client, &drill.url(path)).await;
        assert_eq!(get(&client, &drill.url(path)).await.report().cache.unwrap().hit, hit);
    }
    assert_eq!(drill.hits(), 3);
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
