//! Stale answers through the proxy: for which trouble, how they are labelled, by whose settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use spillgate::config::serving::ListenerRole;
use spillgate::sidecar::{ListenerOptions, Sidecar};
use spillgate::{BreakerOptions, BreakerState, Client, ClientBuilder, Config};

use super::origin::{Origin, get, ok, status};
use crate::bench::eventually;
use crate::offline::Network;

/// A proxy over its client's own cache, as `serve` is.
async fn proxy_of(
    origin: &Origin,
    change: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> (Sidecar, Client) {
    let client = change(Client::builder().passing_on()).build().unwrap();
    let upstream = format!("http://{}/", origin.addr).parse().unwrap();
    let listener = ListenerOptions::of(ListenerRole::Reverse(upstream));
    let cache = client.cache().shared();
    (Sidecar::start(client.clone(), cache, vec![listener]).await.unwrap(), client)
}

fn scope(origin: &Origin) -> String {
    format!("http://{}", origin.addr)
}

/// An origin whose answers are stale when they come; `/bad` fails.
fn expired() -> Origin {
    let origin = Origin::start(|head| {
        if head.starts_with("GET /bad") {
            return status("503 Unavailable", "Cache-Control: no-store\r\n", "");
        }
        ok("Cache-Control: max-age=5\r\nAge: 9\r\n", "kept")
    });
    origin.gate(true);
    origin
}

/// The answer is the stored one, with its age and why it is given.
fn check_stale(answer: &str, reason: &str) {
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("kept"), "{answer}");
    assert!(answer.contains("\r\nage: 9") || answer.contains("\r\nage: 1"), "{answer}");
    let expected = format!("detail={reason}");
    let told = answer.lines().find(|line| line.starts_with("cache-status:"));
    assert!(
        told.is_some_and(|line| line.contains("hit; ttl=-") && line.contains(&expected)),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_breaker_is_covered() {
    let origin = expired();
    let (sidecar, client) = proxy_of(&origin, |builder| builder).await;
    get(&sidecar, "/a", "").await.unwrap();
    client.breakers().force_open(scope(&origin), None);
    for _ in 0..2 {
        check_stale(&get(&sidecar, "/a", "").await.unwrap(), "circuit_open");
    }
    let other = get(&sidecar, "/b", "").await.unwrap();
    assert!(other.starts_with("HTTP/1.1 503"), "{other}");
    assert_eq!(origin.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_breaker_is_covered_while_its_probe_runs() {
    let origin = expired();
    let reset_timeout = Duration::from_millis(1);
    let options = BreakerOptions { reset_timeout, ..BreakerOptions::consecutive(1) };
    let (sidecar, client) =
        proxy_of(&origin, |builder| builder.host("127.0.0.1", |host| host.breaker(options))).await;
    get(&sidecar, "/a", "").await.unwrap();
    get(&sidecar, "/bad", "").await.unwrap();
    let state = || client.breakers().state(scope(&origin));
    eventually("it is no longer closed", || state() != BreakerState::Closed).await;
    origin.gate(false);
    let mut probes = Vec::new();
    eventually("a probe runs", || {
        probes.push(get(&sidecar, &format!("/probe{}", probes.len()), ""));
        origin.count() == 3
    })
    .await;
    assert_eq!(state(), BreakerState::HalfOpen);
    check_stale(&get(&sidecar, "/a", "").await.unwrap(), "circuit_open");
    assert_eq!(origin.count(), 3);
    origin.gate(true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_queue_is_covered() {
    let origin = expired();
    let (sidecar, client) = proxy_of(&origin, |builder| {
        builder
            .defaults(|config| config.limits.queue_max = 1)
            .host("127.0.0.1", |host| host.concurrency(1))
    })
    .await;
    get(&sidecar, "/a", "").await.unwrap();
    origin.gate(false);
    let held = get(&sidecar, "/held", "");
    eventually("one is at the origin", || origin.count() == 2).await;
    let queued = get(&sidecar, "/queued", "Priority: u=1\r\n");
    eventually("one waits", || client.snapshot().queued == 1).await;
    check_stale(&get(&sidecar, "/a", "").await.unwrap(), "queue_full");
    assert_eq!(origin.count(), 2);
    origin.gate(true);
    for call in [held, queued] {
        assert!(call.await.unwrap().starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_with_too_little_time_gets_the_stale_one_in_time() {
    let origin = expired();
    let (sidecar, _client) = proxy_of(&origin, |builder| builder).await;
    get(&sidecar, "/a", "").await.unwrap();
    origin.gate(false);
    let hasty = get(&sidecar, "/a", "X-Spillgate-Deadline-Ms: 100\r\n").await.unwrap();
    check_stale(&hasty, "deadline_exceeded");
    let other = get(&sidecar, "/b", "X-Spillgate-Deadline-Ms: 100\r\n").await.unwrap();
    assert!(other.starts_with("HTTP/1.1 504"), "{other}");
    origin.gate(true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machine_without_network_is_covered() {
    let (origin, network) = (expired(), Network::without());
    network.is_up.store(true, Ordering::SeqCst);
    let (sidecar, _client) = proxy_of(&origin, |builder| builder.transport(network.clone())).await;
    get(&sidecar, "/a", "").await.unwrap();
    network.is_up.store(false, Ordering::SeqCst);
    check_stale(&get(&sidecar, "/a", "").await.unwrap(), "device_offline");
    assert_eq!(origin.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refresh_asks_no_open_breaker() {
    let number = Arc::new(AtomicUsize::new(0));
    let counted = number.clone();
    let origin = Origin::start(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        ok("Cache-Control: max-age=5, stale-while-revalidate=60\r\nAge: 9\r\n", "kept")
    });
    origin.gate(true);
    let (sidecar, client) = proxy_of(&origin, |builder| builder).await;
    get(&sidecar, "/a", "").await.unwrap();
    client.breakers().force_open(scope(&origin), None);
    for _ in 0..3 {
        assert!(get(&sidecar, "/a", "").await.unwrap().ends_with("kept"));
    }
    eventually("the refreshes have ended", || client.snapshot().calls == 0).await;
    assert_eq!(number.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn budgets_and_modes_are_those_of_host_and_route_and_can_be_reloaded() {
    let origin = expired();
    let file = |more: &str| {
        let text = format!(
            "[[host]]\nmatch = \"127.0.0.1\"\n\
             [[host.route]]\nmatch = \"/news\"\ncache = {{ stale_if_error = \"0s\" }}\n\
             [[host.route]]\nmatch = \"/cart\"\ncache = {{ mode = \"off\" }}\n{more}"
        );
        Config::from_toml(&text, "test").unwrap()
    };
    let (sidecar, client) = proxy_of(&origin, |builder| builder.config(file(""))).await;
    for path in ["/catalogue", "/news", "/cart"] {
        get(&sidecar, path, "").await.unwrap();
    }
    assert_eq!(client.cache().size().pages, 2, "nothing of the cart");
    client.breakers().force_open(scope(&origin), None);
    let of = |path: &str| get(&sidecar, path, "");
    check_stale(&of("/catalogue").await.unwrap(), "circuit_open");
    for path in ["/news", "/cart"] {
        let refused = of(path).await.unwrap();
        assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    }
    let none =
        file("[[host.route]]\nmatch = \"/catalogue\"\ncache = { stale_if_error = \"0s\" }\n");
    client.reload(none).unwrap();
    assert!(of("/catalogue").await.unwrap().starts_with("HTTP/1.1 503"));
}
