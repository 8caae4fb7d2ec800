//! What comes before and behind bodies: the word to go on, and trailers, over both versions of HTTP.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Version};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use spillgate::cache::CacheOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::origin::{exchange, proxy_to};
use crate::bench::PATIENCE;

/// An origin for one request: reads until it has seen some bytes, answers, and tells what it read.
async fn origin(until: &'static str, answer: &'static str) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let talk = async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let seen = read_until(&mut stream, until).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        seen
    };
    (addr, tokio::spawn(talk))
}

async fn read_until(stream: &mut TcpStream, until: &str) -> String {
    let mut seen = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&seen).contains(until) {
            assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "{seen:?}");
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("it comes");
    String::from_utf8(seen).unwrap()
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\nTrailer: X-End, Location\r\nTransfer-Encoding: chunked\r\n\
                      \r\n3\r\nxyz\r\n0\r\nX-End: 2\r\nLocation: /b\r\n\r\n";

#[tokio::test]
async fn trailers_pass_both_ways_but_for_what_must_not_stand_there() {
    let (addr, seen) = origin("\r\n0\r\nx-sum: 1\r\n\r\n", ANSWER).await;
    let sidecar = proxy_to(addr, CacheOptions::default()).await;
    let request = "POST /a HTTP/1.1\r\nHost: a\r\nConnection: close, te\r\nTE: trailers\r\n\
                   Trailer: X-Sum, Cookie\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\
                   X-Sum: 1\r\nCookie: secret\r\n\r\n";
    let answer = exchange(sidecar.addrs()[0], request).await;
    assert!(answer.contains("trailer: X-End, Location\r\n"), "{answer}");
    assert!(answer.ends_with("3\r\nxyz\r\n0\r\nx-end: 2\r\n\r\n"), "{answer}");
    let seen = seen.await.unwrap();
    assert!(seen.contains("te: trailers\r\n") && seen.contains("connection: te\r\n"), "{seen}");
    assert!(seen.ends_with("3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"), "{seen}");
}

#[tokio::test]
async fn trailers_of_an_answer_are_for_those_who_ask_for_them() {
    let (addr, seen) = origin("\r\n\r\n", ANSWER).await;
    let sidecar = proxy_to(addr, CacheOptions::default()).await;
    let request = "DELETE /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = exchange(sidecar.addrs()[0], request).await;
    assert!(answer.ends_with("3\r\nxyz\r\n0\r\n\r\n"), "{answer}");
    assert!(!seen.await.unwrap().contains("te: "));
}

#[tokio::test]
async fn stored_answer_has_no_trailers_for_anybody() {
    let stored = "HTTP/1.1 200 OK\r\nTrailer: X-End\r\nCache-Control: max-age=60\r\n\
                  Transfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\nX-End: 2\r\n\r\n";
    let (addr, seen) = origin("\r\n\r\n", stored).await;
    let sidecar = proxy_to(addr, CacheOptions::default()).await;
    let request = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close, te\r\nTE: trailers\r\n\r\n";
    for _ in 0..2 {
        let answer = exchange(sidecar.addrs()[0], request).await;
        assert!(answer.contains("xyz"), "{answer}");
        assert!(!answer.contains("x-end") && !answer.contains("trailer: "), "{answer}");
    }
    seen.await.unwrap();
}

#[tokio::test]
async fn trailers_are_frames_to_a_client_of_http2() {
    let (addr, seen) = origin("\r\n0\r\nx-sum: 1\r\n\r\n", ANSWER).await;
    let sidecar = proxy_to(addr, CacheOptions::default()).await;
    let stream = TcpStream::connect(sidecar.addrs()[0]).await.unwrap();
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let behind = HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]);
    let frames = [Frame::data(Bytes::from("abc")), Frame::trailers(behind)];
    let frames = frames.map(Ok::<_, std::convert::Infallible>);
    let request = Request::post("http://a/a").header("te", "trailers").header("trailer", "x-sum");
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let response = sender.send_request(request.body(body).unwrap()).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
    let answer = response.into_body().collect().await.unwrap();
    let trailers = answer.trailers().cloned().unwrap();
    assert_eq!(answer.to_bytes(), "xyz");
    assert_eq!((trailers.len(), trailers["x-end"].as_bytes()), (1, b"2".as_slice()));
    assert!(seen.await.unwrap().ends_with("3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"));
}

const EXPECTING: &str = "POST /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\
                         Expect: 100-continue\r\n\r\n";

#[tokio::test]
async fn client_is_told_to_go_on_once_and_its_body_is_sent_once() {
    let answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nseen";
    let (addr, seen) = origin("\r\n\r\nabc", answer).await;
    let sidecar = proxy_to(addr, CacheOptions::default()).await;
    let mut client = TcpStream::connect(sidecar.addrs()[0]).await.unwrap();
    client.write_all(EXPECTING.as_bytes()).await.unwrap();
    let told = read_until(&mut client, "\r\n\r\n").await;
    assert_eq!(told, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"abc").await.unwrap();
    let answer = read_until(&mut client, "seen").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let seen = seen.await.unwrap();
    assert!(seen.ends_with("\r\n\r\nabc") && !seen.contains("expect"), "{seen}");
}

#[tokio::test]
async fn client_whose_upstream_is_not_there_keeps_its_body() {
    let (addr, nobody) = origin("", "").await;
    nobody.abort();
    let _ = nobody.await;
    let sidecar = proxy_to(addr, CacheOptions::default()).await;
    let answer = exchange(sidecar.addrs()[0], EXPECTING).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}

#[tokio::test]
async fn bodies_of_known_length_keep_it_on_the_way() {
    let (addr, seen) = origin("abc", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nseen").await;
    let sidecar = proxy_to(addr, CacheOptions::default()).await;
    let stream = TcpStream::connect(sidecar.addrs()[0]).await.unwrap();
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::put("http://a/a").body(Full::new(Bytes::from("abc"))).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.headers()["content-length"], "4");
    assert!(seen.await.unwrap().contains("content-length: 3\r\n"));
}
