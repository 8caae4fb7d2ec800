//! Conditional requests: those a cache is asked, and those it asks (RFC 9110 section 13).

use crate::cache::date::Wall;
use crate::cache::fields::Fields;

/// What a cache answers a request whose answer it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// All of it: the caller has none, or another.
    Send,
    /// That the caller's own copy is still good.
    NotModified,
}

/// What a stored answer can be validated by, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Validators<'a> {
    /// For `If-None-Match`.
    pub etag: Option<&'a [u8]>,
    /// For `If-Modified-Since`.
    pub modified: Option<&'a [u8]>,
}

impl<'a> Validators<'a> {
    /// What an answer offers.
    pub fn read(response: &'a (impl Fields + ?Sized)) -> Self {
        Self { etag: response.first("etag"), modified: response.first("last-modified") }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.modified.is_none()
    }
}

/// Judges a caller's condition against an answer; `If-None-Match` counts before `If-Modified-Since`.
pub fn evaluate(
    request: &(impl Fields + ?Sized),
    response: &(impl Fields + ?Sized),
    now: Wall,
) -> Condition {
    let held = if request.has("if-none-match") {
        let etag = response.first("etag");
        request
            .members("if-none-match")
            .any(|wanted| wanted == b"*" || etag.is_some_and(|etag| weakly_equal(wanted, etag)))
    } else {
        let date = |text: Option<&[u8]>| Wall::parse(text?, now);
        // What does not say when it changed did so no later than it was made (RFC 9111 section 4.3.2).
        let changed = response.first("last-modified").or_else(|| response.first("date"));
        match (date(request.first("if-modified-since")), date(changed)) {
            (Some(since), Some(modified)) => modified <= since,
            (None, _) | (_, None) => false,
        }
    };
    if held { Condition::NotModified } else { Condition::Send }
}

/// Whether a request asks for something that only the origin can judge.
pub fn is_for_the_origin(request: &(impl Fields + ?Sized)) -> bool {
    request.has("if-match") || request.has("if-unmodified-since")
}

/// Whether two entity tags name the same content for the purpose of reading it.
pub fn weakly_equal(one: &[u8], two: &[u8]) -> bool {
    opaque(one) == opaque(two)
}

/// Whether two entity tags name the same bytes.
pub fn strongly_equal(one: &[u8], two: &[u8]) -> bool {
    one == two && !is_weak(one)
}

fn opaque(etag: &[u8]) -> &[u8] {
    etag.strip_prefix(b"W/").unwrap_or(etag)
}

fn is_weak(etag: &[u8]) -> bool {
    etag.starts_with(b"W/")
}

/// The fields by which a caller asks for a part, or only for what is new: a cache that validates
/// asks by its own.
pub const CONDITIONS: [&str; 6] =
    ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range", "range"];

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall::from_secs(1_795_348_800);
    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn check(request: &[(&str, &str)], response: &[(&str, &str)], expected: Condition) {
        assert_eq!(evaluate(request, response, NOW), expected, "{request:?} {response:?}");
    }

    #[test]
    fn entity_tags_match_weakly_in_a_list() {
        let held = Condition::NotModified;
        check(&[("If-None-Match", "\"a\"")], &[("ETag", "\"a\"")], held);
        check(&[("If-None-Match", "\"x\", W/\"a\", \"y\"")], &[("ETag", "\"a\"")], held);
        check(&[("If-None-Match", "\"a\"")], &[("ETag", "W/\"a\"")], held);
        check(&[("If-None-Match", "*")], &[], held);
        check(&[("If-None-Match", "\"b\"")], &[("ETag", "\"a\"")], Condition::Send);
        check(&[("If-None-Match", "\"a\"")], &[], Condition::Send);
        check(&[("If-None-Match", "\"a,b\"")], &[("ETag", "\"a")], Condition::Send);
    }

    #[test]
    fn dates_count_only_without_entity_tags() {
        let response = &[("Last-Modified", MODIFIED), ("ETag", "\"a\"")][..];
        let held = Condition::NotModified;
        check(&[("If-Modified-Since", MODIFIED)], response, held);
        check(&[("If-Modified-Since", "Sun, 06 Nov 1994 08:49:38 GMT")], response, held);
        check(&[("If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT")], response, held);
        check(&[("If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT")], response, Condition::Send);
        check(&[("If-Modified-Since", MODIFIED)], &[], Condition::Send);
        let made = &[("Date", MODIFIED)][..];
        check(&[("If-Modified-Since", MODIFIED)], made, held);
        check(&[("If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT")], made, Condition::Send);
        let odd = &[("Date", MODIFIED), ("Last-Modified", "0")];
        check(&[("If-Modified-Since", MODIFIED)], odd, Condition::Send);
        let both = &[("If-None-Match", "\"b\""), ("If-Modified-Since", MODIFIED)];
        check(both, response, Condition::Send);
    }

    #[test]
    fn some_conditions_are_for_the_origin_alone() {
        let for_it = |request: &[(&str, &str)]| is_for_the_origin(request);
        assert!(for_it(&[("If-Match", "\"a\"")]) && for_it(&[("If-Unmodified-Since", MODIFIED)]));
        assert!(!for_it(&[("If-None-Match", "\"a\""), ("If-Modified-Since", MODIFIED)]));
    }

    #[test]
    fn weak_tags_are_never_strongly_equal() {
        assert!(strongly_equal(b"\"a\"", b"\"a\""));
        assert!(!strongly_equal(b"W/\"a\"", b"W/\"a\""));
        assert!(!strongly_equal(b"\"a\"", b"W/\"a\""));
    }
}
