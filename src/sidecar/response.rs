//! What a client is given: from the store, from an answer of its own, or from one that others read,
//! too.

use std::fmt::Write as _;

use http::header::{
    CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRAILER, TRANSFER_ENCODING,
};
use http::{Method, Response, StatusCode};
use spillgate_actors::core::cache::conditions::{Condition, evaluate};
use spillgate_actors::core::cache::status::CacheStatus;

use crate::cache::ask::Ask;
use crate::cache::page::Lines;
use crate::cache::served::Served;
use crate::sidecar::body::OutBody;
use crate::sidecar::share::{Own, Shared};

/// Marks an answer behind which the client's connection ends.
#[derive(Clone)]
struct Ends;

/// Lets the client's connection end behind an answer.
pub(super) fn end_behind(response: &mut Response<OutBody>) {
    response.extensions_mut().insert(Ends);
}

/// Whether it does; what an upstream says of its own connection is no matter.
pub(super) fn ends(response: &Response<OutBody>) -> bool {
    response.extensions().get::<Ends>().is_some()
}

/// An answer from the store.
pub(super) fn of_served(served: Served) -> Response<OutBody> {
    let Served { status, headers, body, cache_status, .. } = served;
    let mut response = Response::new(OutBody::Whole(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    tell(&mut response, cache_status);
    response
}

/// An answer for the one who asked.
pub(super) fn of_own(own: Own) -> Response<OutBody> {
    let Own { response: upstream, cache_status, behind } = own;
    let (status, headers) = (upstream.status(), upstream.headers().clone());
    let bodiless = headers.get(CONTENT_LENGTH).is_some_and(|length| length == "0");
    let body = if bodiless {
        OutBody::Whole(bytes::Bytes::new())
    } else {
        OutBody::Own(upstream.into_body(), behind)
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().remove(TRANSFER_ENCODING);
    tell(&mut response, cache_status);
    response
}

/// The answer for one of several; `None` if it is not for this one.
pub(super) fn of_shared(shared: &Shared, ask: &Ask, first: bool) -> Option<Response<OutBody>> {
    let reader = shared.join(&ask.headers)?;
    let mut headers = shared.headers_for(first);
    headers.remove(TRAILER);
    let mut response = Response::new(OutBody::Shared(reader));
    *response.status_mut() = shared.status;
    if ask.method == Method::GET && shared.status == StatusCode::OK {
        // A condition or a part is judged by the head alone.
        if let Some(not_modified) = not_modified(&headers, ask) {
            response = not_modified;
        }
    }
    headers.remove(TRANSFER_ENCODING);
    if response.status() == StatusCode::NOT_MODIFIED {
        headers.remove(CONTENT_LENGTH);
    }
    *response.headers_mut() = headers;
    let cache_status = CacheStatus { collapsed: !first, ..shared.cache_status };
    tell(&mut response, cache_status);
    Some(response)
}

fn not_modified(headers: &HeaderMap, ask: &Ask) -> Option<Response<OutBody>> {
    match evaluate(&Lines(&ask.headers), &Lines(headers), crate::cache::now()) {
        Condition::Send => None,
        Condition::NotModified => {
            let mut response = Response::new(OutBody::Whole(bytes::Bytes::new()));
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            Some(response)
        }
    }
}

fn tell(response: &mut Response<OutBody>, cache_status: CacheStatus) {
    // Long enough for what is said of most answers, so that it is written where it stays.
    let mut text = String::with_capacity(64);
    // A `String` takes everything.
    let _ = write!(text, "{cache_status}");
    // Counted where the answer leaves.
    response.extensions_mut().insert(cache_status);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.append(HeaderName::from_static("cache-status"), value);
    }
}
