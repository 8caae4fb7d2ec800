//! One line of output: what became of one URL.

use serde::Serialize;

use crate::cli::told::Told;

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
    /// What was decided on its way, with `--explain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decisions: Option<Vec<Told>>,
}

/// Milliseconds; all attempts together, null for what did not take place.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Times {
    pub(crate) queue: Option<f64>,
    /// Before retries, and while the server asked to be left alone.
    pub(crate) backoff: Option<f64>,
    pub(crate) dns: Option<f64>,
    pub(crate) connect: Option<f64>,
    pub(crate) tls: Option<f64>,
    pub(crate) write: Option<f64>,
    pub(crate) wait: Option<f64>,
    pub(crate) read: Option<f64>,
    pub(crate) total: f64,
}
