//! From reqwest's errors to ours: what went wrong, and whether the upstream can have acted.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use h2::Reason;
use spillgate_actors::phases::{Mark, Phase, PhaseMarks};
use spillgate_actors::transport::TransportError;
use spillgate_core::advice::ErrorKind;
use spillgate_core::outcome::Exposure;

use super::connect::ConnectFailure;
use super::outgoing::OutboundFailure;

/// Why no answer began.
pub(super) fn of_exchange(error: reqwest::Error, marks: &PhaseMarks) -> TransportError {
    let error = error.without_url();
    let (is_builder, is_connect) = (error.is_builder(), error.is_connect());
    of_engine(error, (is_builder, is_connect), marks)
}

/// Why no answer began, of an engine that says whether the request could not be built, or its
/// connection not be made.
pub(super) fn of_engine(
    error: impl StdError + Send + Sync + 'static,
    (is_builder, is_connect): (bool, bool),
    marks: &PhaseMarks,
) -> TransportError {
    if let Some(failure) = find::<OutboundFailure>(&error) {
        // The caller's own stream failed; part of it may have been sent.
        let mut own = failure.0.clone();
        own.exposure = Exposure::MaybeSent;
        return own.during(Phase::Write);
    }
    if let Some(failure) = find::<ConnectFailure>(&error) {
        let (kind, phase) = (failure.kind, failure.phase);
        return TransportError::never_sent(kind).during(phase).caused_by(error);
    }
    if is_builder {
        return TransportError::never_sent(ErrorKind::InvalidRequest).caused_by(error);
    }
    if is_connect {
        let unavailable = TransportError::never_sent(ErrorKind::DestinationUnavailable);
        return unavailable.during(Phase::Connect).caused_by(error);
    }
    let kind = kind_before_head(&error);
    let phase = phase_before_head(marks);
    let exposure =
        if is_never_sent(&error, marks) { Exposure::NeverSent } else { Exposure::MaybeSent };
    TransportError { kind, exposure, phase: Some(phase), source: Some(Arc::new(error)) }
}

/// Why a body broke off; `is_short` when fewer bytes came than were announced.
pub(super) fn of_body(
    error: impl StdError + Send + Sync + 'static,
    is_short: bool,
) -> TransportError {
    let kind = if is_broken_framing(&error) && !is_short {
        ErrorKind::HttpProtocolError
    } else {
        ErrorKind::HttpResponseIncomplete
    };
    TransportError::sent(kind).during(Phase::Read).caused_by(error)
}

fn kind_before_head(error: &(dyn StdError + 'static)) -> ErrorKind {
    if let Some(http2) = find::<h2::Error>(error) {
        let is_breach = http2.is_library() && http2.reason() != Some(Reason::NO_ERROR);
        return if is_breach {
            ErrorKind::HttpProtocolError
        } else {
            ErrorKind::ConnectionTerminated
        };
    }
    let Some(http) = find::<hyper::Error>(error) else {
        return ErrorKind::ConnectionTerminated;
    };
    if http.is_parse_too_large() {
        return ErrorKind::HttpResponseHeaderSectionSize;
    }
    if http.is_parse() {
        return ErrorKind::HttpProtocolError;
    }
    // The caller's stream ended before its announced length.
    if http.is_body_write_aborted() {
        return ErrorKind::InvalidRequest;
    }
    ErrorKind::ConnectionTerminated
}

/// Whether nothing of the request can have reached the upstream's application.
fn is_never_sent(error: &(dyn StdError + 'static), marks: &PhaseMarks) -> bool {
    if marks.at(Mark::WriteBegin).is_none() {
        return true;
    }
    if let Some(http2) = find::<h2::Error>(error) {
        // RFC 9113 section 8.7: refused streams, and those above a graceful GOAWAY's last.
        let is_refused = http2.is_reset() && http2.reason() == Some(Reason::REFUSED_STREAM);
        let is_left_out = http2.is_go_away() && http2.reason() == Some(Reason::NO_ERROR);
        return http2.is_remote() && (is_refused || is_left_out);
    }
    // hyper calls a request cancelled when it hands it back unwritten.
    find::<hyper::Error>(error).is_some_and(hyper::Error::is_canceled)
}

fn phase_before_head(marks: &PhaseMarks) -> Phase {
    let passed = |mark| marks.at(mark).is_some();
    match (passed(Mark::WriteBegin), passed(Mark::WriteEnd)) {
        (false, _) => Phase::Acquire,
        (true, false) => Phase::Write,
        (true, true) => Phase::Wait,
    }
}

/// Whether the body's framing was broken, as opposed to its connection.
fn is_broken_framing(error: &(dyn StdError + 'static)) -> bool {
    if let Some(http2) = find::<h2::Error>(error) {
        return http2.is_library();
    }
    if find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) {
        return true;
    }
    find::<io::Error>(error).is_some_and(|io| {
        matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
    })
}

/// The first error of a type in a chain of causes.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<E>() {
            return Some(found);
        }
        next = match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            // The source of an `io::Error` skips what it wraps.
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    None
}
