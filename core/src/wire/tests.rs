//! Requests that are read, and those that are not.

use super::{Fault, Flaw, Framing, Stage};

/// What becomes of bytes that come at once.
fn read(bytes: &str) -> Result<Framing, Flaw> {
    let mut framing = Framing::new();
    framing.read(bytes.as_bytes()).map(|()| framing)
}

/// The fault of a request with these fields and this body, each line ended.
fn fault(fields: &str, body: &str) -> Option<Fault> {
    read(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")).err().map(|flaw| flaw.fault)
}

#[test]
fn requests_end_where_they_say() {
    let next = "GET / HTTP/1.1\r\n\r\n";
    for (request, stage) in [
        ("", Stage::Between),
        ("GET", Stage::Head),
        ("GET / HTTP/1.1\r\nHost: a\r\n", Stage::Head),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Stage::Between),
        ("\r\nGET /ab\u{e9} HTTP/1.0\r\n\r\n", Stage::Between),
        ("P / HTTP/1.1\r\ncontent-LENGTH:\t0 \r\nX: \t\u{e9}\r\nY:\r\n\r\n", Stage::Between),
        ("P / HTTP/1.1\r\nContent-Length: 3\r\n\r\n\r\n", Stage::Body),
        ("P / HTTP/1.1\r\nContent-Length: 3\r\n\r\n\r\n\n", Stage::Between),
        ("P / HTTP/1.1\r\nContent-Length: 003\r\n\r\nabc", Stage::Between),
        ("P / HTTP/1.1\r\ntransfer-encoding: Chunked \r\n\r\n", Stage::Body),
        ("P / HTTP/1.1\r\nTransfer-Encoding:chunked\r\n\r\nA;a", Stage::Body),
    ] {
        assert_eq!(read(request).map(|framing| framing.stage()), Ok(stage), "{request:?}");
        if stage == Stage::Between {
            let two = read(&format!("{request}{next}")).unwrap();
            assert_eq!(two.heads(), 1 + u64::from(request.len() > 2), "{request:?}");
        }
    }
}

#[test]
fn chunks_end_with_their_fields() {
    let head = "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (body, stage) in [
        ("0\r\n\r\n", Stage::Between),
        ("0\r\n", Stage::Body),
        ("3\r\n\r\n\n\r\n000\r\n\r\n", Stage::Between),
        ("a\r\n0123456789\r\n0;x\r\nX: 1\r\nContent-Length: 5\r\n\r\n", Stage::Between),
        ("00A; a = \"\\\"\t\"; b;c=d\r\n", Stage::Body),
        ("1;a=\"b;c\\\\\"\r\nx\r\n0\r\n\r\n", Stage::Between),
        ("1\r\nx\r\n0\r\nX", Stage::Body),
    ] {
        let read = read(&format!("{head}{body}"));
        assert_eq!(read.map(|framing| framing.stage()), Ok(stage), "{body:?}");
    }
}

#[test]
fn request_lines_are_read_by_the_letter() {
    for line in [
        "GET  / HTTP/1.1\r\n",
        "GET /  HTTP/1.1\r\n",
        " GET / HTTP/1.1\r\n",
        "GET\t/ HTTP/1.1\r\n",
        "G:T / HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n",
        "GET / HTTP/1.2\r\n",
        "GET / HTTP/1.11\r\n",
        "GET / HTTP/2.0\r\n",
        "GET / http/1.1\r\n",
        "GET / \r\n",
        "GET /\u{7f} HTTP/1.1\r\n",
        "GET /\0 HTTP/1.1\r\n",
        "\0",
    ] {
        let fault = read(line).unwrap_err().fault;
        let ends = line == "GET / \r\n";
        assert_eq!(fault, if ends { Fault::LineEnd } else { Fault::RequestLine }, "{line:?}");
    }
    for line in ["GET / HTTP/1.1\n", "GET /\r\n", "GET / HTTP/1.1\rX", "\n", "\r\r", "\r\n\r\n"] {
        assert_eq!(read(line).unwrap_err().fault, Fault::LineEnd, "{line:?}");
    }
}

#[test]
fn fields_are_read_by_the_letter() {
    for (fields, expected) in [
        ("X : 1\r\n", Fault::FieldName),
        ("X\t: 1\r\n", Fault::FieldName),
        (": 1\r\n", Fault::FieldName),
        ("X\r\n", Fault::LineEnd),
        ("X(: 1\r\n", Fault::FieldName),
        ("\0: 1\r\n", Fault::FieldName),
        ("X: 1\r\n 2\r\n", Fault::Folded),
        ("X: 1\r\n\t2\r\n", Fault::Folded),
        ("X: \0\r\n", Fault::FieldValue),
        ("X: 1\u{7f}\r\n", Fault::FieldValue),
        ("X: 1\u{b}\r\n", Fault::FieldValue),
        ("X: 1\n", Fault::LineEnd),
        ("X: 1\r2\r\n", Fault::LineEnd),
        ("X: 1\r\r\n", Fault::LineEnd),
        ("Content-Length : 1\r\n", Fault::FieldName),
        ("Content-Length: 1\0\r\n", Fault::FieldValue),
    ] {
        assert_eq!(fault(fields, ""), Some(expected), "{fields:?}");
    }
    assert_eq!(read("GET / HTTP/1.1\r\n X: 1\r\n").unwrap_err().fault, Fault::Folded);
    assert_eq!(read("GET / HTTP/1.1\r\n\n").unwrap_err().fault, Fault::LineEnd);
    assert_eq!(read("GET / HTTP/1.1\r\n\r\r").unwrap_err().fault, Fault::LineEnd);
}

