//! How soon the upstream sees that an exchange was dropped.

use std::pin::Pin;
use std::sync::mpsc;

use super::frames::{HEADERS, RST_STREAM, SETTINGS, read_frame};
use super::http2::secure_raw;
use super::*;

type Work = Pin<Box<dyn Future<Output = Box<dyn Send>>>>;
type Events = mpsc::Receiver<&'static str>;

/// Where attempts may run.
#[derive(Debug, Clone, Copy)]
enum Home {
    /// A current-thread runtime.
    Runtime,
    /// An actor's thread, whose own tasks are in a `LocalSet` of that runtime.
    Actor,
}

/// Runs `work`, drops what it leaves, lets tasks pass that were spawned after the drop, and
/// stops the runtime: from there on nothing can close the connection but what did.
fn drop_after(
    home: Home,
    work: Work,
    seen: Events,
) -> Result<&'static str, mpsc::RecvTimeoutError> {
    let dropping = async move {
        for _ in 0..NEIGHBOURS {
            tokio::spawn(async {
                loop {
                    tokio::task::yield_now().await;
                }
            });
        }
        let kept = work.await;
        drop(kept);
        for _ in 0..PASSES {
            tokio::spawn(async {}).await.unwrap();
        }
        seen.recv_timeout(PATIENCE)
    };
    match home {
        Home::Runtime => runtime().block_on(dropping),
        Home::Actor => {
            actix_rt::System::new().block_on(async { actix_rt::spawn(dropping).await.unwrap() })
        }
    }
}

/// Tasks spawned one after the other: as many as wake-ups between the drop and the socket.
const PASSES: usize = 2;

/// Busy tasks that share the runtime; more than it polls between two looks at the yielded ones.
const NEIGHBOURS: usize = 200;

/// Drops what `work` leaves on each kind of runtime, and expects the server to see `end`.
fn check(work: impl Fn() -> (Work, Events), end: &str) {
    for home in [Home::Runtime, Home::Actor] {
        let (work, seen) = work();
        assert_eq!(drop_after(home, work, seen), Ok(end), "{home:?}");
    }
}

/// Polls an exchange until something has happened elsewhere.
async fn until(exchange: &mut ExchangeFuture, happened: impl Fn() -> bool) {
    let waiting = async {
        while !happened() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = exchange => unreachable!("the server does not answer"),
        () = waiting => {}
    }
}

/// A server that sends `answer` to the first request and tells when it sees the connection's end.
fn watched(answer: &'static str) -> (SocketAddr, Events) {
    let (events, seen) = mpsc::channel();
    let address = raw_server(move |mut stream| {
        read_head(&mut stream);
        stream.write_all(answer.as_bytes()).unwrap();
        events.send("asked").unwrap();
        let end = stream.read(&mut [0; 64]);
        events.send(if matches!(end, Ok(0)) { "closed" } else { "not closed" }).unwrap();
    });
    (address, seen)
}

/// Splits the first event off.
fn without_first(seen: Events) -> (Events, Events) {
    let (rest, seen_rest) = mpsc::channel();
    let (first, seen_first) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = first.send(seen.recv().unwrap());
        for event in seen {
            let _ = rest.send(event);
        }
    });
    (seen_rest, seen_first)
}

/// An exchange that is under way when the server has told its first event.
fn under_way(transport: ReqwestTransport, url: String, seen: Events) -> (Work, Events) {
    let (rest, first) = without_first(seen);
    let work = async move {
        let mut exchange = transport.exchange(get(url));
        until(&mut exchange, || first.try_recv().is_ok()).await;
        Box::new(exchange) as Box<dyn Send>
    };
    (Box::pin(work), rest)
}

#[test]
fn dropped_exchange_closes_its_connection() {
    let work = || {
        let (server, seen) = watched("");
        under_way(transport(), format!("http://{server}/"), seen)
    };
    check(work, "closed");
}

#[test]
fn dropped_body_closes_its_connection() {
    let work = || {
        let (server, seen) = watched("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        let transport = transport();
        let work = async move {
            let inbound = transport.exchange(get(format!("http://{server}/"))).await.unwrap();
            Box::new(inbound) as Box<dyn Send>
        };
        (Box::pin(work) as Work, without_first(seen).0)
    };
    check(work, "closed");
}

#[test]
fn dropped_connect_closes_its_connection() {
    let work = || {
        let (events, seen) = mpsc::channel();
        let server = raw_server(move |mut stream| {
            events.send("asked").unwrap();
            let end = stream.read_to_end(&mut Vec::new());
            events.send(if end.is_ok() { "closed" } else { "not closed" }).unwrap();
        });
        under_way(transport(), format!("https://{server}/"), seen)
    };
    check(work, "closed");
}

#[test]
fn dropped_exchange_closes_its_tls_connection() {
    let work = || {
        let (events, seen) = mpsc::channel();
        let server = secure_raw(b"http/1.1", move |stream| {
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).unwrap() > 0);
            events.send("asked").unwrap();
            let end = stream.read(&mut request);
            events.send(if matches!(end, Ok(0)) { "closed" } else { "not closed" }).unwrap();
        });
        under_way(server.transport(), server.url(), seen)
    };
    check(work, "closed");
}

#[test]
fn dropped_exchange_resets_its_stream() {
    let work = || {
        let (events, seen) = mpsc::channel();
        let server = secure_raw(b"h2", move |stream| {
            stream.read_exact(&mut [0; 24]).unwrap();
            stream.write_all(SETTINGS).unwrap();
            while read_frame(stream) != HEADERS {}
            events.send("asked").unwrap();
            while read_frame(stream) != RST_STREAM {}
            events.send("reset").unwrap();
        });
        under_way(server.transport(), server.url(), seen)
    };
    check(work, "reset");
}
