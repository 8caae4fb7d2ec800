//! What must not pass: smuggled requests, fields of one hop, loops, and clients that drip.

use tokio::io::AsyncWriteExt as _;

use super::origin::{Origin, exchange, get, ok, proxy};
use crate::bench::eventually;

/// The request that must never reach the origin.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// Heads after which two readers may disagree where the request ends; each is followed by another
/// request that one of the two would see.
fn corpus() -> Vec<(&'static str, String)> {
    let post = |fields: &str, body: &str| {
        format!("POST /seen HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}{HIDDEN}")
    };
    let zero = "0\r\n\r\n";
    let length = |text: &str| format!("Content-Length: {text}\r\n");
    let hidden = HIDDEN.len();
    let mut corpus = Vec::new();
    for text in ["+0", "-0", "0x0", "0, 1", "1, 0", "0 0", "1e0", "0,", "", "18446744073709551616"]
    {
        corpus.push(("a length that is none", post(&length(text), "")));
    }
    for pair in [("0", "5"), ("5", "0"), ("0", "+0")] {
        let two = format!("{}{}", length(pair.0), length(pair.1));
        corpus.push(("two lengths", post(&two, "")));
    }
    for coding in [
        "xchunked",
        "chunked, identity",
        "identity",
        "gzip, chunked",
        "chunked, chunked",
        "\u{b}chunked",
        "chunked;q=1",
        "\"chunked\"",
    ] {
        let field = format!("Transfer-Encoding: {coding}\r\n");
        corpus.push(("a coding that is not known", post(&field, zero)));
    }
    let two = "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n";
    corpus.push(("two codings", post(two, zero)));
    corpus.push(("a blank before the colon", post("Transfer-Encoding : chunked\r\n", zero)));
    corpus.push(("a blank before the colon", post("Content-Length : 5\r\n", "")));
    corpus.push(("a folded line", post("X-A: b\r\n Content-Length: 5\r\n", "")));
    corpus.push(("a folded coding", post("Transfer-Encoding:\r\n chunked\r\n", zero)));
    corpus.push(("a bare CR", post("X-A: b\rTransfer-Encoding: chunked\r\n", zero)));
    corpus.push(("a NUL", post("X-A: \0b\r\nContent-Length: 0\r\n", "")));
    corpus.push(("no name", post(": b\r\nContent-Length: 0\r\n", "")));
    let hosts = "Host: b\r\nContent-Length: 0\r\n";
    corpus.push(("two hosts", post(hosts, "")));
    let chunked = "Transfer-Encoding: chunked\r\n";
    for size in ["0x0", "+0", "-0", "0 0", "g", "FFFFFFFFFFFFFFFFF"] {
        corpus.push(("a chunk size that is none", post(chunked, &format!("{size}\r\n\r\n"))));
    }
    corpus.push(("a chunk longer than its size", post(chunked, "1\r\nab\r\n0\r\n\r\n")));
    corpus.push(("a bare LF in an extension", post(chunked, "1;a\nb\r\nx\r\n0\r\n\r\n")));
    // Both lengths: the body is what is chunked, and nothing after it counts.
    for (first, second) in
        [(length(&hidden.to_string()), chunked.to_owned()), (chunked.to_owned(), length("5"))]
    {
        corpus.push(("both lengths", post(&format!("{first}{second}"), zero)));
    }
    corpus.push(("a tunnel", format!("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n{HIDDEN}")));
    corpus.push(("no host", format!("GET /seen HTTP/1.1\r\n\r\n{HIDDEN}")));
    corpus.push((
        "a coding before its time",
        format!("POST /seen HTTP/1.0\r\nHost: a\r\n{chunked}\r\n{zero}{HIDDEN}"),
    ));
    corpus
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_smuggled_request_reaches_the_origin() {
    let origin = Origin::start(|_| ok("", "seen"));
    origin.gate(true);
    let sidecar = proxy(&origin).await;
    let corpus = corpus();
    assert!(corpus.len() >= 30, "{}", corpus.len());
    for (what, request) in corpus {
        let before = origin.count();
        let answer = exchange(sidecar.addrs()[0], request.clone()).await;
        let heads = origin.heads().split_off(before);
        assert!(heads.len() <= 1, "{what}: {request:?} -> {heads:?}");
        assert!(!heads.iter().any(|head| head.contains("hidden")), "{what}: {request:?}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{what}: {request:?} -> {answer}");
        let refused = answer.is_empty() || answer.contains(" 400 ") || answer.contains(" 501 ");
        assert!(refused || what == "both lengths", "{what}: {request:?} -> {answer}");
    }
}

#[tokio::test]
async fn fields_of_one_hop_stay_on_it_both_ways() {
    let hop = "Connection: x-own\r\nX-Own: 1\r\nKeep-Alive: timeout=5\r\nX-Kept: 1\r\n";
    let origin = Origin::start(move |_| ok(hop, "seen"));
    origin.gate(true);
    let sidecar = proxy(&origin).await;
    let sent = "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close, x-own\r\nX-Own: 1\r\nTE: trailers\r\n\
                Proxy-Authorization: secret\r\nUpgrade: websocket\r\nX-Kept: 1\r\n\
                X-Spillgate-Deadline-Ms: 5000\r\n\r\n";
    let answer = exchange(sidecar.addrs()[0], sent).await;
    for head in [origin.heads().remove(0), answer] {
        let head = head.to_ascii_lowercase();
        assert!(head.contains("x-kept: 1") && head.contains("via: 1.1 spillgate-"), "{head}");
        for gone in ["x-own", "keep-alive", "te:", "secret", "upgrade", "x-spillgate"] {
            assert!(!head.contains(gone), "{gone}: {head}");
        }
    }
}

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
    let hasty = get(&sidecar, "/a", "X-Spillgate-Deadline-Ms: 50\r\n").await.unwrap();
    assert!(hasty.starts_with("HTTP/1.1 504"), "{hasty}");
    let patient = get(&sidecar, "/a", "");
    eventually("it waits", || sidecar.tally().waiting == 1).await;
    origin.gate(true);
    assert!(patient.await.unwrap().ends_with("seen"));
    assert_eq!(origin.count(), 1);
}
