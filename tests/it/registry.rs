//! The registry of breakers: names, orders, callbacks and what is shared.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use spillgate::{BreakerEvent, BreakerState, Client, JournalEntry, OpenReason};

use crate::bench::{PATIENCE, client, drill, eventually, fail, five, guarded, scope_of};

#[tokio::test]
async fn callbacks_and_events_carry_scope_time_and_reason() {
    let (told, changes) = mpsc::channel::<BreakerEvent>();
    let client = client(|builder| {
        builder
            .on_breaker(|_| panic!("planted: a callback panics"))
            .on_breaker(move |event| told.send(event.clone()).unwrap())
            .host("127.0.0.1", |host| host.attempts(1).breaker(five(Duration::from_millis(100))))
    });
    let (told, openings) = mpsc::channel();
    client.breakers().on_open(|_| panic!("planted: a callback panics"));
    client.breakers().on_open(move |opened| told.send(opened.clone()).unwrap());
    let (mut events, mut entries) = (client.breakers().subscribe(), client.subscribe());
    let (drill, began) = (drill(), Instant::now());
    fail(&client, &drill.url("/status/503?times=5&key=a"), 5).await;
    let reason = OpenReason::ConsecutiveFailures { failures: 5, last: None, status: Some(503) };
    let opened = openings.recv_timeout(PATIENCE).unwrap();
    assert_eq!((&*opened.scope, opened.reason), (&*scope_of(&drill), reason));
    assert!(opened.opened_at > began && opened.opened_at < Instant::now());
    assert_eq!(opened.retry_at, Some(opened.opened_at + Duration::from_millis(100)));
    let scope = scope_of(&drill);
    eventually("it admits", || client.breakers().allow_request(&scope)).await;
    client.get(drill.url("/status/503?times=5&key=a")).send().await.unwrap();
    for (from, to) in [
        (BreakerState::Closed, BreakerState::Open),
        (BreakerState::Open, BreakerState::HalfOpen),
        (BreakerState::HalfOpen, BreakerState::Closed),
    ] {
        let event = events.recv().await.unwrap();
        assert_eq!((&*event.scope, event.from, event.to), (&*scope, from, to));
        assert_eq!(changes.recv_timeout(PATIENCE).unwrap(), event);
        let closed = to == BreakerState::Closed;
        assert_eq!((event.opened_at.is_none(), event.reason.is_none()), (closed, closed));
    }
    let mut calls = 0;
    let mut breakers = 0;
    while (calls, breakers) != (6, 3) {
        match entries.recv().await.unwrap() {
            JournalEntry::Call(_) => calls += 1,
            JournalEntry::Breaker(_) => breakers += 1,
            JournalEntry::Flight(_) | JournalEntry::Hit(_) => {}
        }
    }
}

#[tokio::test]
async fn orders_are_seen_as_soon_as_they_return() {
    let (drill, client) = (drill(), guarded(LONG));
    let (breakers, scope) = (client.breakers(), scope_of(&drill));
    client.get(drill.url("/ok")).send().await.unwrap();
    breakers.force_open(&scope, None);
    assert_eq!(breakers.state(&scope), BreakerState::Open);
    assert!(!breakers.allow_request(&scope));
    let error = client.get(drill.url("/ok")).send().await.unwrap_err();
    assert!(error.is_circuit_open() && error.retry_at().is_none());
    breakers.reset(&scope);
    assert_eq!(breakers.state(&scope), BreakerState::Closed);
    assert_eq!(client.get(drill.url("/ok")).send().await.unwrap().status(), 200);
    breakers.force_closed(&scope);
    fail(&client, &drill.url("/status/503"), 20).await;
    assert!(breakers.allow_request(&scope));
    breakers.reset(&scope);
    fail(&client, &drill.url("/status/503"), 5).await;
    assert_eq!(breakers.state(&scope), BreakerState::Open);
    assert_eq!(drill.hits(), 27);
}

#[tokio::test]
async fn forced_opening_ends_by_itself() {
    let (drill, client) = (drill(), guarded(LONG));
    let (breakers, scope) = (client.breakers(), scope_of(&drill));
    breakers.force_open(&scope, Some(Duration::from_millis(200)));
    let error = client.get(drill.url("/ok")).send().await.unwrap_err();
    assert!(error.retry_at().unwrap() <= Instant::now() + Duration::from_millis(200));
    eventually("it is closed", || breakers.state(&scope) == BreakerState::Closed).await;
    assert_eq!(client.get(drill.url("/ok")).send().await.unwrap().status(), 200);
    assert_eq!(drill.hits(), 1);
}

