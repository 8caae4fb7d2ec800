//! Another configuration while it serves: what changes, what stays, and what a mistake leaves alone.

use spillgate::testing::Drill;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::process::{Serving, ask, listener};
use crate::bench::{drill, hits};

async fn status(serving: &Serving, path: &str) -> String {
    let answer = ask(serving.listeners[0], &format!("GET {path}"), "Host: a\r\n").await;
    answer.lines().next().unwrap_or_default().to_owned()
}

async fn on(stream: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = vec![0; 4_096];
    let count = stream.read(&mut read).await.unwrap();
    String::from_utf8_lossy(&read[..count]).into_owned()
}

fn files(drill: &Drill, more: &str) -> String {
    format!("{}{more}", listener(&drill.url("")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_and_breakers_stay_and_requests_go_to_the_new_upstream() {
    let (old, new) = (drill(), drill());
    let serving = Serving::start(&files(&old, ""), &["--watch", "0s"]);
    let mut kept = TcpStream::connect(serving.listeners[0]).await.unwrap();
    assert!(on(&mut kept, "/ok").await.starts_with("HTTP/1.1 200"));
    let scope = old.url("").trim_end_matches('/').replace(':', "%3A").replace('/', "%2F");
    let opened = serving.ask(&format!("POST /breakers/{scope}/open")).await;
    assert!(opened.contains("\"open\""), "{opened}");
    assert!(on(&mut kept, "/ok").await.starts_with("HTTP/1.1 503"));

    serving.rewrite(&files(&old, "[defaults]\ndeadline = \"7s\"\n"));
    let told = serving.ask("POST /reload").await;
    assert!(told.starts_with("HTTP/1.1 200") && told.contains("\"kept\":1"), "{told}");
    assert!(on(&mut kept, "/ok").await.starts_with("HTTP/1.1 503"), "the breaker stays open");
    let shown = serving.ask("GET /config").await;
    assert!(shown.contains("\"deadline\":\"7s\"") && shown.contains("serve.toml:5"), "{shown}");

    serving.rewrite(&files(&new, ""));
    assert!(serving.ask("POST /admin/reload").await.starts_with("HTTP/1.1 200"));
    assert!(on(&mut kept, "/ok").await.starts_with("HTTP/1.1 200"), "the connection stays open");
    assert_eq!((old.hits(), new.hits()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_leaves_all_as_it_was_and_is_told_without_secrets() {
    let drill = drill();
    let serving = Serving::start(&files(&drill, ""), &["--watch", "0s"]);
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!(
        "{}[[listener]]\nbind = \"{}\"\nupstream = \"{}\"\n",
        files(&drill, ""),
        busy.local_addr().unwrap(),
        drill.url("")
    );
    let keyless = files(&drill, "tls = { cert = \"none.pem\", key = \"none.pem\" }\n");
    for (text, expected) in [
        ("[[listener]]\nbind = \"127.0.0.1:0\"\nupstrem = \"http://me:hushhush@a\"\n", "upstrem"),
        ("[defaults]\ndeadline = 7\n", "deadline"),
        ("not toml", "serve.toml:1:"),
        (&taken, "cannot listen on"),
        (&keyless, "cannot use"),
    ] {
        serving.rewrite(text);
        let told = serving.ask("POST /reload").await;
        assert!(told.starts_with("HTTP/1.1 422") && told.contains(expected), "{told}");
        assert!(!told.contains("hushhush"), "{told}");
        assert_eq!(status(&serving, "/ok").await, "HTTP/1.1 200 OK");
    }
    let metrics = serving.ask("GET /metrics").await;
    assert!(metrics.contains("spillgate_reloads_total{outcome=\"refused\"} 5\n"), "{metrics}");
    serving.signal("TERM");
    let (_, told) = serving.end();
    assert!(told.contains("error: nothing has changed") && !told.contains("hushhush"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_come_and_go_and_what_was_begun_goes_on() {
    let (old, new) = (drill(), drill());
    let serving = Serving::start(&files(&old, ""), &["--watch", "0s"]);
    let begun = tokio::spawn(ask(serving.listeners[0], "GET /delay/300", "Host: a\r\n"));
    hits(&old, 1).await;
    let other = format!("[[listener]]\nbind = \"localhost:0\"\nupstream = \"{}\"\n", new.url(""));
    // A name is no address.
    serving.rewrite(&other);
    assert!(serving.ask("POST /reload").await.starts_with("HTTP/1.1 422"));
    serving.rewrite(&other.replace("localhost:0", "127.0.0.2:0"));
    let told = serving.ask("POST /reload").await;
    assert!(told.contains("\"added\":1") && told.contains("\"removed\":1"), "{told}");
    let config = serving.ask("GET /config").await;
    let at = config.split_once("127.0.0.2:").unwrap().1;
    let port = at.split_once('"').unwrap().0;
    let answer = ask(format!("127.0.0.2:{port}").parse().unwrap(), "GET /ok", "Host: a\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(begun.await.unwrap().starts_with("HTTP/1.1 200"));
    crate::bench::eventually("nobody listens there", || {
        std::net::TcpStream::connect(serving.listeners[0]).is_err()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_and_a_changed_file_are_heard() {
    let (first, second, third) = (drill(), drill(), drill());
    let serving = Serving::start(&files(&first, ""), &["--watch", "5ms"]);
    serving.rewrite(&files(&second, ""));
    let shown = |drill: &Drill| {
        let upstream = format!("\"upstream\":\"{}\"", drill.url("").trim_end_matches('/'));
        move |told: &str| told.contains(&upstream)
    };
    serving.until("GET /config", shown(&second)).await;
    assert_eq!(status(&serving, "/ok").await, "HTTP/1.1 200 OK");
    assert_eq!((first.hits(), second.hits()), (0, 1));
    drop(serving);

    let serving = Serving::start(&files(&first, ""), &["--watch", "0s"]);
    serving.rewrite(&files(&third, ""));
    serving.signal("HUP");
    serving.until("GET /config", shown(&third)).await;
    assert_eq!(status(&serving, "/ok").await, "HTTP/1.1 200 OK");
    assert_eq!((first.hits(), third.hits()), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_file_says_of_the_cache_holds_and_changes() {
    let drill = drill();
    let off = "[defaults.cache]\nmode = \"off\"\n";
    let serving = Serving::start(&files(&drill, off), &["--watch", "0s"]);
    for _ in 0..2 {
        assert_eq!(status(&serving, "/etag?max_age=600").await, "HTTP/1.1 200 OK");
    }
    assert_eq!(drill.hits(), 2, "the cache is off");
    serving.rewrite(&files(&drill, ""));
    assert!(serving.ask("POST /reload").await.starts_with("HTTP/1.1 200"));
    for _ in 0..3 {
        assert_eq!(status(&serving, "/etag?max_age=600").await, "HTTP/1.1 200 OK");
    }
    assert_eq!(drill.hits(), 3, "the cache is on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_read_anew_when_its_file_changes() {
    let drill = drill();
    let directory = tempfile::tempdir().unwrap();
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let renew = || {
        let fresh = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(&cert, fresh.cert.pem()).unwrap();
        std::fs::write(&key, fresh.signing_key.serialize_pem()).unwrap();
        reqwest::Certificate::from_pem(fresh.cert.pem().as_bytes()).unwrap()
    };
    let first = renew();
    let tls = format!("tls = {{ cert = {cert:?}, key = {key:?} }}\n");
    let serving = Serving::start(&files(&drill, &tls), &["--watch", "5ms"]);
    let port = serving.listeners[0].port();
    let ask_trusting = |certificate: &reqwest::Certificate| {
        let client = reqwest::Client::builder().tls_certs_only([certificate.clone()]);
        client.build().unwrap().get(format!("https://localhost:{port}/ok")).send()
    };
    assert_eq!(ask_trusting(&first).await.unwrap().status(), 200);
    let second = renew();
    let reloads = "spillgate_reloads_total{outcome=\"done\"} 0\n";
    serving.until("GET /metrics", |told| !told.contains(reloads)).await;
    assert_eq!(ask_trusting(&second).await.unwrap().status(), 200);
    assert!(ask_trusting(&first).await.is_err(), "the old one is gone");
}
