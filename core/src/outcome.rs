//! What an attempt came to: success, failure, or neutral.
//!
//! Neutral is the value peers lack: a caller's cancellation or a 404 says nothing about the
//! upstream's health, so it neither trips a breaker nor resets a streak (PITFALLS of others:
//! resilience4j#682, opossum#45, sglang#25811).

use std::time::{Duration, Instant};

use crate::advice::ErrorKind;
use crate::quota::Quota;

/// What an attempt says about the upstream's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It answered well.
    Success,
    /// It failed.
    Failure,
    /// It says nothing, or little.
    Neutral(Neutral),
}

/// Why an outcome says nothing about the upstream's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Neutral {
    /// A 4xx: the upstream works, the request does not.
    Declined,
    /// A 429: no streak, but it counts against a rate and fails a probe.
    Throttled,
    /// The caller went away.
    Cancelled,
    /// This machine is at fault: offline, resolver down, or a limit of our own.
    Ours,
}

/// Whether any byte of the request can have reached the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exposure {
    /// Proven: it was refused or the connection never stood.
    NeverSent,
    /// Some byte may have left.
    MaybeSent,
}

/// What a settled attempt brings to be judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// The health it speaks of.
    pub outcome: Outcome,
    /// The error, when there was no answer.
    pub kind: Option<ErrorKind>,
    /// The answer's status, when there was one.
    pub status: Option<u16>,
    /// Whether the upstream can have acted on it.
    pub exposure: Exposure,
    /// When the upstream wants to be asked again (`Retry-After`).
    pub hint: Option<Instant>,
    /// How long the attempt took; of a streamed answer, to its head.
    pub took: Option<Duration>,
    /// What the answer tells of the upstream's quota.
    pub quota: Option<Quota>,
    /// Whether its body could be sent again.
    pub body: BodyLeft,
}

/// What is left of a request's body after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BodyLeft {
    /// All of it, or it had none.
    #[default]
    Whole,
    /// It was a stream, and more of it was sent than is kept.
    Gone,
}

impl Evidence {
    /// The evidence of a whole answer with this status.
    pub fn of_status(status: u16, hint: Option<Instant>) -> Self {
        let outcome = Outcome::of_status(status);
        let exposure = Exposure::MaybeSent;
        Self {
            outcome,
            kind: None,
            status: Some(status),
            exposure,
            hint,
            took: None,
            quota: None,
            body: BodyLeft::Whole,
        }
    }

    /// The evidence of an attempt that ended in an error.
    pub fn of_error(kind: ErrorKind, exposure: Exposure) -> Self {
        let outcome = Outcome::of_error(kind);
        Self {
            outcome,
            kind: Some(kind),
            status: None,
            exposure,
            hint: None,
            took: None,
            quota: None,
            body: BodyLeft::Whole,
        }
    }

    /// The same, of an attempt that took this long.
    pub fn taking(self, took: Duration) -> Self {
        Self { took: Some(took), ..self }
    }

    /// Whether the server asked to be asked less: a 429, or a 503 that names a time to come.
    pub fn is_throttled(&self, now: Instant) -> bool {
        self.outcome == Outcome::Neutral(Neutral::Throttled)
            || (self.status == Some(503) && self.hint.is_some_and(|hint| hint > now))
    }

    /// Whether another attempt could do better, as far as the answer itself says.
    pub fn is_retryable(&self) -> bool {
        match (self.kind, self.status) {
            (Some(kind), _) => is_retryable_kind(kind),
            (None, Some(status)) => match self.outcome {
                Outcome::Success => false,
                // Somebody looked closer than at the status.
                Outcome::Failure if Outcome::of_status(status) != Outcome::Failure => true,
                Outcome::Failure | Outcome::Neutral(_) => {
                    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
                }
            },
            (None, None) => false,
        }
    }
}

impl Outcome {
    /// What a status says of the upstream's health.
    pub fn of_status(status: u16) -> Self {
        match status {
            429 => Self::Neutral(Neutral::Throttled),
            408 | 500 | 502..=504 | 506..=599 => Self::Failure,
            400..=499 | 501 | 505 => Self::Neutral(Neutral::Declined),
            _ => Self::Success,
        }
    }

