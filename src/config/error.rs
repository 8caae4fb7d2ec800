//! What is wrong with a configuration, told the way a compiler tells it.
//!
//! A person reads this at the worst moment: each problem names its place, shows the line, says what
//! was expected and, where there is a near miss, what was probably meant.

use std::fmt;

/// Says what is wrong with a configuration; one problem or several, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    first: Box<Problem>,
    others: Vec<Problem>,
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// The file, the variable or the call that said it.
    pub(super) origin: String,
    /// The place within a file.
    pub(super) spot: Option<Spot>,
    /// What is wrong.
    pub(super) message: String,
    /// What would be right.
    pub(super) expected: Option<String>,
    /// What was probably meant.
    pub(super) hint: Option<String>,
}

/// A place in a text, with what is needed to show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    /// Counted from 1.
    pub(super) line: usize,
    /// In characters, counted from 1.
    pub(super) column: usize,
    /// The line itself, secrets covered.
    pub(super) text: String,
    /// How many characters are meant.
    pub(super) width: usize,
}

impl ConfigError {
    /// The line of the first problem, counted from 1, if it has a place in a file.
    pub fn line(&self) -> Option<usize> {
        self.first.spot.as_ref().map(|spot| spot.line)
    }

    /// The column of the first problem in characters, counted from 1.
    pub fn column(&self) -> Option<usize> {
        self.first.spot.as_ref().map(|spot| spot.column)
    }

    /// What is wrong first, without place and source line.
    pub fn message(&self) -> &str {
        &self.first.message
    }

    /// How many problems were found; at least one.
    pub fn count(&self) -> usize {
        1 + self.others.len()
    }

    /// `Err` with all problems in the order of the file, if there are any.
    pub(super) fn unless_empty(mut problems: Vec<Problem>) -> Result<(), Self> {
        problems.sort_by_key(|problem| problem.spot.as_ref().map(|s| (s.line, s.column)));
        let mut problems = problems.into_iter();
        match problems.next() {
            Some(first) => Err(Self { first: Box::new(first), others: problems.collect() }),
            None => Ok(()),
        }
    }
}

impl Problem {
    /// A problem of something that is no place in a file: a variable, a call, a file as a whole.
    pub(super) fn of(origin: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            origin: origin.into(),
            spot: None,
            message: message.into(),
            expected: None,
            hint: None,
        }
    }

    /// Adds what would be right.
    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Adds what was probably meant.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<Problem> for ConfigError {
    fn from(first: Problem) -> Self {
        Self { first: Box::new(first), others: Vec::new() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        self.others.iter().try_for_each(|problem| write!(f, "\n\n{problem}"))
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, spot, message, expected, hint } = self;
        match spot {
            Some(spot) => {
                writeln!(f, "{origin}:{}:{}: {message}", spot.line, spot.column)?;
                write!(f, "{spot}")?;
            }
            None => write!(f, "{origin}: {message}")?,
        }
        if let Some(expected) = expected {
            write!(f, "\nexpected {expected}")?;
        }
        if let Some(hint) = hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, text, width } = self;
        let gutter = line.to_string().len();
        // A tab stays a tab, so that the caret stands where the terminal puts the character.
        let indent: String = text
            .chars()
            .chain(std::iter::repeat(' '))
            .take(column.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let carets = "^".repeat(*width);
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{line} | {text}")?;
        write!(f, "{:gutter$} | {indent}{carets}", "")
    }
}
