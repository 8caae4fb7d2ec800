//! Coalescing over real sockets: who shares a request, and who never does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use spillgate::testing::received::Received;
use spillgate::{Client, ErrorClass, ErrorKind, Key, Priority};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::bench::{
    PATIENCE, answer, at_rest, client, drill, error, eventually, hits, quick, spawn,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_identical_gets_are_one_request() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/delay/300?key=same");
    let calls: Vec<_> = (0..200).map(|_| spawn(client.get(&url))).collect();
    let mut shared = 0;
    for call in calls {
        let response = answer(call).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(!response.bytes().is_empty());
        assert_eq!(response.report().attempts, 1);
        shared += u32::from(response.report().coalesced);
    }
    assert_eq!((drill.hits(), shared), (1, 199));
    assert_eq!(client.snapshot().coalesced, 199);
    at_rest(&client).await;
}

/// undici#4817, undici#5012, ocache#61 (PITFALLS A11).
#[tokio::test]
async fn what_differs_in_credentials_or_headers_is_never_shared() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/delay/300");
    let calls = [
        client.get(&url).bearer_auth("alice"),
        client.get(&url).bearer_auth("bob"),
        client.get(&url).header("cookie", "session=alice"),
        client.get(&url).header("cookie", "session=bob"),
        client.get(&url).header("accept-language", "de"),
        client.get(&url).header("accept-language", "fr"),
        client.get(&url).header("x-list", "a,b"),
        client.get(&url).header("x-list", "a").header("x-list", "b"),
        client.get(&url),
        client.head(&url),
        client.get(&url).no_coalesce(),
    ];
    let count = calls.len() as u64;
    let calls: Vec<_> = calls.into_iter().map(spawn).collect();
    for call in calls {
        assert!(!answer(call).await.unwrap().report().coalesced);
    }
    assert_eq!(drill.hits(), count);
}

#[tokio::test]
async fn posts_are_never_merged() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/delay/200");
    let calls: Vec<_> = (0..5).map(|_| spawn(client.post(&url).body("same"))).collect();
    for call in calls {
        assert_eq!(answer(call).await.unwrap().status(), 200);
    }
    let keyed = || client.put(&url).body("same").idempotency_key(Key::new("one"));
    let calls = [spawn(keyed()), spawn(keyed())];
    for call in calls {
        assert_eq!(answer(call).await.unwrap().status(), 200);
    }
    assert_eq!(drill.hits(), 7);
}

/// undici#5711, undici#5673, coil#3562 (PITFALLS A10).
#[tokio::test]
async fn dropping_the_first_caller_harms_no_other() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/delay/400");
    let first = spawn(client.get(&url));
    hits(&drill, 1).await;
    let others: Vec<_> = (0..9).map(|_| spawn(client.get(&url))).collect();
    eventually("nine joined", || client.snapshot().coalesced == 9).await;
    first.abort();
    for call in others {
        assert_eq!(answer(call).await.unwrap().status(), 200);
    }
    assert_eq!((drill.hits(), drill.aborted("/delay/400")), (1, 0));
    at_rest(&client).await;
}

#[tokio::test]
async fn when_all_callers_drop_the_connection_is_closed_and_the_flight_gone() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/delay/60000");
    let calls: Vec<_> = (0..20).map(|_| spawn(client.get(&url))).collect();
    eventually("all joined", || client.snapshot().coalesced == 19).await;
    hits(&drill, 1).await;
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    drill.wait_for(|ledger| ledger.aborted("/delay/60000") == 1, PATIENCE).await.unwrap();
    at_rest(&client).await;
    assert_eq!(drill.in_flight(), 0);
    let again = spawn(client.get(&url));
    hits(&drill, 2).await;
    again.abort();
    at_rest(&client).await;
}

#[tokio::test]
async fn followers_never_receive_a_cookie() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let joined = Arc::new(tokio::sync::Notify::new());
    let told = joined.clone();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let _ = socket.read(&mut head).await.unwrap();
        told.notified().await;
        let answer = "HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\
                      x-other: stays\r\ncontent-length: 2\r\n\r\nhi";
        socket.write_all(answer.as_bytes()).await.unwrap();
        socket
    });
    let client = Client::standard();
    let calls: Vec<_> = (0..5).map(|_| spawn(client.get(&url))).collect();
    eventually("four joined", || client.snapshot().coalesced == 4).await;
    joined.notify_one();
    let mut cookies = Vec::new();
    for call in calls {
        let response = answer(call).await.unwrap();
        assert_eq!(response.headers()["x-other"], "stays");
        let count = response.headers().get_all("set-cookie").iter().count();
        assert_eq!(response.report().coalesced, count == 0);
        cookies.push(count);
    }
    cookies.sort_unstable();
    assert_eq!(cookies, [0, 0, 0, 0, 2], "only the one who asked has them");
    drop(server.await.unwrap());
}