    /// What an error says of the upstream's health.
    pub fn of_error(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::DestinationUnavailable
            | ErrorKind::DnsError
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionTimeout
            | ErrorKind::ConnectionTerminated
            | ErrorKind::TlsCertificateError
            | ErrorKind::TlsProtocolError
            | ErrorKind::HttpResponseTimeout
            | ErrorKind::ConnectionReadTimeout
            | ErrorKind::HttpResponseIncomplete
            | ErrorKind::HttpResponseContentCoding
            | ErrorKind::HttpProtocolError
            | ErrorKind::DeadlineExceeded => Self::Failure,
            ErrorKind::Cancelled | ErrorKind::Superseded => Self::Neutral(Neutral::Cancelled),
            ErrorKind::RateLimited => Self::Neutral(Neutral::Throttled),
            ErrorKind::Business | ErrorKind::HttpStatus => Self::Neutral(Neutral::Declined),
            ErrorKind::InvalidRequest
            | ErrorKind::RequestBody
            | ErrorKind::InvalidConfig
            | ErrorKind::ShuttingDown
            | ErrorKind::Overloaded
            | ErrorKind::QueueFull
            | ErrorKind::CircuitOpen
            | ErrorKind::NotCached
            | ErrorKind::DeviceOffline
            | ErrorKind::DestinationIpProhibited
            | ErrorKind::HttpResponseBodySize
            | ErrorKind::HttpResponseHeaderSectionSize
            | ErrorKind::RedirectRefused
            | ErrorKind::TooManyRedirects
            | ErrorKind::Decode
            | ErrorKind::Internal => Self::Neutral(Neutral::Ours),
        }
    }
}

fn is_retryable_kind(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::DeviceOffline
            | ErrorKind::DestinationUnavailable
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionTimeout
            | ErrorKind::ConnectionTerminated
            | ErrorKind::HttpResponseTimeout
            | ErrorKind::ConnectionReadTimeout
            | ErrorKind::HttpResponseIncomplete
            | ErrorKind::HttpProtocolError
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_three_valued() {
        let check = |status, expected| assert_eq!(Outcome::of_status(status), expected, "{status}");
        check(200, Outcome::Success);
        check(304, Outcome::Success);
        check(404, Outcome::Neutral(Neutral::Declined));
        check(501, Outcome::Neutral(Neutral::Declined));
        check(429, Outcome::Neutral(Neutral::Throttled));
        check(408, Outcome::Failure);
        check(500, Outcome::Failure);
        check(503, Outcome::Failure);
    }

    #[test]
    fn only_passing_troubles_are_retryable() {
        let status = |code| Evidence::of_status(code, None).is_retryable();
        assert!(status(503) && status(429) && status(408) && status(500));
        assert!(!status(200) && !status(404) && !status(501) && !status(400));
        let kind = |kind| Evidence::of_error(kind, Exposure::MaybeSent).is_retryable();
        assert!(kind(ErrorKind::ConnectionTerminated) && kind(ErrorKind::HttpResponseIncomplete));
        assert!(!kind(ErrorKind::TlsCertificateError) && !kind(ErrorKind::Cancelled));
        assert!(!kind(ErrorKind::DnsError) && !kind(ErrorKind::HttpResponseBodySize));
    }

    #[test]
    fn judged_answers_are_retryable_by_their_judgement() {
        let judged = |status, outcome| {
            Evidence { outcome, ..Evidence::of_status(status, None) }.is_retryable()
        };
        assert!(judged(200, Outcome::Failure) && judged(404, Outcome::Failure));
        assert!(!judged(503, Outcome::Success) && judged(503, Outcome::Failure));
    }

    #[test]
    fn our_own_troubles_are_no_failure_of_the_upstream() {
        for kind in [ErrorKind::DeviceOffline, ErrorKind::CircuitOpen, ErrorKind::Cancelled] {
            assert!(matches!(Outcome::of_error(kind), Outcome::Neutral(_)), "{kind:?}");
        }
    }
}
