//! TLS and HTTP/2.

use std::sync::Arc;

use http::Version;
use reqwest::{Certificate, Client};
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::super::Drill;
use super::{WAIT, builder};

#[tokio::test]
async fn http2_is_negotiated_with_the_drills_authority() {
    let drill = Drill::builder().tls().start().unwrap();
    assert!(drill.url("/ok").starts_with("https://127.0.0.1:"));
    let answer = trusting(&drill).get(drill.url("/ok?bytes=300000")).send().await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    assert_eq!(answer.bytes().await.unwrap().len(), 300_000);
    assert_eq!(drill.in_flight(), 0);
    let localhost = drill.url("/ok").replace("127.0.0.1", "localhost");
    assert_eq!(trusting(&drill).get(localhost).send().await.unwrap().status(), 200);
    assert!(super::client().get(drill.url("/ok")).send().await.is_err(), "nobody else trusts it");
}

#[tokio::test]
async fn http1_is_served_over_tls_to_those_who_ask_for_it() {
    let drill = Drill::builder().tls().start().unwrap();
    let client = builder().http1_only().tls_certs_only([authority(&drill)]).build().unwrap();
    let answer = client.get(drill.url("/ok")).send().await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_11);
    assert_eq!(drill.requests()[0].version(), Version::HTTP_11);
}

#[tokio::test]
async fn http2_is_served_in_the_clear_to_those_who_know() {
    let drill = Drill::start().unwrap();
    assert_eq!(drill.ca_pem(), None);
    let client = builder().http2_prior_knowledge().build().unwrap();
    let answer = client.get(drill.url("/ok")).send().await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
}

#[tokio::test]
async fn faults_fail_over_http2_too() {
    let drill = Drill::builder().tls().start().unwrap();
    for target in ["/reset", "/close"] {
        assert!(trusting(&drill).get(drill.url(target)).send().await.is_err(), "{target}");
    }
    for target in ["/reset?after=10", "/truncate?bytes=10"] {
        let answer = trusting(&drill).get(drill.url(target)).send().await;
        let body = match answer {
            Ok(answer) => answer.bytes().await,
            Err(error) => Err(error),
        };
        assert!(body.is_err(), "{target}");
    }
    drill.wait_for(|ledger| ledger.in_flight() == 0, WAIT).await.unwrap();
    assert_eq!(drill.read(super::super::ledger::Ledger::aborted_in_all), 0);
}

#[tokio::test]
async fn a_cancelled_stream_leaves_and_its_connection_stays() {
    let drill = Drill::builder().tls().start().unwrap();
    let client = trusting(&drill);
    client.get(drill.url("/ok")).send().await.unwrap().bytes().await.unwrap();
    for turn in 1..=5 {
        for target in ["/delay/60000", "/stall?after=10"] {
            let before = drill.hits();
            let call = tokio::spawn(client.get(drill.url(target)).send());
            drill.wait_for(|ledger| ledger.hits() == before + 1, WAIT).await.unwrap();
            assert_eq!(drill.in_flight(), 1);
            call.abort();
            drop(call.await);
            drill.wait_for(|ledger| ledger.in_flight() == 0, WAIT).await.unwrap();
        }
        assert_eq!(drill.aborted("/delay/60000"), turn);
        assert_eq!(drill.aborted("/stall"), turn);
    }
    assert_eq!((drill.connections(), drill.peak()), (1, 1));
}

#[tokio::test]
async fn streams_of_one_connection_are_in_flight_each() {
    let drill = Drill::builder().tls().start().unwrap();
    let client = trusting(&drill);
    client.get(drill.url("/ok")).send().await.unwrap().bytes().await.unwrap();
    let calls: Vec<_> =
        (0..5).map(|_| tokio::spawn(client.get(drill.url("/delay/60000")).send())).collect();
    drill.wait_for(|ledger| ledger.peak() == 5, WAIT).await.unwrap();
    assert_eq!((drill.in_flight(), drill.connections()), (5, 1));
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    drill.wait_for(|ledger| ledger.in_flight() == 0, WAIT).await.unwrap();
}

/// Reset and next request come in one segment, and are read as one.
#[tokio::test]
async fn a_stream_that_is_reset_and_its_successor_are_never_two() {
    let drill = Drill::start().unwrap();
    let mut stream = TcpStream::connect(drill.addr()).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, &[])).await.unwrap();
    // GET, http, and literal path and authority.
    let request = [&b"\x82\x86\x04\x0c/delay/60000"[..], &b"\x01\x05drill"[..]].concat();
    stream.write_all(&frame(HEADERS, 1, &request)).await.unwrap();
    for turn in 1..=100 {
        drill.wait_for(|ledger| ledger.hits() == turn, WAIT).await.unwrap();
        let (old, new) = (u8::try_from(2 * turn - 1).unwrap(), u8::try_from(2 * turn + 1).unwrap());
        let cancel = 8_u32.to_be_bytes();
        let both = [frame(RST_STREAM, old, &cancel), frame(HEADERS, new, &request)].concat();
        stream.write_all(&both).await.unwrap();
    }
    drill.wait_for(|ledger| ledger.aborted("/delay/60000") == 100, WAIT).await.unwrap();
    assert_eq!((drill.peak(), drill.in_flight()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tls_client_that_leaves_and_comes_back_is_never_two() {
    let drill = Drill::builder().tls().start().unwrap();
    let connector = connector(&drill);
    for turn in 1..=100 {
        let stream = TcpStream::connect(drill.addr()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        stream.write_all(b"GET /delay/60000 HTTP/1.1\r\nhost: drill\r\n\r\n").await.unwrap();
        stream.flush().await.unwrap();
        drill.wait_for(|ledger| ledger.hits() == turn, WAIT).await.unwrap();
        // TLS says goodbye, so the end of the stream hides behind unread bytes.
        stream.shutdown().await.unwrap();
    }
    assert_eq!(drill.peak(), 1);
    drill.wait_for(|ledger| ledger.aborted("/delay/60000") == 100, WAIT).await.unwrap();
    assert_eq!(drill.in_flight(), 0);
}

/// A whole frame; a HEADERS frame ends its header section and its stream.
fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let flags = if kind == HEADERS { 5 } else { 0 };
    let len = u8::try_from(payload.len()).unwrap();
    [&[0, 0, len, kind, flags, 0, 0, 0, stream][..], payload].concat()
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;

fn connector(drill: &Drill) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(drill.ca_pem().unwrap().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

fn trusting(drill: &Drill) -> Client {
    builder().tls_certs_only([authority(drill)]).build().unwrap()
}

fn authority(drill: &Drill) -> Certificate {
    Certificate::from_pem(drill.ca_pem().unwrap().as_bytes()).unwrap()
}