#[tokio::test]
async fn host_can_be_named_without_its_scheme_and_in_any_spelling() {
    let (drill, client) = (drill(), guarded(LONG));
    let (breakers, port) = (client.breakers(), drill.addr().port());
    client.get(drill.url("/ok")).send().await.unwrap();
    for name in [
        format!("127.0.0.1:{port}"),
        format!("127.1:{port}"),
        format!("http://127.0.0.1:{port}/"),
        format!("HTTP://127.0.0.1:{port}"),
    ] {
        breakers.force_open(&name, None);
        assert_eq!(breakers.state(&name), BreakerState::Open, "{name}");
        assert!(client.get(drill.url("/ok")).send().await.unwrap_err().is_circuit_open(), "{name}");
        breakers.reset(&name);
        assert_eq!(client.get(drill.url("/ok")).send().await.unwrap().status(), 200, "{name}");
        assert_eq!(breakers.get(&name).unwrap().scope(), scope_of(&drill));
    }
    assert_eq!(client.snapshot().hosts.len(), 1, "{:?}", client.snapshot().hosts);
}

#[tokio::test]
async fn breaker_made_before_the_first_call_serves_it() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/status/503");
    let handle = client.breakers().get_or_create(scope_of(&drill), five(LONG));
    assert_eq!((handle.state(), handle.allow_request()), (BreakerState::Closed, true));
    fail(&client, &url, 5).await;
    assert_eq!(handle.state(), BreakerState::Open);
    let again = client.breakers().get_or_create(scope_of(&drill), five(Duration::from_millis(1)));
    assert_eq!(again.state(), BreakerState::Open, "it is there already");
    assert!(client.breakers().get("http://nowhere.example").is_none());
}

#[tokio::test]
async fn named_scope_is_shared_across_hosts_and_leaves_other_calls_alone() {
    let (here, there, client) = (drill(), drill(), Client::standard());
    client.breakers().get_or_create("payments", five(LONG));
    for n in 0..5 {
        let drill = if n % 2 == 0 { &here } else { &there };
        let call = client.get(drill.url("/status/503")).scope("payments").no_retry();
        assert_eq!(call.send().await.unwrap().status(), 503);
    }
    for drill in [&here, &there] {
        let error = client.get(drill.url("/ok")).scope("payments").send().await.unwrap_err();
        assert!(error.is_circuit_open());
        assert_eq!(error.scope(), Some("payments"));
        assert_eq!(client.get(drill.url("/ok")).send().await.unwrap().status(), 200);
    }
    assert_eq!((here.hits(), there.hits()), (4, 3));
    client.breakers().reset("payments");
    let call = client.get(here.url("/ok")).scope("payments");
    assert_eq!(call.send().await.unwrap().status(), 200);
    let hosts: Vec<_> = client.snapshot().hosts.iter().map(|host| host.host.to_string()).collect();
    assert!(hosts.iter().all(|host| host.starts_with("http://")), "{hosts:?}");
    let attempts: u64 = client.snapshot().hosts.iter().map(|host| host.attempts).sum();
    assert_eq!(attempts, 8);
}

#[tokio::test]
async fn guarded_code_of_the_services_own_uses_the_same_breaker() {
    let client = Client::standard();
    let handle = client.breakers().get_or_create("database", five(LONG));
    (0..4).for_each(|_| handle.record_failure());
    handle.record_success();
    (0..4).for_each(|_| handle.record_failure());
    assert!(handle.allow_request());
    handle.record_failure();
    assert_eq!((handle.allow_request(), handle.state()), (false, BreakerState::Open));
    assert_eq!(client.snapshot().breakers[0].state, BreakerState::Open);
}

/// A dead route takes only itself along (PITFALLS A22).
#[tokio::test]
async fn routes_of_one_host_break_apart() {
    let (drill, client) = (drill(), guarded(LONG));
    for _ in 0..5 {
        let call = client.get(drill.url("/status/503")).route("/dead");
        assert_eq!(call.send().await.unwrap().status(), 503);
    }
    let error = client.get(drill.url("/ok")).route("/dead").send().await.unwrap_err();
    assert!(error.is_circuit_open());
    assert_eq!(error.scope(), Some(&*format!("{} /dead", scope_of(&drill))));
    assert_eq!(client.get(drill.url("/ok")).route("/well").send().await.unwrap().status(), 200);
    assert_eq!(client.get(drill.url("/ok")).send().await.unwrap().status(), 200);
}

/// Longer than any of these tests.
const LONG: Duration = Duration::from_secs(50);

#[tokio::test]
async fn scope_that_is_named_after_a_host_is_that_hosts_whoever_comes_first() {
    let (client, host, other) = (guarded(Duration::from_secs(60)), drill(), drill());
    for n in 0..3 {
        let url = other.url(&format!("/status/503?key={n}"));
        drop(client.get(url).no_retry().scope(scope_of(&host)).send().await);
    }
    for n in 0..2 {
        drop(client.get(host.url(&format!("/status/503?key={n}"))).no_retry().send().await);
    }
    let scope = scope_of(&host);
    eventually("it opens", || client.breakers().state(&scope) == BreakerState::Open).await;
    assert_eq!((host.hits(), other.hits()), (2, 3));
}
