//! The transport against real sockets: raw servers for what a good server would never send.

mod body;
mod closing;
mod failures;
mod frames;
mod gate;
mod http2;
mod phases;
mod pool;
mod pools;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use spillgate_actors::phases::PhaseMarks;
use spillgate_actors::transport::{
    Beside, Inbound, Outbound, OutboundBody, Transport, TransportError,
};
use spillgate_core::advice::ErrorKind;

use super::options::TransportOptions;
use super::*;

/// How long a test waits for what must happen before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

fn transport() -> ReqwestTransport {
    ReqwestTransport::new(&TransportOptions::default()).unwrap()
}

fn get(url: impl AsRef<str>) -> Outbound {
    Outbound {
        method: Method::GET,
        url: Url::parse(url.as_ref()).unwrap(),
        headers: HeaderMap::new(),
        body: OutboundBody::Empty,
        connect_timeout: PATIENCE,
        marks: PhaseMarks::new(Instant::now()),
        way: Way::Usual,
        beside: Beside::default(),
    }
}

fn post(url: impl AsRef<str>, body: OutboundBody) -> Outbound {
    Outbound { method: Method::POST, body, ..get(url) }
}

fn with_header(mut outbound: Outbound, name: &'static str, value: &'static str) -> Outbound {
    outbound.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    outbound
}

fn connection(inbound: &Inbound) -> Connection {
    inbound.connection.expect("stock reqwest names the connection")
}

async fn read(inbound: Inbound) -> Result<Bytes, TransportError> {
    let mut body = inbound.body;
    let mut whole = Vec::new();
    while let Some(chunk) = body.next().await {
        whole.extend_from_slice(&chunk?);
    }
    assert!(body.next().await.is_none(), "a body stays at its end");
    Ok(whole.into())
}

/// The kind with which an exchange, or else its body, fails.
async fn failure(transport: &ReqwestTransport, outbound: Outbound) -> TransportError {
    match transport.exchange(outbound).await {
        Err(error) => error,
        Ok(inbound) => read(inbound).await.expect_err("the exchange fails"),
    }
}

async fn kind(transport: &ReqwestTransport, outbound: Outbound) -> ErrorKind {
    tokio::time::timeout(PATIENCE, failure(transport, outbound)).await.unwrap().kind
}

/// A server of blocking sockets on a thread of its own: `serve` is called for each connection, one
/// after the other.
fn raw_server(mut serve: impl FnMut(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            serve(stream);
        }
    });
    address
}

/// A server that answers every request with these bytes and leaves the connection as it is.
fn canned(answer: impl AsRef<[u8]>) -> SocketAddr {
    let answer: Arc<[u8]> = answer.as_ref().into();
    raw_server(move |mut stream| {
        let answer = Arc::clone(&answer);
        std::thread::spawn(move || {
            while read_head(&mut stream).is_some() {
                stream.write_all(&answer).unwrap();
            }
        });
    })
}

/// A server that answers one request of each connection with these bytes and closes.
fn canned_then_closed(answer: impl AsRef<[u8]>) -> SocketAddr {
    let answer = answer.as_ref().to_vec();
    raw_server(move |mut stream| {
        read_head(&mut stream);
        stream.write_all(&answer).unwrap();
    })
}

/// Reads up to the end of a request's head.
fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap())
}

/// A runtime as attempts have it: one thread, all drivers.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
