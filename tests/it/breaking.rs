//! The breaker over real sockets: when it opens, whom it refuses, how it probes.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use spillgate::{
    Breaker, BreakerState, Client, ErrorClass, ErrorKind, Judgement, OpenReason, Priority,
};

use crate::bench::{
    Call, PATIENCE, answer, at_rest, client, drill, error, eventually, fail, five, guarded, hits,
    scope_of, spawn,
};

#[tokio::test]
async fn opens_after_five_failures_and_refuses_without_touching_the_network() {
    let (drill, client) = (drill(), guarded(LONG));
    let url = drill.url("/status/503");
    fail(&client, &url, 4).await;
    assert_eq!(client.breakers().state(scope_of(&drill)), BreakerState::Closed);
    fail(&client, &url, 1).await;
    for _ in 0..100 {
        let error = client.get(drill.url("/ok")).send().await.unwrap_err();
        assert_eq!((error.kind(), error.class()), (ErrorKind::CircuitOpen, ErrorClass::Rejected));
        assert!(error.is_circuit_open() && !error.is_timeout());
        assert!(error.message().contains("circuit") && error.message().contains("open"));
        assert_eq!(error.scope(), Some(&*scope_of(&drill)));
        let left = error.retry_at().unwrap() - Instant::now();
        assert!(left > LONG / 2 && left <= LONG, "{left:?}");
        assert_eq!(error.report().unwrap().attempts, 0);
    }
    assert_eq!((drill.hits(), drill.connections()), (5, 1));
    assert!(!client.breakers().allow_request(scope_of(&drill)));
}

#[tokio::test]
async fn refuses_in_the_callers_task_while_the_actors_thread_is_busy() {
    let (busy, dead) = (drill(), drill());
    let (entered, judging) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let client = client(|builder| {
        builder.classifier(move |_, _| {
            entered.send(()).unwrap();
            let _ = released.lock().unwrap().recv();
            Judgement::ByStatus
        })
    });
    client.breakers().get_or_create(scope_of(&dead), five(LONG)).force_open(None);
    let call = spawn(client.get(busy.url("/ok")));
    tokio::task::spawn_blocking(move || judging.recv().unwrap()).await.unwrap();
    let error = client.get(dead.url("/ok")).send().await.unwrap_err();
    assert_eq!((error.kind(), error.retry_at()), (ErrorKind::CircuitOpen, None));
    assert!(!call.is_finished(), "the thread is still busy");
    drop(release);
    assert_eq!(answer(call).await.unwrap().status(), 200);
    assert_eq!(dead.hits(), 0);
}

#[tokio::test]
async fn one_probe_after_the_reset_time_closes_it_on_success() {
    let (drill, client) = (drill(), guarded(SHORT));
    fail(&client, &drill.url("/status/503?times=5&key=a"), 5).await;
    let scope = scope_of(&drill);
    assert_eq!(client.breakers().state(&scope), BreakerState::Open);
    eventually("it admits", || client.breakers().allow_request(&scope)).await;
    assert_eq!(client.breakers().state(&scope), BreakerState::HalfOpen);
    let response = client.get(drill.url("/status/503?times=5&key=a")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(client.breakers().state(&scope), BreakerState::Closed);
    assert_eq!(drill.hits(), 6);
}

#[tokio::test]
async fn failed_probe_opens_it_again() {
    let (drill, client) = (drill(), guarded(SHORT));
    let (url, scope) = (drill.url("/status/503"), scope_of(&drill));
    fail(&client, &url, 5).await;
    eventually("it admits", || client.breakers().allow_request(&scope)).await;
    fail(&client, &url, 1).await;
    assert_eq!(client.breakers().state(&scope), BreakerState::Open);
    assert!(client.get(&url).send().await.unwrap_err().is_circuit_open());
    assert_eq!(drill.hits(), 6);
}

/// smallrye#319, smallrye#323, termite#27 (PITFALLS A2).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_callers_while_half_open_are_one_probe() {
    let (drill, client) = (drill(), guarded(SHORT));
    let scope = scope_of(&drill);
    fail(&client, &drill.url("/status/503"), 5).await;
    eventually("it admits", || client.breakers().allow_request(&scope)).await;
    let calls: Vec<_> = (0..1_000)
        .map(|n| spawn(client.get(drill.url(&format!("/delay/60000?key={n}")))))
        .collect();
    eventually("all but the probe are refused", || {
        calls.iter().filter(|call| call.is_finished()).count() == 999
    })
    .await;
    assert_eq!(drill.hits_at("/delay/60000"), 1);
    let mut refused = 0;
    for call in calls {
        if call.is_finished() {
            let error = error(call).await;
            assert!(error.is_circuit_open() && error.retry_at().is_some(), "{error}");
            refused += 1;
        } else {
            call.abort();
        }
    }
    assert_eq!(refused, 999);
    at_rest(&client).await;
}

