//! What is to be forgotten, and the answers on their way that it concerns.
//!
//! A purge must not be undone by an answer that was asked for before it: so purges are remembered
//! for a while, and an answer that is older than the oldest that is remembered is not stored at all.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use http::HeaderName;
use url::Url;

use crate::cache::page::{Page, Stored};

/// Which answers are to be forgotten.
#[derive(Clone, PartialEq, Eq)]
pub enum Purge {
    /// Those of one address.
    Url(String),
    /// Those of all addresses that begin so.
    Prefix(String),
    /// Those that `Surrogate-Key` or `Cache-Tag` calls so.
    Tag(String),
    /// Those of one host: name and port, and the scheme if it is to be of one alone.
    Host(String),
    /// All.
    Everything,
}

/// The purges that an answer on its way may be concerned by.
#[derive(Debug, Default)]
pub(super) struct Purges {
    clock: AtomicU64,
    recent: Mutex<VecDeque<(u64, Purge)>>,
}

impl Purge {
    /// The same as addresses are stored, however it is spelled; one of a host without its scheme is
    /// of both.
    pub(super) fn spelled(self) -> Vec<Self> {
        match self {
            Self::Url(url) => vec![Self::Url(plain(&url).map_or(url, Into::into))],
            Self::Prefix(prefix) => vec![Self::Prefix(plain(&prefix).map_or(prefix, Into::into))],
            Self::Host(host) if host.contains("://") => vec![Self::Host(origin(&host))],
            Self::Host(host) => {
                let both = ["http", "https"].map(|scheme| format!("{scheme}://{host}"));
                both.iter().map(|host| Self::Host(origin(host))).collect()
            }
            Self::Tag(_) | Self::Everything => vec![self],
        }
    }

    pub(super) fn names(&self, page: &Page, stored: &Stored) -> bool {
        self.is_about(&page.url, stored)
    }

    fn is_about(&self, url: &str, stored: &Stored) -> bool {
        match self {
            Self::Url(named) => url == named,
            Self::Prefix(prefix) => url.starts_with(prefix.as_str()),
            Self::Host(host) => {
                let rest = url.strip_prefix(host.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
            }
            Self::Tag(tag) => TAGS.iter().any(|name| {
                let lines =
                    stored.headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
                lines.flat_map(|line| line.split([' ', ','])).any(|named| named == tag)
            }),
            Self::Everything => true,
        }
    }
}

impl Purges {
    /// The moment, on a count that only this cache keeps.
    pub(super) fn moment(&self) -> u64 {
        self.clock.fetch_add(1, Relaxed)
    }

    pub(super) fn add(&self, purge: Purge) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.push_back((self.moment(), purge));
        if recent.len() > PURGES_MAX {
            recent.pop_front();
        }
    }

    /// Whether an answer was asked for before a purge that is about it.
    pub(super) fn concern(&self, url: &str, stored: &Stored) -> bool {
        let began = stored.began;
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten = recent.len() == PURGES_MAX;
        let too_old = recent.front().is_some_and(|(oldest, _)| forgotten && *oldest > began);
        too_old || recent.iter().any(|(at, purge)| *at > began && purge.is_about(url, stored))
    }
}

impl fmt::Debug for Purge {
    /// Leaves addresses out: their queries may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(_) => f.write_str("Url(..)"),
            Self::Prefix(_) => f.write_str("Prefix(..)"),
            Self::Tag(tag) => f.debug_tuple("Tag").field(tag).finish(),
            Self::Host(host) => f.debug_tuple("Host").field(host).finish(),
            Self::Everything => f.write_str("Everything"),
        }
    }
}

/// An address without what is no part of it where it is stored; `None` if it is none.
fn plain(url: &str) -> Option<Url> {
    let mut url = Url::parse(url).ok()?;
    url.set_fragment(None);
    // These cannot fail where credentials stand.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some(url)
}

fn origin(host: &str) -> String {
    let parsed = Url::parse(host).map(|url| url.origin().ascii_serialization());
    parsed.unwrap_or_else(|_| host.to_owned())
}

/// Purges that are remembered for answers on their way.
const PURGES_MAX: usize = 1_024;
/// The fields by which origins tag their answers.
const TAGS: [HeaderName; 2] =
    [HeaderName::from_static("surrogate-key"), HeaderName::from_static("cache-tag")];
