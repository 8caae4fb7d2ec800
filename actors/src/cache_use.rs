//! What a cache in front of the actors did about a call: for its report, and for whoever watches.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::AcqRel;
use std::time::{Duration, Instant};

use http::HeaderValue;
use spillgate_core::advice::ErrorKind;
use spillgate_core::cache::date::Wall;
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

/// What a cache notes on the flight that a call begins, for those who join it: whoever is left when
/// the answer comes stores it, as of when it was asked for.
#[derive(Debug, Clone)]
pub struct CacheMark {
    /// When the call began, on the cache's own count.
    pub began: u64,
    /// When it was asked for.
    pub requested: Wall,
    taken: Arc<AtomicBool>,
}

/// What one who joined a flight is told beside its answer.
#[derive(Clone)]
pub struct Joined {
    /// What the call that began the flight noted.
    pub mark: CacheMark,
    /// The cookies that the answer sets, which are for that call alone.
    pub cookies: Vec<HeaderValue>,
}

impl CacheMark {
    /// A mark that nobody has taken.
    pub fn new(began: u64, requested: Wall) -> Self {
        Self { began, requested, taken: Arc::default() }
    }

    /// Takes the right to store the answer; one of all who share the flight gets it.
    pub fn take(&self) -> bool {
        !self.taken.swap(true, AcqRel)
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined").field("cookies", &self.cookies.len()).finish_non_exhaustive()
    }
}

impl fmt::Display for CacheUse {
    /// Writes the `Cache-Status` of RFC 9211.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.fmt(f)
    }
}
