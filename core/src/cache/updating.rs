//! How later answers change a stored one (RFC 9111 sections 3.1, 3.2, 4.3.4 and 4.3.5).

use crate::cache::conditions::{Validators, strongly_equal, weakly_equal};
use crate::cache::date::Wall;
use crate::cache::directives::{Directives, Wishes};
use crate::cache::fields::Fields;
use crate::cache::rules::{Mode, Rules, SetCookie};
use crate::cache::storing::{Entry, Unstorable};
use crate::cache::using;

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

/// Whether a field of an answer is stored with it.
///
/// What must be validated on its own is left out, which RFC 9111 section 5.2.2.4 allows in place of
/// validating the whole; so is what is for a single user, and a cookie, where many share the store.
pub fn is_kept(
    rules: &Rules,
    name: &str,
    response: &(impl Fields + ?Sized),
    said: &Directives,
) -> bool {
    let shared = rules.mode == Mode::Shared;
    let own = rules.mode == Mode::Private || rules.set_cookie == SetCookie::Store;
    let of_another = name == "set-cookie" && !own || shared && said.private.lists(name);
    !is_hop_by_hop(name)
        && !is_named_by_connection(name, response)
        && !said.no_cache.lists(name)
        && !of_another
}

/// Whether an answer may take the place of a stored one for the same request: an error never does
/// while the stored one can still be used or validated.
pub fn displaces(
    rules: &Rules,
    (old, fields): (&Entry, &(impl Fields + ?Sized)),
    status: u16,
    now: Wall,
) -> bool {
    if status < 500 || old.status >= 500 {
        return true;
    }
    let usable = old.freshness.left(now).is_some()
        || using::instead_of_error(rules, old, &Wishes::default(), now).is_some();
    !usable && Validators::read(fields).is_empty()
}

/// Whether an answer that is not stored shows that the stored one is out of date: it is about the
/// content, and not about the one who asked.
pub fn outdates(status: u16, reason: Unstorable) -> bool {
    let about_content = matches!(status, 200..=299 | 404 | 410) && status != 206;
    match reason {
        Unstorable::NoStore
        | Unstorable::Private
        | Unstorable::SetCookie
        | Unstorable::VaryStar
        | Unstorable::Useless => about_content,
        Unstorable::Method
        | Unstorable::RequestNoStore
        | Unstorable::Authorization
        | Unstorable::Status => false,
    }
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
    use crate::cache::freshness::Exchange;
    use crate::cache::storing::{Answered, judge};

    const STORED: Wall = Wall::from_secs(1_795_348_800);

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

    fn entry(status: u16, response: Table<'_>) -> Entry {
        let request: Table<'_> = &[];
        let exchange = Exchange { requested: STORED, received: STORED };
        let answered =
            Answered { method: "GET", request, status, response, of_target: false, exchange };
        judge(&Rules::default(), &answered).unwrap()
    }

    #[test]
    fn errors_never_take_the_place_of_what_is_still_good() {
        let rules = Rules::default();
        let plain: Table<'_> = &[("Cache-Control", "max-age=10")];
        let strict: Table<'_> = &[("Cache-Control", "max-age=10, must-revalidate")];
        let tagged: Table<'_> =
            &[("Cache-Control", "max-age=10, must-revalidate"), ("ETag", "\"a\"")];
        for (stored_status, stored, status, seconds, expected) in [
            (200, plain, 503, 5, false),
            (200, plain, 503, 15, false),
            (200, plain, 503, 3_611, true),
            (200, strict, 503, 5, false),
            (200, strict, 503, 15, true),
            (200, tagged, 503, 15, false),
            (404, plain, 500, 5, false),
            (200, plain, 404, 5, true),
            (503, plain, 503, 5, true),
        ] {
            let (old, now) =
                (entry(stored_status, stored), Wall::from_secs(STORED.0.as_secs() + seconds));
            let displaced = displaces(&rules, (&old, stored), status, now);
            assert_eq!(displaced, expected, "{stored_status} {stored:?} {status} {seconds}");
        }
    }

    #[test]
    fn what_is_for_one_user_is_kept_for_one_user_alone() {
        let said = Directives::read([&b"private=\"x-name\", no-cache=\"x-live\""[..]].into_iter());
        let response: Table<'_> = &[("Connection", "x-hop")];
        let private = Rules { mode: Mode::Private, ..Rules::default() };
        let store = Rules { set_cookie: SetCookie::Store, ..Rules::default() };
        let partition = Rules { mode: Mode::Partition, ..Rules::default() };
        let shared = Rules::default();
        for (rules, name, expected) in [
            (&shared, "x-name", false),
            (&private, "x-name", true),
            (&shared, "x-live", false),
            (&private, "x-live", false),
            (&shared, "set-cookie", false),
            (&private, "set-cookie", true),
            (&store, "set-cookie", true),
            (&partition, "x-name", true),
            (&partition, "set-cookie", false),
            (&shared, "x-hop", false),
            (&shared, "x-other", true),
        ] {
            assert_eq!(is_kept(rules, name, response, &said), expected, "{name}");
        }
    }

    #[test]
    fn news_of_the_content_outdates_and_words_to_the_asker_do_not() {
        assert!(outdates(200, Unstorable::NoStore) && outdates(410, Unstorable::Useless));
        assert!(!outdates(403, Unstorable::NoStore) && !outdates(503, Unstorable::NoStore));
        assert!(!outdates(206, Unstorable::Useless));
        assert!(!outdates(200, Unstorable::Authorization));
        assert!(!outdates(200, Unstorable::RequestNoStore));
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
