//! How soon the upstream sees that an exchange was dropped.

use std::sync::mpsc;

use super::*;

/// A server that sends `answer` to the first request and tells when it sees the connection's end.
fn watched(answer: &'static str) -> (SocketAddr, mpsc::Receiver<&'static str>) {
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

/// Runs `work` on a runtime like that of attempts, drops what it returns, lets `CLOSE_YIELDS` polls
/// pass, and stops the runtime: from there on nothing can close the connection but what did.
fn drop_after<T>(
    work: impl Future<Output = T>,
    seen: &mpsc::Receiver<&'static str>,
) -> Result<&'static str, mpsc::RecvTimeoutError> {
    runtime().block_on(async {
        let kept = work.await;
        drop(kept);
        for _ in 0..CLOSE_YIELDS {
            tokio::task::yield_now().await;
        }
        seen.recv_timeout(PATIENCE)
    })
}

#[test]
fn dropped_exchange_closes_its_connection() {
    let (server, seen) = watched("");
    let transport = transport();
    let waiting = async {
        let mut exchange = transport.exchange(get(format!("http://{server}/")));
        until(&mut exchange, || seen.try_recv().is_ok()).await;
        exchange
    };
    assert_eq!(drop_after(waiting, &seen), Ok("closed"));
}

#[test]
fn dropped_body_closes_its_connection() {
    let (server, seen) = watched("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    let transport = transport();
    let reading = async {
        let inbound = transport.exchange(get(format!("http://{server}/"))).await.unwrap();
        seen.recv_timeout(PATIENCE).unwrap();
        inbound
    };
    assert_eq!(drop_after(reading, &seen), Ok("closed"));
}

#[test]
fn dropped_connect_closes_its_connection() {
    let (events, seen) = mpsc::channel();
    let server = raw_server(move |mut stream| {
        events.send("asked").unwrap();
        let mut hello = Vec::new();
        let end = stream.read_to_end(&mut hello);
        events.send(if end.is_ok() { "closed" } else { "not closed" }).unwrap();
    });
    let transport = transport();
    let connecting = async {
        let mut exchange = transport.exchange(get(format!("https://{server}/")));
        until(&mut exchange, || seen.try_recv().is_ok()).await;
        exchange
    };
    assert_eq!(drop_after(connecting, &seen), Ok("closed"));
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
