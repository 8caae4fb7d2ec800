//! Parts of a stored answer (RFC 9110 section 14).
//!
//! One range of bytes from an answer that is stored whole; any other wish is answered with all of
//! it, as the standard allows.

use crate::cache::conditions::strongly_equal;
use crate::cache::date::Wall;
use crate::cache::fields::Fields;

/// What part of an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// All of it.
    Whole,
    /// From the first to the last byte, both included.
    Bytes {
        /// The first byte.
        first: u64,
        /// The last byte.
        last: u64,
    },
    /// One that it does not have.
    Unsatisfiable,
}

/// Which part of a stored answer of that length a request wants.
pub fn wanted(
    request: &(impl Fields + ?Sized),
    response: &(impl Fields + ?Sized),
    length: u64,
) -> Part {
    let mut lines = request.lines("range");
    let (Some(range), None) = (lines.next(), lines.next()) else { return Part::Whole };
    if !is_same(request, response) {
        return Part::Whole;
    }
    bytes(range.trim_ascii(), length).unwrap_or(Part::Whole)
}

/// Whether what the caller holds a part of is what is stored.
fn is_same(request: &(impl Fields + ?Sized), response: &(impl Fields + ?Sized)) -> bool {
    let Some(held) = request.first("if-range") else { return true };
    let etag = response.first("etag").is_some_and(|etag| strongly_equal(held, etag));
    etag || (response.first("last-modified") == Some(held) && is_strong_date(held, response))
}

/// Whether a date of change tells every change apart: a second later nothing more had changed (RFC
/// 9110 section 8.8.2.2).
fn is_strong_date(modified: &[u8], response: &(impl Fields + ?Sized)) -> bool {
    let date = |text: &[u8]| Wall::parse(text, Wall::default());
    let (modified, made) = (date(modified), response.first("date").and_then(date));
    modified.zip(made).is_some_and(|(modified, made)| modified < made)
}

/// `None` if it is no single range of bytes.
fn bytes(range: &[u8], length: u64) -> Option<Part> {
    let text = std::str::from_utf8(range).ok()?;
    let (unit, spec) = text.split_once('=')?;
    (unit.eq_ignore_ascii_case("bytes") && !spec.contains(',')).then_some(())?;
    let (first, last) = spec.trim().split_once('-')?;
    let part = match (first, last) {
        ("", last) => {
            let count = number(last)?.min(length);
            (count > 0).then(|| (length - count, length - 1))
        }
        (first, "") => Some((number(first)?, length.saturating_sub(1))),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(())?;
            Some((first, last.min(length.saturating_sub(1))))
        }
    };
    let part = part.filter(|(first, _)| *first < length);
    Some(part.map_or(Part::Unsatisfiable, |(first, last)| Part::Bytes { first, last }))
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(range: &str, length: u64, expected: Part) {
        let response: &[(&str, &str)] = &[];
        assert_eq!(wanted(&[("Range", range)][..], response, length), expected, "{range}");
    }

    #[test]
    fn single_ranges_are_cut_to_what_there_is() {
        let part = |first, last| Part::Bytes { first, last };
        check("bytes=0-1", 10, part(0, 1));
        check("bytes=1-", 10, part(1, 9));
        check("bytes=-1", 10, part(9, 9));
        check("bytes=-99", 10, part(0, 9));
        check("bytes=8-99", 10, part(8, 9));
        check("Bytes=0-99999999999999999999", 10, part(0, 9));
    }

    #[test]
    fn what_is_not_there_is_unsatisfiable() {
        check("bytes=10-", 10, Part::Unsatisfiable);
        check("bytes=-0", 10, Part::Unsatisfiable);
        check("bytes=0-", 0, Part::Unsatisfiable);
        check("bytes=-5", 0, Part::Unsatisfiable);
        check("bytes=99999999999999999999-", 10, Part::Unsatisfiable);
    }

    #[test]
    fn other_wishes_get_all_of_it() {
        for range in
            ["bytes=0-1,3-4", "lines=0-1", "bytes=5-1", "bytes=", "bytes=a-b", "0-1", "bytes=+1-2"]
        {
            check(range, 10, Part::Whole);
        }
    }

    #[test]
    fn part_of_something_else_is_sent_whole() {
        let modified = "Sun, 06 Nov 1994 08:49:37 GMT";
        let dates = [("Last-Modified", modified), ("Date", "Sun, 06 Nov 1994 08:49:38 GMT")];
        let response = &[("ETag", "\"a\""), dates[0], dates[1]][..];
        let request = &[("Range", "bytes=0-1"), ("If-Range", modified)][..];
        let at_once = &[("Last-Modified", modified), ("Date", modified)][..];
        assert_eq!(wanted(request, at_once, 10), Part::Whole);
        for (held, expected) in [
            ("\"a\"", Part::Bytes { first: 0, last: 1 }),
            (modified, Part::Bytes { first: 0, last: 1 }),
            ("x", Part::Whole),
            ("\"b\"", Part::Whole),
            ("W/\"a\"", Part::Whole),
        ] {
            let request = &[("Range", "bytes=0-1"), ("If-Range", held)][..];
            assert_eq!(wanted(request, response, 10), expected, "{held}");
        }
    }
}
