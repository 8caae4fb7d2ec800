//! `Cache-Status`: what a cache did about a request, for all to read (RFC 9211).

use std::fmt;
use std::time::Duration;

/// What a cache did about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStatus {
    /// Where the answer came from.
    pub from: From,
    /// How long it stays fresh, or for how long it has been stale.
    pub life: Option<Life>,
    /// What the origin answered, if that is not what was passed on.
    pub origin_status: Option<u16>,
    /// Whether the answer was stored.
    pub stored: bool,
    /// Whether other requests shared the answer.
    pub collapsed: bool,
    /// More, as a token.
    pub detail: Option<&'static str>,
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum From {
    /// The store.
    Store,
    /// The origin, and why.
    Origin(Why),
}

/// Why a request went to the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The cache was told to keep out of it.
    Bypass,
    /// The method is not one that it answers.
    Method,
    /// Nothing is stored for the target.
    UriMiss,
    /// What is stored for the target is for other requests.
    VaryMiss,
    /// What is stored is good, but not for this request.
    Request,
    /// What is stored is no longer fresh.
    Stale,
    /// What is stored is not all of it.
    Partial,
}

/// Whether an answer is fresh, and by how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Life {
    /// Fresh for so long.
    Left(Duration),
    /// Stale for so long.
    Stale(Duration),
}

impl CacheStatus {
    /// The answer came from the store.
    pub fn hit(life: Life) -> Self {
        Self { life: Some(life), ..Self::of(From::Store) }
    }

    /// The request went to the origin.
    pub fn forwarded(why: Why) -> Self {
        Self::of(From::Origin(why))
    }

    fn of(from: From) -> Self {
        let (life, origin_status, detail) = (None, None, None);
        Self { from, life, origin_status, stored: false, collapsed: false, detail }
    }
}

impl Why {
    /// The token of RFC 9211.
    pub fn token(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("spillgate")?;
        match self.from {
            From::Store => f.write_str("; hit")?,
            From::Origin(why) => write!(f, "; fwd={}", why.token())?,
        }
        if let (From::Origin(_), Some(status)) = (self.from, self.origin_status) {
            write!(f, "; fwd-status={status}")?;
        }
        match self.life {
            Some(Life::Left(left)) => write!(f, "; ttl={}", seconds(left))?,
            Some(Life::Stale(stale)) => write!(f, "; ttl=-{}", seconds(stale))?,
            None => {}
        }
        if self.stored {
            f.write_str("; stored")?;
        }
        if self.collapsed {
            f.write_str("; collapsed")?;
        }
        if let Some(detail) = self.detail {
            write!(f, "; detail={detail}")?;
        }
        Ok(())
    }
}

/// As many seconds as an integer of a structured field holds.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs().min(SECONDS_MAX)
}

/// Fifteen digits (RFC 8941 section 3.3.1).
const SECONDS_MAX: u64 = 999_999_999_999_999;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_the_standard_writes_it() {
        let hit = CacheStatus::hit(Life::Left(Duration::from_secs(30)));
        assert_eq!(hit.to_string(), "spillgate; hit; ttl=30");
        let stale = CacheStatus {
            detail: Some("stale-if-error"),
            ..CacheStatus::hit(Life::Stale(Duration::MAX))
        };
        assert_eq!(
            stale.to_string(),
            "spillgate; hit; ttl=-999999999999999; detail=stale-if-error"
        );
        let miss =
            CacheStatus { stored: true, collapsed: true, ..CacheStatus::forwarded(Why::UriMiss) };
        assert_eq!(miss.to_string(), "spillgate; fwd=uri-miss; stored; collapsed");
        let renewed =
            CacheStatus { origin_status: Some(304), ..CacheStatus::forwarded(Why::Stale) };
        assert_eq!(renewed.to_string(), "spillgate; fwd=stale; fwd-status=304");
    }
}
