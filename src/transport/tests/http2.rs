//! TLS and HTTP/2, against a server of hyper and rustls with a certificate made for the test.

use std::convert::Infallible;
use std::io::Write as _;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use spillgate_actors::phases::{Mark, Phase};
use spillgate_actors::transport::ConnectionOrigin;
use spillgate_core::outcome::Exposure;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::super::options::Protocols;
use super::*;

/// A TLS server with a certificate of its own.
pub(super) struct Secure {
    address: SocketAddr,
    ca: tempfile::NamedTempFile,
}

impl Secure {
    pub(super) fn url(&self) -> String {
        format!("https://localhost:{}/", self.address.port())
    }

    pub(super) fn transport(&self) -> ReqwestTransport {
        let ca_files = vec![self.ca.path().to_path_buf()];
        ReqwestTransport::new(&TransportOptions { ca_files, ..TransportOptions::default() })
            .unwrap()
    }
}

/// A certificate for `name` in a file, and a server's settings with it.
fn certified(name: &str, protocol: &[u8]) -> (tempfile::NamedTempFile, Arc<rustls::ServerConfig>) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let mut ca = tempfile::NamedTempFile::new().unwrap();
    ca.write_all(cert.pem().as_bytes()).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(cert.der().to_vec())], key)
        .unwrap();
    config.alpn_protocols = vec![protocol.to_vec()];
    (ca, Arc::new(config))
}

/// A TLS server of blocking sockets.
pub(super) fn secure_raw(
    protocol: &[u8],
    mut serve: impl FnMut(&mut dyn ReadWrite) + Send + 'static,
) -> Secure {
    let (ca, config) = certified("localhost", protocol);
    let address = raw_server(move |mut stream| {
        let mut session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        serve(&mut rustls::Stream::new(&mut session, &mut stream));
    });
    Secure { address, ca }
}

/// What a blocking connection can do.
pub(super) trait ReadWrite: Read + std::io::Write {}
impl<S: Read + std::io::Write> ReadWrite for S {}

/// A TLS server for `name` that echoes bodies and speaks one protocol; each connection's handshake
/// needs a permit.
pub(super) async fn secure_gated(name: &str, protocol: &[u8], gate: Arc<Semaphore>) -> Secure {
    let (ca, config) = certified(name, protocol);
    let acceptor = TlsAcceptor::from(config);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let (acceptor, gate) = (acceptor.clone(), Arc::clone(&gate));
            tokio::spawn(async move {
                gate.acquire().await.unwrap().forget();
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(TokioIo::new(stream), peer).await;
                }
            });
        }
    });
    Secure { address, ca }
}

pub(super) async fn secure(name: &str, protocol: &[u8]) -> Secure {
    secure_gated(name, protocol, Arc::new(Semaphore::new(Semaphore::MAX_PERMITS))).await
}

async fn serve<S>(stream: S, peer: SocketAddr)
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let answer = http::Response::builder().header("x-port", peer.port());
        Ok::<_, Infallible>(answer.body(Full::new(body)).unwrap())
    });
    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(stream, service).await;
}

#[tokio::test]
async fn tls_is_a_phase_of_a_fresh_connection() {
    for (protocol, version) in
        [(&b"h2"[..], http::Version::HTTP_2), (b"http/1.1", http::Version::HTTP_11)]
    {
        let server = secure("localhost", protocol).await;
        let transport = server.transport();
        let mut first_port = None;
        for origin in [ConnectionOrigin::Fresh, ConnectionOrigin::Reused] {
            let body = OutboundBody::Bytes(Bytes::from_static(b"echo"));
            let outbound = post(server.url(), body);
            let marks = Arc::clone(&outbound.marks);
            let inbound = transport.exchange(outbound).await.unwrap();
            assert_eq!((inbound.version, connection(&inbound).origin), (version, origin));
            let port = connection(&inbound).local.port();
            assert_eq!(inbound.headers["x-port"], port.to_string());
            assert_eq!(*first_port.get_or_insert(port), port);
            assert_eq!(read(inbound).await.unwrap(), "echo");
            let phases: Vec<_> = marks.spans(Instant::now()).iter().map(|s| s.phase).collect();
            let fresh = origin == ConnectionOrigin::Fresh;
            for phase in [Phase::Connect, Phase::Dns, Phase::Tcp, Phase::Tls] {
                assert_eq!(phases.contains(&phase), fresh, "{phase:?}");
            }
            if fresh {
                let order = [
                    Mark::ConnectBegin,
                    Mark::DnsBegin,
                    Mark::DnsEnd,
                    Mark::TlsBegin,
                    Mark::TlsEnd,
                    Mark::ConnectEnd,
                    Mark::WriteBegin,
                    Mark::WriteEnd,
                    Mark::Head,
                    Mark::ReadEnd,
                ];
                let times = order.map(|mark| marks.at(mark).unwrap());
                assert!(times.is_sorted(), "{times:?}");
            }
        }
    }
}

