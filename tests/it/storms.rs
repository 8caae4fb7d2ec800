//! Storms over real sockets: many callers at once, and how much of it the upstream sees.

use std::net::TcpListener;
use std::time::Duration;

use futures_util::future::join_all;
use spillgate::testing::Drill;
use spillgate::testing::ledger::Ledger;
use spillgate::{Breaker, Client, ErrorKind};

use crate::bench::{
    Call, PATIENCE, answer, at_rest, client, drill, error, eventually, hits, spawn,
};

/// reqwest-middleware#146 (PITFALLS A14): those who wait behind the ones that were told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn herd_behind_a_retry_after_comes_no_sooner_and_spread() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/status/429?retry_after=2&times=6&key=herd");
    let calls: Vec<_> = (0..300).map(|_| spawn(client.get(&url).no_coalesce())).collect();
    for call in calls {
        assert_eq!(answer(call).await.unwrap().status(), 200);
    }
    let arrivals = drill.arrivals_of("herd");
    assert_eq!(arrivals.len(), 306, "six were told, and come again like all others");
    let asked = arrivals[0] + HINT;
    assert!(arrivals[6..].iter().all(|at| *at >= asked), "{:?}", arrivals[6] - arrivals[0]);
    let waits = arrivals[6..].iter().map(|at| *at - asked).collect();
    assert!(spread(waits) >= HINT / 5, "all at once");
}

/// reqwest-middleware#146 (PITFALLS A14): clients that know nothing of each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn herd_of_hundred_clients_comes_no_sooner_and_spread() {
    let drill = drill();
    let clients: Vec<_> = (0..100).map(|_| Client::standard()).collect();
    let key = |n: usize, call: usize| format!("{n}-{call}");
    let call = |n: usize, call: usize| {
        let path = format!("/status/503?retry_after=2&times=1&key={}", key(n, call));
        spawn(clients[n].get(drill.url(&path)))
    };
    let calls: Vec<_> = (0..300).map(|n| call(n / 3, n % 3)).collect();
    for call in calls {
        assert_eq!(answer(call).await.unwrap().status(), 200);
    }
    let waits: Vec<_> = (0..300)
        .map(|n| {
            let arrivals = drill.arrivals_of(&key(n / 3, n % 3));
            assert_eq!(arrivals.len(), 2, "call {n} is told once");
            let wait = (arrivals[1] - arrivals[0]).checked_sub(HINT);
            wait.expect("nobody comes sooner than asked")
        })
        .collect();
    assert_eq!(drill.hits(), 600);
    assert!(spread(waits) >= HINT / 5, "all at once");
}

/// undici#5711, undici#5673, coil#3562 (PITFALLS A10): whoever leads, leaves.
#[tokio::test]
async fn leaders_that_leave_one_after_the_other_cost_no_second_request() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/delay/1500");
    let first = spawn(client.get(&url));
    hits(&drill, 1).await;
    let followers: Vec<_> = (0..200).map(|_| spawn(client.get(&url))).collect();
    eventually("they joined", || client.snapshot().coalesced == 200).await;
    first.abort();
    let (leaving, staying) = followers.split_at(100);
    for (left, call) in leaving.iter().enumerate() {
        call.abort();
        eventually("it left", || client.snapshot().calls < 200 - left).await;
    }
    assert_eq!((drill.hits(), drill.in_flight()), (1, 1));
    assert!(staying.iter().all(|call| !call.is_finished()), "the answer is to come");
    for call in followers.into_iter().skip(100) {
        let response = answer(call).await.unwrap();
        assert_eq!((response.status().as_u16(), response.report().attempts), (200, 1));
    }
    assert_eq!((drill.hits(), drill.aborted("/delay/1500")), (1, 0));
    at_rest(&client).await;
}

/// failsafe-go#141, smithy-rs#1197, aws-sdk-rust#1234 (PITFALLS A15).
#[tokio::test]
async fn upstream_sees_a_tenth_more_than_succeeds_and_the_credit_at_any_share_of_failures() {
    let calls = 400;
    for (path, successes_max) in
        [("/flap?ok=0&fail=1", 0), ("/flap?ok=1&fail=1", calls), ("/flap?ok=9&fail=1", calls)]
    {
        let (drill, client) = (drill(), unguarded(6));
        for batch in 0..calls / 4 {
            let one = || client.get(drill.url(path)).no_coalesce().send();
            let answers = join_all((0..4).map(|_| one())).await;
            assert!(answers.iter().all(Result::is_ok), "{path}, batch {batch}");
        }
        let most = calls + successes_max / 10 + CREDIT;
        assert!(drill.hits() <= most, "{path}: {} of at most {most}", drill.hits());
        let host = &client.snapshot().hosts[0];
        assert_eq!(host.attempts, drill.hits(), "{path}: what was sent arrived");
        assert_eq!(host.retries, drill.hits() - calls, "{path}");
    }
}

