//! The head of an answer: what is refused about it, and how its body is coded.

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, RANGE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use spillgate_actors::phases::Phase;
use spillgate_actors::transport::TransportError;
use spillgate_core::advice::ErrorKind;

use super::options::TransportOptions;

/// A content coding that can be taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Brotli,
    Deflate,
    Zstd,
}

/// Offers our codings unless the caller chose some, or asks for a range: that is one of the coded
/// bytes. Says whether it did, which is when we take the coding off.
pub(super) fn offer_codings(headers: &mut HeaderMap) -> bool {
    if headers.contains_key(ACCEPT_ENCODING) || headers.contains_key(RANGE) {
        return false;
    }
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(CODINGS));
    true
}

/// Refuses a head that is too large, or leaves open where its body ends.
pub(super) fn check(headers: &HeaderMap, options: &TransportOptions) -> Result<(), TransportError> {
    let refuse = |kind| Err(TransportError::sent(kind).during(Phase::Read));
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD)
        .sum();
    if headers.len() > options.header_fields_max || bytes > options.header_bytes_max {
        return refuse(ErrorKind::HttpResponseHeaderSectionSize);
    }
    // hyper lets the coding win; RFC 9112 section 6.3 calls it a possible smuggling attempt.
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        return refuse(ErrorKind::HttpProtocolError);
    }
    Ok(())
}

/// Whether an answer of this kind has a body at all.
pub(super) fn may_have_body(method: &Method, status: StatusCode) -> bool {
    let is_bodiless = status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    *method != Method::HEAD && !is_bodiless
}

/// The codings to take off, in the order in which they were put on; empty when there is none.
///
/// `None` when one is not known: then the body stays as it is, and its header says so.
pub(super) fn codings(headers: &HeaderMap) -> Option<Vec<Coding>> {
    let mut codings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.to_str().ok()?.split(',').map(str::trim) {
            match name.to_ascii_lowercase().as_str() {
                "" | "identity" => {}
                "gzip" | "x-gzip" => codings.push(Coding::Gzip),
                "br" => codings.push(Coding::Brotli),
                "deflate" => codings.push(Coding::Deflate),
                "zstd" => codings.push(Coding::Zstd),
                _ => return None,
            }
        }
    }
    (codings.len() <= CODINGS_MAX).then_some(codings)
}

/// What we can take off, best first.
const CODINGS: &str = "gzip, br, zstd, deflate";

/// Codings on top of each other; more than two are an attack or a mistake.
const CODINGS_MAX: usize = 2;

/// The colon, the space and the line end of a field in HTTP/1.1.
const FIELD_OVERHEAD: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn codings_are_offered_only_to_callers_without_a_wish() {
        let check = |fields: &[_], expected| {
            let mut map = headers(fields);
            assert_eq!(offer_codings(&mut map), expected, "{fields:?}");
        };
        check(&[], true);
        check(&[("accept", "*/*")], true);
        check(&[("accept-encoding", "identity")], false);
        check(&[("range", "bytes=0-9")], false);
    }

    #[test]
    fn codings_are_read_in_order_and_unknown_ones_left_alone() {
        let check = |fields: &[_], expected: Option<&[Coding]>| {
            assert_eq!(codings(&headers(fields)).as_deref(), expected, "{fields:?}");
        };
        check(&[], Some(&[]));
        check(&[("content-encoding", "identity")], Some(&[]));
        check(&[("content-encoding", "X-GZip")], Some(&[Coding::Gzip]));
        check(&[("content-encoding", "br, gzip")], Some(&[Coding::Brotli, Coding::Gzip]));
        check(
            &[("content-encoding", "zstd"), ("content-encoding", "deflate")],
            Some(&[Coding::Zstd, Coding::Deflate]),
        );
        check(&[("content-encoding", "compress")], None);
        check(&[("content-encoding", "gzip, gzip, gzip")], None);
    }

    #[test]
    fn heads_too_large_or_ambiguous_are_refused() {
        let options = TransportOptions { header_fields_max: 2, ..TransportOptions::default() };
        let verdict =
            |fields: &[(_, &str)]| check(&headers(fields), &options).map_err(|error| error.kind);
        assert_eq!(verdict(&[("a", "1"), ("a", "2")]), Ok(()));
        let too_large = Err(ErrorKind::HttpResponseHeaderSectionSize);
        assert_eq!(verdict(&[("a", "1"), ("a", "2"), ("b", "3")]), too_large);
        let large = "x".repeat(64 * 1024 - 4);
        assert_eq!(verdict(&[("a", &large)]), too_large);
        assert_eq!(verdict(&[("a", &large[1..])]), Ok(()));
        let ambiguous = [("content-length", "3"), ("transfer-encoding", "chunked")];
        assert_eq!(verdict(&ambiguous), Err(ErrorKind::HttpProtocolError));
    }

    #[test]
    fn only_some_answers_have_bodies() {
        assert!(may_have_body(&Method::GET, StatusCode::OK));
        assert!(!may_have_body(&Method::HEAD, StatusCode::OK));
        assert!(!may_have_body(&Method::GET, StatusCode::NO_CONTENT));
        assert!(!may_have_body(&Method::GET, StatusCode::NOT_MODIFIED));
    }
}
