//! How later answers change a stored one (RFC 9111 sections 3.1, 3.2, 4.3.4 and 4.3.5).

use crate::cache::conditions::{Validators, strongly_equal, weakly_equal};
use crate::cache::directives::Extent;
use crate::cache::fields::Fields;
use crate::cache::storing::Entry;

/// Whether a 304 is about a stored answer.
///
/// A strong tag must be the stored one; weaker validators must agree as far as both name them; a
/// 304 that names none is about the answer that was asked for.
pub fn is_about(stored: &(impl Fields + ?Sized), not_modified: &(impl Fields + ?Sized)) -> bool {
    let (old, new) = (Validators::read(stored), Validators::read(not_modified));
    match (old.etag, new.etag) {
        (Some(old), Some(new)) => strongly_equal(old, new) || weakly_equal(old, new),
        (None, _) | (_, None) => match (old.modified, new.modified) {
            (Some(old), Some(new)) => old == new,
            (None, _) | (_, None) => true,
        },
    }
}

/// What the answer to a `HEAD` says of a stored answer to a `GET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Headed {
    /// It is the same: its fields are renewed.
    Renewed,
    /// It has changed: the stored one is no longer good.
    Changed,
    /// Nothing.
    Unrelated,
}

/// Reads the answer to a `HEAD` against a stored answer of that length.
pub fn headed(
    stored: &(impl Fields + ?Sized),
    stored_length: u64,
    status: u16,
    head: &(impl Fields + ?Sized),
) -> Headed {
    if status != 200 {
        return Headed::Unrelated;
    }
    let length = head.first("content-length").and_then(|text| std::str::from_utf8(text).ok());
    let length_agrees = length.is_none_or(|length| length.parse() == Ok(stored_length));
    let (old, new) = (Validators::read(stored), Validators::read(head));
    let differs = |old: Option<&[u8]>, new: Option<&[u8]>| matches!((old, new), (Some(old), Some(new)) if old != new);
    if !length_agrees || differs(old.etag, new.etag) || differs(old.modified, new.modified) {
        return Headed::Changed;
    }
    Headed::Renewed
}

/// Whether a field of a 304, or of the answer to a `HEAD`, replaces the stored one.
///
/// What frames the body stays as the body was stored.
pub fn is_renewed(name: &str) -> bool {
    !is_hop_by_hop(name) && !FRAMING.contains(&name)
}

/// Whether a field of an answer is stored with it; `connection` is the answer's `Connection`.
pub fn is_kept(name: &str, response: &(impl Fields + ?Sized), entry: &Entry) -> bool {
    let directives = &entry.said.directives;
    let withheld = |extent: &Extent| extent.lists(name);
    !is_hop_by_hop(name)
        && !is_named_by_connection(name, response)
        && !withheld(&directives.no_cache)
        && !withheld(&directives.private)
}

/// Whether `Connection` names a field as this hop's own.
pub fn is_named_by_connection(name: &str, message: &(impl Fields + ?Sized)) -> bool {
    message.members("connection").any(|member| member.eq_ignore_ascii_case(name.as_bytes()))
}

/// Whether a field, in lower case, concerns one hop and goes no further.
pub fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.contains(&name)
}

const HOP_BY_HOP: [&str; 11] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];
const FRAMING: [&str; 3] = ["content-encoding", "content-length", "content-range"];

#[cfg(test)]
mod tests {
    use super::*;

    type Table<'a> = &'a [(&'a str, &'a str)];

    #[test]
    fn not_modified_is_about_what_shares_its_validator() {
        for (stored, new, expected) in [
            (&[("ETag", "\"a\"")][..], &[("ETag", "\"a\"")][..], true),
            (&[("ETag", "\"a\"")], &[("ETag", "\"b\"")], false),
            (&[("ETag", "W/\"a\"")], &[("ETag", "W/\"a\"")], true),
            (&[("ETag", "\"a\"")], &[], true),
            (&[("Last-Modified", "x")], &[("Last-Modified", "x")], true),
            (&[("Last-Modified", "x")], &[("Last-Modified", "y")], false),
            (&[("ETag", "\"a\""), ("Last-Modified", "x")], &[("Last-Modified", "x")], true),
        ] {
            assert_eq!(is_about(stored, new), expected, "{stored:?} {new:?}");
        }
    }

    #[test]
    fn head_renews_what_it_agrees_with() {
        let stored: Table<'_> = &[("ETag", "\"a\""), ("Last-Modified", "x")];
        let read = |status, head: Table<'_>| headed(stored, 10, status, head);
        assert_eq!(read(200, &[]), Headed::Renewed);
        assert_eq!(read(200, &[("ETag", "\"a\""), ("Content-Length", "10")]), Headed::Renewed);
        assert_eq!(read(200, &[("ETag", "\"b\"")]), Headed::Changed);
        assert_eq!(read(200, &[("Content-Length", "11")]), Headed::Changed);
        assert_eq!(read(200, &[("Last-Modified", "y")]), Headed::Changed);
        assert_eq!(read(410, &[("ETag", "\"b\"")]), Headed::Unrelated);
    }

    #[test]
    fn framing_stays_and_all_else_is_renewed() {
        for name in ["content-length", "content-encoding", "content-range", "connection", "te"] {
            assert!(!is_renewed(name), "{name}");
        }
        for name in ["etag", "content-type", "x-new", "set-cookie", "cache-control"] {
            assert!(is_renewed(name), "{name}");
        }
    }
}
