//! Parameters of a drill URL, and the refusal that names the one that is wrong.

use std::fmt;
use std::ops::RangeInclusive;

/// The decoded parameters of one request; unknown ones are ignored, so that callers may tell
/// otherwise equal URLs apart.
#[derive(Debug, Default)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

/// Why a drill URL means nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    /// No such path.
    Path,
    /// A parameter, in the path or in the query, is not what it has to be.
    Parameter {
        /// Its name.
        name: &'static str,
        /// What would have been right.
        expected: String,
    },
}

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Self {
        let query = query.unwrap_or_default().as_bytes();
        Self { pairs: url::form_urlencoded::parse(query).into_owned().collect() }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn number(
        &self,
        name: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Refusal> {
        self.text(name).map(|text| number(name, text, range)).transpose()
    }
}

impl Refusal {
    pub(super) fn parameter(name: &'static str, expected: impl Into<String>) -> Self {
        Self::Parameter { name, expected: expected.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path => f.write_str("no such path"),
            Self::Parameter { name, expected } => {
                write!(f, "parameter `{name}`: expected {expected}")
            }
        }
    }
}

/// Reads a whole number within bounds.
pub(super) fn number(
    name: &'static str,
    text: &str,
    range: RangeInclusive<u64>,
) -> Result<u64, Refusal> {
    let refusal = || {
        let (low, high) = (range.start(), range.end());
        Refusal::parameter(name, format!("a whole number from {low} to {high}"))
    };
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refusal());
    }
    text.parse().ok().filter(|number| range.contains(number)).ok_or_else(refusal)
}