#[test]
fn lengths_are_one_number() {
    for text in [
        "",
        " ",
        "+1",
        "-1",
        "0x1",
        "1,1",
        "1, 1",
        "1 1",
        "1e0",
        "1.0",
        "a",
        "1;",
        "\"1\"",
        "9223372036854775808",
        "18446744073709551617",
        "99999999999999999999999999",
    ] {
        assert_eq!(fault(&format!("Content-Length:{text}\r\n"), ""), Some(Fault::Length), "{text}");
    }
    for text in ["9223372036854775807", "000000000000000000000000000001"] {
        assert_eq!(fault(&format!("Content-Length: {text}\r\n"), ""), None, "{text}");
    }
    let two = "Content-Length: 1\r\ncontent-length: 1\r\n";
    assert_eq!(fault(two, ""), Some(Fault::Length), "the same one twice, too");
}

#[test]
fn coding_is_chunked_and_nothing_else() {
    for text in [
        "",
        "chunke",
        "chunkedd",
        "xchunked",
        "chunked,",
        ",chunked",
        "chunked, chunked",
        "gzip",
        "gzip, chunked",
        "chunked, gzip",
        "identity",
        "chunked;q=1",
        "\"chunked\"",
        "chun ked",
    ] {
        let fields = format!("Transfer-Encoding: {text}\r\n");
        assert_eq!(fault(&fields, ""), Some(Fault::Coding), "{text}");
    }
    let chunked = "Transfer-Encoding: chunked\r\n";
    assert_eq!(fault(&chunked.repeat(2), ""), Some(Fault::Coding));
    for pair in [["Content-Length: 0\r\n", chunked], [chunked, "Content-Length: 5\r\n"]] {
        assert_eq!(fault(&pair.concat(), ""), Some(Fault::BothLengths), "{pair:?}");
    }
    let old = read(&format!("POST / HTTP/1.0\r\n{chunked}\r\n"));
    assert_eq!(old.unwrap_err().fault, Fault::Coding);
}

#[test]
fn sizes_of_chunks_are_hexadecimal_and_nothing_else() {
    for (body, expected) in [
        ("g\r\n", Fault::Chunk),
        ("\r\n", Fault::LineEnd),
        (";a\r\n", Fault::Chunk),
        ("0x1\r\n", Fault::Chunk),
        ("+1\r\n", Fault::Chunk),
        ("-1\r\n", Fault::Chunk),
        (" 1\r\n", Fault::Chunk),
        ("1 \r\n", Fault::Chunk),
        ("8000000000000000\r\n", Fault::Chunk),
        ("FFFFFFFFFFFFFFFFF\r\n", Fault::Chunk),
        ("1\nx", Fault::LineEnd),
        ("1\rx", Fault::LineEnd),
        ("1;a\nx", Fault::LineEnd),
        ("1;a\rx", Fault::LineEnd),
        ("1;\0\r\n", Fault::Chunk),
        ("00A ; a\r\n", Fault::Chunk),
        ("1;a=\"\r\n", Fault::LineEnd),
        ("1;a=\"\\\r\n", Fault::LineEnd),
        ("1\r\nx\n", Fault::LineEnd),
        ("1\r\nxy", Fault::Chunk),
        ("1\r\nx\rx", Fault::LineEnd),
        ("0\r\nX : 1\r\n", Fault::FieldName),
        ("0\r\n X: 1\r\n", Fault::Folded),
        ("0\r\nX: 1\n", Fault::LineEnd),
        ("0\r\n\n", Fault::LineEnd),
    ] {
        let flaw = read(&format!("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
        let flaw = flaw.unwrap_err();
        assert_eq!((flaw.fault, flaw.in_body), (expected, true), "{body:?}");
    }
}

#[test]
fn flaw_is_where_the_first_wrong_byte_is_and_nothing_is_read_after_it() {
    let mut framing = Framing::new();
    let flaw = framing.read(b"GET / HTTP/1.1\r\nX: 1\nGET / HTTP/1.1\r\n\r\n").unwrap_err();
    assert_eq!((flaw.at, flaw.in_body, framing.heads()), (20, false, 0));
    let after = framing.read(b"GET / HTTP/1.1\r\n\r\n").unwrap_err();
    assert_eq!((after.at, after.fault), (0, Fault::LineEnd));
    let both = read("P / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(both.unwrap_err().at, 62, "the last byte of the head");
    let second = read("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n X");
    assert_eq!(second.unwrap_err().at, 34, "of a request that was not waited for");
}

#[test]
fn http2_is_not_read_and_what_only_begins_like_it_is() {
    let frames = read("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0").unwrap();
    assert_eq!(frames.stage(), Stage::Frames);
    let begun = read("PRI * HTTP/2.0\r\n\r\nSM").unwrap();
    assert_eq!(begun.stage(), Stage::Head);
    assert_eq!(read("PRI * HTTP/2.0\r\n\r\nX").unwrap_err().fault, Fault::RequestLine);
    let own = read("PRI * HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!((own.stage(), own.heads()), (Stage::Between, 1));
    let later = read("GET / HTTP/1.1\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(later.unwrap_err().fault, Fault::RequestLine, "only at the begin");
}

#[test]
fn nothing_behind_a_tunnels_head_is_a_request() {
    let tunnel = read("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n\x16\x03\x01\n").unwrap();
    assert_eq!(tunnel.stage(), Stage::Tunnel);
    for fields in ["Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n"] {
        let flaw = read(&format!("CONNECT a:1 HTTP/1.1\r\n{fields}\r\n"));
        assert_eq!(flaw.unwrap_err().fault, Fault::Body);
    }
    for method in ["CONNECTS", "CONNEC", "connect"] {
        let other = read(&format!("{method} / HTTP/1.1\r\n\r\n")).unwrap();
        assert_eq!(other.stage(), Stage::Between, "{method}");
    }
}