/// failsafe-go#141 (PITFALLS A15): connections that break, before the answer and in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_broken_connections_leave_nothing_behind_and_keep_to_the_budget() {
    let (drill, client) = (drill(), unguarded(24));
    let paths = ["/reset?", "/reset?after=100&", "/truncate?bytes=64&", "/close?"];
    let calls: Vec<_> = (0..1_000)
        .map(|n| spawn(client.get(drill.url(&format!("{}key={n}", paths[n % paths.len()])))))
        .collect();
    for call in calls {
        let error = error(call).await;
        let broken = [ErrorKind::ConnectionTerminated, ErrorKind::HttpResponseIncomplete];
        assert!(broken.contains(&error.kind()), "{error}");
    }
    at_rest(&client).await;
    drill.wait_for(|ledger| ledger.in_flight() == 0, PATIENCE).await.unwrap();
    assert!(drill.hits() <= 1_000 + CREDIT, "{}", drill.hits());
    assert!(drill.hits() >= 1_000 && drill.peak() <= 24, "{}", drill.peak());
    assert_eq!(client.get(drill.url("/ok")).send().await.unwrap().status(), 200);
}

/// failsafe#393, solr#4236 (PITFALLS A9).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiters_that_leave_as_slots_come_free_take_none_with_them() {
    let (drill, client) = (drill(), Client::standard());
    let calls: Vec<_> = (0..600)
        .map(|n| {
            let call = client.get(drill.url(&format!("/delay/5?key={n}")));
            let deadline = Duration::from_millis(if n % 3 == 0 { 5 + n / 3 } else { 20_000 });
            spawn(call.deadline(deadline))
        })
        .collect();
    for (n, call) in calls.iter().enumerate().filter(|(n, _)| n % 3 == 1) {
        // In step with the slots that come free.
        hits(&drill, n as u64 / 8).await;
        call.abort();
    }
    for (n, call) in calls.into_iter().enumerate().filter(|(n, _)| n % 3 != 1) {
        match answer(call).await {
            Ok(response) => assert_eq!(response.status(), 200),
            Err(error) => {
                // It was in time to be told so at once, or it waited in vain.
                let late = [ErrorKind::QueueFull, ErrorKind::DeadlineExceeded];
                assert!(n % 3 == 0 && late.contains(&error.kind()), "{n}: {error}");
            }
        }
    }
    at_rest(&client).await;
    assert!(drill.peak() <= 6 && drill.hits() >= 200, "{} of {}", drill.peak(), drill.hits());
    let slots = client.snapshot().hosts[0].slots_max;
    let held: Vec<_> = (0..slots)
        .map(|n| spawn(client.get(drill.url(&format!("/delay/60000?key={n}")))))
        .collect();
    let all = |ledger: &Ledger| ledger.in_flight() == slots as usize;
    drill.wait_for(all, PATIENCE).await.expect("every slot can be had");
    held.iter().for_each(Call::abort);
    at_rest(&client).await;
}

/// Dead hosts take their own slots and nobody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_and_silent_hosts_cost_the_living_nothing() {
    let living = Drill::builder().hosts(2).start().unwrap();
    let client = Client::standard();
    // It takes connections as far as the system does it alone, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let calls_to = |authority: std::net::SocketAddr| -> Vec<Call> {
        let call = |n| client.get(format!("http://{authority}/ok?key={n}")).timeout(PATIENCE);
        (0..40).map(|n| spawn(call(n))).collect()
    };
    let hanging = calls_to(silent.local_addr().unwrap());
    let refused = calls_to(dead);
    eventually("the silent host's slots are taken", || {
        let state = client.snapshot();
        let of_silent = state.hosts.iter().find(|host| host.running == 6);
        of_silent.is_some_and(|host| host.queued.iter().sum::<usize>() == 34)
    })
    .await;
    let good: Vec<_> = (0..400)
        .map(|n| spawn(client.get(living.url_on(n % 2, &format!("/ok?key={n}")))))
        .collect();
    for call in good {
        assert_eq!(answer(call).await.unwrap().status(), 200);
    }
    assert!(hanging.iter().all(|call| !call.is_finished()), "the living were first");
    assert_eq!((living.hits(), living.peak_per_host() <= 6), (400, true));
    for call in refused {
        let kind = error(call).await.kind();
        let fits = [ErrorKind::ConnectionRefused, ErrorKind::CircuitOpen].contains(&kind);
        assert!(fits, "{}", kind.name());
    }
    let state = client.snapshot();
    let host = state.hosts.iter().find(|host| host.running > 0).unwrap();
    assert_eq!((host.running, host.running_peak), (6, 6));
    hanging.iter().rev().for_each(Call::abort);
    at_rest(&client).await;
}

/// A client with this many slots that retries at once and has no breaker.
fn unguarded(slots: u32) -> Client {
    client(|builder| {
        builder.defaults(|config| {
            config.defaults.concurrency = slots;
            config.defaults.breaker = Breaker::off();
            config.defaults.retry.backoff.base = Duration::from_millis(1);
            config.defaults.retry.backoff.cap = Duration::from_millis(2);
        })
    })
}

/// The time in which the middle eight of ten arrive: hiccups of the machine move the others.
fn spread(mut waits: Vec<Duration>) -> Duration {
    waits.sort_unstable();
    let (low, high) = (waits.len() / 10, waits.len() * 9 / 10);
    waits[high].saturating_sub(waits[low])
}

/// What the drill asks for.
const HINT: Duration = Duration::from_secs(2);
/// Retries that are paid for before any success.
const CREDIT: u64 = 10;
