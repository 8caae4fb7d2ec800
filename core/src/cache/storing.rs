//! Whether an answer may be stored (RFC 9111 section 3).

use crate::cache::directives::{Extent, Wishes};
use crate::cache::fields::Fields;
use crate::cache::freshness::{Exchange, Freshness, HEURISTIC_STATUSES, Said, Source};
use crate::cache::rules::{Mode, Rules, SetCookie};
use crate::cache::vary;

/// What a store remembers of an answer beside its head and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its status.
    pub status: u16,
    /// Its age and lifetime.
    pub freshness: Freshness,
    /// What it says about its use.
    pub said: Said,
    /// The request fields that chose it, in lower case and in order.
    pub selecting: Vec<String>,
}

/// Why an answer is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unstorable {
    /// Its request's method is not `GET`.
    Method,
    /// The request forbids it.
    RequestNoStore,
    /// The answer forbids it.
    NoStore,
    /// The answer is for a single user.
    Private,
    /// The request carried credentials, and the answer does not say that it is for all.
    Authorization,
    /// It sets a cookie.
    SetCookie,
    /// `Vary: *`: no request could be known to match.
    VaryStar,
    /// It is interim, or about what its request asked beside the target: a part, or a condition.
    Status,
    /// It could never be used: nothing makes it fresh and nothing could renew it.
    Useless,
}

impl Unstorable {
    /// The reason in words, for `Cache-Status` and the decisions of a call.
    pub fn words(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::RequestNoStore => "request-no-store",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Authorization => "authorization",
            Self::SetCookie => "set-cookie",
            Self::VaryStar => "vary-star",
            Self::Status => "status",
            Self::Useless => "no-freshness",
        }
    }
}

/// A request and the head of its answer.
#[derive(Debug)]
pub struct Answered<'a, Q: ?Sized, A: ?Sized> {
    /// The request's method.
    pub method: &'a str,
    /// The request's fields.
    pub request: &'a Q,
    /// The answer's status.
    pub status: u16,
    /// The answer's fields.
    pub response: &'a A,
    /// Whether its `Content-Location` is the request's own address: then the answer is what a `GET`
    /// would have had (RFC 9110 section 9.3.3).
    pub of_target: bool,
    /// When.
    pub exchange: Exchange,
}

/// Decides whether an answer is stored.
pub fn judge<Q: Fields + ?Sized, A: Fields + ?Sized>(
    rules: &Rules,
    answered: &Answered<'_, Q, A>,
) -> Result<Entry, Unstorable> {
    let Answered { method, request, status, response, of_target, exchange } = *answered;
    let posted = method == "POST" && of_target;
    if method != "GET" && !posted {
        return Err(Unstorable::Method);
    }
    if status < 200 || ABOUT_REQUEST.contains(&status) {
        return Err(Unstorable::Status);
    }
    if Wishes::read(request).no_store {
        return Err(Unstorable::RequestNoStore);
    }
    let said = Said::read(rules, response);
    permitted(rules, status, &said)?;
    if rules.mode == Mode::Shared {
        shareable(request, &said)?;
    }
    if rules.mode != Mode::Private {
        cookieless(rules, response, &said)?;
    }
    let selecting = vary::selecting(response).ok_or(Unstorable::VaryStar)?;
    let freshness = Freshness::read(rules, status, response, &said, exchange);
    if posted && !freshness.lifetime.is_explicit() {
        return Err(Unstorable::Method);
    }
    let entry = Entry { status, freshness, said, selecting };
    if entry.is_of_use(response) { Ok(entry) } else { Err(Unstorable::Useless) }
}

fn permitted(rules: &Rules, status: u16, said: &Said) -> Result<(), Unstorable> {
    let directives = &said.directives;
    if directives.must_understand {
        // A status that is understood sets `no-store` aside (RFC 9111 section 5.2.2.3).
        return if UNDERSTOOD.contains(&status) { Ok(()) } else { Err(Unstorable::NoStore) };
    }
    if directives.no_store {
        return Err(Unstorable::NoStore);
    }
    match (rules.mode, &directives.private) {
        (Mode::Shared, Extent::Whole) => Err(Unstorable::Private),
        (Mode::Shared | Mode::Private | Mode::Partition, _) => Ok(()),
    }
}

/// What concerns only answers that many users share.
fn shareable(request: &(impl Fields + ?Sized), said: &Said) -> Result<(), Unstorable> {
    let directives = &said.directives;
    if directives.private == Extent::Whole {
        return Err(Unstorable::Private);
    }
    let for_all = directives.public || directives.s_maxage.is_some() || directives.must_revalidate;
    if request.has("authorization") && !for_all {
        return Err(Unstorable::Authorization);
    }
    Ok(())
}

/// What concerns all stores that many users share, parted or not.
fn cookieless(
    rules: &Rules,
    response: &(impl Fields + ?Sized),
    said: &Said,
) -> Result<(), Unstorable> {
    match rules.set_cookie {
        SetCookie::Decline if response.has("set-cookie") && !said.directives.public => {
            Err(Unstorable::SetCookie)
        }
        SetCookie::Decline | SetCookie::Store => Ok(()),
    }
}

