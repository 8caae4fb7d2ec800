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
use tokio_rustls::TlsAcceptor;

use super::super::options::Protocols;
use super::*;

struct Secure {
    address: SocketAddr,
    ca: tempfile::NamedTempFile,
}

impl Secure {
    fn url(&self) -> String {
        format!("https://localhost:{}/", self.address.port())
    }

    fn transport(&self) -> ReqwestTransport {
        let ca_files = vec![self.ca.path().to_path_buf()];
        ReqwestTransport::new(&TransportOptions { ca_files, ..TransportOptions::default() })
            .unwrap()
    }
}

/// A TLS server for `name` that echoes bodies and speaks one protocol.
async fn secure(name: &str, protocol: &'static [u8]) -> Secure {
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
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(TokioIo::new(stream), peer).await;
                }
            });
        }
    });
    Secure { address, ca }
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

/// Answers the first request of an HTTP/2 connection with these frames, after its own settings.
fn framed(frames: &'static [u8], then_close: bool) -> SocketAddr {
    raw_server(move |mut stream| {
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).unwrap();
        stream.write_all(SETTINGS).unwrap();
        while read_frame(&mut stream) != HEADERS {}
        stream.write_all(frames).unwrap();
        if !then_close {
            let _ = stream.read_to_end(&mut Vec::new());
        }
    })
}

fn read_frame(stream: &mut TcpStream) -> u8 {
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    stream.read_exact(&mut vec![0; length]).unwrap();
    head[3]
}

const HEADERS: u8 = 1;
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

#[tokio::test]
async fn streams_refused_by_the_server_were_never_sent() {
    const REFUSED_STREAM: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 7];
    const INTERNAL_ERROR: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2];
    const GOAWAY_BELOW: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    const GOAWAY_WITH: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    let terminated = ErrorKind::ConnectionTerminated;
    for (frames, close, kind, exposure) in [
        (REFUSED_STREAM, false, terminated, Exposure::NeverSent),
        (GOAWAY_BELOW, false, terminated, Exposure::NeverSent),
        (GOAWAY_BELOW, true, terminated, Exposure::NeverSent),
        (GOAWAY_WITH, true, terminated, Exposure::MaybeSent),
        (INTERNAL_ERROR, false, terminated, Exposure::MaybeSent),
        (b"", true, terminated, Exposure::MaybeSent),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            true,
            ErrorKind::HttpProtocolError,
            Exposure::MaybeSent,
        ),
    ] {
        let protocols = Protocols::Http2PriorKnowledge;
        let options = TransportOptions { protocols, ..TransportOptions::default() };
        let transport = ReqwestTransport::new(&options).unwrap();
        let outbound = get(format!("http://{}/", framed(frames, close)));
        let error = failure(&transport, outbound).await;
        assert_eq!((error.kind, error.exposure), (kind, exposure), "{frames:?} {error:?}");
    }
}
