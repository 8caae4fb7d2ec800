//! Clients that keep a connection waiting: each is sent away, and told so where there is a way to.

use std::time::Duration;

use spillgate::cache::CacheOptions;
use spillgate::sidecar::Sidecar;
use spillgate::sidecar::bounds::Bounds;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::origin::{Origin, ok, proxy_with, status};
use crate::bench::{PATIENCE, eventually};

const SHORT: Duration = Duration::from_millis(100);

async fn proxy(origin: &Origin, change: impl FnOnce(&mut Bounds)) -> Sidecar {
    proxy_with(origin.addr, CacheOptions::default(), |listener| change(&mut listener.bounds)).await
}

/// Sends bytes, keeps the connection open, and reads until the proxy ends it.
async fn wait_for_end(sidecar: &Sidecar, bytes: &str) -> String {
    let mut stream = TcpStream::connect(sidecar.addrs()[0]).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let end = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
    end.expect("the connection ends").unwrap();
    answer
}

#[tokio::test]
async fn head_that_does_not_come_is_given_up_and_told_so() {
    let origin = Origin::start(|_| ok("", "seen"));
    origin.gate(true);
    let sidecar = proxy(&origin, |bounds| bounds.head = SHORT).await;
    let begun = "GET /a HTTP/1.1\r\nHost: a\r\n";
    let answer = wait_for_end(&sidecar, begun).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let whole = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = wait_for_end(&sidecar, &format!("{whole}{begun}")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("HTTP/1.1 408 "), "{answer}");
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn idle_connection_is_ended_without_a_word() {
    let origin = Origin::start(|_| ok("", "seen"));
    origin.gate(true);
    let sidecar = proxy(&origin, |bounds| bounds.idle = SHORT).await;
    assert_eq!(wait_for_end(&sidecar, "").await, "");
    let answer = wait_for_end(&sidecar, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("seen"), "{answer}");
}

#[tokio::test]
async fn connection_is_not_idle_while_its_answer_is_awaited() {
    let origin = Origin::start(|_| ok("", "seen"));
    let sidecar = proxy(&origin, |bounds| bounds.idle = SHORT).await;
    let other = proxy(&origin, |bounds| bounds.idle = SHORT).await;
    let asked = wait_for_end(&sidecar, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    let opened = async {
        eventually("it is at the origin", || origin.count() == 1).await;
        // As long as another connection takes to be idle three times.
        for _ in 0..3 {
            wait_for_end(&other, "").await;
        }
        origin.gate(true);
    };
    let (answer, ()) = tokio::join!(asked, opened);
    assert!(answer.ends_with("seen"), "{answer}");
}

#[tokio::test]
async fn body_that_drips_is_refused_and_frees_its_slot() {
    let origin = Origin::start(|_| ok("", "seen"));
    let sidecar = proxy(&origin, |bounds| bounds.body.grace = SHORT).await;
    for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        let head = format!("POST /a HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n5\r\nabc");
        let answer = wait_for_end(&sidecar, &head).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    eventually("nothing is held", || sidecar.tally().connections == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_does_not_read_is_let_go() {
    let origin = Origin::start(|_| status("200 OK", "", &"x".repeat(32 << 20)));
    origin.gate(true);
    let sidecar = proxy(&origin, |bounds| bounds.reading.grace = SHORT).await;
    let mut stream = TcpStream::connect(sidecar.addrs()[0]).await.unwrap();
    stream.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    eventually("it is at the origin", || origin.count() == 1).await;
    eventually("the connection is closed", || sidecar.tally().connections == 0).await;
    drop(stream);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_leave_a_client_unharmed() {
    let origin = Origin::start(|_| ok("Cache-Control: no-store\r\n", "seen"));
    origin.gate(true);
    let sidecar = proxy(&origin, |bounds| bounds.body.grace = Duration::from_secs(1)).await;
    let mut drips = Vec::new();
    for _ in 0..300 {
        let mut drip = TcpStream::connect(sidecar.addrs()[0]).await.unwrap();
        let head = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc";
        drip.write_all(head).await.unwrap();
        drips.push(drip);
    }
    let answer = super::origin::get(&sidecar, "/b", "").await.unwrap();
    assert!(answer.ends_with("seen"), "{answer}");
    drop(drips);
}
