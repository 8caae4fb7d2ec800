//! What a cache in front of the actors did about a call: for its report, and for whoever watches.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spillgate_core::advice::ErrorKind;
use spillgate_core::cache::status::CacheStatus;
use spillgate_core::call::HostKey;

/// What the cache did about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheUse {
    /// Whether the answer is one that was stored, and no word of the upstream.
    pub hit: bool,
    /// Whether the answer was past its lifetime.
    pub stale: bool,
    /// How old the answer was.
    pub age: Duration,
    /// Why it was used, or why the upstream was asked, in a word.
    pub why: &'static str,
    /// The error that it stands in for.
    pub instead_of: Option<ErrorKind>,
    /// The same as RFC 9211 has it.
    pub status: CacheStatus,
}

/// An answer that a cache gave by itself, as it goes to the reporter thread.
#[derive(Debug, Clone)]
pub struct CacheHit {
    /// When.
    pub at: Instant,
    /// Scheme, host and port.
    pub host: HostKey,
    /// The URL with secret parts redacted.
    pub url: Arc<str>,
    /// What was done.
    pub cache: CacheUse,
}

impl fmt::Display for CacheUse {
    /// Writes the `Cache-Status` of RFC 9211.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.fmt(f)
    }
}
