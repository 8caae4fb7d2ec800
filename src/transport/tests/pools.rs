//! Many hosts: what they leave open, all together.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[tokio::test]
async fn idle_connections_of_many_hosts_stay_few() {
    let (port, open) = counting_server();
    let options =
        TransportOptions { idle_connections_total_max: TOTAL_MAX, ..TransportOptions::default() };
    let transport = ReqwestTransport::new(&options).unwrap();
    for host in 1..=10 * TOTAL_MAX {
        let url = format!("http://127.0.{}.{}:{port}/", host / 200, host % 200 + 1);
        let inbound = transport.exchange(get(url)).await.unwrap();
        assert_eq!(read(inbound).await.unwrap(), "ok");
    }
    let until = Instant::now() + PATIENCE;
    while open.load(Ordering::Acquire) > TOTAL_MAX {
        assert!(Instant::now() < until, "{} are open", open.load(Ordering::Acquire));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn connections_in_use_outlive_their_pool_and_few_hosts_keep_theirs() {
    let (port, _open) = counting_server();
    let options =
        TransportOptions { idle_connections_total_max: TOTAL_MAX, ..TransportOptions::default() };
    let transport = ReqwestTransport::new(&options).unwrap();
    let used = transport.exchange(get(format!("http://127.1.0.1:{port}/"))).await.unwrap();
    for host in 0..2 * TOTAL_MAX {
        let url = format!("http://127.0.0.{}:{port}/", host + 1);
        read(transport.exchange(get(url)).await.unwrap()).await.unwrap();
    }
    assert_eq!(read(used).await.unwrap(), "ok");
    let warm = ReqwestTransport::new(&options).unwrap();
    let mut connects = 0;
    for turn in 0..20 * TOTAL_MAX {
        let outbound = get(format!("http://127.2.0.{}:{port}/", turn % 5 + 1));
        let marks = Arc::clone(&outbound.marks);
        read(warm.exchange(outbound).await.unwrap()).await.unwrap();
        connects += usize::from(marks.at(spillgate_actors::phases::Mark::ConnectBegin).is_some());
    }
    assert!(connects < TOTAL_MAX, "{connects} connects");
}

/// Answers every request on all loopback addresses, and counts the connections that are open.
fn counting_server() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("0.0.0.0", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let open = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&open);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, counted) = (stream.unwrap(), Arc::clone(&counted));
            counted.fetch_add(1, Ordering::AcqRel);
            std::thread::spawn(move || {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                while read_head(&mut stream).is_some() && stream.write_all(answer).is_ok() {}
                counted.fetch_sub(1, Ordering::AcqRel);
            });
        }
    });
    (port, open)
}

/// Connections after which an empty pool takes over.
const TOTAL_MAX: usize = 40;
