//! The framing of a connection: what it says does not depend on how its bytes come.

use proptest::prelude::*;
use spillgate_core::wire::Stage;

use crate::{HISTORIES, cases, fuzzed};

/// Pieces of requests, right and wrong, so that many a connection gets far.
fn connection() -> impl Strategy<Value = Vec<u8>> {
    let right: &[&'static str] = &[
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345",
        "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\n12345\r\n0\r\nX: 1\r\n\r\n",
        "PUT /a HTTP/1.0\r\nX: 1\r\nY:\r\n\r\n",
        "\r\n",
    ];
    let wrong: &[&'static str] = &[
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\n\r\n",
        "POST /a HTTP/1.1\r\n",
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "X: 1\n",
        " folded\r\n",
        "5\r\n",
        "0\r\n\r\n",
        "\0",
    ];
    let piece = prop_oneof![
        8 => prop::sample::select(right.to_vec()),
        2 => prop::sample::select(wrong.to_vec()),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(cases(HISTORIES))]

    /// Bytes split at any places say the same.
    #[test]
    fn splitting_changes_nothing(bytes in connection(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        let parts = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
        prop_assert_eq!(fuzzed::framed(parts), fuzzed::framed([bytes.as_slice()]));
    }

    /// One byte that is another one makes nothing panic, and is read in one way.
    #[test]
    fn fuzz_target_holds(bytes in connection(), at: prop::sample::Index, byte: u8, any in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut bytes = bytes;
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        fuzzed::framing(&bytes);
        fuzzed::framing(&any);
    }

    /// As many requests are read as were written, and the connection is ready for the next.
    #[test]
    fn every_request_is_found(lengths in prop::collection::vec((0_usize..300, any::<bool>()), 1..6)) {
        let mut bytes = Vec::new();
        for (length, chunked) in &lengths {
            // What a body is made of would be a request, were it read as one.
            let body: Vec<u8> = b"GET / HTTP/1.1\r\n\r\n".iter().copied().cycle().take(*length).collect();
            bytes.extend_from_slice(b"POST / HTTP/1.1\r\n");
            if !chunked {
                bytes.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
                bytes.extend_from_slice(&body);
                continue;
            }
            bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in body.chunks(17) {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        }
        let read = fuzzed::framed([bytes.as_slice()]);
        prop_assert_eq!(read, (None, Stage::Between, lengths.len() as u64));
    }
}
