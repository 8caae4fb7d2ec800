//! Listeners that speak TLS, each version of HTTP by ALPN, and files that are no certificates.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use spillgate::Client;
use spillgate::cache::memory::MemoryStore;
use spillgate::cache::{Cache, CacheOptions};
use spillgate::config::serving::ListenerRole;
use spillgate::sidecar::{ListenerOptions, Sidecar};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::origin::{Origin, ok, proxy_with};

/// A certificate for `localhost` and its key in files, and what trusts it.
fn certificate(directory: &std::path::Path) -> ((PathBuf, PathBuf), RootCertStore) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = (directory.join("cert.pem"), directory.join("key.pem"));
    std::fs::write(&files.0, cert.pem()).unwrap();
    std::fs::write(&files.1, signing_key.serialize_pem()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    (files, roots)
}

async fn shake(sidecar: &Sidecar, roots: RootCertStore, protocol: &str) -> TlsStream<TcpStream> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(sidecar.addrs()[0]).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn listener_speaks_both_versions_over_tls_as_agreed() {
    let origin = Origin::start(|_| ok("Cache-Control: no-store\r\n", "seen"));
    origin.gate(true);
    let directory = tempfile::tempdir().unwrap();
    let (files, roots) = certificate(directory.path());
    let change = |listener: &mut ListenerOptions| listener.tls = Some(files);
    let sidecar = proxy_with(origin.addr, CacheOptions::default(), change).await;

    let mut stream = shake(&sidecar, roots.clone(), "http/1.1").await;
    let request = b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("seen"), "{answer}");

    let mut stream = shake(&sidecar, roots.clone(), "http/1.1").await;
    stream.write_all(b"GET /a HTTP/1.1\nHost: a\n\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");

    let stream = shake(&sidecar, roots, "h2").await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..2 {
        let request = Request::get("https://localhost/a").body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "seen");
    }
    assert_eq!(origin.count(), 3);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let ((cert, key), _) = certificate(directory.path());
    let other = directory.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let ((_, foreign), _) = certificate(&other);
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    let missing = directory.path().join("missing.pem");
    for (files, named, why) in [
        ((&missing, &key), "missing.pem", "No such file"),
        ((&cert, &missing), "missing.pem", "No such file"),
        ((&empty, &key), "empty.pem", "no certificate"),
        ((&cert, &empty), "empty.pem", "no items"),
        ((&cert, &foreign), "key.pem", "belong"),
    ] {
        let upstream = "http://127.0.0.1:1/".parse().unwrap();
        let tls = Some((files.0.clone(), files.1.clone()));
        let role = ListenerRole::Reverse(upstream);
        let listener = ListenerOptions { tls, ..ListenerOptions::of(role) };
        let client = Client::builder().passing_on().build().unwrap();
        let store = Arc::new(MemoryStore::new(1 << 20));
        let cache = Arc::new(Cache::new(CacheOptions::default(), store, [7; 32]));
        let error = Sidecar::start(client, cache, vec![listener]).await.unwrap_err().to_string();
        assert!(error.contains(named) && error.contains(why), "{error}");
    }
}
