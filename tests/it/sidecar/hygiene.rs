//! What must not pass: smuggled requests, fields of one hop, loops, and clients that drip.

use tokio::io::AsyncWriteExt as _;

use super::origin::{Origin, exchange, get, ok, proxy};
use crate::bench::eventually;

/// The request that must never reach the origin.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// What is wrong with a request, the request, and whether it is its body that is.
type Flawed = (&'static str, String, bool);

/// Requests of which two readers may disagree where they end; each is followed by another one that
/// only one of the two would see.
fn corpus() -> Vec<Flawed> {
    let mut corpus = lengths();
    corpus.extend(lines());
    corpus.extend(chunks());
    corpus
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /seen HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}{HIDDEN}")
}

fn length(text: &str) -> String {
    format!("Content-Length: {text}\r\n")
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
const ZERO: &str = "0\r\n\r\n";

/// Heads that say in no way where they end, or in two.
fn lengths() -> Vec<Flawed> {
    let mut corpus = Vec::new();
    let mut add = |what, request| corpus.push((what, request, false));
    for text in ["+0", "-0", "0x0", "0, 1", "1, 0", "0 0", "1e0", "0,", "", "18446744073709551616"]
    {
        add("a length that is none", post(&length(text), ""));
    }
    for pair in [("0", "5"), ("5", "0"), ("0", "+0"), ("0", "0")] {
        let two = format!("{}{}", length(pair.0), length(pair.1));
        add("two lengths", post(&two, ""));
    }
    for coding in [
        "xchunked",
        "chunked, identity",
        "identity",
        "gzip",
        "gzip, chunked",
        "chunked, chunked",
        "\u{b}chunked",
        "chunked;q=1",
        "\"chunked\"",
        "",
    ] {
        let field = format!("Transfer-Encoding: {coding}\r\n");
        add("a coding that is not known", post(&field, ZERO));
    }
    add("two codings", post(&format!("{CHUNKED}Transfer-Encoding: identity\r\n"), ZERO));
    add("two codings", post(&CHUNKED.repeat(2), ZERO));
    let hidden = length(&HIDDEN.len().to_string());
    for fields in [format!("{hidden}{CHUNKED}"), format!("{CHUNKED}{}", length("5"))] {
        add("both lengths", post(&fields, ZERO));
    }
    let old = format!("POST /seen HTTP/1.0\r\nHost: a\r\n{CHUNKED}\r\n{ZERO}{HIDDEN}");
    add("a coding before its time", old);
    corpus
}

/// Heads whose lines are no lines, or whose names are no names.
fn lines() -> Vec<Flawed> {
    let mut corpus = Vec::new();
    let mut add = |what, request| corpus.push((what, request, false));
    for fields in ["Transfer-Encoding : chunked\r\n", "Content-Length : 5\r\n", "X-A\t: b\r\n"] {
        add("a blank before the colon", post(fields, ZERO));
    }
    add("a folded line", post("X-A: b\r\n Content-Length: 5\r\n", ""));
    add("a folded line", post("X-A: b\r\n\tContent-Length: 5\r\n", ""));
    add("a folded coding", post("Transfer-Encoding:\r\n chunked\r\n", ZERO));
    add("a blank line's begin", format!("GET /seen HTTP/1.1\r\n Host: a\r\n\r\n{HIDDEN}"));
    add("a bare CR", post("X-A: b\rTransfer-Encoding: chunked\r\n", ZERO));
    add("a bare CR", post("X-A: b\r\r\n", ""));
    add("a bare LF", post("X-A: b\nContent-Length: 5\r\n", ""));
    add("a bare LF", post("Content-Length: 0\n", ""));
    add("a bare LF", format!("GET /seen HTTP/1.1\nHost: a\n\n{HIDDEN}"));
    add("a bare LF", format!("GET /seen HTTP/1.1\r\nHost: a\r\n\n{HIDDEN}"));
    add("a NUL", post("X-A: \0b\r\nContent-Length: 0\r\n", ""));
    add("a control character", post("X-A: \u{1}b\r\n", ""));
    add("a NUL in a name", post("X\0A: b\r\n", ""));
    add("no name", post(": b\r\nContent-Length: 0\r\n", ""));
    add("no colon", post("X-A\r\n", ""));
    for line in ["GET  /seen HTTP/1.1", "GET /seen HTTP/1.1 ", "GET /seen HTTP/1.2", "GET /seen"] {
        add("another line", format!("{line}\r\nHost: a\r\n\r\n{HIDDEN}"));
    }
    add("two hosts", post("Host: b\r\nContent-Length: 0\r\n", ""));
    add("no host", format!("GET /seen HTTP/1.1\r\n\r\n{HIDDEN}"));
    corpus
}

/// Bodies whose chunks are none.
fn chunks() -> Vec<Flawed> {
    let mut corpus = Vec::new();
    let mut add = |what, body: &str| corpus.push((what, post(CHUNKED, body), true));
    for size in ["0x0", "+0", "-0", "0 0", "g", "FFFFFFFFFFFFFFFFF", "", " 0", "0 "] {
        add("a chunk size that is none", &format!("{size}\r\n\r\n"));
    }
    add("a chunk longer than its size", "1\r\nab\r\n0\r\n\r\n");
    add("a bare LF behind a size", "1\nx\r\n0\r\n\r\n");
    add("a bare LF behind a chunk", "1\r\nx\n0\r\n\r\n");
    add("a bare LF in an extension", "1;a\nb\r\nx\r\n0\r\n\r\n");
    add("a bare CR in an extension", "1;a\rb\r\nx\r\n0\r\n\r\n");
    add("an extension in open quotes", "1;a=\"\r\nx\r\n0\r\n\r\n");
    add("a bare LF at the end", "0\r\n\n");
    add("a bare LF in a trailer", "0\r\nX-A: b\n\r\n");
    add("a blank in a trailer's name", "0\r\nX-A : b\r\n\r\n");
    corpus
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_smuggled_request_reaches_the_origin() {
    let origin = Origin::start(|_| ok("", "seen"));
    let sidecar = proxy(&origin).await;
    let corpus = corpus();
    assert!(corpus.len() >= 60, "{}", corpus.len());
    for (what, request, in_body) in corpus {
        let before = origin.count();
        // Were it to answer before it has the body, it would be too late for a refusal.
        origin.gate(!in_body);
        let answer = exchange(sidecar.addrs()[0], request.clone()).await;
        let heads = origin.heads().split_off(before);
        assert!(heads.len() <= usize::from(in_body), "{what}: {request:?} -> {heads:?}");
        assert!(!heads.iter().any(|head| head.contains("hidden")), "{what}: {request:?}");
        assert!(answer.starts_with("HTTP/1.1 400 "), "{what}: {request:?} -> {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{what}: {request:?} -> {answer}");
        assert!(answer.contains("connection: close"), "{what}: {request:?} -> {answer}");
    }
}

#[tokio::test]
async fn flaw_is_answered_behind_the_requests_before_it() {
    let origin = Origin::start(|_| ok("", "seen"));
    origin.gate(true);
    let sidecar = proxy(&origin).await;
    let fine = "GET /seen HTTP/1.1\r\nHost: a\r\n\r\n";
    let body = "POST /seen HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let flawed = format!("{fine}{body}GET /seen HTTP/1.1\r\nX-A: b\n\r\n{HIDDEN}");
    let answer = exchange(sidecar.addrs()[0], flawed).await;
    let statuses: Vec<_> =
        answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "200", "400"], "{answer}");
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn refusal_reaches_a_client_that_is_still_sending() {
    let origin = Origin::start(|_| ok("", "seen"));
    origin.gate(true);
    let sidecar = proxy(&origin).await;
    let flawed = post("X-A : b\r\nContent-Length: 4000000\r\n", &"x".repeat(4_000_000));
    let answer = exchange(sidecar.addrs()[0], flawed).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn head_that_is_too_large_is_told_so() {
    let origin = Origin::start(|_| ok("", "seen"));
    origin.gate(true);
    let sidecar = proxy(&origin).await;
    let large = "x".repeat(60 * 1024);
    for (fields, expected) in [(format!("X-A: {large}\r\n"), "200"), (large.repeat(2), "431")] {
        let fields = if expected == "431" { format!("X-A: {fields}\r\n") } else { fields };
        let head = format!("GET /seen HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
        let answer = exchange(sidecar.addrs()[0], head).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected} ")), "{answer}");
    }
}

#[tokio::test]
async fn two_lengths_are_one_too_many_over_http2_as_well() {
    let origin = Origin::start(|_| ok("", "seen"));
    origin.gate(true);
    let sidecar = proxy(&origin).await;
    let stream = tokio::net::TcpStream::connect(sidecar.addrs()[0]).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for (second, by_engine) in [("5", true), ("3", false)] {
        let request = http::Request::post("http://a/seen");
        let request = request.header("content-length", "3").header("content-length", second);
        let (response, mut body) = sender.send_request(request.body(()).unwrap(), false).unwrap();
        body.send_data("abc".into(), true).unwrap();
        let status = response.await.map(|response| response.status().as_u16());
        // The engine resets the stream where they differ.
        assert!(status.as_ref().map_or(by_engine, |status| *status == 400), "{status:?}");
    }
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn nothing_behind_a_refused_tunnel_is_a_request() {
    let origin = Origin::start(|_| ok("", "seen"));
    origin.gate(true);
    let sidecar = proxy(&origin).await;
    let tunnel = format!("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n{HIDDEN}");
    let answer = exchange(sidecar.addrs()[0], tunnel).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(!answer.starts_with("HTTP/1.1 2") && answer.contains("connection: close"), "{answer}");
    assert_eq!(origin.count(), 0);
}

#[tokio::test]
async fn fields_of_one_hop_stay_on_it_both_ways() {
    let hop = "Connection: x-own\r\nX-Own: 1\r\nKeep-Alive: timeout=5\r\nX-Kept: 1\r\n";
    let origin = Origin::start(move |_| ok(hop, "seen"));
    origin.gate(true);
    let sidecar = proxy(&origin).await;
    let sent = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close, x-own\r\nX-Own: 1\r\nTE: gzip\r\n\
                Proxy-Authorization: secret\r\nUpgrade: websocket\r\nX-Kept: 1\r\n\
                X-Spillgate-Deadline-Ms: 5000\r\n\r\n";
    let answer = exchange(sidecar.addrs()[0], sent).await;
    for head in [origin.heads().remove(0), answer] {
        let head = head.to_ascii_lowercase();
        assert!(head.contains("x-kept: 1") && head.contains("via: 1.1 spillgate-"), "{head}");
        for gone in ["x-own", "keep-alive", "\nte:", "secret", "upgrade", "x-spillgate"] {
            assert!(!head.contains(gone), "{gone}: {head}");
        }
    }
}

/// An upstream speaks of its own connection alone: the client's stays open, whatever it says.
#[tokio::test]
async fn upstreams_connection_is_not_the_clients() {
    for said in ["keep-alive", "close", "X-Own"] {
        let fields = format!("Cache-Control: no-store\r\nConnection: {said}\r\nX-Own: 1\r\n");
        let origin = Origin::start(move |_| ok(&fields, "body"));
        let sidecar = proxy(&origin).await;
        origin.gate(true);
        let twice = format!("{GET}{}", GET.replace("Host", "Connection: close\r\nHost"));
        let answers = exchange(sidecar.addrs()[0], twice).await;
        assert_eq!(answers.matches("200 OK").count(), 2, "{said}: {answers}");
        assert_eq!(answers.matches("connection: close").count(), 1, "{said}: {answers}");
    }
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn request_that_came_this_way_before_is_refused() {
    let origin = Origin::start(|_| ok("", "seen"));
    origin.gate(true);
    let sidecar = proxy(&origin).await;
    let other = get(&sidecar, "/a", "Via: 1.1 spillgate-other\r\n").await.unwrap();
    assert!(other.starts_with("HTTP/1.1 200"), "{other}");
    let via = other.lines().find_map(|line| line.strip_prefix("via: ")).unwrap();
    let looped = get(&sidecar, "/a", &format!("Via: 1.0 edge, {via}\r\n")).await.unwrap();
    assert!(looped.starts_with("HTTP/1.1 508"), "{looped}");
    assert_eq!(origin.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_drips_leave_a_client_unharmed() {
    let origin = Origin::start(|_| ok("Cache-Control: no-store\r\n", "seen"));
    origin.gate(true);
    let sidecar = proxy(&origin).await;
    let mut drips = Vec::new();
    for _ in 0..1_000 {
        let mut drip = tokio::net::TcpStream::connect(sidecar.addrs()[0]).await.unwrap();
        drip.write_all(b"GET /a HTT").await.unwrap();
        drips.push(drip);
    }
    eventually("all are open", || sidecar.tally().connections == 1_000).await;
    for _ in 0..10 {
        assert!(get(&sidecar, "/a", "").await.unwrap().ends_with("seen"));
    }
    assert_eq!(origin.count(), 10, "no drip was a request");
    drop(drips);
}

#[tokio::test]
async fn interim_answers_arrive_before_the_final_one() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x\r\n\r\n";
    let origin = Origin::start(move |_| format!("{early}{}", ok("X-Final: 1\r\n", "seen")));
    origin.gate(true);
    let sidecar = proxy(&origin).await;
    let answer = get(&sidecar, "/a", "").await.unwrap();
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n";
    assert!(answer.starts_with(hints) && answer.contains("x-final: 1"), "{answer}");
}

#[tokio::test]
async fn deadline_of_the_client_ends_its_wait_and_not_the_flight() {
    let origin = Origin::start(|_| ok("Cache-Control: max-age=60\r\n", "seen"));
    let sidecar = proxy(&origin).await;
    let hasty = get(&sidecar, "/a", "X-Spillgate-Deadline-Ms: 1500\r\n");
    eventually("it began the flight", || origin.count() == 1).await;
    let patient = get(&sidecar, "/a", "");
    eventually("both wait", || sidecar.tally().waiting == 2).await;
    let hasty = hasty.await.unwrap();
    assert!(hasty.starts_with("HTTP/1.1 504"), "{hasty}");
    origin.gate(true);
    assert!(patient.await.unwrap().ends_with("seen"));
    assert_eq!(origin.count(), 1);
}
