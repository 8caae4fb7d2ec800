//! The forward proxy: requests that say themselves where they go.

use std::net::TcpListener;

use super::origin::{Origin, Talk, exchange, forward_proxy, ok};
use crate::bench::eventually;

fn request(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: elsewhere.example\r\nConnection: close\r\n{fields}\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whole_address_goes_through_cache_and_says_its_own_host() {
    let origin = Origin::start(|_| ok("Cache-Control: max-age=60\r\n", "seen"));
    origin.gate(true);
    let proxy = forward_proxy(&["127.0.0.1"]).await;
    let line = format!("GET http://{}/a?b=c", origin.addr);
    for expected in ["cache-status: spillgate; fwd=uri-miss", "cache-status: spillgate; hit"] {
        let answer = exchange(proxy.addrs()[0], request(&line, "")).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("seen"), "{answer}");
        assert!(answer.contains(expected), "{answer}");
    }
    let heads = origin.heads();
    assert_eq!(heads.len(), 1, "{heads:?}");
    assert!(heads[0].starts_with("GET /a?b=c HTTP/1.1\r\n"), "{heads:?}");
    assert!(heads[0].contains(&format!("host: {}\r\n", origin.addr)), "{heads:?}");
    assert!(!heads[0].contains("elsewhere"), "{heads:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_ask_at_once_share_one_request() {
    let origin = Origin::start(|_| ok("Cache-Control: max-age=60\r\n", "seen"));
    let proxy = forward_proxy(&["127.0.0.1"]).await;
    let text = request(&format!("GET http://{}/a", origin.addr), "");
    let asked: Vec<_> =
        (0..10).map(|_| tokio::spawn(exchange(proxy.addrs()[0], text.clone()))).collect();
    eventually("all wait", || proxy.tally().waiting == 10).await;
    origin.gate(true);
    for answer in asked {
        assert!(answer.await.unwrap().ends_with("seen"));
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_that_is_not_on_the_list_is_not_connected_to() {
    let origin = TcpListener::bind("127.0.0.1:0").unwrap();
    origin.set_nonblocking(true).unwrap();
    let addr = origin.local_addr().unwrap();
    let other_port = format!("127.0.0.1:{}", addr.port() ^ 1);
    let proxy = forward_proxy(&["api.example", "*.api.example", &other_port]).await;
    let port = addr.port();
    for line in [
        format!("GET http://{addr}/"),
        format!("GET http://localhost:{port}/"),
        format!("GET http://0x7f000001:{port}/"),
        format!("POST https://{addr}/"),
        format!("CONNECT {addr}"),
        format!("CONNECT localhost:{port}"),
    ] {
        let answer = exchange(proxy.addrs()[0], request(&line, "")).await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{line}: {answer}");
        assert!(answer.contains("proxy-status: spillgate; error=http_request_denied"), "{answer}");
    }
    assert_eq!(origin.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(proxy.tally().forwarded, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn request_that_names_no_address_is_told_how() {
    let origin = Origin::start(|_| ok("", "seen"));
    origin.gate(true);
    let proxy = forward_proxy(&["127.0.0.1"]).await;
    let addr = origin.addr;
    for (line, expected) in [
        ("GET /a".to_owned(), "whole address"),
        ("OPTIONS *".to_owned(), "whole address"),
        (format!("GET ftp://{addr}/a"), "http://host/path"),
        (format!("GET http://user:secret@{addr}/a"), "http://host/path"),
        ("CONNECT 127.0.0.1".to_owned(), "host:port"),
        (format!("CONNECT user@{addr}"), "host:port"),
    ] {
        let answer = exchange(proxy.addrs()[0], request(&line, "")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{line}: {answer}");
        assert!(answer.contains(expected) && !answer.contains("secret"), "{line}: {answer}");
    }
    assert_eq!(origin.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chain_that_leads_back_is_cut() {
    let origin = Origin::start(|_| ok("", "seen"));
    origin.gate(true);
    let proxy = forward_proxy(&["127.0.0.1"]).await;
    let line = format!("GET http://{}/a", origin.addr);
    let answer = exchange(proxy.addrs()[0], request(&line, "")).await;
    let via = answer.lines().find_map(|line| line.strip_prefix("via: ")).unwrap().to_owned();
    let looped = exchange(proxy.addrs()[0], request(&line, &format!("Via: {via}\r\n"))).await;
    assert!(looped.starts_with("HTTP/1.1 508"), "{looped}");
    assert_eq!(origin.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_one_connection_go_to_different_hosts() {
    let origins = [Origin::start(|_| ok("", "one")), Origin::start(|_| ok("", "two"))];
    let proxy = forward_proxy(&["127.0.0.1"]).await;
    origins.iter().for_each(|origin| origin.gate(true));
    let mut talk = Talk::begin(&proxy, "").await;
    for (origin, body) in [(&origins[0], "one"), (&origins[1], "two"), (&origins[0], "one")] {
        talk.say(format!("GET http://{}/ HTTP/1.1\r\nHost: x\r\n\r\n", origin.addr)).await;
        assert!(talk.head().await.starts_with("HTTP/1.1 200"));
        assert_eq!(talk.hear(3).await, body);
    }
    assert_eq!(origins.map(|origin| origin.count()), [2, 1]);
}
