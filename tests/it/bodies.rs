//! Request bodies that stream: sent as they come, and again only while they are kept
//! (PITFALLS A17; reqwest-middleware#44, dotnet/extensions#5105).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use spillgate::testing::Drill;
use spillgate::{BreakerState, Chaos, ErrorClass, ErrorKind, Fault};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::bench::{PATIENCE, at_rest, client, drill, guarded, hits, quick, scope_of, spawn};

type Piece = Result<Bytes, std::io::Error>;

/// PITFALLS A17 (reqwest-middleware#44, dotnet/extensions#5105).
#[tokio::test]
async fn small_stream_is_sent_again_with_identical_bytes_and_read_once() {
    let (drill, client) = (drill(), quick());
    let read = Arc::new(AtomicUsize::new(0));
    let count = read.clone();
    let body = text(&["one ", "two ", "three"]).inspect(move |_| {
        count.fetch_add(1, Relaxed);
    });
    let call = client.put(drill.url("/status/503?times=2&key=a")).body_stream(body).allow_retry();
    let answer = call.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.report().attempts), (200, 3));
    assert_eq!(read.load(Relaxed), 3);
    assert_eq!(received(&drill), vec![(13, *blake3_of(&["one two three"]).as_bytes()); 3]);
}

#[tokio::test]
async fn streamed_post_is_what_the_upstream_reads_and_follows_the_rules_of_posts() {
    let (drill, client) = (drill(), quick());
    let call = client.post(drill.url("/echo")).body_stream(text(&["one ", "two"]));
    let seen = call.send().await.unwrap().text().unwrap();
    assert!(seen.contains("one two"), "{seen}");
    let call = client.post(drill.url("/status/503")).body_stream(text(&["pay"]));
    assert_eq!(call.send().await.unwrap().report().attempts, 1);
    let call = client.post(drill.url("/status/503?key=k")).body_stream(text(&["pay"]));
    let answer = call.idempotency_key(spillgate::Key::auto()).send().await.unwrap();
    assert_eq!((answer.report().attempts, drill.hits_of("k")), (4, 4));
}

/// PITFALLS A17 (reqwest-middleware#44, dotnet/extensions#5105).
#[tokio::test]
async fn big_stream_goes_out_whole_and_is_not_sent_again() {
    let (drill, client) = (drill(), quick());
    let pieces = vec![PIECE; 64];
    let call = || client.put(drill.url("/status/503")).body_stream(text(&pieces)).allow_retry();
    let answer = call().send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.report().attempts, drill.hits()), (503, 1, 1));
    let decisions = answer.report().decisions();
    let mut told = decisions.iter().map(ToString::to_string);
    assert!(told.any(|text| text.contains("more of the body was sent")), "{decisions:?}");
    assert_eq!(received(&drill), [(1 << 20, *blake3_of(&pieces).as_bytes())]);
    // One byte more than is kept, and exactly what is.
    for (kept_max, attempts) in [((1 << 20) - 1, 1), (1 << 20, 4)] {
        let answer = call().replay_max(kept_max).send().await.unwrap();
        assert_eq!(answer.report().attempts, attempts, "{kept_max}");
    }
    at_rest(&client).await;
}

#[tokio::test]
async fn untouched_stream_is_sent_after_refused_connections_whatever_its_size() {
    let drill = drill();
    let refused = Fault::errors(1.0, ErrorKind::ConnectionRefused).times(2);
    let client = client(|builder| builder.chaos(Chaos::seeded(1).fault(refused)));
    let pieces = vec![PIECE; 64];
    let answer = client.post(drill.url("/ok")).body_stream(text(&pieces)).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.report().attempts), (200, 3));
    assert_eq!(received(&drill), [(1 << 20, *blake3_of(&pieces).as_bytes())]);
}

#[tokio::test]
async fn untouched_stream_survives_connections_that_are_really_refused() {
    let client = quick();
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let call = client.post(format!("http://{address}/")).body_stream(text(&[PIECE; 64]));
    let error = call.send().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(error.report().unwrap().attempts, 4);
}

