//! The drill's handle: starting, waiting, reading the log, stopping.

use std::io::ErrorKind;
use std::time::Duration;

use http::{Method, Version};
use tokio::net::TcpStream;

use super::super::Drill;
use super::super::received::{Outcome, Received};
use super::{WAIT, client, status};

#[test]
fn starts_and_waits_without_a_runtime() {
    let drill = Drill::start().unwrap();
    std::net::TcpStream::connect(drill.addr()).unwrap();
    drill.wait_for_blocking(|ledger| ledger.connections() == 1, WAIT).unwrap();
    let error =
        drill.wait_for_blocking(|ledger| ledger.hits() == 1, Duration::from_millis(1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("0 hits"), "{error}");
}

#[test]
fn waits_on_a_runtime_without_timers() {
    let drill = Drill::start().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let met = runtime.block_on(drill.wait_for(|_| false, Duration::from_millis(1)));
    assert_eq!(met.unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn dropping_stops_listening_and_closes_connections() {
    use tokio::io::AsyncReadExt as _;
    let drill = Drill::start().unwrap();
    let address = drill.addr();
    let mut stream = super::ask(&drill, "/stall?after=1").await;
    super::read_head(&mut stream).await;
    drop(drill);
    let _ = stream.read_to_end(&mut Vec::new()).await;
    let error = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_taken_address_is_an_error_that_names_it() {
    let drill = Drill::start().unwrap();
    let address = drill.addr().to_string();
    let error = Drill::builder().listen(&address).start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&address), "{error}");
    assert!(Drill::builder().listen("nonsense").start().is_err());
}

#[tokio::test]
async fn a_drill_on_all_addresses_has_a_url_that_can_be_called() {
    let drill = Drill::builder().listen("0.0.0.0:0").start().unwrap();
    assert!(drill.url("ok").starts_with("http://127.0.0.1:"));
    assert_eq!(status(&drill, "/ok").await, 200);
}

#[tokio::test]
async fn requests_are_logged_with_their_particulars() {
    let drill = Drill::start().unwrap();
    let client = client();
    let before = std::time::Instant::now();
    let url = drill.url("/status/404?a=b&key=k");
    client.post(url).header("x-a", "1").body("tea").send().await.unwrap().bytes().await.unwrap();
    client.get(drill.url("/ok")).send().await.unwrap().bytes().await.unwrap();
    let requests = drill.requests();
    let [first, second] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!((first.method(), first.path()), (&Method::POST, "/status/404"));
    assert_eq!((first.query(), first.key()), (Some("a=b&key=k"), Some("k")));
    assert_eq!(first.header("x-a"), Some("1"));
    assert_eq!(first.body_len(), 3);
    assert_eq!(first.body_blake3(), *blake3::hash(b"tea").as_bytes());
    assert_eq!((first.version(), first.outcome()), (Version::HTTP_11, Outcome::Served));
    assert_eq!((first.number(), second.number()), (0, 1));
    assert_eq!(first.connection(), second.connection(), "kept alive");
    assert_eq!(first.peer(), second.peer());
    assert_eq!(drill.connections(), 1);
    assert!(before <= first.at() && first.at() <= second.at());
    assert_eq!(drill.arrivals_at("/ok"), [second.at()]);
    assert_eq!(drill.arrivals_of("k"), [first.at()]);
}

#[tokio::test]
async fn the_log_keeps_the_newest_and_counts_the_others() {
    let drill = Drill::builder().log_max(3).start().unwrap();
    for number in 0..5 {
        status(&drill, &format!("/ok?number={number}")).await;
    }
    let numbers: Vec<_> = drill.requests().iter().map(Received::number).collect();
    assert_eq!(numbers, [2, 3, 4]);
    assert!(drill.requests().iter().all(|received| received.outcome() == Outcome::Served));
    drill.read(|ledger| {
        assert_eq!((ledger.hits(), ledger.requests_dropped()), (5, 2));
        assert_eq!(ledger.names_dropped(), 0);
    });
}
