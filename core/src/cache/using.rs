//! Whether a stored answer may be used for a request (RFC 9111 section 4, RFC 5861, RFC 8246).

use std::time::Duration;

use crate::advice::ErrorKind;
use crate::cache::date::Wall;
use crate::cache::directives::{Extent, Wishes};
use crate::cache::rules::{Mode, Rules};
use crate::cache::storing::Entry;

/// What to do with a stored answer that matches a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Use it.
    Fresh,
    /// Use it though it is stale: the caller takes it so.
    Stale,
    /// Use it though it is stale, and renew it meanwhile.
    WhileRenewed,
    /// Ask the origin whether it is still good.
    Validate(Doubt),
}

/// Why a stored answer needs the origin's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// It is no longer fresh.
    Expired,
    /// It says that it must be validated each time.
    NoCache,
    /// The request asks for validation.
    RequestNoCache,
    /// It is older than the request takes.
    TooOld,
    /// It does not stay fresh for as long as the request asks.
    NotFreshEnough,
}

/// Decides about a stored answer.
pub fn decide(rules: &Rules, entry: &Entry, wishes: &Wishes, now: Wall) -> Use {
    let directives = &entry.said.directives;
    let age = entry.freshness.age(now);
    let left = entry.freshness.left(now);
    if wishes.no_cache {
        return Use::Validate(Doubt::RequestNoCache);
    }
    if directives.no_cache == Extent::Whole {
        return Use::Validate(Doubt::NoCache);
    }
    // A reload asks for age zero; what never changes while it is fresh has nothing to say to that.
    let reload_in_vain = directives.immutable && left.is_some();
    let too_old = wishes
        .max_age
        .is_some_and(|max_age| if max_age.is_zero() { !reload_in_vain } else { age > max_age });
    if too_old {
        return Use::Validate(Doubt::TooOld);
    }
    match (left, wishes.min_fresh) {
        (Some(left), Some(min_fresh)) if left < min_fresh => Use::Validate(Doubt::NotFreshEnough),
        (Some(_), _) => Use::Fresh,
        (None, Some(_)) => Use::Validate(Doubt::NotFreshEnough),
        (None, None) => expired(rules, entry, wishes, now),
    }
}

fn expired(rules: &Rules, entry: &Entry, wishes: &Wishes, now: Wall) -> Use {
    if forbids_stale(rules, entry) {
        return Use::Validate(Doubt::Expired);
    }
    let staleness = entry.freshness.staleness(now);
    if wishes.max_stale.is_some_and(|max_stale| staleness <= max_stale) {
        return Use::Stale;
    }
    let said = entry.said.directives.stale_while_revalidate;
    // Who names an age takes nothing stale, unless it says so, too (RFC 9111 section 5.2.1.1).
    let takes_stale = wishes.max_age.is_none();
    if takes_stale && staleness < said.unwrap_or(rules.stale_while_revalidate) {
        return Use::WhileRenewed;
    }
    Use::Validate(Doubt::Expired)
}

/// Whether a stored answer may stand in for an error: how stale it is, if so.
///
/// What the answer or the request says of `stale-if-error` counts before the configured budget.
pub fn instead_of_error(
    rules: &Rules,
    entry: &Entry,
    wishes: &Wishes,
    now: Wall,
) -> Option<Duration> {
    let directives = &entry.said.directives;
    let refused = wishes.no_cache || wishes.no_store || wishes.min_fresh.is_some();
    if refused || directives.no_cache == Extent::Whole || entry.status >= 500 {
        return None;
    }
    let staleness = entry.freshness.staleness(now);
    if staleness.is_zero() {
        return Some(staleness);
    }
    if forbids_stale(rules, entry) {
        return None;
    }
    let said = directives.stale_if_error;
    let budget = said.or(wishes.stale_if_error).unwrap_or(rules.stale_if_error);
    let limit = wishes.max_stale.map_or(budget, |max_stale| budget.min(max_stale));
    (staleness <= limit && !limit.is_zero()).then_some(staleness)
}

