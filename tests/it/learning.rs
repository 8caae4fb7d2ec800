//! Routes that nobody named: a dead one is refused by itself, a dead host as a whole.

use std::time::Duration;

use spillgate::testing::Drill;
use spillgate::{BreakerState, Client, ErrorKind};

use crate::bench::{at_rest, client, drill, eventually, scope_of};

/// PITFALLS A22: one of three routes is dead.
#[tokio::test]
async fn dead_route_of_three_is_refused_and_the_others_answer() {
    let (drill, client) = (drill(), once());
    let dead = format!("{} GET /status/{{id}}", scope_of(&drill));
    let mut refused = 0;
    for n in 0..400 {
        for path in ["/ok", "/echo"] {
            let response = client.get(drill.url(&format!("{path}?key={n}"))).send().await;
            assert_eq!(response.expect("a healthy route answers").status(), 200, "{path} {n}");
        }
        match client.get(drill.url(&format!("/status/503?key={n}"))).send().await {
            Ok(response) => assert_eq!(response.status(), 503),
            Err(error) => {
                assert_eq!((error.kind(), error.scope()), (ErrorKind::CircuitOpen, Some(&*dead)));
                refused += 1;
            }
        }
    }
    assert!(refused >= 375, "{refused} of 400 calls of the dead route were refused");
    assert_eq!(drill.hits(), 800 + 400 - refused);
    assert_eq!(client.breakers().state(&dead), BreakerState::Open);
    assert_eq!(client.breakers().state(scope_of(&drill)), BreakerState::Closed);
    client.breakers().reset(&dead);
    let again = client.get(drill.url("/status/200")).send().await;
    assert_eq!(again.expect("an operator closed it").status(), 200);
    at_rest(&client).await;
}

#[tokio::test]
async fn host_whose_routes_are_all_dead_opens_as_one() {
    let (drill, client) = (drill(), once());
    for n in 0..20 {
        let path = ["/status/503", "/problem/503"][n % 2];
        let url = drill.url(&format!("{path}?key={n}"));
        drop(client.get(url).send().await);
    }
    eventually("it opens", || client.breakers().state(scope_of(&drill)) == BreakerState::Open)
        .await;
    let error = client.get(drill.url("/ok")).send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CircuitOpen, "whatever the route");
    assert_eq!(breakers_of(&client, &drill), 1);
}

#[tokio::test]
async fn told_not_to_learn_it_asks_the_dead_route_for_ever() {
    let drill = drill();
    let client = client(|builder| {
        builder.defaults(|config| {
            config.defaults.retry.attempts_max = 1;
            config.defaults.breaker.learn = false;
        })
    });
    for n in 0..60 {
        drop(client.get(drill.url(&format!("/ok?key={n}"))).send().await);
        drop(client.get(drill.url(&format!("/echo?key={n}"))).send().await);
        let dead = client.get(drill.url(&format!("/status/503?key={n}"))).send().await;
        assert_eq!(dead.expect("it is sent").status(), 503);
    }
    assert_eq!(breakers_of(&client, &drill), 0, "none was ever open");
}

#[tokio::test]
async fn host_that_is_opened_by_order_refuses_its_split_and_its_named_routes() {
    let (drill, client) = (drill(), once());
    let dead = format!("{} GET /status/{{id}}", scope_of(&drill));
    let call = |path: &str| client.get(drill.url(path)).send();
    for n in 0..20 {
        drop(call(&format!("/ok?key={n}")).await);
        drop(call(&format!("/status/503?key={n}")).await);
    }
    eventually("it opens", || client.breakers().state(&dead) == BreakerState::Open).await;
    client.breakers().reset(&dead);
    assert!(client.breakers().allow_request(&dead));
    client.breakers().force_open(scope_of(&drill), None);
    assert!(!client.breakers().allow_request(&dead));
    let hits = drill.hits();
    let named = client.get(drill.url("/ok?key=named")).route("/ok").send();
    for error in [call("/status/200").await, call("/ok").await, named.await].map(Result::err) {
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::CircuitOpen));
    }
    assert_eq!(drill.hits(), hits, "nothing was sent");
    client.breakers().reset(scope_of(&drill));
    assert_eq!(call("/status/200").await.expect("it is let go").status(), 200);
    at_rest(&client).await;
}

/// A standard client that retries nothing.
fn once() -> Client {
    client(|builder| {
        builder.defaults(|config| {
            config.defaults.retry.attempts_max = 1;
            config.defaults.breaker.reset_timeout = Duration::from_secs(50);
        })
    })
}

/// How many breakers of a drill are known.
fn breakers_of(client: &Client, drill: &Drill) -> usize {
    let scopes = client.snapshot().breakers;
    scopes.iter().filter(|breaker| breaker.scope.starts_with(&scope_of(drill))).count()
}
