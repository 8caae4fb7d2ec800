//! `CONNECT`: tunnels to hosts on the list, and what they cost the host.

use std::net::{SocketAddr, TcpListener as BlockingListener, TcpStream as BlockingStream};
use std::time::Duration;

use spillgate::config::pattern::HostPattern;
use spillgate::config::serving::{ListenerRole, TunnelLimits};
use spillgate::sidecar::{DrainOptions, ListenerOptions, Sidecar};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::origin::{Origin, Talk, exchange, forward_proxy, listen, ok, proxy};
use crate::bench::{PATIENCE, eventually};

fn connect(addr: SocketAddr) -> String {
    format!("CONNECT {addr} HTTP/1.1\r\nHost: {addr}\r\n\r\n")
}

fn listener(tunnels: TunnelLimits) -> ListenerOptions {
    let allow = vec![HostPattern::parse("127.0.0.1").unwrap()];
    ListenerOptions { tunnels, ..ListenerOptions::of(ListenerRole::Forward(allow)) }
}

/// Answers each connection with what it said, once it has said all, and an end.
async fn answering() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(b"hello").await.unwrap();
                let mut said = Vec::new();
                stream.read_to_end(&mut said).await.unwrap();
                said.reverse();
                stream.write_all(&said).await.unwrap();
            });
        }
    });
    addr
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_go_both_ways_and_each_way_ends_by_itself() {
    let addr = answering().await;
    let proxy = forward_proxy(&["127.0.0.1"]).await;
    let mut talk = Talk::begin(&proxy, connect(addr)).await;
    let head = talk.head().await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    assert_eq!(talk.hear(5).await, "hello");
    assert_eq!((proxy.tally().tunnels, proxy.tally().tunnels_opened), (1, 1));
    let long: String =
        (0..200_000).map(|n| char::from(b'a' + u8::try_from(n % 26).unwrap())).collect();
    talk.say(&long).await;
    talk.end().await;
    let back: String = talk.rest().await.chars().rev().collect();
    assert!(back == long, "{} of {} bytes came back", back.len(), long.len());
    eventually("it is over", || proxy.tally().tunnels == 0).await;
    assert_eq!(proxy.tally().tunnels_opened, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reverse_listener_makes_none() {
    let origin = Origin::start(|_| ok("", "seen"));
    origin.gate(true);
    let proxy = proxy(&origin).await;
    let answer = exchange(proxy.addrs()[0], connect(origin.addr)).await;
    assert!(answer.starts_with("HTTP/1.1 501"), "{answer}");
    assert_eq!((origin.count(), proxy.tally().tunnels_opened), (0, 0));
}

/// A port that nobody listens on.
fn dead() -> SocketAddr {
    BlockingListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_connects_open_the_breaker_of_their_host_alone() {
    let (addr, other) = (dead(), answering().await);
    let proxy = listen(listener(TunnelLimits::default()), |config| {
        config.defaults.retry.attempts_max = 1;
        config.defaults.breaker = spillgate::Breaker::consecutive(3);
    });
    let proxy = proxy.await;
    for _ in 0..3 {
        let answer = exchange(proxy.addrs()[0], connect(addr)).await;
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
        assert!(answer.contains("proxy-status: spillgate; error=connection_refused"), "{answer}");
    }
    let nobody = BlockingListener::bind(addr).unwrap();
    nobody.set_nonblocking(true).unwrap();
    let answer = exchange(proxy.addrs()[0], connect(addr)).await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 503") && answer.contains("retry-after: "), "{answer}");
    assert!(answer.contains("proxy-status: spillgate; error=circuit_open"), "{answer}");
    assert_eq!(nobody.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    let mut talk = Talk::begin(&proxy, connect(other)).await;
    assert!(talk.head().await.starts_with("HTTP/1.1 200"));
    eventually("it stands", || proxy.tally().tunnels_opened == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connect_that_takes_too_long_is_a_timeout() {
    let deaf = BlockingListener::bind("127.0.0.1:0").unwrap();
    let addr = deaf.local_addr().unwrap();
    let mut waiting = Vec::new();
    // The system takes no more than it has room for, and says nothing to the rest.
    while let Ok(stream) = BlockingStream::connect_timeout(&addr, Duration::from_millis(200)) {
        waiting.push(stream);
    }
    let proxy = listen(listener(TunnelLimits::default()), |config| {
        config.defaults.retry.attempts_max = 1;
        config.defaults.timeouts.connect = Duration::from_millis(100);
    });
    let proxy = proxy.await;
    let answer = exchange(proxy.addrs()[0], connect(addr)).await;
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    assert!(answer.contains("proxy-status: spillgate; error=connection_timeout"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tunnel_holds_its_place_until_it_ends_and_no_slot() {
    let addr = answering().await;
    let limits = TunnelLimits { per_host: 2, ..TunnelLimits::default() };
    let proxy = listen(listener(limits), |config| {
        config.defaults.concurrency = 1;
        config.defaults.limit.floor = 1;
    });
    let proxy = proxy.await;
    let mut standing = Vec::new();
    // The second is made although the host's one slot would be taken by the first.
    for _ in 0..2 {
        let mut talk = Talk::begin(&proxy, connect(addr)).await;
        assert!(talk.head().await.starts_with("HTTP/1.1 200"));
        standing.push(talk);
    }
    let refused = Talk::begin(&proxy, connect(addr)).await.head().await.to_ascii_lowercase();
    assert!(refused.starts_with("http/1.1 503") && refused.contains("retry-after: "), "{refused}");
    assert!(
        refused.contains("proxy-status: spillgate; error=connection_limit_reached"),
        "{refused}"
    );
    eventually("both stand", || proxy.tally().tunnels == 2).await;
    standing.pop();
    eventually("its place is free", || proxy.tally().tunnels == 1).await;
    let mut talk = Talk::begin(&proxy, connect(addr)).await;
    assert!(talk.head().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_tunnel_is_closed_at_both_ends() {
    let addr = answering().await;
    let limits = TunnelLimits { idle: Duration::from_millis(50), ..TunnelLimits::default() };
    let proxy = listen(listener(limits), |_| {}).await;
    let mut talk = Talk::begin(&proxy, connect(addr)).await;
    assert!(talk.head().await.starts_with("HTTP/1.1 200"));
    assert_eq!(talk.rest().await, "hello");
    eventually("it is over", || proxy.tally().tunnels == 0).await;
}

async fn standing(proxy: &Sidecar, addr: SocketAddr) -> Talk {
    let mut talk = Talk::begin(proxy, connect(addr)).await;
    assert!(talk.head().await.starts_with("HTTP/1.1 200"));
    assert_eq!(talk.hear(5).await, "hello");
    talk
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_waits_for_tunnels_and_cuts_them_when_its_time_is_over() {
    let addr = answering().await;
    let proxy = forward_proxy(&["127.0.0.1"]).await;
    let (at, mut talk) = (proxy.addrs()[0], standing(&proxy, addr).await);
    let drained = tokio::spawn(proxy.drain());
    eventually("nobody listens", || BlockingStream::connect(at).is_err()).await;
    talk.say("ab").await;
    talk.end().await;
    assert_eq!(talk.rest().await, "ba");
    drained.await.unwrap();

    let proxy = forward_proxy(&["127.0.0.1"]).await;
    let mut talk = standing(&proxy, addr).await;
    let (lame_duck, grace) = (Duration::ZERO, Duration::from_millis(50));
    proxy.drain_within(DrainOptions { lame_duck, grace }).await;
    assert_eq!(talk.rest().await, "", "it was cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_a_refused_connect_is_no_request() {
    let origin = Origin::start(|_| ok("", "seen"));
    origin.gate(true);
    let proxy = forward_proxy(&["127.0.0.1"]).await;
    let hidden = format!("GET http://{}/hidden HTTP/1.1\r\nHost: a\r\n\r\n", origin.addr);
    for head in [
        "CONNECT evil.example:443 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        connect(dead()),
        connect(origin.addr).replace("Host", "Content-Length: 0\r\nHost"),
        connect(origin.addr).replace("Host", "Transfer-Encoding: chunked\r\nHost"),
    ] {
        let answer = exchange(proxy.addrs()[0], format!("{head}{hidden}")).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{head}: {answer}");
    }
    assert_eq!(origin.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tunnels_share_a_connection_of_http2() {
    use http_body_util::Empty;
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let addr = answering().await;
    let proxy = forward_proxy(&["127.0.0.1"]).await;
    let stream = tokio::net::TcpStream::connect(proxy.addrs()[0]).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let ask = |to: String| {
        let body = Empty::<bytes::Bytes>::new();
        http::Request::builder().method("CONNECT").uri(to).body(body).unwrap()
    };
    let denied = sender.send_request(ask("evil.example:443".to_owned())).await.unwrap();
    assert_eq!(denied.status(), 403);
    let mut standing = Vec::new();
    for _ in 0..2 {
        let answer = sender.send_request(ask(addr.to_string())).await.unwrap();
        assert_eq!(answer.status(), 200);
        standing.push(TokioIo::new(hyper::upgrade::on(answer).await.unwrap()));
    }
    eventually("both stand", || proxy.tally().tunnels == 2).await;
    for (tunnel, word) in standing.iter_mut().zip(["one", "two"]) {
        tunnel.write_all(word.as_bytes()).await.unwrap();
        tunnel.shutdown().await.unwrap();
        let mut back = String::new();
        let read = tokio::time::timeout(PATIENCE, tunnel.read_to_string(&mut back)).await;
        read.expect("it ends").unwrap();
        let said: String = word.chars().rev().collect();
        assert_eq!(back, format!("hello{said}"));
    }
    eventually("both are over", || proxy.tally().tunnels == 0).await;
}