/// A body that ends when its sender is dropped.
fn open_ended() -> (tokio::sync::oneshot::Sender<()>, OutboundBody) {
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let rest = futures_util::stream::once(async {
        let _ = ended.await;
        Ok(Bytes::from_static(b"end"))
    });
    (end, OutboundBody::Stream(Box::pin(rest)))
}

#[tokio::test]
async fn connect_of_another_attempt_is_adopted() {
    let gate = Arc::new(Semaphore::new(1));
    let server = secure_gated("localhost", b"http/1.1", Arc::clone(&gate)).await;
    let transport = server.transport();
    let exchange = |outbound: Outbound| tokio::spawn(transport.exchange(outbound));
    let until = async |marks: &PhaseMarks, mark| {
        while marks.at(mark).is_none() {
            tokio::task::yield_now().await;
        }
    };
    // The first is slow on the only connection; the next two have to connect, and wait to do so.
    let (end_slow, body) = open_ended();
    let slow = post(server.url(), body);
    let slow_marks = Arc::clone(&slow.marks);
    let slow = exchange(slow);
    until(&slow_marks, Mark::WriteBegin).await;
    let (end_owner, body) = open_ended();
    let owner = post(server.url(), body);
    let owner_marks = Arc::clone(&owner.marks);
    let owner = exchange(owner);
    until(&owner_marks, Mark::TlsBegin).await;
    let other = get(server.url());
    let other_marks = Arc::clone(&other.marks);
    let other = exchange(other);
    until(&other_marks, Mark::TlsBegin).await;
    // The slow one ends: its connection serves the owner, whose own connect goes on alone.
    drop(end_slow);
    read(slow.await.unwrap().unwrap()).await.unwrap();
    until(&owner_marks, Mark::WriteBegin).await;
    assert!(owner_marks.at(Mark::ConnectEnd).is_none());
    gate.add_permits(1);
    let adopted = other.await.unwrap().unwrap();
    assert_eq!(connection(&adopted).origin, ConnectionOrigin::Adopted);
    assert!(owner_marks.at(Mark::TlsEnd).is_some(), "noted where it was caused");
    assert!(other_marks.at(Mark::ConnectEnd).is_none(), "its own connect is still under way");
    drop(end_owner);
    let reused = owner.await.unwrap().unwrap();
    assert_eq!(connection(&reused).origin, ConnectionOrigin::Reused);
    assert_ne!(connection(&adopted).local, connection(&reused).local);
}

#[tokio::test]
async fn certificates_that_are_not_trusted_are_told() {
    let server = secure("localhost", b"h2").await;
    let untrusted = failure(&transport(), get(server.url())).await;
    let wrong_name = secure("other.example", b"h2").await;
    let mismatched = failure(&wrong_name.transport(), get(wrong_name.url())).await;
    for error in [untrusted, mismatched] {
        assert_eq!(error.kind, ErrorKind::TlsCertificateError);
        assert_eq!((error.exposure, error.phase), (Exposure::NeverSent, Some(Phase::Tls)));
    }
}

#[tokio::test]
async fn files_without_certificates_are_refused() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    for path in [empty.path().to_path_buf(), "/does/not/exist".into()] {
        let options = TransportOptions { ca_files: vec![path], ..TransportOptions::default() };
        let error = ReqwestTransport::new(&options).unwrap_err();
        assert!(matches!(error, TransportSetupError::CaFile { .. }), "{error}");
    }
}

#[tokio::test]
async fn prior_knowledge_speaks_http2_over_plain_connections() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            tokio::spawn(serve(TokioIo::new(stream), peer));
        }
    });
    let protocols = Protocols::Http2PriorKnowledge;
    let options = TransportOptions { protocols, ..TransportOptions::default() };
    let transport = ReqwestTransport::new(&options).unwrap();
    let pieces =
        futures_util::stream::iter(["ab", "cde"].map(|s| Ok(Bytes::from_static(s.as_bytes()))));
    for (body, expected) in [
        (OutboundBody::Empty, ""),
        (OutboundBody::Bytes(Bytes::from_static(b"four")), "four"),
        (OutboundBody::Stream(Box::pin(pieces)), "abcde"),
    ] {
        let outbound = post(format!("http://{server}/"), body);
        let marks = Arc::clone(&outbound.marks);
        let inbound = transport.exchange(outbound).await.unwrap();
        assert_eq!(inbound.version, http::Version::HTTP_2);
        assert_eq!(read(inbound).await.unwrap(), expected);
        for mark in [Mark::WriteBegin, Mark::WriteEnd, Mark::Head, Mark::ReadEnd] {
            assert!(marks.at(mark).is_some(), "{mark:?}");
        }
    }
}
