//! Fifty clients at once: one request where one answer is for all, fifty where it is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use spillgate::actors::core::cache::rules::{Rules, SetCookie};
use spillgate::cache::CacheOptions;
use spillgate::cache::key::Identity;
use spillgate::sidecar::Sidecar;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::origin::{Origin, get, ok, proxy, proxy_to, status};
use crate::bench::eventually;

const CLIENTS: u64 = 50;

/// Answers of fifty clients that all wait before the origin says a word.
async fn burst(sidecar: &Sidecar, origin: &Origin, path: &str) -> Vec<String> {
    origin.gate(false);
    let clients: Vec<_> = (0..CLIENTS).map(|_| get(sidecar, path, "")).collect();
    eventually("all wait", || sidecar.tally().waiting == CLIENTS).await;
    origin.gate(true);
    let mut answers = Vec::new();
    for client in clients {
        answers.push(client.await.unwrap());
    }
    answers
}

fn numbered(fields: &'static str) -> Origin {
    let number = AtomicUsize::new(0);
    Origin::start(move |_| ok(fields, &format!("body {}", number.fetch_add(1, Ordering::SeqCst))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cold_cacheable_burst_is_one_request_and_then_none() {
    let origin = numbered("Cache-Control: max-age=60\r\n");
    let sidecar = proxy(&origin).await;
    let answers = burst(&sidecar, &origin, "/a").await;
    assert!(answers.iter().all(|answer| answer.ends_with("body 0")), "{answers:?}");
    let collapsed = answers.iter().filter(|answer| answer.contains("collapsed")).count();
    assert_eq!((origin.count(), collapsed), (1, 49));
    assert!(get(&sidecar, "/a", "").await.unwrap().contains("hit"));
    assert_eq!(origin.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uncacheable_burst_is_released_together_and_its_repeat_never_waits() {
    for fields in ["Cache-Control: no-store\r\n", "Cache-Control: private\r\n", "Vary: *\r\n"] {
        let origin = numbered(fields);
        let sidecar = proxy(&origin).await;
        let mut answers = burst(&sidecar, &origin, "/a").await;
        assert_eq!(origin.count(), 50, "{fields}");
        origin.gate(false);
        let again: Vec<_> = (0..CLIENTS).map(|_| get(&sidecar, "/a", "")).collect();
        // All are at the origin at once: nobody waits for another's answer.
        eventually("all arrive", || origin.count() == 100).await;
        assert_eq!(sidecar.tally().waiting, 0);
        origin.gate(true);
        for client in again {
            answers.push(client.await.unwrap());
        }
        let mut bodies: Vec<_> =
            answers.iter().filter_map(|answer| answer.split("body ").nth(1)).collect();
        bodies.sort_unstable();
        bodies.dedup();
        assert_eq!(bodies.len(), 100, "{fields}: each has its own");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookie_is_for_the_one_whose_answer_it_is() {
    let number = AtomicUsize::new(0);
    let origin = Origin::start(move |_| {
        let number = number.fetch_add(1, Ordering::SeqCst);
        let fields = format!("Cache-Control: max-age=60\r\nSet-Cookie: id={number}\r\n");
        ok(&fields, &format!("body {number}"))
    });
    let sidecar = proxy(&origin).await;
    let answers = burst(&sidecar, &origin, "/a").await;
    assert_eq!(origin.count(), 50);
    for answer in answers {
        let body = answer.split("body ").nth(1).unwrap();
        assert!(answer.contains(&format!("set-cookie: id={body}\r\n")), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookie_that_may_be_stored_is_not_shared_on_its_way() {
    let number = AtomicUsize::new(0);
    let origin = Origin::start(move |_| {
        let number = number.fetch_add(1, Ordering::SeqCst);
        let fields = format!("Cache-Control: max-age=60\r\nSet-Cookie: id={number}\r\n");
        ok(&fields, &format!("body {number}"))
    });
    let rules = Rules { set_cookie: SetCookie::Store, ..Rules::default() };
    let options = CacheOptions { rules, identity: Identity::Shared, ..CacheOptions::default() };
    let sidecar = proxy_to(origin.addr, options).await;
    let answers = burst(&sidecar, &origin, "/a").await;
    assert_eq!(origin.count(), 50);
    for answer in answers {
        let body = answer.split("body ").nth(1).unwrap();
        assert!(answer.contains(&format!("set-cookie: id={body}\r\n")), "{answer}");
    }
    assert!(get(&sidecar, "/a", "").await.unwrap().contains("hit"), "the preset stores it");
    assert_eq!(origin.count(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn public_cookie_reaches_one_client() {
    let origin = numbered("Cache-Control: public, max-age=60\r\nSet-Cookie: id=1\r\n");
    let sidecar = proxy(&origin).await;
    let mut answers = burst(&sidecar, &origin, "/a").await;
    answers.push(get(&sidecar, "/a", "").await.unwrap());
    let cookies = answers.iter().filter(|answer| answer.contains("set-cookie")).count();
    assert_eq!((origin.count(), cookies), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authorization_never_waits_and_never_gets_anothers() {
    let origin = Origin::start(|head| {
        let name = head.lines().find_map(|line| line.strip_prefix("authorization: "));
        ok("Cache-Control: max-age=60\r\n", &format!("for {}.", name.unwrap_or("nobody")))
    });
    let sidecar = proxy(&origin).await;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| get(&sidecar, "/a", &format!("Authorization: user{number}\r\n")))
        .collect();
    eventually("all arrive", || origin.count() == 50).await;
    assert_eq!(sidecar.tally().waiting, 0);
    origin.gate(true);
    for (number, client) in clients.into_iter().enumerate() {
        assert!(client.await.unwrap().ends_with(&format!("for user{number}.")));
    }
    assert!(get(&sidecar, "/a", "").await.unwrap().ends_with("for nobody."));
    assert!(get(&sidecar, "/a", "Authorization: other\r\n").await.unwrap().ends_with("other."));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failure_is_told_to_all_once() {
    let origin = Origin::start(|_| status("503 Service Unavailable", "", "down"));
    let sidecar = proxy(&origin).await;
    let answers = burst(&sidecar, &origin, "/a").await;
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 503")), "{answers:?}");
    assert_eq!(origin.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_burst_is_one_validation() {
    let origin = Origin::start(|head| {
        if head.contains("if-none-match: \"a\"") {
            return status("304 Not Modified", "ETag: \"a\"\r\nCache-Control: max-age=60\r\n", "")
                .replace("Content-Length: 0\r\n", "");
        }
        ok("ETag: \"a\"\r\nCache-Control: max-age=5\r\nAge: 9\r\n", "kept")
    });
    let sidecar = proxy(&origin).await;
    origin.gate(true);
    get(&sidecar, "/a", "").await.unwrap();
    let answers = burst(&sidecar, &origin, "/a").await;
    assert!(answers.iter().all(|answer| answer.ends_with("kept")), "{answers:?}");
    assert_eq!(origin.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_is_served_to_all_while_one_refresh_is_under_way() {
    let number = AtomicUsize::new(0);
    let origin = Origin::start(move |_| {
        let number = number.fetch_add(1, Ordering::SeqCst);
        let age = if number == 0 { "Age: 9\r\n" } else { "" };
        let said = "Cache-Control: max-age=5, stale-while-revalidate=60\r\n";
        ok(&format!("{said}{age}"), &format!("body {number}"))
    });
    let sidecar = proxy(&origin).await;
    origin.gate(true);
    get(&sidecar, "/a", "").await.unwrap();
    origin.gate(false);
    for client in (0..CLIENTS).map(|_| get(&sidecar, "/a", "")).collect::<Vec<_>>() {
        assert!(client.await.unwrap().ends_with("body 0"), "the refresh has no answer yet");
    }
    eventually("the refresh is under way", || origin.count() == 2).await;
    origin.gate(true);
    let mut fresh = false;
    while !fresh {
        fresh = get(&sidecar, "/a", "").await.unwrap().ends_with("body 1");
    }
    assert_eq!(origin.count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_stands_in_for_failures_and_resets() {
    for broken in ["HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n", "garbage\r\n\r\n"] {
        let number = AtomicUsize::new(0);
        let origin = Origin::start(move |_| {
            if number.fetch_add(1, Ordering::SeqCst) > 0 {
                return broken.to_owned();
            }
            ok("Cache-Control: max-age=5, stale-if-error=60\r\nAge: 9\r\n", "kept")
        });
        let options =
            CacheOptions { back_off: Duration::from_secs(3_600), ..CacheOptions::default() };
        let sidecar = proxy_to(origin.addr, options).await;
        origin.gate(true);
        get(&sidecar, "/a", "").await.unwrap();
        let mut answers = burst(&sidecar, &origin, "/a").await;
        // Whoever comes after the failure does not ask for another.
        answers.push(get(&sidecar, "/a", "").await.unwrap());
        for answer in answers {
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("kept"), "{answer}");
            assert!(answer.contains("stale-if-error"), "{answer}");
        }
        assert_eq!(origin.count(), 2, "{broken}");
        // Whoever insists is not kept from it.
        get(&sidecar, "/a", "Cache-Control: no-cache\r\n").await.unwrap();
        assert_eq!(origin.count(), 3, "{broken}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leader_that_leaves_takes_nobody_along() {
    let origin = numbered("Cache-Control: max-age=60\r\n");
    let sidecar = proxy(&origin).await;
    let leader = get(&sidecar, "/a", "");
    eventually("the leader is at the origin", || origin.count() == 1).await;
    let others: Vec<_> = (1..CLIENTS).map(|_| get(&sidecar, "/a", "")).collect();
    eventually("all wait", || sidecar.tally().waiting == CLIENTS).await;
    leader.abort();
    eventually("the leader is gone", || sidecar.tally().waiting == CLIENTS - 1).await;
    origin.gate(true);
    for other in others {
        assert!(other.await.unwrap().ends_with("body 0"));
    }
    assert_eq!(origin.count(), 1);
}

/// Pitfall A10: nobody is left to hear it, so the upstream is let go, and who comes next begins anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flight_that_all_have_left_is_ended() {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sidecar = proxy_to(origin.local_addr().unwrap(), CacheOptions::default()).await;
    let clients: Vec<_> = (0..CLIENTS).map(|_| get(&sidecar, "/a", "")).collect();
    let (mut upstream, _) = origin.accept().await.unwrap();
    eventually("all wait", || sidecar.tally().waiting == CLIENTS).await;
    clients.iter().for_each(tokio::task::JoinHandle::abort);
    // The head, and then the end.
    upstream.read_to_end(&mut Vec::new()).await.unwrap();
    let next = get(&sidecar, "/a", "");
    let (mut upstream, _) = origin.accept().await.unwrap();
    let read = upstream.read(&mut [0; 1024]).await.unwrap();
    assert!(read > 0, "the next asks anew");
    upstream.write_all(ok("", "new").as_bytes()).await.unwrap();
    let answer = next.await.unwrap();
    assert!(answer.ends_with("new"), "{answer}");
    assert_eq!(sidecar.tally().forwarded, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_variants_stay_bounded_and_right() {
    let origin = Origin::start(|head| {
        let line = head.lines().find_map(|line| line.strip_prefix("x-lane: ")).unwrap();
        ok("Cache-Control: max-age=60\r\nVary: X-Lane\r\n", &format!("lane {line}."))
    });
    let (sidecar, origin) = (Arc::new(proxy(&origin).await), origin);
    origin.gate(true);
    let mut workers = Vec::new();
    for worker in 0..20 {
        let sidecar = sidecar.clone();
        workers.push(tokio::spawn(async move {
            for lane in (0..100).map(|number| worker * 100 + number) {
                let answer = get(&sidecar, "/a", &format!("X-Lane: {lane}\r\n")).await.unwrap();
                assert!(answer.ends_with(&format!("lane {lane}.")), "{answer}");
            }
        }));
    }
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(sidecar.cache().size().0, 1, "one address");
    assert!(sidecar.cache().size().1 < 128 * 1024, "{:?}", sidecar.cache().size());
    assert!(origin.count() >= 2_000);
}
