//! Slots and the queue over real sockets: nobody waits for another host, the urgent go first.

use std::time::{Duration, Instant};

use spillgate::testing::Drill;
use spillgate::{Client, ErrorClass, ErrorKind, Priority};

use crate::bench::{
    Call, PATIENCE, answer, at_rest, client, drill, error, eventually, hits, spawn,
};

#[tokio::test]
async fn stuck_host_never_slows_another() {
    let (stuck, well, client) = (drill(), drill(), Client::standard());
    let held = fill(&client, &stuck).await;
    let waiting: Vec<_> =
        (0..50).map(|n| spawn(client.get(stuck.url(&format!("/ok?key={n}"))))).collect();
    eventually("they wait", || client.snapshot().queued == 50).await;
    for n in 0..60 {
        let response = client.get(well.url(&format!("/ok?key={n}"))).send().await.unwrap();
        assert!(response.report().queue_wait < Duration::from_millis(250));
    }
    assert_eq!((stuck.hits(), well.hits()), (6, 60));
    // The waiting first: a slot that is free is theirs as long as they are there.
    waiting.iter().chain(&held).for_each(Call::abort);
    at_rest(&client).await;
    assert_eq!(stuck.hits(), 6, "nothing is sent for those who left");
}

#[tokio::test]
async fn stuck_host_with_a_full_queue_never_stops_another() {
    let (stuck, well) = (drill(), drill());
    let client = client(|builder| builder.defaults(|config| config.limits.queue_max = 10));
    let held = fill(&client, &stuck).await;
    let waiting: Vec<_> =
        (0..10).map(|n| spawn(client.get(stuck.url(&format!("/ok?key={n}"))))).collect();
    eventually("the queue is full", || client.snapshot().queued == 10).await;
    for _ in 0..5 {
        assert_eq!(client.get(well.url("/ok")).send().await.unwrap().status(), 200);
    }
    assert_eq!(client.snapshot().queued, 10, "nobody was shed for it");
    held.iter().chain(&waiting).for_each(Call::abort);
    at_rest(&client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreground_behind_five_hundred_background_is_sent_next() {
    let drill = drill();
    let client = client(|builder| builder.host("127.0.0.1", |host| host.concurrency(1)));
    let first = spawn(client.get(drill.url("/delay/60000?key=first")));
    hits(&drill, 1).await;
    let lazy: Vec<_> = (0..500)
        .map(|n| client.get(drill.url(&format!("/ok?key=lazy{n}"))).priority(Priority::Background))
        .map(spawn)
        .collect();
    eventually("they wait", || client.snapshot().queued == 500).await;
    let url = drill.url("/ok?key=urgent");
    let urgent = spawn(client.get(url).priority(Priority::Foreground));
    eventually("it waits too", || client.snapshot().queued == 501).await;
    first.abort();
    assert_eq!(answer(urgent).await.unwrap().status(), 200);
    let order: Vec<_> =
        drill.requests().iter().filter_map(|r| r.key().map(str::to_owned)).collect();
    assert_eq!(order[1], "urgent", "{:?}", &order[..3]);
    lazy.iter().for_each(Call::abort);
    at_rest(&client).await;
}

#[tokio::test]
async fn full_queue_refuses_background_first_with_a_typed_error() {
    let drill = drill();
    let client = client(|builder| builder.defaults(|config| config.limits.queue_max = 3));
    let held = fill(&client, &drill).await;
    let send = |key: &str, priority| {
        spawn(client.get(drill.url(&format!("/ok?key={key}"))).priority(priority))
    };
    let mut lazy = Vec::new();
    for n in 0..3 {
        lazy.push(send(&format!("lazy{n}"), Priority::Background));
        eventually("it waits", || client.snapshot().queued == n + 1).await;
    }
    let refused = error(send("lazy3", Priority::Background)).await;
    assert_eq!((refused.kind(), refused.class()), (ErrorKind::QueueFull, ErrorClass::Rejected));
    assert_eq!(refused.report().unwrap().attempts, 0);
    assert!(refused.message().contains("queue is full"), "{refused}");
    let urgent = send("urgent", Priority::Foreground);
    let shed = error(lazy.pop().unwrap()).await;
    assert_eq!((shed.kind(), shed.class()), (ErrorKind::QueueFull, ErrorClass::Rejected));
    held.iter().for_each(Call::abort);
    assert_eq!(answer(urgent).await.unwrap().status(), 200);
    for call in lazy {
        assert_eq!(answer(call).await.unwrap().status(), 200);
    }
    assert_eq!((drill.hits_of("lazy2"), drill.hits_of("lazy3")), (0, 0));
}

/// PITFALLS A20: the urgent never end, and one in ten turns is not theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn background_behind_endless_critical_traffic_has_its_turn() {
    let drill = drill();
    let client = client(|builder| builder.host("127.0.0.1", |host| host.concurrency(1)));
    let first = spawn(client.get(drill.url("/delay/60000?key=first")));
    hits(&drill, 1).await;
    let send = |key: String, priority| {
        spawn(client.get(drill.url(&format!("/ok?key={key}"))).priority(priority))
    };
    let mut urgent: Vec<_> =
        (0..100).map(|n| send(format!("urgent{n}"), Priority::Critical)).collect();
    eventually("they wait", || client.snapshot().queued == 100).await;
    let lazy = send("lazy".to_owned(), Priority::Background);
    eventually("it waits too", || client.snapshot().queued == 101).await;
    urgent.extend((100..200).map(|n| send(format!("urgent{n}"), Priority::Critical)));
    eventually("all wait", || client.snapshot().queued == 201).await;
    first.abort();
    assert_eq!(answer(lazy).await.unwrap().status(), 200);
    let requests = drill.requests();
    let place = requests.iter().position(|request| request.key() == Some("lazy")).unwrap();
    assert!(place <= 11, "within ten turns, not {place}");
    urgent.iter().for_each(Call::abort);
    at_rest(&client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polite_caller_is_served_within_two_turns_of_one_who_floods() {
    let drill = drill();
    let client = client(|builder| builder.host("127.0.0.1", |host| host.concurrency(1)));
    let first = spawn(client.get(drill.url("/delay/60000?key=first")));
    hits(&drill, 1).await;
    let flood: Vec<_> = (0..200)
        .map(|n| spawn(client.get(drill.url(&format!("/ok?key=flood{n}"))).caller("tenant-7")))
        .collect();
    eventually("they wait", || client.snapshot().queued == 200).await;
    let polite = spawn(client.get(drill.url("/ok?key=polite")).caller("tenant-8"));
    eventually("it waits too", || client.snapshot().queued == 201).await;
    first.abort();
    assert_eq!(answer(polite).await.unwrap().status(), 200);
    let requests = drill.requests();
    let place = requests.iter().position(|request| request.key() == Some("polite")).unwrap();
    assert!(place <= 2, "after the first and one of the flood, not {place}th");
    for call in flood {
        assert_eq!(answer(call).await.unwrap().status(), 200);
    }
    assert_eq!(drill.hits(), 202, "and nobody is forgotten");
}

#[tokio::test]
async fn caller_who_fills_the_queue_makes_room_for_one_with_nothing_in_it() {
    let drill = drill();
    let client = client(|builder| builder.defaults(|config| config.limits.queue_max = 3));
    let held = fill(&client, &drill).await;
    let send = |key: &str, caller: &'static str| {
        spawn(client.get(drill.url(&format!("/ok?key={key}"))).caller(caller))
    };
    let mut flood = Vec::new();
    for n in 0..3 {
        flood.push(send(&format!("flood{n}"), "tenant-7"));
        eventually("it waits", || client.snapshot().queued == n + 1).await;
    }
    let polite = send("polite", "tenant-8");
    let shed = error(flood.pop().unwrap()).await;
    assert_eq!((shed.kind(), shed.class()), (ErrorKind::QueueFull, ErrorClass::Rejected));
    held.iter().for_each(Call::abort);
    assert_eq!(answer(polite).await.unwrap().status(), 200);
    for call in flood {
        assert_eq!(answer(call).await.unwrap().status(), 200);
    }
    assert_eq!(drill.hits_of("flood2"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_per_host_and_over_all() {
    let drill = Drill::builder().hosts(6).start().unwrap();
    let client = Client::standard();
    let calls: Vec<_> = (0..180)
        .map(|n| spawn(client.get(drill.url_on(n % 6, &format!("/delay/20?key={n}")))))
        .collect();
    for call in calls {
        assert_eq!(answer(call).await.unwrap().status(), 200);
    }
    assert_eq!(drill.hits(), 180);
    assert!(drill.peak_per_host() <= 6, "{}", drill.peak_per_host());
    assert!(drill.peak() <= 24, "{}", drill.peak());
    assert_eq!(client.snapshot().running_peak, 24, "the slots are used");
    at_rest(&client).await;
}

#[tokio::test]
async fn deadline_ends_a_call_that_only_waited() {
    let (drill, client) = (drill(), Client::standard());
    let held = fill(&client, &drill).await;
    let began = Instant::now();
    let call = client.get(drill.url("/ok")).deadline(Duration::from_millis(300));
    let error = call.send().await.unwrap_err();
    assert!(began.elapsed() < Duration::from_millis(650), "{:?}", began.elapsed());
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    let report = error.report().unwrap();
    assert_eq!(report.attempts, 0);
    assert!(report.queue_wait >= Duration::from_millis(200), "{:?}", report.queue_wait);
    eventually("it waits no more", || client.snapshot().hosts[0].queued == [0; 4]).await;
    held.iter().for_each(Call::abort);
    at_rest(&client).await;
    assert_eq!(drill.hits(), 6);
}

#[tokio::test]
async fn every_kind_of_priority_is_counted_where_it_waits() {
    let (drill, client) = (drill(), Client::standard());
    let held = fill(&client, &drill).await;
    let waiting: Vec<_> = Priority::ALL
        .into_iter()
        .map(|p| spawn(client.get(drill.url(&format!("/ok?key={}", p.name()))).priority(p)))
        .collect();
    eventually("one waits in each", || client.snapshot().hosts[0].queued == [1; 4]).await;
    waiting.iter().for_each(Call::abort);
    eventually("none waits", || client.snapshot().hosts[0].queued == [0; 4]).await;
    held.iter().for_each(Call::abort);
    at_rest(&client).await;
}

/// Takes all six slots of a drill until the calls are dropped.
async fn fill(client: &Client, drill: &Drill) -> Vec<Call> {
    let held: Vec<_> = (0..6)
        .map(|n| spawn(client.get(drill.url(&format!("/delay/60000?key=held{n}"))).no_retry()))
        .collect();
    drill.wait_for(|ledger| ledger.in_flight() == 6, PATIENCE).await.unwrap();
    held
}
