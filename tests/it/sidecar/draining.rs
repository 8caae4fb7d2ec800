//! How the command ends: no request that reached an origin goes unanswered.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use spillgate::testing::Drill;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::process::{Serving, listener};
use crate::bench::{PATIENCE, drill, hits};

/// Requests that have numbers, and how far each came.
#[derive(Default)]
struct Book {
    next: AtomicU64,
    answered: std::sync::Mutex<BTreeSet<u64>>,
    /// Those of which a part of an answer came.
    torn: AtomicU64,
}

impl Book {
    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn answered(&self) -> BTreeSet<u64> {
        self.answered.lock().unwrap().clone()
    }
}

/// How an answer came.
enum Came {
    Whole { closes: bool },
    Torn,
    Nothing,
}

async fn read_answer(stream: &mut TcpStream) -> Came {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let field = |name: &str| {
                let mut lines = head.lines().filter_map(|line| line.split_once(": "));
                lines.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
            };
            let length: usize = field("content-length").unwrap().parse().unwrap();
            if body.len() >= length {
                assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                return Came::Whole { closes: field("connection").as_deref() == Some("close") };
            }
        }
        match stream.read_buf(&mut read).await {
            Ok(count) if count > 0 => {}
            Ok(_) | Err(_) if read.is_empty() => return Came::Nothing,
            Ok(_) | Err(_) => return Came::Torn,
        }
    }
}

fn request(number: u64, every: u64) -> String {
    // Some have bodies; none can be answered with what another brought.
    let path = format!("/delay/{}?key=k{number}", number % every);
    if number.is_multiple_of(3) {
        return format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    }
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// Asks again and again on kept connections until nobody listens.
async fn ask_on_and_on(addr: SocketAddr, book: Arc<Book>, stop: Arc<AtomicBool>) {
    'connections: while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(addr).await else { return };
        loop {
            let number = book.number();
            if stream.write_all(request(number, 30).as_bytes()).await.is_err() {
                continue 'connections;
            }
            match read_answer(&mut stream).await {
                Came::Whole { closes } => {
                    book.answered.lock().unwrap().insert(number);
                    if closes {
                        continue 'connections;
                    }
                }
                Came::Torn => {
                    book.torn.fetch_add(1, Ordering::Relaxed);
                    continue 'connections;
                }
                Came::Nothing => continue 'connections,
            }
        }
    }
}

/// The numbers that an origin saw.
fn seen(drill: &Drill) -> BTreeSet<u64> {
    let requests = drill.requests();
    let keys = requests.iter().filter_map(|received| received.key()?.strip_prefix('k'));
    keys.map(|key| key.parse().unwrap()).collect()
}

