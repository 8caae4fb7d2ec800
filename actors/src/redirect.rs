//! What a redirect turns a request into, or why it is not followed.
//!
//! reqwest forwards `X-Api-Key` and `Idempotency-Key` to whatever origin an upstream names; so
//! redirects are ours, and only headers known to be harmless cross an origin.

use std::error::Error as StdError;
use std::fmt;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use url::Url;

/// The parts of a request that a redirect looks at.
#[derive(Clone, Copy)]
pub struct RequestParts<'a> {
    /// The method.
    pub method: &'a Method,
    /// Where it went.
    pub url: &'a Url,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What is known of its body.
    pub body: BodyState,
}

/// What a request has for a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyState {
    /// None.
    Absent,
    /// One that can be sent again.
    Replayable,
    /// A stream of which more was sent than is kept.
    OneShot,
}

/// The request that follows a redirect.
#[derive(Clone, PartialEq)]
pub struct Next {
    /// The method.
    pub method: Method,
    /// Where it goes; without fragment, for that is none of a server's business.
    pub url: Url,
    /// The headers that may go there.
    pub headers: HeaderMap,
    /// Whether the body goes along.
    pub body: NextBody,
}

/// What becomes of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextBody {
    /// It is sent again.
    Kept,
    /// It is left behind, or there was none.
    Dropped,
}

/// Why a redirect is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectRefusal {
    /// The location is no URL.
    InvalidLocation,
    /// The location is neither http nor https.
    Scheme,
    /// It would leave https for http.
    Downgrade,
    /// It would carry an unsafe method, or its body, to another origin.
    UnsafeAcrossOrigins,
    /// It would need the body again, which is gone.
    BodyGone,
}

/// Works out what follows an answer. `None`: it is no redirect, and the answer itself counts.
///
/// The caller counts the hops.
pub fn follow(
    from: RequestParts<'_>,
    status: StatusCode,
    location: Option<&HeaderValue>,
) -> Result<Option<Next>, RedirectRefusal> {
    let Some(method) = next_method(from.method, status) else {
        return Ok(None);
    };
    let Some(location) = location else {
        return Ok(None);
    };
    let url = target(from.url, location)?;
    let same_origin = from.url.origin() == url.origin();
    let keeps_method = method == *from.method;
    if !same_origin && !method.is_safe() {
        return Err(RedirectRefusal::UnsafeAcrossOrigins);
    }
    let body = match from.body {
        BodyState::Absent => NextBody::Dropped,
        _ if !keeps_method => NextBody::Dropped,
        BodyState::OneShot => return Err(RedirectRefusal::BodyGone),
        BodyState::Replayable => NextBody::Kept,
    };
    let headers = next_headers(from.headers, same_origin, body);
    Ok(Some(Next { method, url, headers, body }))
}

/// The method after a redirect; `None` for a status that is none.
fn next_method(method: &Method, status: StatusCode) -> Option<Method> {
    match status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND if *method == Method::POST => {
            Some(Method::GET)
        }
        StatusCode::SEE_OTHER if *method != Method::HEAD => Some(Method::GET),
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => Some(method.clone()),
        _ => None,
    }
}

fn target(from: &Url, location: &HeaderValue) -> Result<Url, RedirectRefusal> {
    // Servers send UTF-8 where only ASCII is allowed; joining escapes it.
    let location = std::str::from_utf8(location.as_bytes());
    let location = location.map_err(|_| RedirectRefusal::InvalidLocation)?;
    let mut url = from.join(location).map_err(|_| RedirectRefusal::InvalidLocation)?;
    url.set_fragment(None);
    // Credentials are the caller's to choose, not an upstream's.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if !matches!(url.scheme(), "http" | "https") {
        return Err(RedirectRefusal::Scheme);
    }
    if from.scheme() == "https" && url.scheme() == "http" {
        return Err(RedirectRefusal::Downgrade);
    }
    Ok(url)
}

fn next_headers(headers: &HeaderMap, same_origin: bool, body: NextBody) -> HeaderMap {
    let mut next = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let goes_on = match body {
            _ if OF_CONNECTION.contains(name) => false,
            NextBody::Dropped if OF_BODY.contains(name) => false,
            NextBody::Dropped | NextBody::Kept => same_origin || is_harmless(name),
        };
        if goes_on {
            next.append(name, value.clone());
        }
    }
    next
}

fn is_harmless(name: &HeaderName) -> bool {
    HARMLESS.contains(name)
}

/// Headers that may go to another origin; those of a body only with it.
const HARMLESS: [HeaderName; 17] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::ACCEPT_ENCODING,
    header::USER_AGENT,
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CACHE_CONTROL,
    header::PRAGMA,
    header::RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::DNT,
];

/// Headers that describe a body.
const OF_BODY: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
    header::EXPECT,
];

/// Headers that were right for the first host alone.
const OF_CONNECTION: [HeaderName; 2] = [header::HOST, header::TRANSFER_ENCODING];

impl fmt::Display for RedirectRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidLocation => "the redirect's location is no URL",
            Self::Scheme => "the redirect leaves http and https",
            Self::Downgrade => "the redirect leaves https for http",
            Self::UnsafeAcrossOrigins => {
                "the redirect would carry an unsafe method to another origin"
            }
            Self::BodyGone => "the redirect needs a body that was sent already",
        })
    }
}

impl StdError for RedirectRefusal {}

#[cfg(test)]
mod tests {
    use super::NextBody::{Dropped, Kept};
    use super::*;

    const FROM: &str = "https://a.example/dir/page?q=1#part";

    fn run(method: &Method, status: u16, location: &str) -> Result<Option<Next>, RedirectRefusal> {
        run_with(method, status, location, BodyState::Replayable)
    }