/// R4J#544, R4J#935, R4J#1389, Polly#1979 (PITFALLS A3).
#[tokio::test]
async fn dropped_probe_gives_its_place_back() {
    let (drill, client) = (drill(), guarded(SHORT));
    let scope = scope_of(&drill);
    fail(&client, &drill.url("/status/503"), 5).await;
    eventually("it admits", || client.breakers().allow_request(&scope)).await;
    let probe = spawn(client.get(drill.url("/delay/60000")));
    hits(&drill, 6).await;
    assert!(client.get(drill.url("/ok")).send().await.unwrap_err().is_circuit_open());
    probe.abort();
    drill.wait_for(|ledger| ledger.aborted("/delay/60000") == 1, PATIENCE).await.unwrap();
    at_rest(&client).await;
    assert_eq!(client.breakers().state(&scope), BreakerState::HalfOpen);
    assert_eq!(client.get(drill.url("/ok")).send().await.unwrap().status(), 200);
    assert_eq!(client.breakers().state(&scope), BreakerState::Closed);
}

/// sglang#25811, smg#2565 (PITFALLS A7).
#[tokio::test]
async fn client_errors_neither_count_nor_reset_the_streak_nor_close_it() {
    let (drill, client) = (drill(), guarded(SHORT));
    let scope = scope_of(&drill);
    for _ in 0..20 {
        client.get(drill.url("/status/404")).send().await.unwrap();
    }
    assert_eq!(client.breakers().state(&scope), BreakerState::Closed);
    for _ in 0..4 {
        fail(&client, &drill.url("/status/503"), 1).await;
        client.get(drill.url("/status/400")).send().await.unwrap();
    }
    fail(&client, &drill.url("/status/503"), 1).await;
    assert_eq!(client.breakers().state(&scope), BreakerState::Open);
    eventually("it admits", || client.breakers().allow_request(&scope)).await;
    client.get(drill.url("/status/404")).send().await.unwrap();
    assert_eq!(client.breakers().state(&scope), BreakerState::HalfOpen);
}

/// R4J#682, R4J#989, opossum#45 (PITFALLS A8).
#[tokio::test]
async fn cancellations_and_refusals_are_no_failures() {
    let drill = drill();
    let client = client(|builder| {
        builder
            .defaults(|config| config.limits.queue_max = 1)
            .host("127.0.0.1", |host| host.concurrency(1).breaker(five(LONG)))
    });
    for n in 0..10 {
        let call = spawn(client.get(drill.url(&format!("/delay/60000?key={n}"))));
        hits(&drill, n + 1).await;
        call.abort();
        at_rest(&client).await;
    }
    let held = spawn(client.get(drill.url("/delay/60000")));
    hits(&drill, 11).await;
    let waits = spawn(client.get(drill.url("/ok")).priority(Priority::Critical));
    eventually("it waits", || client.snapshot().queued == 1).await;
    for _ in 0..10 {
        let error = client.get(drill.url("/ok?key=x")).send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QueueFull);
    }
    let state = client.snapshot();
    assert_eq!((state.hosts[0].failures, state.hosts[0].retries), (0, 0));
    assert_eq!(client.breakers().state(scope_of(&drill)), BreakerState::Closed);
    [held, waits].iter().for_each(Call::abort);
}

#[tokio::test]
async fn deadlines_that_pass_upstream_are_failures() {
    let (drill, client) = (drill(), guarded(LONG));
    for n in 0..5 {
        let call = client.get(drill.url(&format!("/delay/60000?key={n}")));
        let error = call.deadline(Duration::from_millis(60)).send().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    }
    let scope = scope_of(&drill);
    eventually("it opens", || client.breakers().state(&scope) == BreakerState::Open).await;
}

