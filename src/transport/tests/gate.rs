//! Cold bursts: how many connections they take.

use std::collections::HashSet;

use futures_util::future::join_all;
use spillgate_actors::phases::Mark;
use spillgate_actors::transport::ConnectionOrigin;
use tokio::sync::Semaphore;

use super::http2::{secure, secure_gated};
use super::*;

const BURST: usize = 40;

#[tokio::test]
async fn cold_burst_to_an_http2_host_takes_one_connection() {
    let server = secure("localhost", b"h2").await;
    let transport = server.transport();
    let mut ports = HashSet::new();
    let mut connects = 0;
    for round in 0..3 {
        let outbounds: Vec<_> = (0..BURST).map(|_| get(server.url())).collect();
        let marks: Vec<_> = outbounds.iter().map(|outbound| Arc::clone(&outbound.marks)).collect();
        let answers = join_all(outbounds.into_iter().map(|o| transport.exchange(o))).await;
        let mut fresh = 0;
        for answer in answers {
            let inbound = answer.unwrap();
            let used = connection(&inbound);
            assert_eq!(inbound.headers["x-port"], used.local.port().to_string());
            ports.insert(used.local.port());
            fresh += usize::from(used.origin == ConnectionOrigin::Fresh);
            assert_eq!(used.origin == ConnectionOrigin::Reused, round > 0);
            read(inbound).await.unwrap();
        }
        assert_eq!(fresh, usize::from(round == 0));
        connects += marks.iter().filter(|marks| marks.at(Mark::ConnectBegin).is_some()).count();
    }
    assert_eq!((ports.len(), connects), (1, 1));
}

#[tokio::test]
async fn cold_burst_to_an_http1_host_connects_for_each() {
    let gate = Arc::new(Semaphore::new(0));
    let server = secure_gated("localhost", b"http/1.1", Arc::clone(&gate)).await;
    let transport = server.transport();
    let burst = (0..8).map(|_| tokio::spawn(transport.exchange(get(server.url()))));
    let burst: Vec<_> = burst.collect();
    gate.add_permits(Semaphore::MAX_PERMITS >> 1);
    for answer in burst {
        read(answer.await.unwrap().unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn burst_to_a_host_that_is_not_trusted_fails_as_one() {
    let server = secure("localhost", b"h2").await;
    let transport = transport();
    let burst = join_all((0..BURST).map(|_| failure(&transport, get(server.url())))).await;
    assert!(burst.iter().all(|error| error.kind == ErrorKind::TlsCertificateError), "{burst:?}");
}

#[tokio::test]
async fn probe_that_is_given_up_lets_another_take_its_place() {
    let gate = Arc::new(Semaphore::new(0));
    let server = secure_gated("localhost", b"h2", Arc::clone(&gate)).await;
    let transport = server.transport();
    let probe = get(server.url());
    let marks = Arc::clone(&probe.marks);
    let probe = tokio::spawn(transport.exchange(probe));
    while marks.at(Mark::TlsBegin).is_none() {
        tokio::task::yield_now().await;
    }
    let other = get(server.url());
    let other_marks = Arc::clone(&other.marks);
    let other = tokio::spawn(transport.exchange(other));
    tokio::spawn(async {}).await.unwrap();
    assert!(other_marks.at(Mark::ConnectBegin).is_none(), "it waits for the probe");
    probe.abort();
    gate.add_permits(2);
    let inbound = other.await.unwrap().unwrap();
    assert_eq!(connection(&inbound).origin, ConnectionOrigin::Fresh);
}

#[tokio::test]
async fn waiting_for_a_probe_counts_as_connecting() {
    let server = secure_gated("localhost", b"h2", Arc::new(Semaphore::new(0))).await;
    let transport = server.transport();
    let probe = get(server.url());
    let marks = Arc::clone(&probe.marks);
    let probe = tokio::spawn(transport.exchange(probe));
    while marks.at(Mark::ConnectBegin).is_none() {
        tokio::task::yield_now().await;
    }
    let outbound = Outbound { connect_timeout: Duration::from_millis(20), ..get(server.url()) };
    assert_eq!(kind(&transport, outbound).await, ErrorKind::ConnectionTimeout);
    probe.abort();
}
