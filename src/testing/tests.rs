//! The drill as clients meet it, over real sockets.

mod answers;
mod endings;
mod flights;
mod handle;
mod scripted;
mod secure;

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Drill;

/// Longer than anything here takes; only a failing test waits this long.
const WAIT: Duration = Duration::from_secs(20);

/// Sends a GET over a connection of its own.
async fn ask(drill: &Drill, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(drill.addr()).await.unwrap();
    write_get(&mut stream, target).await;
    stream
}

async fn write_get(stream: &mut TcpStream, target: &str) {
    let request = format!("GET {target} HTTP/1.1\r\nhost: drill\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// Reads up to and with the empty line after the headers.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Reads an answer that has a content length.
async fn read_answer(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let head = read_head(stream).await;
    let mut body = vec![0; content_length(&head)];
    stream.read_exact(&mut body).await.unwrap();
    (head, body)
}

fn content_length(head: &str) -> usize {
    let line = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    line.parse().unwrap()
}

async fn get(drill: &Drill, target: &str) -> reqwest::Response {
    client().get(drill.url(target)).send().await.unwrap()
}

async fn status(drill: &Drill, target: &str) -> u16 {
    get(drill, target).await.status().as_u16()
}

async fn json(drill: &Drill, target: &str) -> Value {
    let body = get(drill, target).await.bytes().await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

/// A client that neither follows redirects nor heeds the environment.
fn client() -> reqwest::Client {
    builder().build().unwrap()
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none())
}