/// Polly#217, Polly#218 (PITFALLS A1).
#[tokio::test]
async fn calls_from_before_the_trip_change_nothing_after_it() {
    let (drill, client) = (drill(), guarded(SHORT));
    let scope = scope_of(&drill);
    let good = spawn(client.get(drill.url("/delay/1000")));
    let bad = spawn(client.get(drill.url("/truncate?bytes=8&key=slow")).no_coalesce());
    let stuck = spawn(client.get(drill.url("/delay/60000?key=old")));
    hits(&drill, 3).await;
    let _ = answer(bad).await;
    client.breakers().reset(&scope);
    let old = spawn(client.get(drill.url("/delay/900?key=old")).no_coalesce());
    drill.wait_for(|ledger| ledger.hits_at("/delay/900") == 1, PATIENCE).await.unwrap();
    fail(&client, &drill.url("/status/503"), 5).await;
    eventually("it admits", || client.breakers().allow_request(&scope)).await;
    let probe = spawn(client.get(drill.url("/delay/60000?key=probe")));
    drill.wait_for(|ledger| ledger.hits_of("probe") == 1, PATIENCE).await.unwrap();
    assert_eq!(answer(good).await.unwrap().status(), 200);
    assert_eq!(answer(old).await.unwrap().status(), 200);
    assert_eq!(client.breakers().state(&scope), BreakerState::HalfOpen);
    assert!(client.get(drill.url("/ok")).send().await.unwrap_err().is_circuit_open());
    [stuck, probe].iter().for_each(Call::abort);
    at_rest(&client).await;
    assert_eq!(client.breakers().state(&scope), BreakerState::HalfOpen);
    assert_eq!(client.get(drill.url("/ok")).send().await.unwrap().status(), 200);
}

/// failsafe#119 (PITFALLS A25).
#[tokio::test]
async fn opening_wakes_those_who_sleep_before_a_retry_with_their_last_answer() {
    let drill = drill();
    let client = client(|builder| {
        builder.host("127.0.0.1", |host| host.breaker(five(LONG))).defaults(|config| {
            let backoff = &mut config.defaults.retry.backoff;
            backoff.base = Duration::from_secs(25);
            backoff.cap = Duration::from_secs(25);
            backoff.jitter = spillgate::actors::core::backoff::Jitter::None;
        })
    });
    let sleeper = spawn(client.get(drill.url("/status/500")));
    hits(&drill, 1).await;
    at_least_one_sleeps(&client).await;
    fail(&client, &drill.url("/status/503"), 4).await;
    let response = answer(sleeper).await.unwrap();
    assert_eq!((response.status().as_u16(), response.report().attempts), (500, 1));
    assert_eq!(drill.hits(), 5);
}

#[tokio::test]
async fn breakers_can_be_off_for_all_and_for_one_call() {
    let (drill, off) = (
        drill(),
        client(|builder| {
            builder.defaults(|config| {
                config.defaults.breaker = Breaker::off();
                config.defaults.retry.attempts_max = 1;
            })
        }),
    );
    fail(&off, &drill.url("/status/503"), 40).await;
    assert_eq!(off.breakers().state(scope_of(&drill)), BreakerState::Closed);
    assert_eq!(drill.hits(), 40);
    let client = guarded(LONG);
    for _ in 0..10 {
        client.get(drill.url("/status/503")).no_breaker().send().await.unwrap();
    }
    assert_eq!(client.breakers().state(scope_of(&drill)), BreakerState::Closed);
    fail(&client, &drill.url("/status/503"), 5).await;
    assert!(client.get(drill.url("/ok")).send().await.unwrap_err().is_circuit_open());
    assert_eq!(client.get(drill.url("/ok")).no_breaker().send().await.unwrap().status(), 200);
    assert_eq!(client.breakers().state(scope_of(&drill)), BreakerState::Open);
}

#[tokio::test]
async fn standard_breaker_opens_at_half_of_twenty() {
    let (drill, client) = (drill(), Client::standard());
    // All of one class: a path that fails alone would get a breaker of its own.
    for n in 0..10 {
        client.get(drill.url(&format!("/status/200?key={n}"))).send().await.unwrap();
    }
    fail(&client, &drill.url("/status/503"), 9).await;
    assert_eq!(client.breakers().state(scope_of(&drill)), BreakerState::Closed);
    fail(&client, &drill.url("/status/503"), 1).await;
    let error = client.get(drill.url("/ok")).send().await.unwrap_err();
    assert!(error.is_circuit_open());
    let event = client.breakers().state(scope_of(&drill));
    assert_eq!(event, BreakerState::Open);
    let _ = OpenReason::FailureRate { failures: 10, calls: 20 };
}

async fn at_least_one_sleeps(client: &Client) {
    eventually("it sleeps", || {
        let state = client.snapshot();
        (state.running, state.queued, state.calls) == (0, 0, 1)
    })
    .await;
}

/// Longer than any of these tests.
const LONG: Duration = Duration::from_secs(50);
/// Short enough to be waited for.
const SHORT: Duration = Duration::from_millis(150);
