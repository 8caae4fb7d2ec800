//! One line of output: what became of one URL.

use std::time::Duration;

use serde::Serialize;
use spillgate_actors::core::advice::{ErrorClass, ErrorKind};

use crate::cli::exit::Exit;

/// What became of one URL, in the order its keys are written.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// The line of the input, or the place among the arguments, from 0.
    pub(crate) index: u64,
    /// The URL as given, secrets redacted.
    pub(crate) url: String,
    pub(crate) method: String,
    /// The last status there was.
    pub(crate) status: Option<u16>,
    pub(crate) outcome: &'static str,
    pub(crate) error_kind: Option<&'static str>,
    pub(crate) class: Option<&'static str>,
    /// Attempts on the wire.
    pub(crate) attempts: u32,
    /// What the cache did; there is none yet.
    pub(crate) cache: Option<&'static str>,
    pub(crate) coalesced: bool,
    /// Bytes of the decoded body.
    pub(crate) bytes: u64,
    pub(crate) file: Option<String>,
    pub(crate) trace_id: Option<String>,
    pub(crate) ms: Times,
    /// What went wrong, in words.
    pub(crate) error: Option<String>,
}

/// Milliseconds; all attempts together, null for what did not take place.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Times {
    pub(crate) queue: Option<f64>,
    pub(crate) dns: Option<f64>,
    pub(crate) connect: Option<f64>,
    pub(crate) tls: Option<f64>,
    pub(crate) write: Option<f64>,
    pub(crate) wait: Option<f64>,
    pub(crate) read: Option<f64>,
    pub(crate) total: f64,
}

/// How a URL ended, for counts and exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// An answer below 400.
    Fine,
    /// Anything else.
    Failed(ErrorKind, ErrorClass),
}

impl End {
    /// How an answer with this status ends its URL.
    pub(crate) fn of_status(status: u16) -> Self {
        if status < 400 {
            return Self::Fine;
        }
        Self::Failed(ErrorKind::HttpStatus, ErrorClass::of_status(status))
    }

    /// The word for it in the row.
    pub(crate) fn outcome(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Failed(_, ErrorClass::Rejected) => "rejected",
            Self::Failed(_, ErrorClass::Cancelled) => "cancelled",
            Self::Failed(
                _,
                ErrorClass::Device
                | ErrorClass::Transient
                | ErrorClass::Permanent
                | ErrorClass::Business,
            ) => "error",
        }
    }

    /// What it does to the exit code.
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Fine => Exit::Fine,
            Self::Failed(ErrorKind::Internal, _) => Exit::Bug,
            Self::Failed(ErrorKind::DeadlineExceeded, _) => Exit::Deadline,
            Self::Failed(_, ErrorClass::Permanent | ErrorClass::Business) => Exit::Declined,
            Self::Failed(_, ErrorClass::Transient | ErrorClass::Device) => Exit::Transient,
            Self::Failed(_, ErrorClass::Rejected) => Exit::Rejected,
            Self::Failed(_, ErrorClass::Cancelled) => Exit::Interrupted,
        }
    }

    /// Whether fetching it again could end otherwise.
    pub(crate) fn is_final(self) -> bool {
        match self {
            Self::Fine | Self::Failed(_, ErrorClass::Permanent | ErrorClass::Business) => true,
            Self::Failed(
                _,
                ErrorClass::Device
                | ErrorClass::Transient
                | ErrorClass::Cancelled
                | ErrorClass::Rejected,
            ) => false,
        }
    }
}

/// Milliseconds with three decimals.
pub(crate) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_speak_the_words_and_codes_of_the_contract() {
        let failed = |kind: ErrorKind| End::Failed(kind, kind.class());
        for (end, outcome, exit, is_final) in [
            (End::of_status(200), "ok", Exit::Fine, true),
            (End::of_status(304), "ok", Exit::Fine, true),
            (End::of_status(404), "error", Exit::Declined, true),
            (End::of_status(429), "error", Exit::Transient, false),
            (End::of_status(503), "error", Exit::Transient, false),
            (failed(ErrorKind::InvalidRequest), "error", Exit::Declined, true),
            (failed(ErrorKind::Business), "error", Exit::Declined, true),
            (failed(ErrorKind::ConnectionRefused), "error", Exit::Transient, false),
            (failed(ErrorKind::DeviceOffline), "error", Exit::Transient, false),
            (failed(ErrorKind::DeadlineExceeded), "error", Exit::Deadline, false),
            (failed(ErrorKind::CircuitOpen), "rejected", Exit::Rejected, false),
            (failed(ErrorKind::QueueFull), "rejected", Exit::Rejected, false),
            (failed(ErrorKind::Cancelled), "cancelled", Exit::Interrupted, false),
            (failed(ErrorKind::Internal), "error", Exit::Bug, true),
        ] {
            assert_eq!((end.outcome(), end.exit(), end.is_final()), (outcome, exit, is_final));
        }
    }

    #[test]
    fn milliseconds_have_three_decimals() {
        assert_eq!(millis(Duration::from_nanos(1_234_567)).to_string(), "1.235");
        assert_eq!(millis(Duration::from_secs(2)).to_string(), "2000");
    }
}