/// Whether it must not be used once it is stale, whatever happens (RFC 9111 section 4.2.4).
pub fn forbids_stale(rules: &Rules, entry: &Entry) -> bool {
    let directives = &entry.said.directives;
    let for_shared = directives.proxy_revalidate || directives.s_maxage.is_some();
    directives.must_revalidate || (rules.mode == Mode::Shared && for_shared)
}

/// Whether a status is one that `stale-if-error` is about (RFC 5861 section 4).
pub fn is_failure(status: u16) -> bool {
    matches!(status, 500 | 502 | 503 | 504)
}

/// Whether an error is one that `stale-if-error` is about: the upstream could not be asked, or had
/// no answer.
pub fn is_covered(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Overloaded
        | ErrorKind::QueueFull
        | ErrorKind::CircuitOpen
        | ErrorKind::RateLimited
        | ErrorKind::DeadlineExceeded
        | ErrorKind::DeviceOffline
        | ErrorKind::DnsError
        | ErrorKind::DestinationUnavailable
        | ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionTimeout
        | ErrorKind::ConnectionTerminated
        | ErrorKind::TlsProtocolError
        | ErrorKind::HttpResponseTimeout
        | ErrorKind::ConnectionReadTimeout
        | ErrorKind::HttpResponseIncomplete
        | ErrorKind::HttpResponseContentCoding
        | ErrorKind::HttpProtocolError => true,
        ErrorKind::InvalidRequest
        | ErrorKind::RequestBody
        | ErrorKind::InvalidConfig
        | ErrorKind::ShuttingDown
        | ErrorKind::Cancelled
        | ErrorKind::Superseded
        | ErrorKind::NotCached
        | ErrorKind::DestinationIpProhibited
        | ErrorKind::TlsCertificateError
        | ErrorKind::HttpResponseBodySize
        | ErrorKind::HttpResponseHeaderSectionSize
        | ErrorKind::RedirectRefused
        | ErrorKind::TooManyRedirects
        | ErrorKind::HttpStatus
        | ErrorKind::Business
        | ErrorKind::Decode
        | ErrorKind::Internal => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::freshness::Exchange;
    use crate::cache::storing::{Answered, judge};

    const STORED: Wall = Wall::from_secs(1_795_348_800);

    fn entry(said: &str) -> Entry {
        let response = &[("Cache-Control", said), ("ETag", "\"a\"")][..];
        let request: &[(&str, &str)] = &[];
        let exchange = Exchange { requested: STORED, received: STORED };
        let answered =
            Answered { method: "GET", request, status: 200, response, of_target: false, exchange };
        judge(&Rules::default(), &answered).unwrap()
    }

    fn wishes(said: &str) -> Wishes {
        Wishes::read(&[("Cache-Control", said)][..])
    }

    fn later(seconds: u64) -> Wall {
        Wall::from_secs(STORED.0.as_secs() + seconds)
    }

    #[test]
    fn answer_and_request_both_have_a_say() {
        for (said, wish, seconds, expected) in [
            ("max-age=10", "", 5, Use::Fresh),
            ("max-age=10", "", 10, Use::Validate(Doubt::Expired)),
            ("max-age=10, no-cache", "", 5, Use::Validate(Doubt::NoCache)),
            ("max-age=10, no-cache=\"a\"", "", 5, Use::Fresh),
            ("max-age=10", "no-cache", 5, Use::Validate(Doubt::RequestNoCache)),
            ("max-age=10", "max-age=0", 0, Use::Validate(Doubt::TooOld)),
            ("max-age=10", "max-age=3", 5, Use::Validate(Doubt::TooOld)),
            ("max-age=10", "max-age=5", 5, Use::Fresh),
            ("max-age=10, immutable", "max-age=0", 5, Use::Fresh),
            ("max-age=10, immutable", "no-cache", 5, Use::Validate(Doubt::RequestNoCache)),
            ("max-age=10, immutable", "max-age=0", 15, Use::Validate(Doubt::TooOld)),
            ("max-age=10", "min-fresh=7", 5, Use::Validate(Doubt::NotFreshEnough)),
            ("max-age=10", "min-fresh=5", 5, Use::Fresh),
            ("max-age=10", "max-stale", 500, Use::Stale),
            ("max-age=10", "max-stale=5", 15, Use::Stale),
            ("max-age=10", "max-stale=5", 16, Use::Validate(Doubt::Expired)),
            ("max-age=10, must-revalidate", "max-stale", 15, Use::Validate(Doubt::Expired)),
            ("max-age=10, proxy-revalidate", "max-stale", 15, Use::Validate(Doubt::Expired)),
            ("s-maxage=10", "max-stale", 15, Use::Validate(Doubt::Expired)),
            ("max-age=10, stale-while-revalidate=5", "", 14, Use::WhileRenewed),
            (
                "max-age=10, stale-while-revalidate=5",
                "max-age=20",
                14,
                Use::Validate(Doubt::Expired),
            ),
            ("max-age=10, stale-while-revalidate=5", "max-age=20, max-stale", 14, Use::Stale),
            ("max-age=10, stale-while-revalidate=5", "", 15, Use::Validate(Doubt::Expired)),
            (
                "max-age=10, stale-while-revalidate=5, must-revalidate",
                "",
                12,
                Use::Validate(Doubt::Expired),
            ),
        ] {
            let decided = decide(&Rules::default(), &entry(said), &wishes(wish), later(seconds));
            assert_eq!(decided, expected, "{said} | {wish} | {seconds}");
        }
    }

    #[test]
    fn errors_are_covered_within_the_budget_and_never_against_a_ban() {
        for (said, wish, seconds, covered) in [
            ("max-age=10", "", 20, true),
            ("max-age=10", "", 3_611, false),
            ("max-age=10, stale-if-error=5", "", 14, true),
            ("max-age=10, stale-if-error=5", "", 16, false),
            ("max-age=10, stale-if-error=0", "", 11, false),
            ("max-age=10", "stale-if-error=3", 14, false),
            ("max-age=10", "max-stale=3", 14, false),
            ("max-age=10", "no-cache", 11, false),
            ("max-age=10", "no-store", 11, false),
            ("max-age=10", "min-fresh=1", 11, false),
            ("max-age=10, no-cache", "", 5, false),
            ("max-age=10, must-revalidate", "", 11, false),
            ("max-age=10, proxy-revalidate, stale-if-error=9", "", 11, false),
            ("s-maxage=10", "", 11, false),
        ] {
            let now = later(seconds);
            let stale = instead_of_error(&Rules::default(), &entry(said), &wishes(wish), now);
            assert_eq!(stale.is_some(), covered, "{said} | {wish} | {seconds}");
        }
    }

    #[test]
    fn stale_answers_stand_in_for_an_upstream_that_cannot_answer_and_for_nothing_else() {
        for status in [500, 502, 503, 504] {
            assert!(is_failure(status), "{status}");
        }
        for status in [200, 304, 404, 410, 429, 499, 501, 505, 511, 599] {
            assert!(!is_failure(status), "{status}");
        }
        for kind in [ErrorKind::CircuitOpen, ErrorKind::QueueFull, ErrorKind::ConnectionRefused] {
            assert!(is_covered(kind), "{kind:?}");
        }
        for kind in [ErrorKind::Cancelled, ErrorKind::TlsCertificateError, ErrorKind::NotCached] {
            assert!(!is_covered(kind), "{kind:?}");
        }
    }

    #[test]
    fn private_caches_do_not_mind_what_is_said_to_shared_ones() {
        let rules = Rules { mode: Mode::Private, ..Rules::default() };
        let entry = entry("max-age=10, proxy-revalidate");
        assert_eq!(decide(&rules, &entry, &wishes("max-stale"), later(15)), Use::Stale);
    }
}
