//! Bodies, both ways: framing, decoding, and what bounds them.

use std::io::Write as _;

use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use spillgate_actors::transport::ConnectionOrigin;
use tokio::io::AsyncWriteExt as _;

use super::*;

async fn encoded(coding: &str, plain: &[u8]) -> Vec<u8> {
    macro_rules! encode {
        ($encoder:ident) => {{
            let mut encoder = $encoder::new(Vec::new());
            encoder.write_all(plain).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner()
        }};
    }
    match coding {
        "gzip" => encode!(GzipEncoder),
        "br" => encode!(BrotliEncoder),
        "deflate" => encode!(ZlibEncoder),
        "zstd" => encode!(ZstdEncoder),
        _ => panic!("{coding}"),
    }
}

/// Text that compresses about as text does.
fn plain() -> Vec<u8> {
    (0..20_000_u32)
        .flat_map(|n| format!("{} ", n.wrapping_mul(2_654_435_761)).into_bytes())
        .collect()
}

fn answer(fields: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    write!(answer, "HTTP/1.1 200 OK\r\n{fields}Content-Length: {}\r\n\r\n", body.len()).unwrap();
    answer.extend_from_slice(body);
    answer
}

fn chunked(fields: &str, body: &[u8], size: usize) -> Vec<u8> {
    let mut answer = Vec::new();
    write!(answer, "HTTP/1.1 200 OK\r\n{fields}Transfer-Encoding: chunked\r\n\r\n").unwrap();
    for chunk in body.chunks(size) {
        write!(answer, "{:x}\r\n", chunk.len()).unwrap();
        answer.extend_from_slice(chunk);
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    answer
}

#[tokio::test]
async fn codings_are_taken_off_and_the_connection_stays() {
    let plain = plain();
    for coding in ["gzip", "br", "deflate", "zstd"] {
        let body = encoded(coding, &plain).await;
        let field = format!("Content-Encoding: {coding}\r\n");
        for server in [canned(answer(&field, &body)), canned(chunked(&field, &body, 1000))] {
            let transport = transport();
            for origin in [ConnectionOrigin::Fresh, ConnectionOrigin::Reused] {
                let inbound = transport.exchange(get(format!("http://{server}/"))).await.unwrap();
                assert_eq!(connection(&inbound).origin, origin, "{coding}");
                assert!(!inbound.headers.contains_key("content-encoding"));
                assert!(!inbound.headers.contains_key("content-length"));
                assert!(read(inbound).await.unwrap() == plain, "{coding}");
            }
        }
    }
}

#[tokio::test]
async fn codings_on_top_of_each_other_come_off_in_order() {
    let twice = encoded("gzip", &encoded("br", b"twice").await).await;
    let server = canned(answer("Content-Encoding: br, gzip\r\n", &twice));
    let inbound = transport().exchange(get(format!("http://{server}/"))).await.unwrap();
    assert_eq!(read(inbound).await.unwrap(), "twice");
}

#[tokio::test]
async fn caller_who_chose_a_coding_gets_it() {
    let body = encoded("gzip", b"plain").await;
    let server = canned(answer("Content-Encoding: gzip\r\n", &body));
    for (name, value) in [("accept-encoding", "gzip"), ("range", "bytes=0-")] {
        let outbound = with_header(get(format!("http://{server}/")), name, value);
        let inbound = transport().exchange(outbound).await.unwrap();
        assert_eq!(inbound.headers["content-encoding"], "gzip");
        assert_eq!(inbound.headers["content-length"], body.len().to_string());
        assert_eq!(read(inbound).await.unwrap(), body);
    }
}

#[tokio::test]
async fn unknown_coding_is_handed_through() {
    let server = canned(answer("Content-Encoding: secret\r\n", b"??"));
    let inbound = transport().exchange(get(format!("http://{server}/"))).await.unwrap();
    assert_eq!(inbound.headers["content-encoding"], "secret");
    assert_eq!(read(inbound).await.unwrap(), "??");
}

#[tokio::test]
async fn answers_without_a_body_are_not_decoded() {
    let head = |status: &str, fields: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Encoding: gzip\r\n{fields}\r\n")
    };
    for (method, answer) in [
        (Method::HEAD, head("200 OK", "Content-Length: 99\r\n")),
        (Method::GET, head("204 No Content", "")),
        (Method::GET, head("304 Not Modified", "Content-Length: 99\r\n")),
        (Method::GET, head("200 OK", "Content-Length: 0\r\n")),
        (Method::GET, head("200 OK", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n"),
    ] {
        let outbound = Outbound { method, ..get(format!("http://{}/", canned(&answer))) };
        let inbound = transport().exchange(outbound).await.unwrap();
        assert_eq!(read(inbound).await.unwrap(), "", "{answer}");
    }
}

#[tokio::test]
async fn broken_codings_are_told_from_broken_connections() {
    let plain = plain();
    for coding in ["gzip", "br", "deflate", "zstd"] {
        let whole = encoded(coding, &plain).await;
        let half = &whole[..whole.len() / 2];
        let field = format!("Content-Encoding: {coding}\r\n");
        let of_server =
            |server| async move { kind(&transport(), get(format!("http://{server}/"))).await };
        let broken = of_server(canned(answer(&field, half))).await;
        assert_eq!(broken, ErrorKind::HttpResponseContentCoding, "{coding} cut");
        let broken = of_server(canned(answer(&field, b"this is not encoded at all"))).await;
        assert_eq!(broken, ErrorKind::HttpResponseContentCoding, "{coding} plain");
        let surplus = [whole.as_slice(), b"surplus"].concat();
        let broken = of_server(canned(answer(&field, &surplus))).await;
        assert_eq!(broken, ErrorKind::HttpResponseContentCoding, "{coding} surplus");
        let mut short = answer(&field, &whole);
        short.truncate(short.len() - 10);
        let broken = of_server(canned_then_closed(short)).await;
        assert_eq!(broken, ErrorKind::HttpResponseIncomplete, "{coding} connection");
    }
}

#[tokio::test]
async fn body_that_grows_beyond_reason_is_refused() {
    let zeros = vec![0; 8 * 1024 * 1024];
    for coding in ["gzip", "br", "zstd"] {
        let body = encoded(coding, &zeros).await;
        let server = canned(answer(&format!("Content-Encoding: {coding}\r\n"), &body));
        let inbound = transport().exchange(get(format!("http://{server}/"))).await.unwrap();
        let mut stream = inbound.body;
        let mut decoded = 0;
        let error = loop {
            match stream.next().await.expect("it is refused before its end") {
                Ok(chunk) => decoded += chunk.len(),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind, ErrorKind::HttpResponseBodySize, "{coding}");
        assert!(decoded <= 1024 * 1024, "{coding}: {decoded} bytes were let through");
        assert!(stream.next().await.is_none());
    }
    let small = encoded("gzip", &zeros[..1024 * 1024]).await;
    let server = canned(answer("Content-Encoding: gzip\r\n", &small));
    let inbound = transport().exchange(get(format!("http://{server}/"))).await.unwrap();
    assert_eq!(read(inbound).await.unwrap().len(), 1024 * 1024);
}

#[tokio::test]
async fn bytes_beyond_the_announced_length_close_the_connection() {
    let server =
        canned("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 Injected\r\n\r\n");
    let transport = transport();
    for _ in 0..3 {
        let inbound = transport.exchange(get(format!("http://{server}/"))).await.unwrap();
        assert_eq!(
            (inbound.status.as_u16(), connection(&inbound).origin),
            (200, ConnectionOrigin::Fresh)
        );
        assert_eq!(read(inbound).await.unwrap(), "ok");
    }
}