    fn run_with(
        method: &Method,
        status: u16,
        location: &str,
        body: BodyState,
    ) -> Result<Option<Next>, RedirectRefusal> {
        let url = Url::parse(FROM).unwrap();
        let headers: HeaderMap = SENT
            .iter()
            .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("v")))
            .collect();
        let from = RequestParts { method, url: &url, headers: &headers, body };
        let location = HeaderValue::from_bytes(location.as_bytes()).unwrap();
        follow(from, StatusCode::from_u16(status).unwrap(), Some(&location))
    }

    const SENT: [&str; 14] = [
        "accept",
        "accept-language",
        "authorization",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "idempotency-key",
        "if-none-match",
        "range",
        "traceparent",
        "user-agent",
        "x-api-key",
        "x-auth-token",
    ];

    fn names(next: &Next) -> Vec<&str> {
        let mut names: Vec<_> = next.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn method_and_body_follow_the_status() {
        let check = |method: Method, status, expected: Method, body| {
            let next = run(&method, status, "/x").ok().flatten().unwrap();
            assert_eq!((next.method, next.body), (expected, body), "{method} {status}");
        };
        for status in [301, 302] {
            check(Method::POST, status, Method::GET, Dropped);
            check(Method::GET, status, Method::GET, Kept);
            check(Method::HEAD, status, Method::HEAD, Kept);
            check(Method::PUT, status, Method::PUT, Kept);
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            check(method, 303, Method::GET, Dropped);
        }
        check(Method::HEAD, 303, Method::HEAD, Kept);
        for status in [307, 308] {
            check(Method::POST, status, Method::POST, Kept);
            check(Method::GET, status, Method::GET, Kept);
        }
        for status in [200, 204, 300, 304, 305, 306, 404, 503] {
            assert!(run(&Method::GET, status, "/x").ok().unwrap().is_none(), "{status}");
        }
    }

    #[test]
    fn locations_resolve_as_links_do() {
        let check = |location, expected| {
            let next = run(&Method::GET, 302, location).ok().flatten().unwrap();
            assert_eq!(next.url.as_str(), expected, "{location}");
        };
        check("/x", "https://a.example/x");
        check("x?y=1", "https://a.example/dir/x?y=1");
        check("?y=1", "https://a.example/dir/page?y=1");
        check("", "https://a.example/dir/page?q=1");
        check("/x#new", "https://a.example/x");
        check("//b.example/x", "https://b.example/x");
        check("https://A.example:443/x", "https://a.example/x");
        check("https://user:secret@a.example/x", "https://a.example/x");
        check("/gr\u{fc}n", "https://a.example/gr%C3%BCn");
    }

    #[test]
    fn same_origin_keeps_every_header_but_those_of_a_dropped_body() {
        let next = run(&Method::PUT, 307, "https://a.example:443/x").ok().flatten().unwrap();
        let expected: Vec<_> = SENT.into_iter().filter(|name| *name != "host").collect();
        assert_eq!(names(&next), expected);
        let next = run(&Method::POST, 303, "/x").ok().flatten().unwrap();
        let of_body = ["content-length", "content-type"];
        let expected: Vec<_> =
            expected.into_iter().filter(|name| !of_body.contains(name)).collect();
        assert_eq!(names(&next), expected);
    }

    #[test]
    fn only_harmless_headers_cross_an_origin() {
        let harmless = ["accept", "accept-language", "if-none-match", "range", "user-agent"];
        for other in ["https://b.example/", "https://a.example:8443/", "https://sub.a.example/"] {
            let next = run(&Method::POST, 303, other).ok().flatten().unwrap();
            assert_eq!(names(&next), harmless, "{other}");
        }
        let next = run(&Method::GET, 307, "https://b.example/").ok().flatten().unwrap();
        assert!(names(&next).contains(&"content-type") && next.body == NextBody::Kept);
        assert!(!names(&next).contains(&"x-api-key"));
    }

    #[test]
    fn unsafe_redirects_are_refused() {
        let check = |method: Method, status, location, expected| {
            let refusal = run(&method, status, location).err();
            assert_eq!(refusal, Some(expected), "{method} {status} {location}");
        };
        check(Method::GET, 302, "http://a.example/", RedirectRefusal::Downgrade);
        check(Method::GET, 302, "http://b.example/", RedirectRefusal::Downgrade);
        check(Method::GET, 302, "file:///etc/passwd", RedirectRefusal::Scheme);
        check(Method::GET, 302, "javascript:alert(1)", RedirectRefusal::Scheme);
        check(Method::GET, 302, "https://", RedirectRefusal::InvalidLocation);
        for (method, status) in [(Method::POST, 307), (Method::PUT, 308), (Method::DELETE, 301)] {
            check(method, status, "https://b.example/", RedirectRefusal::UnsafeAcrossOrigins);
        }
        let gone = run_with(&Method::POST, 307, "/x", BodyState::OneShot).err();
        assert_eq!(gone, Some(RedirectRefusal::BodyGone));
        let left = run_with(&Method::POST, 303, "/x", BodyState::OneShot);
        assert_eq!(left.ok().flatten().unwrap().body, NextBody::Dropped);
    }

    #[test]
    fn redirect_without_location_is_an_answer() {
        let url = Url::parse("http://a.example/").unwrap();
        let headers = HeaderMap::new();
        let (method, body) = (&Method::GET, BodyState::Absent);
        let from = RequestParts { method, url: &url, headers: &headers, body };
        assert!(follow(from, StatusCode::FOUND, None).ok().unwrap().is_none());
        let upgrade = HeaderValue::from_static("https://a.example/");
        let next = follow(from, StatusCode::FOUND, Some(&upgrade)).ok().flatten().unwrap();
        assert_eq!((next.url.scheme(), next.body), ("https", NextBody::Dropped));
    }
}