#[tokio::test]
async fn shorter_deadline_fails_only_its_owner_and_on_time() {
    let (drill, client) = (drill(), Client::standard());
    let url = drill.url("/delay/1500");
    let began = Instant::now();
    let short = spawn(client.get(&url).deadline(Duration::from_millis(500)));
    hits(&drill, 1).await;
    let long = spawn(client.get(&url));
    eventually("it joined", || client.snapshot().coalesced == 1).await;
    let error = error(short).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    let response = answer(long).await.unwrap();
    assert_eq!((response.status().as_u16(), response.report().attempts), (200, 1));
    assert_eq!((drill.hits(), drill.aborted("/delay/1500")), (1, 0));
}

/// rueidis#1014, axios-cache-interceptor#1149 (PITFALLS A12).
#[tokio::test]
async fn failed_flight_gives_each_waiter_its_error_once_and_nobody_fires_again() {
    let (drill, client) = (drill(), quick());
    let held = spawn(client.get(drill.url("/delay/60000")));
    hits(&drill, 1).await;
    let url = drill.url("/close");
    let calls: Vec<_> = (0..50).map(|_| spawn(client.get(&url))).collect();
    for call in calls {
        let error = error(call).await;
        assert_eq!(error.kind(), ErrorKind::ConnectionTerminated, "{error}");
        assert_eq!(error.class(), ErrorClass::Transient);
        assert_eq!(error.report().unwrap().attempts, 4);
    }
    // Those who came after the flight had ended began another, with attempts of its own.
    let flights = 50 - client.snapshot().coalesced;
    assert_eq!(drill.hits_at("/close"), 4 * flights);
    held.abort();
    at_rest(&client).await;
}

#[tokio::test]
async fn callers_with_other_wishes_have_attempts_of_their_own() {
    let (drill, client) = (drill(), quick());
    let url = drill.url("/delay/700");
    let hasty = spawn(client.get(&url).timeout(Duration::from_millis(100)).no_retry());
    hits(&drill, 1).await;
    let patient = spawn(client.get(&url));
    assert_eq!(error(hasty).await.kind(), ErrorKind::HttpResponseTimeout);
    assert_eq!(answer(patient).await.unwrap().status(), 200);
    assert_eq!(drill.hits(), 2);
}

/// A foreground caller hurries the background's request on as long as it waits for it (PITFALLS A21).
#[tokio::test]
async fn joining_foreground_lends_its_rank_and_takes_it_back_when_it_leaves() {
    for (leaves, expected) in [(false, ["shared", "lazy"]), (true, ["lazy", "shared"])] {
        let drill = drill();
        let client = client(|builder| builder.host("127.0.0.1", |host| host.concurrency(1)));
        let held = spawn(client.get(drill.url("/delay/60000?key=held")));
        hits(&drill, 1).await;
        let waits = |n| move |client: &Client| client.snapshot().hosts[0].queued == n;
        let lazy = |key: &str| {
            let call = client.get(drill.url(&format!("/ok?key={key}")));
            spawn(call.priority(Priority::Background))
        };
        let first = lazy("lazy");
        eventually("one waits", || waits([0, 0, 0, 1])(&client)).await;
        let second = lazy("shared");
        eventually("two wait", || waits([0, 0, 0, 2])(&client)).await;
        let urgent = client.get(drill.url("/ok?key=shared")).priority(Priority::Foreground);
        let urgent = spawn(urgent);
        eventually("one is lent a rank", || !waits([0, 0, 0, 2])(&client)).await;
        if leaves {
            urgent.abort();
            eventually("it has its own again", || waits([0, 0, 0, 2])(&client)).await;
        }
        held.abort();
        for call in [first, second] {
            assert_eq!(answer(call).await.unwrap().status(), 200);
        }
        let requests = drill.requests();
        let order: Vec<_> = requests.iter().skip(1).filter_map(Received::key).collect();
        assert_eq!(order, expected);
    }
}
