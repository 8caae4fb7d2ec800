//! Far more hosts, routes and scopes than a client remembers: its tables stay within their bounds,
//! and what is open stays open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, StatusCode, Version};
use spillgate::actors::transport::{ExchangeFuture, Inbound, Outbound, Transport};
use spillgate::{BreakerOptions, BreakerState, Client, ClientBuilder, ErrorKind, RequestBuilder};
use tokio::sync::Semaphore;

use crate::bench::{at_rest, client, error, eventually, five, spawn};

#[tokio::test]
async fn open_breakers_outlive_the_pressure_of_ten_thousand_other_hosts() {
    let (stub, client) = stubbed(HOSTS_MAX);
    let dead = "http://dead.test/";
    client.breakers().get_or_create("http://dead.test", five(LONG));
    for _ in 0..5 {
        assert_eq!(client.get(dead).no_retry().send().await.unwrap().status(), 503);
    }
    client.breakers().force_open("http://forced.test", None);
    client.breakers().force_open("payments", Some(LONG));
    client.breakers().force_closed("http://held-closed.test");
    press(&client, 10_000).await;
    for scope in ["http://dead.test", "http://forced.test", "payments"] {
        assert_eq!(client.breakers().state(scope), BreakerState::Open, "{scope}");
    }
    assert!(client.get(dead).send().await.unwrap_err().is_circuit_open());
    let forced = client.get("http://forced.test/");
    assert!(forced.send().await.unwrap_err().is_circuit_open());
    let paid = client.get("http://pays.test/").scope("payments");
    assert!(paid.send().await.unwrap_err().is_circuit_open());
    let sent = |host: &str| stub.sent(host);
    assert_eq!([sent("dead.test"), sent("forced.test"), sent("pays.test")], [5, 0, 0]);
    client.breakers().reset("http://forced.test");
    assert_eq!(client.get("http://forced.test/").send().await.unwrap().status(), 200);
    client.breakers().reset("payments");
    let paid = client.get("http://pays.test/").scope("payments");
    assert_eq!(paid.send().await.unwrap().status(), 200);
    let held = client.breakers().get("http://held-closed.test").expect("an operator holds it");
    (0..50).for_each(|_| held.record_failure());
    assert_eq!(held.state(), BreakerState::Closed);
    at_rest(&client).await;
}

#[tokio::test]
async fn breakers_of_forgotten_hosts_refuse_and_are_probed_when_their_time_is_up() {
    let opens_at_once = BreakerOptions {
        reset_timeout: Duration::from_secs(2),
        reset_growth: 1_000.0,
        reset_timeout_max: LONG,
        reset_jitter: 0.0,
        ..BreakerOptions::consecutive(1)
    };
    let (stub, client) = stubbed_with(HOSTS_MAX, |builder| {
        builder.host("*.test", |host| host.attempts(1).breaker(opens_at_once))
    });
    let dead = |n: usize| format!("http://dead-{n}.test");
    all(3 * HOSTS_MAX, |n| client.get(dead(n))).await;
    let state = client.snapshot();
    assert_eq!(state.hosts.len(), HOSTS_MAX);
    let open = state.breakers.iter().filter(|breaker| breaker.state != BreakerState::Closed);
    assert_eq!(open.count(), 3 * HOSTS_MAX);
    let gone = |n: &usize| !state.hosts.iter().any(|host| *host.host == *dead(*n));
    let first = (0..HOSTS_MAX).find(gone).expect("a host of the first is forgotten");
    let (scope, name) = (dead(first), format!("dead-{first}.test"));
    eventually("its time is up", || client.breakers().allow_request(&scope)).await;
    assert_eq!(stub.sent(&name), 1);
    assert_eq!(client.get(&scope).send().await.unwrap().status(), 503);
    let error = client.get(&scope).send().await.unwrap_err();
    assert!(error.is_circuit_open(), "the probe failed: {error}");
    let again = error.retry_at().unwrap() - Instant::now();
    assert!(again > LONG / 2, "its reset time grows on: {again:?}");
    assert_eq!(stub.sent(&name), 2);
    assert_eq!(client.snapshot().hosts.len(), HOSTS_MAX);
}

#[tokio::test]
async fn host_without_room_is_refused_while_all_others_are_in_use() {
    let (stub, client) = stubbed(3);
    let busy: Vec<_> = (0..3).map(|n| spawn(client.get(format!("http://slow{n}.test/")))).collect();
    eventually("three are out", || client.snapshot().running == 3).await;
    let refused = client.get("http://late.test/").send().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Overloaded);
    assert!(refused.to_string().contains("limits.hosts"), "{refused}");
    let refused = error(spawn(client.get("http://slow0.test/").scope("new"))).await;
    assert_eq!(refused.kind(), ErrorKind::Overloaded);
    client.breakers().force_open("http://another.test", None);
    assert_eq!(client.snapshot().hosts.len(), 3);
    stub.gate.add_permits(3);
    for call in busy {
        assert_eq!(call.await.unwrap().unwrap().status(), 200);
    }
    assert_eq!(client.get("http://late.test/").send().await.unwrap().status(), 200);
    assert_eq!((stub.sent("late.test"), client.snapshot().hosts.len()), (1, 3));
    at_rest(&client).await;
}

