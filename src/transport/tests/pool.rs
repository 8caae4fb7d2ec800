//! Thousands of requests through the pool: what the transport says of connections against what the
//! server saw.

use std::collections::{HashMap, HashSet};

use spillgate_actors::phases::Mark;
use spillgate_actors::transport::ConnectionOrigin;

use super::http2::secure;
use super::*;

const REQUESTS: usize = 4_000;
const CONCURRENT: usize = 24;
/// Fewer than run at once, so that connections come and go.
const IDLE: usize = 16;

struct Seen {
    origin: ConnectionOrigin,
    local: u16,
    saw: u16,
    number: u32,
    connected: bool,
}

async fn one(transport: &ReqwestTransport, server: SocketAddr) -> Seen {
    let outbound = get(format!("http://{server}/"));
    let marks = Arc::clone(&outbound.marks);
    let inbound = transport.exchange(outbound).await.unwrap();
    let used = connection(&inbound);
    let body = read(inbound).await.unwrap();
    let text = std::str::from_utf8(&body).unwrap();
    let (saw, number) = text.split_once(' ').unwrap();
    for mark in [Mark::WriteBegin, Mark::WriteEnd, Mark::Head, Mark::ReadEnd] {
        assert!(marks.at(mark).is_some(), "{mark:?}");
    }
    let connected = marks.at(Mark::ConnectBegin).is_some();
    let (saw, number) = (saw.parse().unwrap(), number.parse().unwrap());
    Seen { origin: used.origin, local: used.local.port(), saw, number, connected }
}

/// Answers with the client's port and the request's number on its connection.
async fn counting_server() -> SocketAddr {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                let mut number = 0_u32;
                while matches!(stream.read_line(&mut line).await, Ok(read) if read > 0) {
                    if line == "\r\n" {
                        number += 1;
                        let body = format!("{} {number}", peer.port());
                        let length = body.len();
                        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                        stream.write_all((head + &body).as_bytes()).await.unwrap();
                    }
                    line.clear();
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn connections_are_told_as_the_server_sees_them() {
    let server = counting_server().await;
    let options = TransportOptions { idle_connections_max: IDLE, ..TransportOptions::default() };
    let transport = ReqwestTransport::new(&options).unwrap();
    let seen: Vec<Seen> = futures_util::stream::iter(0..REQUESTS)
        .map(|_| one(&transport, server))
        .buffer_unordered(CONCURRENT)
        .collect()
        .await;
    let mut fresh = HashSet::new();
    let mut origins: HashMap<_, usize> = HashMap::new();
    for request in &seen {
        assert_eq!(request.local, request.saw);
        *origins.entry(request.origin).or_default() += 1;
        match request.origin {
            ConnectionOrigin::Fresh => {
                assert!(request.connected && request.number == 1, "fresh is the first of its own");
                assert!(fresh.insert(request.local), "one connection is fresh to one attempt");
            }
            ConnectionOrigin::Adopted => {}
            // A first request on another's connection is one whose owner took a better one.
            ConnectionOrigin::Reused => {
                assert!(request.number > 1 || !fresh.contains(&request.local));
            }
        }
    }
    assert_eq!(seen.len(), REQUESTS);
    let count = |origin| origins.get(&origin).copied().unwrap_or_default();
    assert!(count(ConnectionOrigin::Fresh) > 0 && count(ConnectionOrigin::Reused) > REQUESTS / 2);
    let connects = seen.iter().filter(|request| request.connected).count();
    assert!(connects >= fresh.len());
}

#[tokio::test]
async fn tls_connections_are_told_as_the_server_sees_them() {
    for protocol in [&b"h2"[..], b"http/1.1"] {
        let server = secure("localhost", protocol).await;
        let transport = server.transport();
        let requests = futures_util::stream::iter(0..REQUESTS / 4).map(|_| async {
            let outbound = get(server.url());
            let marks = Arc::clone(&outbound.marks);
            let inbound = transport.exchange(outbound).await.unwrap();
            let used = connection(&inbound);
            assert_eq!(inbound.headers["x-port"], used.local.port().to_string());
            read(inbound).await.unwrap();
            let is_fresh = used.origin == ConnectionOrigin::Fresh;
            assert!(!is_fresh || marks.at(Mark::TlsEnd).is_some());
            (used.local.port(), is_fresh)
        });
        let seen: Vec<_> = requests.buffer_unordered(CONCURRENT).collect().await;
        let ports: HashSet<_> = seen.iter().map(|(port, _)| *port).collect();
        let fresh: Vec<_> = seen.iter().filter(|(_, is_fresh)| *is_fresh).collect();
        let fresh_ports: HashSet<_> = fresh.iter().map(|(port, _)| *port).collect();
        assert_eq!(fresh.len(), fresh_ports.len(), "one connection is fresh to one attempt");
        assert!(fresh_ports.is_subset(&ports) && !fresh.is_empty());
        assert!(ports.len() <= if protocol == b"h2" { 1 } else { 2 * CONCURRENT }, "{ports:?}");
    }
}

#[tokio::test]
async fn what_goes_apart_has_a_connection_of_its_own_each_time() {
    for protocol in [&b"h2"[..], b"http/1.1"] {
        let server = secure("localhost", protocol).await;
        let transport = server.transport();
        let send = async |way| {
            let outbound = Outbound { way, ..get(server.url()) };
            let inbound = transport.exchange(outbound).await.unwrap();
            let used = connection(&inbound);
            read(inbound).await.unwrap();
            (used.local.port(), used.origin)
        };
        let (usual, _) = send(Way::Usual).await;
        let mut ports = HashSet::from([usual]);
        for _ in 0..3 {
            let (port, origin) = send(Way::Apart).await;
            assert_eq!(origin, ConnectionOrigin::Fresh);
            assert!(ports.insert(port), "{port} is another's");
        }
        assert_eq!(send(Way::Usual).await, (usual, ConnectionOrigin::Reused));
    }
}