impl Entry {
    /// Whether the answer itself says that others than the one who asked with credentials may have
    /// it (RFC 9111 section 3.5).
    pub fn is_for_all(&self, rules: &Rules, request: &(impl Fields + ?Sized)) -> bool {
        let directives = &self.said.directives;
        let named = directives.public || directives.s_maxage.is_some();
        let validated = directives.must_revalidate && !request.has("cookie");
        rules.mode == Mode::Shared && (named || validated)
    }

    /// Whether it will ever be used: fresh for a while, or renewable, or allowed to be stale.
    fn is_of_use(&self, response: &(impl Fields + ?Sized)) -> bool {
        let Self { freshness, said, status, .. } = self;
        let directives = &said.directives;
        let renewable = response.has("etag") || response.has("last-modified");
        let stale = directives.stale_while_revalidate.or(directives.stale_if_error);
        let fresh = !freshness.lifetime.fresh_for.is_zero();
        let known = freshness.lifetime.source != Source::Nothing
            || directives.public
            || HEURISTIC_STATUSES.contains(status);
        known && (fresh || renewable || stale.is_some_and(|stale| !stale.is_zero()))
    }
}

/// The statuses that only a request with the same range or condition would have: nothing tells such
/// requests apart once they are stored.
const ABOUT_REQUEST: [u16; 4] = [206, 304, 412, 416];
/// The statuses whose caching rules are followed (RFC 9110 section 15).
const UNDERSTOOD: [u16; 19] =
    [200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 403, 404, 405, 410, 414, 451, 500, 501, 503];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::date::Wall;

    const NOW: Wall = Wall::from_secs(1_795_348_800);
    type Table<'a> = &'a [(&'a str, &'a str)];

    fn judged(
        rules: &Rules,
        method: &str,
        request: Table<'_>,
        status: u16,
        response: Table<'_>,
    ) -> Result<(), Unstorable> {
        let exchange = Exchange { requested: NOW, received: NOW };
        let of_target = response.iter().any(|(name, _)| *name == "Content-Location");
        judge(rules, &Answered { method, request, status, response, of_target, exchange })
            .map(|_| ())
    }

    fn shared(request: Table<'_>, status: u16, response: Table<'_>) -> Result<(), Unstorable> {
        judged(&Rules::default(), "GET", request, status, response)
    }

    #[test]
    fn each_reason_is_a_token_of_its_own() {
        let reasons = [
            Unstorable::Method,
            Unstorable::RequestNoStore,
            Unstorable::NoStore,
            Unstorable::Private,
            Unstorable::Authorization,
            Unstorable::SetCookie,
            Unstorable::VaryStar,
            Unstorable::Status,
            Unstorable::Useless,
        ];
        let mut words = reasons.map(Unstorable::words).to_vec();
        let is_token =
            |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(words.iter().all(is_token) && words.contains(&"no-freshness"), "{words:?}");
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), reasons.len());
    }

    #[test]
    fn what_forbids_it_is_named() {
        let fresh = ("Cache-Control", "max-age=9");
        for (request, status, response, expected) in [
            (&[][..], 200, &[fresh][..], Ok(())),
            (&[], 299, &[fresh], Ok(())),
            (&[], 599, &[fresh], Ok(())),
            (&[], 206, &[fresh], Err(Unstorable::Status)),
            (&[], 304, &[fresh], Err(Unstorable::Status)),
            (&[("If-Match", "a")], 412, &[fresh], Err(Unstorable::Status)),
            (&[("Range", "bytes=9-")], 416, &[fresh], Err(Unstorable::Status)),
            (&[], 103, &[fresh], Err(Unstorable::Status)),
            (&[("Cache-Control", "no-store")], 200, &[fresh], Err(Unstorable::RequestNoStore)),
            (&[], 200, &[fresh, ("Cache-Control", "No-Store")], Err(Unstorable::NoStore)),
            (&[], 200, &[fresh, ("Cache-Control", "Private")], Err(Unstorable::Private)),
            (&[], 200, &[fresh, ("Cache-Control", "private=\"a\"")], Ok(())),
            (&[], 200, &[fresh, ("Vary", "a, *")], Err(Unstorable::VaryStar)),
            (&[], 200, &[fresh, ("Set-Cookie", "a=b")], Err(Unstorable::SetCookie)),
            (&[], 200, &[("Cache-Control", "public, max-age=9"), ("Set-Cookie", "a=b")], Ok(())),
            (&[], 200, &[], Err(Unstorable::Useless)),
            (&[], 200, &[("ETag", "\"a\"")], Ok(())),
            (&[], 201, &[("ETag", "\"a\"")], Err(Unstorable::Useless)),
            (&[], 200, &[("Cache-Control", "max-age=0")], Err(Unstorable::Useless)),
            (&[], 200, &[("Cache-Control", "max-age=0, stale-if-error=5")], Ok(())),
            (&[], 200, &[("Cache-Control", "no-cache"), ("ETag", "\"a\"")], Ok(())),
        ] {
            assert_eq!(
                shared(request, status, response),
                expected,
                "{request:?} {status} {response:?}"
            );
        }
        let rules = Rules::default();
        for method in ["HEAD", "POST", "get"] {
            assert_eq!(judged(&rules, method, &[], 200, &[fresh]), Err(Unstorable::Method));
        }
    }

    #[test]
    fn posted_answer_is_that_of_a_get_only_if_it_says_so_and_for_how_long() {
        let here = ("Content-Location", "here");
        for (fields, expected) in [
            (&[here, ("Cache-Control", "max-age=9")][..], Ok(())),
            (&[("Cache-Control", "max-age=9")], Err(Unstorable::Method)),
            (&[here, ("ETag", "\"a\"")], Err(Unstorable::Method)),
            (&[here, ("Cache-Control", "no-store, max-age=9")], Err(Unstorable::NoStore)),
        ] {
            assert_eq!(judged(&Rules::default(), "POST", &[], 200, fields), expected, "{fields:?}");
            assert!(judged(&Rules::default(), "PUT", &[], 200, fields).is_err());
        }
    }

    #[test]
    fn answers_to_credentials_are_shared_only_if_they_say_so() {
        let request = &[("Authorization", "x")][..];
        for (said, expected) in [
            ("max-age=9", Err(Unstorable::Authorization)),
            ("max-age=9, proxy-revalidate", Err(Unstorable::Authorization)),
            ("max-age=9, public", Ok(())),
            ("max-age=9, must-revalidate", Ok(())),
            ("s-maxage=9", Ok(())),
        ] {
            assert_eq!(shared(request, 200, &[("Cache-Control", said)]), expected, "{said}");
        }
        let private = Rules { mode: Mode::Private, ..Rules::default() };
        let said = &[("Cache-Control", "private, max-age=9"), ("Set-Cookie", "a")][..];
        assert_eq!(judged(&private, "GET", request, 200, said), Ok(()));
    }

    #[test]
    fn credentials_answer_is_for_all_only_by_a_word_and_never_for_a_cookie_that_chose_it() {
        let exchange = Exchange { requested: NOW, received: NOW };
        let is_for_all = |mode, said: &str, request: Table<'_>| {
            let rules = Rules { mode, ..Rules::default() };
            let response = &[("Cache-Control", said), ("ETag", "\"a\"")][..];
            let (method, of_target) = ("GET", false);
            let answered = Answered { method, request, status: 200, response, of_target, exchange };
            judge(&rules, &answered).unwrap().is_for_all(&rules, request)
        };
        let cookie = &[("Cookie", "a=b")][..];
        for (said, anybody, with_cookie) in [
            ("max-age=9", false, false),
            ("max-age=9, proxy-revalidate", false, false),
            ("max-age=9, public", true, true),
            ("s-maxage=9", true, true),
            ("max-age=9, must-revalidate", true, false),
        ] {
            assert_eq!(is_for_all(Mode::Shared, said, &[]), anybody, "{said}");
            assert_eq!(is_for_all(Mode::Shared, said, cookie), with_cookie, "{said}");
            assert!(!is_for_all(Mode::Private, said, &[]), "{said}");
        }
    }

    #[test]
    fn partition_of_one_user_stores_what_is_for_that_one_but_nothing_that_sets_a_cookie() {
        let rules = Rules { mode: Mode::Partition, ..Rules::default() };
        let request = &[("Authorization", "x")][..];
        for (fields, expected) in [
            (&[("Cache-Control", "private, max-age=9")][..], Ok(())),
            (&[("Cache-Control", "max-age=9")], Ok(())),
            (&[("Cache-Control", "no-store")], Err(Unstorable::NoStore)),
            (
                &[("Cache-Control", "private, max-age=9"), ("Set-Cookie", "a")],
                Err(Unstorable::SetCookie),
            ),
            (&[("Cache-Control", "public, max-age=9"), ("Set-Cookie", "a")], Ok(())),
            (&[("Cache-Control", "max-age=9"), ("Vary", "*")], Err(Unstorable::VaryStar)),
        ] {
            assert_eq!(judged(&rules, "GET", request, 200, fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn status_that_is_understood_sets_no_store_aside() {
        let said = &[("Cache-Control", "max-age=9, no-store, must-understand")][..];
        assert_eq!(shared(&[], 200, said), Ok(()));
        assert_eq!(shared(&[], 599, said), Err(Unstorable::NoStore));
    }

    #[test]
    fn targeted_field_overrules_both_ways() {
        let rules = Rules { targeted: vec!["cdn-cache-control".into()], ..Rules::default() };
        let judged = |response: Table<'_>| judged(&rules, "GET", &[], 200, response);
        assert_eq!(
            judged(&[("Cache-Control", "no-store"), ("CDN-Cache-Control", "max-age=9")]),
            Ok(())
        );
        for forbidding in ["no-store", "private"] {
            let fields = [("Cache-Control", "max-age=9"), ("CDN-Cache-Control", forbidding)];
            assert!(judged(&fields).is_err(), "{forbidding}");
        }
    }
}
