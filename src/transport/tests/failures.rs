//! Each way to fail, with its kind, phase and exposure.

use spillgate_actors::phases::{Mark, Phase};
use spillgate_core::outcome::Exposure;

use super::*;

async fn check(outbound: Outbound, kind: ErrorKind, exposure: Exposure, phase: Phase) {
    let error = failure(&transport(), outbound).await;
    assert_eq!(
        (error.kind, error.exposure, error.phase),
        (kind, exposure, Some(phase)),
        "{error:?}"
    );
}

fn closed_port() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn refused_connection_was_never_sent() {
    let outbound = get(format!("http://{}/", closed_port()));
    let marks = Arc::clone(&outbound.marks);
    let refused = ErrorKind::ConnectionRefused;
    check(outbound, refused, Exposure::NeverSent, Phase::Tcp).await;
    assert!(marks.at(Mark::ConnectBegin).is_some() && marks.at(Mark::ConnectEnd).is_some());
    assert!(marks.at(Mark::DnsBegin).is_none(), "an address needs no resolution");
    assert!(marks.at(Mark::WriteBegin).is_none() && marks.at(Mark::WriteEnd).is_none());
}

#[tokio::test]
async fn connection_closed_before_the_head_may_have_been_sent() {
    let server = canned_then_closed("");
    let outbound = get(format!("http://{server}/"));
    check(outbound, ErrorKind::ConnectionTerminated, Exposure::MaybeSent, Phase::Wait).await;
    let server = canned_then_closed("HTTP/1.1 200 OK\r\nContent-Le");
    let outbound = get(format!("http://{server}/"));
    check(outbound, ErrorKind::ConnectionTerminated, Exposure::MaybeSent, Phase::Wait).await;
}

#[tokio::test]
async fn answers_that_are_no_http_break_the_protocol() {
    for answer in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/1.1 2000 Odd\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let error = failure(&transport(), get(format!("http://{}/", canned(answer)))).await;
        assert_eq!(error.kind, ErrorKind::HttpProtocolError, "{answer:?}: {error:?}");
        assert_eq!(error.exposure, Exposure::MaybeSent);
    }
}

#[tokio::test]
async fn bodies_cut_short_are_incomplete() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort",
    ] {
        let outbound = get(format!("http://{}/", canned_then_closed(answer)));
        let kind = ErrorKind::HttpResponseIncomplete;
        check(outbound, kind, Exposure::MaybeSent, Phase::Read).await;
    }
}

#[tokio::test]
async fn header_sections_are_limited() {
    let answer = |fields: String| format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n");
    let many = |count| "x-many: 1\r\n".repeat(count);
    let large = |bytes| format!("x-large: {}\r\n", "x".repeat(bytes));
    for fields in [many(100), large(64 * 1024), large(1024 * 1024)] {
        let outbound = get(format!("http://{}/", canned(answer(fields))));
        let error = failure(&transport(), outbound).await;
        assert_eq!(error.kind, ErrorKind::HttpResponseHeaderSectionSize, "{error:?}");
    }
    for fields in [many(99), large(63 * 1024)] {
        let inbound =
            transport().exchange(get(format!("http://{}/", canned(answer(fields))))).await;
        assert_eq!(read(inbound.unwrap()).await.unwrap(), "");
    }
}

#[tokio::test]
async fn connect_that_takes_too_long_was_never_sent() {
    // A listener whose backlog is full leaves connects unanswered; a TLS server that says nothing
    // is the portable way to the same end.
    let server = raw_server({
        let mut kept = Vec::new();
        move |stream| kept.push(stream)
    });
    let outbound = Outbound {
        connect_timeout: Duration::from_millis(20),
        ..get(format!("https://localhost:{}/", server.port()))
    };
    let marks = Arc::clone(&outbound.marks);
    check(outbound, ErrorKind::ConnectionTimeout, Exposure::NeverSent, Phase::Tls).await;
    assert!(marks.at(Mark::DnsEnd).is_some() && marks.at(Mark::TlsBegin).is_some());
    assert!(marks.at(Mark::ConnectEnd).is_some() && marks.at(Mark::TlsEnd).is_none());
}

#[tokio::test]
async fn handshake_with_a_plain_server_breaks_tls() {
    let server = raw_server(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let outbound = get(format!("https://{server}/"));
    check(outbound, ErrorKind::TlsProtocolError, Exposure::NeverSent, Phase::Tls).await;
    let server = raw_server(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
    });
    let outbound = get(format!("https://{server}/"));
    check(outbound, ErrorKind::ConnectionTerminated, Exposure::NeverSent, Phase::Tls).await;
}

#[tokio::test]
async fn failing_request_body_keeps_its_own_kind() {
    let server = raw_server(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let pieces = futures_util::stream::iter([
        Ok(Bytes::from_static(b"first")),
        Err(TransportError::never_sent(ErrorKind::Cancelled)),
    ]);
    let outbound = post(format!("http://{server}/"), OutboundBody::Stream(Box::pin(pieces)));
    check(outbound, ErrorKind::Cancelled, Exposure::MaybeSent, Phase::Write).await;
}

#[tokio::test]
async fn no_error_tells_the_query_or_the_userinfo() {
    let closed = closed_port();
    let broken = canned_then_closed("");
    let short = canned_then_closed("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort");
    for address in [closed, broken, short] {
        let outbound = get(format!("http://user:canary@{address}/?token=canary"));
        let error = failure(&transport(), outbound).await;
        let mut texts = vec![format!("{error:?}")];
        let mut cause = error.source.as_deref().map(|s| s as &dyn std::error::Error);
        while let Some(error) = cause {
            texts.push(format!("{error} {error:?}"));
            cause = error.source();
        }
        assert!(texts.len() > 1, "there is a cause");
        assert!(texts.iter().all(|text| !text.contains("canary")), "{texts:?}");
    }
}

#[tokio::test]
async fn urls_that_cannot_be_sent_are_invalid() {
    let error = failure(&transport(), get("ftp://localhost/")).await;
    assert_eq!((error.kind, error.exposure), (ErrorKind::InvalidRequest, Exposure::NeverSent));
}

#[tokio::test]
async fn name_that_does_not_exist_is_noticed_during_dns() {
    let outbound = get("http://no-such-name.invalid/");
    let marks = Arc::clone(&outbound.marks);
    let error = failure(&transport(), outbound).await;
    // A machine without network cannot tell whether the name exists.
    assert!(matches!(error.kind, ErrorKind::DnsError | ErrorKind::DeviceOffline), "{error:?}");
    assert_eq!((error.exposure, error.phase), (Exposure::NeverSent, Some(Phase::Dns)));
    assert!(marks.at(Mark::DnsEnd).is_some() && marks.at(Mark::ConnectEnd).is_some());
}
