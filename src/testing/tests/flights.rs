//! The count of requests in flight is honest, whatever clients do.

use std::sync::Arc;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::super::Drill;
use super::{WAIT, ask, json, read_answer, read_head, write_get};

#[tokio::test]
async fn a_client_that_leaves_is_noticed_without_waiting_for_the_answer() {
    let drill = Drill::start().unwrap();
    let stream = ask(&drill, "/delay/60000?key=k").await;
    drill.wait_for(|ledger| ledger.in_flight() == 1, WAIT).await.unwrap();
    assert_eq!(drill.aborted("/delay/60000"), 0);
    drop(stream);
    drill.wait_for(|ledger| ledger.aborted("/delay/60000") == 1, WAIT).await.unwrap();
    assert_eq!(drill.in_flight(), 0);
    assert_eq!(drill.read(|ledger| ledger.aborted_of("k")), 1);
    let outcome = drill.requests()[0].outcome();
    assert_eq!(outcome, super::super::received::Outcome::Aborted);
}

#[tokio::test]
async fn a_request_whose_client_left_right_after_it_is_counted_but_raises_no_peak() {
    use std::io::Write as _;
    for header in ["", "content-length: 4\r\n"] {
        let drill = Drill::start().unwrap();
        let _stays = ask(&drill, "/delay/60000").await;
        drill.wait_for(|ledger| ledger.in_flight() == 1, WAIT).await.unwrap();
        // The drill waits meanwhile, and so finds request and goodbye together.
        drill.read(|_| {
            let mut stream = std::net::TcpStream::connect(drill.addr()).unwrap();
            write!(stream, "POST /delay/1 HTTP/1.1\r\nhost: drill\r\n{header}\r\n").unwrap();
        });
        drill.wait_for(|ledger| ledger.aborted("/delay/1") == 1, WAIT).await.unwrap();
        assert_eq!((drill.hits(), drill.in_flight(), drill.peak()), (2, 1, 1));
    }
}

#[tokio::test]
async fn a_client_that_leaves_during_its_own_body_is_noticed() {
    use tokio::io::AsyncWriteExt as _;
    let drill = Drill::start().unwrap();
    let mut stream = TcpStream::connect(drill.addr()).await.unwrap();
    let half = b"POST /echo HTTP/1.1\r\nhost: drill\r\ncontent-length: 10\r\n\r\nhalf";
    stream.write_all(half).await.unwrap();
    drill.wait_for(|ledger| ledger.in_flight() == 1, WAIT).await.unwrap();
    drop(stream);
    drill.wait_for(|ledger| ledger.aborted("/echo") == 1, WAIT).await.unwrap();
    assert_eq!(drill.in_flight(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_at_once_are_counted_at_once() {
    let drill = Drill::start().unwrap();
    let mut streams = Vec::new();
    for _ in 0..8 {
        streams.push(ask(&drill, "/delay/60000").await);
    }
    drill.wait_for(|ledger| ledger.in_flight() == 8, WAIT).await.unwrap();
    assert_eq!(drill.peak(), 8);
    let told = json(&drill, "/inflight").await;
    assert_eq!(told, serde_json::json!({ "current": 8, "peak": 8, "peak_per_host": 8 }));
    drop(streams);
    drill.wait_for(|ledger| ledger.in_flight() == 0, WAIT).await.unwrap();
    assert_eq!(drill.peak(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_read_to_its_end_is_not_in_flight() {
    let drill = Drill::start().unwrap();
    let mut stream = TcpStream::connect(drill.addr()).await.unwrap();
    for target in ["/ok", "/ok?bytes=0", "/ok?bytes=200000", "/status/503", "/echo"].repeat(60) {
        write_get(&mut stream, target).await;
        read_answer(&mut stream).await;
        assert_eq!(drill.in_flight(), 0, "{target}");
    }
    assert_eq!(drill.peak(), 1);
    assert_eq!(drill.read(super::super::ledger::Ledger::aborted_in_all), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unread_answer_stays_in_flight() {
    let drill = Drill::start().unwrap();
    let bytes = 50_000_000;
    let mut stream = ask(&drill, &format!("/ok?bytes={bytes}")).await;
    read_head(&mut stream).await;
    let mut body = vec![0; bytes - 20_000_000];
    stream.read_exact(&mut body).await.unwrap();
    assert_eq!(drill.in_flight(), 1, "the rest is more than the sockets hold");
    stream.read_exact(&mut vec![0; 20_000_000]).await.unwrap();
    assert_eq!(drill.in_flight(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_clients_that_leave_and_come_back_are_never_seven() {
    let drill = Arc::new(Drill::start().unwrap());
    let clients: Vec<_> = (0..6)
        .map(|client| {
            let drill = Arc::clone(&drill);
            tokio::spawn(async move {
                for turn in 0..150 {
                    let mut stream = ask(&drill, "/ok").await;
                    read_answer(&mut stream).await;
                    drop(stream);
                    let key = format!("{client}-{turn}");
                    let stream = ask(&drill, &format!("/delay/60000?key={key}")).await;
                    drill.wait_for(|ledger| ledger.hits_of(&key) == 1, WAIT).await.unwrap();
                    drop(stream);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    drill.wait_for(|ledger| ledger.aborted("/delay/60000") == 900, WAIT).await.unwrap();
    assert!(drill.peak() <= 6, "peak {}", drill.peak());
    assert!(drill.peak() >= 2, "the clients did run side by side");
    assert_eq!(drill.in_flight(), 0);
    assert_eq!(drill.aborted("/ok"), 0);
}

#[tokio::test]
async fn a_dead_connection_does_not_raise_the_peak() {
    let drill = Drill::start().unwrap();
    for turn in 1..=300 {
        let stream = ask(&drill, "/delay/60000").await;
        drill.wait_for(|ledger| ledger.hits() == turn, WAIT).await.unwrap();
        drop(stream);
    }
    assert_eq!(drill.peak(), 1);
}

#[tokio::test]
async fn bytes_before_the_goodbye_do_not_raise_the_peak() {
    let drill = Drill::start().unwrap();
    for turn in 1..=300 {
        let mut stream = ask(&drill, "/delay/60000").await;
        drill.wait_for(|ledger| ledger.hits() == turn, WAIT).await.unwrap();
        // The drill's connection has these to read before it meets the end of the stream.
        write_get(&mut stream, "/ok").await;
        drop(stream);
    }
    assert_eq!(drill.peak(), 1);
}

#[tokio::test]
async fn each_listener_is_a_host_with_a_peak_of_its_own() {
    let drill = Drill::builder().hosts(3).start().unwrap();
    assert_eq!(drill.addrs().len(), 3);
    let mut streams = Vec::new();
    for (host, requests) in [(0, 1), (1, 3), (2, 2)] {
        for _ in 0..requests {
            let mut stream = TcpStream::connect(drill.addrs()[host]).await.unwrap();
            write_get(&mut stream, "/stall").await;
            streams.push(stream);
        }
    }
    drill.wait_for(|ledger| ledger.in_flight() == 6, WAIT).await.unwrap();
    drill.read(|ledger| {
        assert_eq!((ledger.peak(), ledger.peak_per_host()), (6, 3));
        assert_eq!([0, 1, 2].map(|host| ledger.peak_on(host)), [1, 3, 2]);
        assert_eq!([0, 1, 2, 3].map(|host| ledger.in_flight_on(host)), [1, 3, 2, 0]);
    });
    assert_eq!(super::client().get(drill.url_on(2, "/flap")).send().await.unwrap().status(), 200);
    assert_eq!(super::client().get(drill.url_on(1, "/flap")).send().await.unwrap().status(), 200);
}