#[tokio::test]
async fn stream_goes_on_behind_what_is_replayed() {
    let (drill, client) = (drill(), quick());
    let (pieces, body) = live();
    pieces.send("one ").unwrap();
    let call = client.put(drill.url("/ok")).body_stream(body).allow_retry();
    let call = spawn(call.timeout(Duration::from_secs(1)));
    // The first attempt waits for the stream until its time is up; the second is there.
    hits(&drill, 2).await;
    pieces.send("two").unwrap();
    drop(pieces);
    let answer = crate::bench::answer(call).await.unwrap();
    assert!(answer.report().attempts >= 2);
    let last = received(&drill).pop().unwrap();
    assert_eq!(last, (7, *blake3_of(&["one two"]).as_bytes()));
}

#[tokio::test]
async fn early_refusal_calls_the_stream_back_from_its_connection() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = quick();
    let (pieces, body) = live();
    pieces.send("one ").unwrap();
    let url = format!("http://{}/", upstream.local_addr().unwrap());
    let call = spawn(client.put(url).body_stream(body).allow_retry());
    let mut first = accept(&upstream).await;
    read_until(&mut first, "one ").await;
    first.write_all(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    // The first connection stays open at this end: only the client can take the body from it.
    let mut second = accept(&upstream).await;
    pieces.send("two").unwrap();
    drop(pieces);
    read_until(&mut second, "0\r\n\r\n").await;
    second.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let answer = crate::bench::answer(call).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.report().attempts), (200, 2));
    at_rest(&client).await;
}

#[tokio::test]
async fn failing_stream_is_an_error_of_its_own_and_none_of_the_upstreams() {
    let (drill, client) = (drill(), guarded(Duration::from_secs(60)));
    for _ in 0..10 {
        let failing =
            text(&["one "]).chain(stream::iter([Err(std::io::Error::other("disk gone"))]));
        let call = client.put(drill.url("/ok")).body_stream(failing).allow_retry();
        let error = call.send().await.unwrap_err();
        assert_eq!((error.kind(), error.class()), (ErrorKind::RequestBody, ErrorClass::Permanent));
        assert_eq!(error.report().unwrap().attempts, 1);
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("disk gone"), "{cause}");
    }
    assert_eq!(client.breakers().state(scope_of(&drill)), BreakerState::Closed);
    assert_eq!(client.get(drill.url("/ok")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn streamed_calls_are_never_shared() {
    let (drill, client) = (drill(), quick());
    let call = || client.get(drill.url("/delay/200")).body_stream(text(&["same"]));
    let (one, two) = (spawn(call()), spawn(call()));
    assert!(!crate::bench::answer(one).await.unwrap().report().coalesced);
    assert!(!crate::bench::answer(two).await.unwrap().report().coalesced);
    assert_eq!(drill.hits(), 2);
}

/// A stream of these pieces.
fn text(pieces: &[&'static str]) -> impl Stream<Item = Piece> + Send + use<> {
    let pieces: Vec<Piece> =
        pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
    stream::iter(pieces)
}

/// A stream of what is sent to it, which ends when the sender is dropped.
fn live() -> (mpsc::UnboundedSender<&'static str>, impl Stream<Item = Piece> + Send) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<&'static str>();
    let next = move |cx: &mut std::task::Context<'_>| {
        receiver
            .poll_recv(cx)
            .map(|piece| piece.map(|text| Ok(Bytes::from_static(text.as_bytes()))))
    };
    (sender, stream::poll_fn(next))
}

/// Length and digest of the bodies that the drill received.
fn received(drill: &Drill) -> Vec<(u64, [u8; 32])> {
    drill.requests().iter().map(|request| (request.body_len(), request.body_blake3())).collect()
}

fn blake3_of(pieces: &[&str]) -> blake3::Hash {
    blake3::hash(pieces.concat().as_bytes())
}

async fn read_until(socket: &mut TcpStream, text: &str) {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(text) {
        assert!(socket.read_buf(&mut seen).await.unwrap() > 0, "it ended before `{text}`");
    }
}

async fn accept(upstream: &TcpListener) -> TcpStream {
    let accepted = tokio::time::timeout(PATIENCE, upstream.accept()).await;
    accepted.expect("it connects").unwrap().0
}

/// 16 KiB.
const PIECE: &str = match std::str::from_utf8(&[b'x'; 16 * 1024]) {
    Ok(piece) => piece,
    Err(_) => "",
};