#[tokio::test]
async fn names_of_scopes_and_routes_are_bounded() {
    let (_stub, client) = stubbed(HOSTS_MAX);
    let routed = |n| client.get("http://a.test/").route(format!("/{n}"));
    all(10_000, |n| routed(n).no_coalesce()).await;
    all(2_000, |n| client.get("http://c.test/").route(format!("/{n}")).no_coalesce()).await;
    let scoped = |n| client.get("http://b.test/").scope(format!("tenant {n}")).no_coalesce();
    all(10_000, scoped).await;
    let state = client.snapshot();
    let tenants = state.breakers.iter().filter(|breaker| breaker.scope.starts_with("tenant"));
    assert!(tenants.count() < HOSTS_MAX && state.hosts.len() < HOSTS_MAX);
    assert!(state.breakers.len() <= HOSTS_MAX + 1_001, "{}", state.breakers.len());
}

#[tokio::test]
async fn breakers_made_by_the_service_are_bounded() {
    let (_stub, client) = stubbed(HOSTS_MAX);
    for n in 0..2_000 {
        client.breakers().get_or_create(format!("tenant {n}"), five(LONG));
        client.breakers().get_or_create(format!("http://h{n}.test"), five(LONG));
    }
    let state = client.snapshot();
    assert!(state.breakers.len() <= HOSTS_MAX, "{}", state.breakers.len());
    for n in 0..2_000 {
        client.breakers().force_open(format!("tenant {n}"), Some(LONG));
    }
    let state = client.snapshot();
    let open = state.breakers.iter().filter(|breaker| breaker.state == BreakerState::Open).count();
    assert!((4 * HOSTS_MAX..=5 * HOSTS_MAX).contains(&open), "{open} of 2,000");
    assert!(state.breakers.len() <= 5 * HOSTS_MAX);
    assert_eq!(client.breakers().state("tenant 1999"), BreakerState::Open);
}

/// Calls so many hosts once each, and looks at the table all the while.
async fn press(client: &Client, hosts: usize) {
    for first in (0..hosts).step_by(500) {
        let calls = (first..hosts.min(first + 500)).map(|n| {
            let call = client.get(format!("http://host-{n}.test/"));
            async move { assert_eq!(call.send().await.unwrap().status(), 200, "host {n}") }
        });
        stream::iter(calls).buffer_unordered(64).collect::<Vec<()>>().await;
        let state = client.snapshot();
        assert!(state.hosts.len() <= HOSTS_MAX, "{} hosts are remembered", state.hosts.len());
    }
}

async fn all(count: usize, call: impl Fn(usize) -> RequestBuilder) {
    let calls = (0..count).map(|n| call(n).send());
    stream::iter(calls).buffer_unordered(64).for_each(async |answer| drop(answer.unwrap())).await;
}

/// A network without sockets: hosts whose names begin with `dead` answer 503, those with `slow` wait
/// for the gate.
struct Stub {
    sent: Mutex<HashMap<String, u64>>,
    gate: Arc<Semaphore>,
}

fn stubbed(hosts_max: usize) -> (Arc<Stub>, Client) {
    stubbed_with(hosts_max, |builder| builder)
}

fn stubbed_with(
    hosts_max: usize,
    change: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> (Arc<Stub>, Client) {
    let stub = Arc::new(Stub { sent: Mutex::default(), gate: Arc::new(Semaphore::new(0)) });
    let transport = stub.clone();
    let client = client(|builder| {
        change(builder).transport(transport).defaults(|config| config.limits.hosts_max = hosts_max)
    });
    (stub, client)
}

impl Stub {
    fn sent(&self, host: &str) -> u64 {
        self.sent.lock().unwrap().get(host).copied().unwrap_or_default()
    }
}

impl Transport for Stub {
    fn exchange(&self, outbound: Outbound) -> ExchangeFuture {
        let host = outbound.url.host_str().unwrap().to_owned();
        *self.sent.lock().unwrap().entry(host.clone()).or_default() += 1;
        let gate = self.gate.clone();
        Box::pin(async move {
            if host.starts_with("slow") {
                gate.acquire().await.unwrap().forget();
            }
            let is_dead = host.starts_with("dead");
            Ok(Inbound {
                status: if is_dead { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK },
                version: Version::HTTP_11,
                headers: HeaderMap::new(),
                body: Box::pin(stream::empty()),
                connection: None,
            })
        })
    }
}

/// Hosts that these clients remember.
const HOSTS_MAX: usize = 200;
/// Longer than any of these tests.
const LONG: Duration = Duration::from_secs(500);