fn generous(upstream: &str) -> String {
    let limits = "[defaults]\nlimits = { per_host = 64, global = 64, adaptive = false }\n";
    format!("{}{limits}", listener(upstream))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_under_load_loses_no_request_that_reached_the_origin() {
    for round in 0..4 {
        let drill = Drill::builder().log_max(100_000).seed(round).start().unwrap();
        let serving = Serving::start(&generous(&drill.url("")), &[]);
        let (book, stop) = (Arc::new(Book::default()), Arc::new(AtomicBool::new(false)));
        let asking = (0..24)
            .map(|_| tokio::spawn(ask_on_and_on(serving.listeners[0], book.clone(), stop.clone())));
        let asking: Vec<_> = asking.collect();
        hits(&drill, 200 + 50 * round).await;
        serving.signal("TERM");
        for asked in asking {
            tokio::time::timeout(PATIENCE, asked).await.expect("nobody listens").unwrap();
        }
        let (status, told) = serving.end();
        assert_eq!(status.code(), Some(0), "{told}");
        let (seen, answered) = (seen(&drill), book.answered());
        assert_eq!(book.torn.load(Ordering::Relaxed), 0, "round {round}");
        assert!(seen.len() > 200, "{}", seen.len());
        let lost: Vec<_> = seen.difference(&answered).collect();
        assert!(lost.is_empty(), "round {round}: {lost:?} reached the origin");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_before_the_signal_was_read_is_answered() {
    let drill = drill();
    let serving = Serving::start(&generous(&drill.url("")), &[]);
    let addr = serving.listeners[0];
    let mut kept = Vec::new();
    for number in 0..8 {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(request(number, 1).as_bytes()).await.unwrap();
        assert!(matches!(read_answer(&mut stream).await, Came::Whole { closes: false }));
        kept.push(stream);
    }
    // While it sleeps, requests come on kept connections and in the system's queue, and the signal.
    serving.signal("STOP");
    for number in 8..88 {
        kept.push(TcpStream::connect(addr).await.unwrap());
        let stream = kept.last_mut().unwrap();
        stream.write_all(request(number, 1).as_bytes()).await.unwrap();
    }
    for (number, stream) in (88..).zip(&mut kept[..8]) {
        stream.write_all(request(number, 1).as_bytes()).await.unwrap();
    }
    serving.signal("TERM");
    serving.signal("CONT");
    for stream in &mut kept {
        // Some may have been answered before the signal was heard.
        assert!(matches!(read_answer(stream).await, Came::Whole { .. }));
    }
    let (status, told) = serving.end();
    assert_eq!(status.code(), Some(0), "{told}");
    assert_eq!(drill.hits(), 96);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_one_connection_are_all_answered() {
    let drill = drill();
    let serving = Serving::start(&generous(&drill.url("")), &[]);
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let addr = serving.listeners[0];
    let calls: Vec<_> = (0..20)
        .map(|n| {
            let call = client.get(format!("http://{addr}/delay/150?key=k{n}")).send();
            tokio::spawn(async { call.await.unwrap().error_for_status().unwrap().bytes().await })
        })
        .collect();
    hits(&drill, 20).await;
    serving.signal("TERM");
    for call in calls {
        call.await.unwrap().unwrap();
    }
    drop(client);
    assert_eq!(serving.end().0.code(), Some(0));
    assert_eq!(drill.hits(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_are_closed_and_the_admin_listener_says_that_it_drains() {
    let drill = drill();
    let serving = Serving::start(&listener(&drill.url("")), &[]);
    let addr = serving.listeners[0];
    let mut idle = TcpStream::connect(addr).await.unwrap();
    idle.write_all(request(0, 1).as_bytes()).await.unwrap();
    assert!(matches!(read_answer(&mut idle).await, Came::Whole { closes: false }));
    let mut busy = TcpStream::connect(addr).await.unwrap();
    busy.write_all(b"GET /delay/1500 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    hits(&drill, 2).await;
    assert!(serving.ask("GET /readyz").await.starts_with("HTTP/1.1 200"));
    serving.signal("TERM");
    let told = serving.until("GET /readyz", |told| told.starts_with("HTTP/1.1 503")).await;
    assert!(told.contains("draining"), "{told}");
    assert!(serving.ask("GET /healthz").await.starts_with("HTTP/1.1 200"));
    assert!(serving.ask("GET /metrics").await.contains("\nspillgate_draining 1\n"));
    let reload = serving.ask("POST /reload").await;
    assert!(reload.starts_with("HTTP/1.1 503"), "{reload}");
    assert!(matches!(read_answer(&mut idle).await, Came::Nothing));
    assert!(matches!(read_answer(&mut busy).await, Came::Whole { closes: true }));
    assert_eq!(serving.end().0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lame_duck_still_answers_and_says_farewell() {
    let drill = drill();
    let serving = Serving::start(&listener(&drill.url("")), &["--lame-duck", "1h"]);
    let addr = serving.listeners[0];
    let drained = serving.ask("POST /drain").await;
    assert!(drained.starts_with("HTTP/1.1 202"), "{drained}");
    assert!(serving.ask("GET /readyz").await.starts_with("HTTP/1.1 503"));
    let mut late = TcpStream::connect(addr).await.unwrap();
    late.write_all(request(0, 1).as_bytes()).await.unwrap();
    assert!(matches!(read_answer(&mut late).await, Came::Whole { closes: true }));
    serving.signal("TERM");
    assert_eq!(serving.end().0.code(), Some(130), "the second word ends it at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_longer_than_the_grace_is_cut_off_and_told() {
    let drill = drill();
    let serving = Serving::start(&listener(&drill.url("")), &["--grace", "50ms"]);
    let mut hung = TcpStream::connect(serving.listeners[0]).await.unwrap();
    hung.write_all(b"GET /delay/60000 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    hits(&drill, 1).await;
    serving.signal("TERM");
    assert!(matches!(read_answer(&mut hung).await, Came::Nothing));
    let (status, told) = serving.end();
    assert_eq!(status.code(), Some(0), "{told}");
    assert!(told.contains("1 requests were cut off after 50ms"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let drill = drill();
    let serving = Serving::start(&listener(&drill.url("")), &["--grace", "1h"]);
    let mut hung = TcpStream::connect(serving.listeners[0]).await.unwrap();
    hung.write_all(b"GET /delay/60000 HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    hits(&drill, 1).await;
    serving.signal("TERM");
    serving.until("GET /readyz", |told| told.starts_with("HTTP/1.1 503")).await;
    serving.signal("TERM");
    assert_eq!(serving.end().0.code(), Some(130));
}
