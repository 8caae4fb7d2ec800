//! What servers say of when to come back, byte for byte as they say it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use spillgate::{Client, ErrorKind, RetryOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::bench::{client, drill, quick};

/// reqwest-middleware#146 (PITFALLS A14).
#[tokio::test]
async fn hint_that_is_junk_past_or_negative_means_the_usual_back_off() {
    let past = "Thu, 01 Jan 1970 00:00:00 GMT";
    for hint in ["soon", "", "-5", "1.5", "0", "2s", "1, 2", past, "Thu, 32 Foo 2099 25:61:61 GMT"]
    {
        for status in ["429 Too Many Requests", "503 Service Unavailable"] {
            let server = Server::start(status, &format!("retry-after: {hint}")).await;
            let response = quick_throttled().get(&server.url).send().await.unwrap();
            let report = response.report();
            assert_eq!((response.status().as_u16(), report.attempts), (200, 2), "{hint:?}");
            assert_eq!(server.arrivals().len(), 2, "{hint:?}");
        }
    }
}

/// reqwest-middleware#146 (PITFALLS A14).
#[tokio::test]
async fn hint_beyond_all_reason_is_clamped_to_an_hour_and_told_at_once() {
    let hour = Duration::from_secs(3_600);
    for hint in ["1000000000", "99999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        let server =
            Server::start("503 Service Unavailable", &format!("retry-after: {hint}")).await;
        let (client, began) = (quick(), Instant::now());
        let response = client.get(&server.url).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.report().attempts), (503, 1), "{hint}");
        let told = response.report().retry_at.expect("it is told");
        assert!(told > began + hour * 10, "{hint}: what the server said");
        let held = client.get(&server.url).send().await.unwrap_err();
        assert_eq!(held.kind(), ErrorKind::RateLimited);
        let until = held.retry_at().expect("it is told");
        // The hold itself, and what is added so that not all come back at once.
        assert!(until >= began + hour && until <= Instant::now() + hour * 3 / 2, "{hint}");
        assert_eq!(server.arrivals().len(), 1, "{hint}");
    }
}

/// reqwest-middleware#146 (PITFALLS A14).
#[tokio::test]
async fn hint_that_is_a_date_is_not_forestalled() {
    let date = SystemTime::now() + Duration::from_secs(3);
    let text = httpdate::fmt_http_date(date);
    let server = Server::start("503 Service Unavailable", &format!("Retry-After: {text}")).await;
    let response = quick().get(&server.url).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.report().attempts), (200, 2));
    let asked = httpdate::parse_http_date(&text).unwrap();
    assert!(server.arrivals()[1].1 >= asked, "{:?}", server.arrivals());
    let drill = drill();
    let url = drill.url("/status/429?retry_after=date&times=1&key=date");
    assert_eq!(quick().get(url).send().await.unwrap().status(), 200);
    let arrivals = drill.arrivals_of("date");
    assert!(arrivals[1] - arrivals[0] >= Duration::from_secs(1), "{arrivals:?}");
}

/// reqwest-middleware#146 (PITFALLS A14), aws-sdk-go-v2#3400: milliseconds in a header of its own.
#[tokio::test]
async fn hint_of_aws_is_in_milliseconds_and_goes_before_the_other() {
    let both = "x-amz-retry-after: 700\r\nretry-after: 3000";
    let server = Server::start("500 Internal Server Error", both).await;
    let client = client(|builder| {
        builder.defaults(|config| config.defaults.retry = RetryOptions::aws_standard())
    });
    let response = client.get(&server.url).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.report().attempts), (200, 2));
    let arrivals = server.arrivals();
    assert!(arrivals[1].0 - arrivals[0].0 >= Duration::from_millis(700), "{arrivals:?}");
}

/// A server that answers its first request with a status and a header, all others with 200.
struct Server {
    url: String,
    arrivals: Arc<Mutex<Vec<(Instant, SystemTime)>>>,
}

impl Server {
    async fn start(status: &str, header: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let rest = "content-length: 0\r\nconnection: close\r\n\r\n";
        let first = format!("HTTP/1.1 {status}\r\n{header}\r\n{rest}");
        let book = arrivals.clone();
        drop(tokio::spawn(async move {
            let mut next = first;
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut head = [0; 4096];
                if socket.read(&mut head).await.is_ok_and(|read| read > 0) {
                    book.lock().unwrap().push((Instant::now(), SystemTime::now()));
                    socket.write_all(next.as_bytes()).await.unwrap();
                    next = format!("HTTP/1.1 200 OK\r\n{rest}");
                }
            }
        }));
        Self { url, arrivals }
    }

    fn arrivals(&self) -> Vec<(Instant, SystemTime)> {
        self.arrivals.lock().unwrap().clone()
    }
}

/// A client that retries at once, after a 429 as well.
fn quick_throttled() -> Client {
    client(|builder| {
        builder.defaults(|config| {
            let backoff = &mut config.defaults.retry.backoff;
            backoff.base = Duration::from_millis(1);
            backoff.base_throttled = Duration::from_millis(1);
        })
    })
}
