//! A decision as the command writes it.

use std::time::Duration;

use serde::Serialize;
use spillgate_actors::decision::Decision;

use crate::cli::end::millis;

/// A decision in a row or a record.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Told {
    /// Milliseconds from the beginning.
    pub(crate) at: f64,
    pub(crate) attempt: Option<u32>,
    pub(crate) kind: &'static str,
    pub(crate) text: String,
}

impl Told {
    /// A decision of a call that began this long after the beginning.
    pub(crate) fn of(decision: &Decision, offset: Duration) -> Self {
        let Decision { at, attempt, what } = decision;
        let at = millis(*at + offset);
        Self { at, attempt: *attempt, kind: what.name(), text: what.to_string() }
    }

    /// The line for people.
    pub(crate) fn line(&self) -> String {
        let attempt = self.attempt.map(|n| format!("attempt {n}: ")).unwrap_or_default();
        format!("+{:.1} ms {attempt}{}", self.at, self.text)
    }
}
