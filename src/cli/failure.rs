//! Why a command cannot do what it was told: one sentence, what was expected, a hint.

use std::fmt;
use std::io::Write as _;

use spillgate_actors::core::advice::ErrorKind;
use spillgate_actors::error::Error;

use crate::cli::exit::Exit;
use crate::config::error::ConfigError;

/// A command's last words on stderr, and its exit code.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// The command line, or a file or address it names, cannot be used.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), hint: None }
    }

    /// The configuration cannot work.
    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self { exit: Exit::Config, message: message.into(), hint: None }
    }

    /// A fault of ours, or of the system underneath.
    pub(crate) fn bug(message: impl Into<String>) -> Self {
        Self { exit: Exit::Bug, message: message.into(), hint: None }
    }

    /// Adds what would help, as the last line.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what follows from it to the sentence.
    pub(crate) fn and(mut self, consequence: &str) -> Self {
        self.message.push_str("; ");
        self.message.push_str(consequence);
        self
    }

    /// Says it on stderr.
    pub(crate) fn tell(&self) -> Exit {
        // Whoever closed stderr does not want to know.
        let _ = writeln!(std::io::stderr().lock(), "error: {self}");
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::config(error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if error.kind() == ErrorKind::InvalidConfig {
            return Self::config(error.to_string());
        }
        Self::bug(error.to_string())
    }
}
