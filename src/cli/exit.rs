//! What the process's exit code says; the worst wins.

use std::process::ExitCode;

/// How a command ended, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Exit {
    /// A fault of ours.
    Bug,
    /// The command line makes no sense, or a file cannot be read or written.
    Usage,
    /// The configuration cannot work.
    Config,
    /// Interrupted by a signal.
    Interrupted,
    /// Some answers of 4xx, or permanent or business errors.
    Declined,
    /// Some transient errors left after all retries.
    Transient,
    /// Only deadlines passed.
    Deadline,
    /// Only calls that were shed or met an open circuit.
    Rejected,
    /// All went well.
    Fine,
}

impl Exit {
    /// The process's exit code.
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Fine => 0,
            Self::Bug => 1,
            Self::Usage => 2,
            Self::Config => 3,
            Self::Declined => 4,
            Self::Transient => 5,
            Self::Deadline => 6,
            Self::Rejected => 7,
            Self::Interrupted => 130,
        })
    }
}
