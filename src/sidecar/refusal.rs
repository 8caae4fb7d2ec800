//! What a client is told when there is no answer: a status, why, and when to come back.

use std::error::Error as _;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use spillgate_actors::core::advice::{ErrorClass, ErrorKind};
use spillgate_actors::error::Error;

use crate::sidecar::body::OutBody;
use crate::sidecar::hygiene::Flaw;
use crate::sidecar::response::end_behind;
use crate::sidecar::upload::UploadError;

/// The answer to a call that ended in an error (RFC 9209 section 2.3).
pub(super) fn of_error(error: &Error) -> Response<OutBody> {
    let mut response = told(status_of(error), &format!("{}\n", error.kind().name()));
    tell(&mut response, error.kind().name());
    let headers = response.headers_mut();
    let kind = format!("spillgate; error={}", error.kind().name());
    if let Ok(kind) = HeaderValue::try_from(kind) {
        headers.insert(PROXY_STATUS, kind);
    }
    let left = error.retry_at().map(|at| at.saturating_duration_since(Instant::now()));
    if let Some(left) = left {
        headers.insert(RETRY_AFTER, HeaderValue::from(left.as_secs() + 1));
    }
    if of_upload(error).is_some() {
        end_behind(&mut response);
    }
    response
}

/// The answer to a request that takes only what is stored, of which there is nothing.
pub(super) fn not_stored() -> Response<OutBody> {
    let mut response = told(StatusCode::GATEWAY_TIMEOUT, "nothing is stored for this request\n");
    tell(&mut response, "not-stored");
    response
}

/// The answer to a request for a tunnel to a host that has as many as it may.
pub(super) fn too_many_tunnels() -> Response<OutBody> {
    let text = "as many tunnels to this host are open as there may be\n";
    let mut response = told(StatusCode::SERVICE_UNAVAILABLE, text);
    tell(&mut response, "refused");
    let limit = HeaderValue::from_static("spillgate; error=connection_limit_reached");
    response.headers_mut().insert(PROXY_STATUS, limit);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The answer to a request that goes no further; the connection ends with it.
pub(super) fn of_flaw(flaw: Flaw) -> Response<OutBody> {
    let (status, text) = match flaw {
        Flaw::Framing => (StatusCode::BAD_REQUEST, "the body's length is ambiguous\n"),
        Flaw::Early => (StatusCode::BAD_REQUEST, "wait for the 101 before you say more\n"),
        Flaw::Host => (StatusCode::BAD_REQUEST, "expected one host\n"),
        Flaw::Tunnel => (StatusCode::NOT_IMPLEMENTED, "there are no tunnels here\n"),
        Flaw::Origin => {
            (StatusCode::BAD_REQUEST, "expected a whole address, as in GET http://host/path\n")
        }
        Flaw::Target => {
            (StatusCode::BAD_REQUEST, "expected http://host/path, or host:port to CONNECT to\n")
        }
        Flaw::Denied => (StatusCode::FORBIDDEN, "the host is not on this proxy's list\n"),
        Flaw::Loop => (StatusCode::LOOP_DETECTED, "the request came this way before\n"),
    };
    let mut response = told(status, text);
    tell(&mut response, "refused");
    if flaw == Flaw::Denied {
        let denied = HeaderValue::from_static("spillgate; error=http_request_denied");
        response.headers_mut().insert(PROXY_STATUS, denied);
    }
    end_behind(&mut response);
    response
}

/// A short text with a status.
pub(super) fn told(status: StatusCode, text: &str) -> Response<OutBody> {
    let mut response = Response::new(OutBody::Whole(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// The client waits no longer.
pub(super) fn late() -> Error {
    Error::new(ErrorKind::DeadlineExceeded, "the answer took longer than the client waits")
}

/// The upstream answers about something else, whatever it is asked.
pub(super) fn lost() -> Error {
    Error::new(
        ErrorKind::HttpProtocolError,
        "the upstream answered about something that was not asked",
    )
}

/// Says in `Cache-Status` that the answer is neither stored nor the origin's.
///
/// RFC 9211 section 2 would have it left out; so every answer carries one, and who reads only this
/// field knows of each what became of it.
fn tell(response: &mut Response<OutBody>, detail: &str) {
    if let Ok(status) = HeaderValue::try_from(format!("spillgate; detail={detail}")) {
        response.headers_mut().insert(CACHE_STATUS, status);
    }
}

fn status_of(error: &Error) -> StatusCode {
    let kind = error.kind();
    if kind == ErrorKind::DestinationIpProhibited {
        return StatusCode::FORBIDDEN;
    }
    if matches!(of_upload(error), Some(UploadError::TooSlow)) {
        return StatusCode::REQUEST_TIMEOUT;
    }
    if matches!(kind, ErrorKind::InvalidRequest | ErrorKind::RequestBody) {
        return StatusCode::BAD_REQUEST;
    }
    if kind == ErrorKind::ShuttingDown || error.class() == ErrorClass::Rejected {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    if error.is_timeout() { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY }
}

/// What was wrong with the client's body, if that is why there is no answer.
fn of_upload(error: &Error) -> Option<&UploadError> {
    error.source().and_then(|cause| cause.downcast_ref())
}

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
pub(super) const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
