//! HTTP/2 frame by frame, for what hyper's server would never send.

use spillgate_core::outcome::Exposure;

use super::super::options::Protocols;
use super::*;

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

pub(super) fn read_frame(stream: &mut (impl Read + ?Sized)) -> u8 {
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    stream.read_exact(&mut vec![0; length]).unwrap();
    head[3]
}

pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

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

/// A head whose only field has a value of this size: in HPACK, literally and without an index.
fn large_head(bytes: usize) -> Vec<u8> {
    let mut block = vec![0x88, 0x00, 1, b'x', 0x7f];
    let mut rest = bytes - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 0x80);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
    block.resize(block.len() + bytes, b'v');
    let mut frames = Vec::new();
    let chunks: Vec<_> = block.chunks(16_384).collect();
    for (position, chunk) in chunks.iter().enumerate() {
        // The first is HEADERS, which ends the stream; the others are CONTINUATION.
        let (kind, ends) = if position == 0 { (HEADERS, 1) } else { (9, 0) };
        let last = if position + 1 == chunks.len() { 4 } else { 0 };
        let length = u32::try_from(chunk.len()).unwrap().to_be_bytes();
        frames.extend_from_slice(&[length[1], length[2], length[3], kind, ends | last, 0, 0, 0, 1]);
        frames.extend_from_slice(chunk);
    }
    frames
}

#[tokio::test]
async fn header_sections_of_http2_are_limited() {
    let check = async |bytes, expected: Option<ErrorKind>| {
        let server = framed(large_head(bytes).leak(), false);
        let options = TransportOptions {
            protocols: Protocols::Http2PriorKnowledge,
            ..TransportOptions::default()
        };
        let transport = ReqwestTransport::new(&options).unwrap();
        let answer = transport.exchange(get(format!("http://{server}/"))).await;
        assert_eq!(answer.err().map(|error| error.kind), expected, "{bytes}");
    };
    check(1000, None).await;
    check(63 * 1024, None).await;
    check(65 * 1024, Some(ErrorKind::HttpResponseHeaderSectionSize)).await;
    check(120 * 1024, Some(ErrorKind::HttpResponseHeaderSectionSize)).await;
    check(140 * 1024, Some(ErrorKind::HttpProtocolError)).await;
}

#[tokio::test]
async fn stream_shorter_than_announced_is_incomplete() {
    // `:status: 200`, `content-length: 9`; then three bytes and the end of the stream.
    const SHORT: &[u8] = &[
        0, 0, 5, 1, 4, 0, 0, 0, 1, 0x88, 0x0f, 0x0d, 1, b'9', //
        0, 0, 3, 0, 1, 0, 0, 0, 1, b'a', b'b', b'c',
    ];
    // The same, but the stream is reset after three bytes.
    const RESET: &[u8] = &[
        0, 0, 5, 1, 4, 0, 0, 0, 1, 0x88, 0x0f, 0x0d, 1, b'9', //
        0, 0, 3, 0, 0, 0, 0, 0, 1, b'a', b'b', b'c', //
        0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2,
    ];
    for frames in [SHORT, RESET] {
        let protocols = Protocols::Http2PriorKnowledge;
        let options = TransportOptions { protocols, ..TransportOptions::default() };
        let transport = ReqwestTransport::new(&options).unwrap();
        let error = failure(&transport, get(format!("http://{}/", framed(frames, false)))).await;
        assert_eq!(error.kind, ErrorKind::HttpResponseIncomplete, "{error:?}");
    }
}
