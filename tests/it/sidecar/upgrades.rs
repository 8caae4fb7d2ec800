//! `Upgrade`: passed on where somebody asks for it, a tunnel only once the upstream agrees.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use spillgate::config::serving::ListenerRole;
use spillgate::sidecar::{ListenerOptions, Sidecar};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::origin::{Origin, Talk, exchange, get, listen, ok, proxy};
use crate::bench::eventually;

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Key: abc\r\n\r\n";
const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                     Upgrade: WebSocket\r\nSec-WebSocket-Accept: xyz\r\n\r\nwelcome";

/// An origin that answers any request but one for an upgrade, and agrees to that once it is let.
struct Chat {
    addr: std::net::SocketAddr,
    asked: Arc<AtomicUsize>,
    agree: Arc<Notify>,
}

impl Chat {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (asked, agree) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (counter, agreed) = (asked.clone(), agree.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(chat(stream, counter.clone(), agreed.clone()));
            }
        });
        Self { addr, asked, agree }
    }

    async fn proxy(&self, slots: u32) -> Sidecar {
        let upstream = format!("http://{}/", self.addr).parse().unwrap();
        listen(ListenerOptions::of(ListenerRole::Reverse(upstream)), |config| {
            config.defaults.concurrency = slots;
            config.defaults.limit.floor = slots;
        })
        .await
    }

    async fn is_asked(&self, times: usize) {
        eventually("it is asked", || self.asked.load(Ordering::SeqCst) == times).await;
    }
}

async fn chat(mut stream: TcpStream, asked: Arc<AtomicUsize>, agree: Arc<Notify>) {
    let mut read = Vec::new();
    loop {
        while !read.ends_with(b"\r\n\r\n") {
            let mut bytes = [0; 1024];
            match stream.read(&mut bytes).await {
                Ok(count) if count > 0 => read.extend_from_slice(&bytes[..count]),
                Ok(_) | Err(_) => return,
            }
        }
        let head = String::from_utf8(std::mem::take(&mut read)).unwrap().to_ascii_lowercase();
        asked.fetch_add(1, Ordering::SeqCst);
        if !head.contains("\r\nupgrade: ") {
            stream.write_all(ok("", "plain").as_bytes()).await.unwrap();
            continue;
        }
        assert!(head.contains("connection: upgrade") && head.contains("websocket"), "{head}");
        agree.notified().await;
        let mut early = [0; 64];
        let early = stream.try_read(&mut early);
        assert!(early.is_err(), "what the client said came too soon");
        stream.write_all(AGREE.as_bytes()).await.unwrap();
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut from, &mut to).await.unwrap();
        return;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_are_carried_once_the_upstream_agrees_and_not_before() {
    let chat = Chat::start().await;
    let proxy = chat.proxy(8).await;
    let mut talk = Talk::begin(&proxy, format!("{ASK}early")).await;
    chat.is_asked(1).await;
    // Meanwhile the proxy has had time for what came early.
    assert!(get(&proxy, "/plain", "").await.unwrap().ends_with("plain"));
    chat.agree.notify_one();
    let head = talk.head().await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n"));
    assert!(head.contains("sec-websocket-accept: xyz"), "{head}");
    assert_eq!(talk.hear(12).await, "welcomeearly");
    for word in ["one", "two"] {
        talk.say(word).await;
        assert_eq!(talk.hear(3).await, word);
    }
    talk.end().await;
    assert_eq!(talk.rest().await, "");
    eventually("it is over", || proxy.tally().tunnels == 0).await;
    assert_eq!((proxy.tally().tunnels_opened, chat.asked.load(Ordering::SeqCst)), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn early_bytes_that_could_be_no_request_end_it() {
    let chat = Chat::start().await;
    let proxy = chat.proxy(8).await;
    let frame: &[u8] = &[0x01, 0x05, 0x0d, 0x0a];
    let asked = tokio::spawn(exchange(proxy.addrs()[0], [ASK.as_bytes(), frame].concat()));
    chat.is_asked(1).await;
    chat.agree.notify_one();
    let answer = asked.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert_eq!(proxy.tally().tunnels_opened, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slot_is_held_until_the_upstream_agrees() {
    let chat = Chat::start().await;
    let proxy = chat.proxy(1).await;
    let mut talk = Talk::begin(&proxy, ASK).await;
    chat.is_asked(1).await;
    let other = get(&proxy, "/plain", "");
    eventually("it waits", || proxy.tally().forwarded == 2).await;
    assert_eq!(chat.asked.load(Ordering::SeqCst), 1);
    chat.agree.notify_one();
    assert!(talk.head().await.starts_with("HTTP/1.1 101"));
    assert!(other.await.unwrap().ends_with("plain"));
    eventually("it stands, and the slot is free", || proxy.tally().tunnels == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_answer_is_an_answer_and_nothing_after_it_a_request() {
    let origin = Origin::start(|_| ok("Cache-Control: max-age=60\r\n", "seen"));
    origin.gate(true);
    let proxy = proxy(&origin).await;
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    for _ in 0..2 {
        let answer = exchange(proxy.addrs()[0], format!("{ASK}{hidden}")).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("seen"), "{answer}");
        assert!(answer.contains("fwd=bypass") && !answer.contains("upgrade"), "{answer}");
    }
    let heads = origin.heads();
    assert_eq!(heads.len(), 2, "it is not for the cache: {heads:?}");
    assert!(heads.iter().all(|head| head.starts_with("GET /chat ")), "{heads:?}");
    assert_eq!(proxy.tally().tunnels_opened, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upgrade_to_what_would_hide_requests_goes_no_further() {
    let origin = Origin::start(|_| ok("", "seen"));
    origin.gate(true);
    let proxy = proxy(&origin).await;
    let ask = |fields: &str| format!("GET /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let h2c = "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    for (fields, close) in [
        (format!("Connection: close, Upgrade, HTTP2-Settings\r\n{h2c}"), ""),
        (format!("Connection: Upgrade\r\n{h2c}"), "Connection: close\r\n"),
        ("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n".to_owned(), "Connection: close\r\n"),
        ("Connection: close\r\nUpgrade: websocket\r\n".to_owned(), ""),
        (
            "Connection: close, upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\
             Transfer-Encoding: chunked\r\n"
                .to_owned(),
            "",
        ),
    ] {
        let request = ask(&format!("{fields}{close}"));
        let answer = exchange(proxy.addrs()[0], &*request).await;
        assert!(answer.contains(" 200 ") || answer.contains(" 400 "), "{request}: {answer}");
    }
    let body = "POST /a HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade\r\n\
                Upgrade: websocket\r\nContent-Length: 2\r\n\r\nab";
    assert!(exchange(proxy.addrs()[0], body).await.contains(" 200 "));
    let old = "GET /a HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert!(exchange(proxy.addrs()[0], old).await.contains(" 200 "));
    for head in origin.heads() {
        assert!(!head.to_ascii_lowercase().contains("\r\nupgrade"), "{head}");
    }
    assert!(origin.count() >= 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switch_that_nobody_asked_for_is_an_error() {
    let odd = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n";
    let origin = Origin::start(move |_| odd.to_owned());
    origin.gate(true);
    let proxy = proxy(&origin).await;
    let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    let plain = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for request in [ASK, plain] {
        let answer = exchange(proxy.addrs()[0], format!("{request}{hidden}")).await;
        assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
        assert!(answer.contains("error=http_protocol_error"), "{answer}");
    }
    assert!(origin.heads().iter().all(|head| !head.contains("hidden")));
    assert_eq!(proxy.tally().tunnels_opened, 0);
}
