//! What is for one is told to that one alone, though others wait for the same answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use spillgate::cache::key::Identity;
use spillgate::cache::page::Page;
use spillgate::cache::store::{CacheStore, Keep};
use spillgate::cache::{Cache, CacheOptions};
use spillgate::sidecar::Sidecar;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::origin::{Origin, get, ok, proxy, proxy_over, proxy_to, status};
use crate::bench::{PATIENCE, eventually};

/// Answers of clients that all wait before the origin says a word.
async fn together(options: CacheOptions, origin: &Origin, fields: [&str; 2]) -> [String; 2] {
    let sidecar = proxy_to(origin.addr, options).await;
    let first = get(&sidecar, "/a", fields[0]);
    eventually("the first is at the origin", || origin.count() == 1).await;
    let second = get(&sidecar, "/a", fields[1]);
    eventually("both wait", || sidecar.tally().waiting == 2).await;
    origin.gate(true);
    [first.await.unwrap(), second.await.unwrap()]
}

fn shared() -> CacheOptions {
    CacheOptions { identity: Identity::Shared, ..CacheOptions::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn field_that_is_for_one_reaches_one_client() {
    for said in ["private=\"x-user\"", "no-cache=\"x-user\""] {
        let fields = format!("Cache-Control: max-age=60, {said}\r\nX-User: alice\r\n");
        let origin = Origin::start(move |_| ok(&fields, "body"));
        let answers = together(shared(), &origin, ["", ""]).await;
        assert!(answers[0].contains("x-user: alice"), "{answers:?}");
        assert!(answers[1].contains("collapsed") && !answers[1].contains("alice"), "{answers:?}");
        assert_eq!(origin.count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failure_that_is_for_one_is_told_to_one_client() {
    for said in ["Cache-Control: private\r\n", "Vary: *\r\n", "Vary: X-User\r\n"] {
        let origin = Origin::start(move |head| {
            let user = head.lines().find_map(|line| line.strip_prefix("x-user: "));
            status("503 Service Unavailable", said, &format!("sorry {}.", user.unwrap_or("you")))
        });
        let users = ["X-User: alice\r\n", "X-User: bob\r\n"];
        let [alice, bob] = together(shared(), &origin, users).await;
        assert!(alice.ends_with("sorry alice.") && bob.ends_with("sorry bob."), "{said} {bob}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failure_is_told_to_others_without_its_cookie() {
    let origin =
        Origin::start(|_| status("503 Service Unavailable", "Set-Cookie: id=1\r\n", "down"));
    let answers = together(shared(), &origin, ["", ""]).await;
    assert_eq!(origin.count(), 1);
    assert!(answers[0].contains("set-cookie") && !answers[1].contains("set-cookie"), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_users_private_answer_keeps_nobody_else_from_waiting() {
    let number = AtomicUsize::new(0);
    let origin = Origin::start(move |head| {
        if head.contains("cookie: ") {
            return ok("Cache-Control: private\r\n", "for one");
        }
        let number = number.fetch_add(1, Ordering::SeqCst);
        ok("Cache-Control: max-age=60\r\n", &format!("body {number}"))
    });
    origin.gate(true);
    let sidecar = proxy(&origin).await;
    assert!(get(&sidecar, "/a", "Cookie: id=1\r\n").await.unwrap().ends_with("for one"));
    origin.gate(false);
    let clients = [get(&sidecar, "/a", ""), get(&sidecar, "/a", "")];
    eventually("both wait", || sidecar.tally().waiting == 2).await;
    origin.gate(true);
    for client in clients {
        assert!(client.await.unwrap().ends_with("body 0"));
    }
    assert_eq!(origin.count(), 2);
}

/// A store of the service's own that cannot take anything.
struct Broken;

impl CacheStore for Broken {
    fn get(&self, _: &[u8; 32]) -> Option<Arc<Page>> {
        None
    }

    fn update(&self, _: [u8; 32], _: &mut dyn FnMut(Option<&Page>) -> Keep) {
        panic!("it is broken")
    }

    fn remove(&self, _: &[u8; 32]) {}

    fn visit(&self, _: &mut dyn FnMut(&Page) -> Keep) {}

    fn resize(&self, _: u64) {}

    fn page_bytes_max(&self) -> u64 {
        1 << 20
    }

    fn len(&self) -> usize {
        0
    }

    fn bytes(&self) -> u64 {
        0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_that_panics_leaves_no_answer_behind() {
    let number = AtomicUsize::new(0);
    let origin = Origin::start(move |_| {
        let number = number.fetch_add(1, Ordering::SeqCst);
        ok("Cache-Control: max-age=60\r\n", &format!("body {number}"))
    });
    origin.gate(true);
    let cache = Cache::new(CacheOptions::default(), Arc::new(Broken), [7; 32]);
    let sidecar = proxy_over(origin.addr, cache).await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|answer: &String| !answer.ends_with("body 2")) {
        assert!(seen.len() < 1_000, "an answer that was not stored is given for ever");
        seen.push(get(&sidecar, "/a", "").await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_beyond_the_cap_whose_client_left_holds_nothing_up() {
    let (number, body) = (AtomicUsize::new(0), "x".repeat(64 << 20));
    let origin = Origin::start(move |_| {
        let first = number.fetch_add(1, Ordering::SeqCst) == 0;
        ok("Cache-Control: max-age=60\r\n", if first { &body } else { "short" })
    });
    let sidecar = proxy(&origin).await;
    let client = get(&sidecar, "/a", "");
    eventually("it waits", || (origin.count(), sidecar.tally().waiting) == (1, 1)).await;
    client.abort();
    eventually("it is gone", || sidecar.tally().waiting == 0).await;
    origin.gate(true);
    eventually("the origin is let go", || {
        let (begun, ended) = origin.connections();
        begun == ended
    })
    .await;
    origin.gate(false);
    let clients = [get(&sidecar, "/a", ""), get(&sidecar, "/a", "")];
    eventually("both wait for another", || sidecar.tally().waiting == 2).await;
    origin.gate(true);
    for client in clients {
        assert!(client.await.unwrap().ends_with("short"));
    }
    assert_eq!(origin.count(), 2);
}

/// Asks for a path and reads as much of the answer.
async fn read_some(sidecar: &Sidecar, path: &str, until: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(sidecar.addrs()[0]).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    while !answer.ends_with(until) {
        let mut chunk = [0; 1_024];
        let count = tokio::time::timeout(PATIENCE, stream.read(&mut chunk)).await;
        let count = count.expect("the answer comes").unwrap();
        assert!(count > 0, "{answer}");
        answer.push_str(std::str::from_utf8(&chunk[..count]).unwrap());
    }
    (stream, answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_comes_while_the_body_does_reads_along() {
    let fields = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 9\r\n\r\n";
    let origin = Origin::start(move |_| format!("{fields}begun"));
    origin.gate(true);
    let sidecar = proxy(&origin).await;
    let (_first, answer) = read_some(&sidecar, "/a", "begun").await;
    assert!(!answer.contains("collapsed"), "{answer}");
    let (_second, answer) = read_some(&sidecar, "/a", "begun").await;
    assert!(answer.contains("collapsed"), "{answer}");
    assert_eq!(origin.count(), 1);
}
