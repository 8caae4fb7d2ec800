//! The phases that an exchange notes.

use spillgate_actors::phases::{Mark, Phase};
use spillgate_actors::transport::ConnectionOrigin;

use super::*;

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn phases(marks: &PhaseMarks) -> Vec<Phase> {
    let ended = Instant::now();
    for span in marks.spans(ended) {
        assert!(span.from >= marks.began() && span.to >= span.from && span.to <= ended);
    }
    marks.spans(ended).iter().map(|span| span.phase).collect()
}

#[test]
fn transport_is_built_without_a_runtime() {
    let transport = transport();
    let server = canned(HELLO);
    let inbound = runtime().block_on(async move {
        read(transport.exchange(get(format!("http://{server}/"))).await.unwrap()).await
    });
    assert_eq!(inbound.unwrap(), "hello");
}

#[tokio::test]
async fn name_brings_a_dns_phase_and_an_address_none() {
    let server = canned(HELLO);
    let transport = transport();
    for (host, resolves) in [("localhost", true), ("127.0.0.1", false)] {
        let outbound = get(format!("http://{host}:{}/", server.port()));
        let marks = Arc::clone(&outbound.marks);
        let inbound = transport.exchange(outbound).await.unwrap();
        assert_eq!(connection(&inbound).origin, ConnectionOrigin::Fresh);
        assert_eq!(connection(&inbound).peer, server);
        assert!(marks.at(Mark::ReadEnd).is_none());
        assert_eq!(read(inbound).await.unwrap(), "hello");
        assert!(marks.at(Mark::ReadEnd) >= marks.at(Mark::Head));
        let seen = phases(&marks);
        assert_eq!(seen.contains(&Phase::Dns), resolves, "{host}");
        assert!(seen.contains(&Phase::Connect) && seen.contains(&Phase::Tcp));
        assert!(!seen.contains(&Phase::Tls));
        assert!(marks.at(Mark::WriteBegin) >= marks.at(Mark::ConnectEnd));
    }
}

#[tokio::test]
async fn reused_connection_has_no_connect_phases() {
    let server = canned(HELLO);
    let transport = transport();
    let first = transport.exchange(get(format!("http://{server}/"))).await.unwrap();
    let local = connection(&first).local;
    read(first).await.unwrap();
    let outbound = get(format!("http://{server}/"));
    let marks = Arc::clone(&outbound.marks);
    let second = transport.exchange(outbound).await.unwrap();
    assert_eq!(connection(&second).local, local);
    assert_eq!(connection(&second).origin, ConnectionOrigin::Reused);
    read(second).await.unwrap();
    assert_eq!(phases(&marks), [Phase::Acquire, Phase::Write, Phase::Wait, Phase::Read]);
}

#[tokio::test]
async fn every_kind_of_body_is_written_and_noted() {
    let server = raw_server(|mut stream| {
        let head = read_head(&mut stream).unwrap();
        let mut body = [0; 10];
        let sent = if head.contains("content-length: 0") {
            0
        } else if head.contains("content-length: 4") {
            stream.read_exact(&mut body[..4]).unwrap();
            4
        } else {
            assert!(head.contains("transfer-encoding: chunked"), "{head}");
            let mut chunks = vec![0; "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n".len()];
            stream.read_exact(&mut chunks).unwrap();
            assert_eq!(chunks, b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n");
            5
        };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{sent}");
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let pieces =
        futures_util::stream::iter(["ab", "cde"].map(|s| Ok(Bytes::from_static(s.as_bytes()))));
    for (body, expected) in [
        (OutboundBody::Empty, "0"),
        (OutboundBody::Bytes(Bytes::new()), "0"),
        (OutboundBody::Bytes(Bytes::from_static(b"four")), "4"),
        (OutboundBody::Stream(Box::pin(pieces)), "5"),
    ] {
        let outbound = post(format!("http://{server}/"), body);
        let marks = Arc::clone(&outbound.marks);
        let inbound = transport().exchange(outbound).await.unwrap();
        assert_eq!(read(inbound).await.unwrap(), expected);
        let write = (marks.at(Mark::WriteBegin).unwrap(), marks.at(Mark::WriteEnd).unwrap());
        assert!(write.0 <= write.1 && write.1 <= marks.at(Mark::Head).unwrap());
    }
}

#[tokio::test]
async fn wrong_lengths_and_codings_of_the_caller_are_put_right() {
    let server = raw_server(|mut stream| {
        let head = read_head(&mut stream).unwrap();
        assert!(head.contains("content-length: 4\r\n") && !head.contains("transfer-encoding"));
        assert!(head.contains(concat!("user-agent: spillgate/", env!("CARGO_PKG_VERSION"))));
        stream.read_exact(&mut [0; 4]).unwrap();
        stream.write_all(HELLO.as_bytes()).unwrap();
    });
    let body = OutboundBody::Bytes(Bytes::from_static(b"four"));
    let outbound = with_header(post(format!("http://{server}/"), body), "content-length", "9");
    let outbound = with_header(outbound, "transfer-encoding", "chunked");
    assert_eq!(read(transport().exchange(outbound).await.unwrap()).await.unwrap(), "hello");
}

#[tokio::test]
async fn attempt_given_up_while_connecting_never_began_to_write() {
    let server = raw_server({
        let mut kept = Vec::new();
        move |stream| kept.push(stream)
    });
    let outbound = get(format!("https://{server}/"));
    let marks = Arc::clone(&outbound.marks);
    let exchange = transport().exchange(outbound);
    let until_handshake = async {
        while marks.at(Mark::TlsBegin).is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = exchange => unreachable!("the server says nothing"),
        () = until_handshake => {}
    }
    assert!(marks.at(Mark::ConnectEnd).is_some(), "a dropped connect has ended");
    assert!(marks.at(Mark::WriteBegin).is_none() && marks.at(Mark::WriteEnd).is_none());
}

#[tokio::test]
async fn configured_proxy_is_asked_instead() {
    let proxy = raw_server(|mut stream| {
        let head = read_head(&mut stream).unwrap();
        assert!(head.starts_with("GET http://no-such-name.invalid/path HTTP/1.1\r\n"), "{head}");
        stream.write_all(HELLO.as_bytes()).unwrap();
    });
    let proxy = Some(Url::parse(&format!("http://user:canary@{proxy}/")).unwrap());
    let options = TransportOptions { proxy, ..TransportOptions::default() };
    let transport = ReqwestTransport::new(&options).unwrap();
    assert!(!format!("{transport:?}").contains("canary"));
    let inbound = transport.exchange(get("http://no-such-name.invalid/path")).await.unwrap();
    assert_eq!(read(inbound).await.unwrap(), "hello");
}

#[tokio::test]
async fn connection_that_died_in_the_pool_is_not_used() {
    let server = raw_server(|mut stream| {
        read_head(&mut stream);
        stream.write_all(HELLO.as_bytes()).unwrap();
    });
    let transport = transport();
    for _ in 0..5 {
        // Posts are never sent twice by themselves: a dead connection has to be noticed before.
        let outbound = post(format!("http://{server}/"), OutboundBody::Empty);
        let marks = Arc::clone(&outbound.marks);
        match transport.exchange(outbound).await {
            Ok(inbound) => {
                assert_eq!(connection(&inbound).origin, ConnectionOrigin::Fresh);
                read(inbound).await.unwrap();
            }
            // The server may close a moment after the request went out.
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::ConnectionTerminated);
                assert!(marks.at(Mark::ConnectBegin).is_none(), "only an old connection dies");
            }
        }
    }
}
