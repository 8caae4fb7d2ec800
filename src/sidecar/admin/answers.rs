//! Answers of the admin listener, as a browser may see them.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;

use super::routes::Route;

pub(super) type Answer = Response<Full<Bytes>>;

/// Keeps a browser from making more of an answer than it is.
pub(super) fn guard(answer: &mut Answer) {
    for (name, value) in FIELDS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

pub(super) fn refusal(status: StatusCode, why: &'static str) -> Answer {
    let mut answer = text(status, why);
    if status == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

pub(super) fn wrong_method(route: &Route) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "expected another method\n");
    let allowed = if route.takes(&Method::POST) { "POST" } else { "GET, HEAD" };
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

pub(super) fn text(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

pub(super) fn json_of(value: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(value.to_string())));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// What all answers say to a browser that shows them.
const FIELDS: [(HeaderName, &str); 4] = [
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("x-content-type-options"), "nosniff"),
    (HeaderName::from_static("content-security-policy"), "default-src 'none'"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];
