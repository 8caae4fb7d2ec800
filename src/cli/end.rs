//! How a URL ended, in the words of rows and in exit codes.

use std::time::Duration;

use spillgate_actors::core::advice::{ErrorClass, ErrorKind};

use crate::cli::exit::Exit;

/// How a URL ended, for counts and exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// An answer below 400.
    Fine,
    /// An answer that could not be written to its file.
    Unwritable,
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
            Self::Unwritable
            | Self::Failed(
                _,
                ErrorClass::Device
                | ErrorClass::Transient
                | ErrorClass::Permanent
                | ErrorClass::Business,
            ) => "error",
        }
    }

    /// The kind and class in the row.
    pub(crate) fn kind_and_class(self) -> (Option<&'static str>, Option<&'static str>) {
        match self {
            Self::Fine => (None, None),
            Self::Unwritable => (Some("file_unwritable"), Some(ErrorClass::Device.name())),
            Self::Failed(kind, class) => (Some(kind.name()), Some(class.name())),
        }
    }

    /// What it does to the exit code.
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Fine => Exit::Fine,
            Self::Unwritable => Exit::Usage,
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
            Self::Unwritable
            | Self::Failed(
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
            (End::Unwritable, "error", Exit::Usage, false),
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
