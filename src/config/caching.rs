//! What a configuration says of the cache.

use std::time::Duration;

use serde::Deserialize;
use spillgate_core::cache::rules::SetCookie;

use super::layer::{Slip, put};
use super::settings::{CacheKind, CacheSettings, CacheStorage};
use super::value::{ByteSize, HeaderText, Scalar, Span, Text};
use crate::cache::key::Identity;
use crate::cache::regime::PartitionRules;

/// The table `cache` of the defaults.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct CacheShape {
    mode: Option<KindShape>,
    store: Option<StorageShape>,
    path: Option<Text>,
    max_bytes: Option<ByteSize>,
    stale_if_error: Option<Span>,
    stale_while_revalidate: Option<Span>,
    negative: Option<Span>,
    failures: Option<FailureTime>,
    targeted: Option<Vec<HeaderText>>,
    set_cookie: Option<SetCookieShape>,
    identity: Option<IdentityShape>,
    partitions: Option<PartitionsShape>,
}

/// The table `cache` of a host or a route.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub(super) struct HostCacheShape {
    mode: Option<KindShape>,
    stale_if_error: Option<Span>,
    stale_while_revalidate: Option<Span>,
    negative: Option<Span>,
    failures: Option<FailureTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "a text in quotes")]
enum KindShape {
    Shared,
    Private,
    Off,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "a text in quotes")]
enum SetCookieShape {
    Decline,
    Store,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "a text in quotes")]
enum IdentityShape {
    Credentials,
    Shared,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", expecting = "a text in quotes")]
enum StorageShape {
    Memory,
    Disk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "a text in quotes")]
enum PartitionsShape {
    SharedRules,
    PrivateRules,
}

/// `"off"`, or for how long a failure is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Scalar")]
struct FailureTime(Option<Duration>);

impl CacheShape {
    pub(super) fn apply(&self, cache: &mut CacheSettings) {
        self.of_host().apply(cache);
        put(&mut cache.store, self.store.map(CacheStorage::from));
        put(&mut cache.path, self.path.as_ref().map(|path| Some(path.0.clone().into())));
        put(&mut cache.max_bytes, self.max_bytes.map(|size| size.0));
        let targeted = self.targeted.as_ref();
        put(
            &mut cache.targeted,
            targeted.map(|names| names.iter().map(|name| name.0.clone()).collect()),
        );
        put(&mut cache.set_cookie, self.set_cookie.map(SetCookie::from));
        put(&mut cache.identity, self.identity.map(Identity::from));
        put(&mut cache.partitions, self.partitions.map(PartitionRules::from));
    }

    /// What the layer says and cannot mean, once it is applied.
    pub(super) fn slips(&self, after: &CacheSettings) -> Option<Slip> {
        let idle = self.path.is_some() && self.store.is_none();
        (idle && after.store == CacheStorage::Memory).then(|| {
            let message = "a store in memory has no path".to_owned();
            Slip::new("cache.path", message, "write store = \"disk\", or leave it out")
        })
    }

    /// What of it holds for one host alone.
    pub(super) fn of_host(&self) -> HostCacheShape {
        HostCacheShape {
            mode: self.mode,
            stale_if_error: self.stale_if_error,
            stale_while_revalidate: self.stale_while_revalidate,
            negative: self.negative,
            failures: self.failures,
        }
    }
}

impl HostCacheShape {
    pub(super) fn apply(&self, cache: &mut CacheSettings) {
        put(&mut cache.mode, self.mode.map(CacheKind::from));
        put(&mut cache.stale_if_error, self.stale_if_error.map(|span| span.0));
        put(&mut cache.stale_while_revalidate, self.stale_while_revalidate.map(|span| span.0));
        put(&mut cache.negative, self.negative.map(|span| span.0));
        put(&mut cache.failures, self.failures.map(|time| time.0));
    }

    /// Whether it says anything.
    pub(super) fn says_something(&self) -> bool {
        let Self { mode, stale_if_error, stale_while_revalidate, negative, failures } = self;
        let spans = [stale_if_error, stale_while_revalidate, negative];
        mode.is_some() || failures.is_some() || spans.iter().any(|span| span.is_some())
    }
}

impl TryFrom<Scalar> for FailureTime {
    type Error = String;

    fn try_from(scalar: Scalar) -> Result<Self, String> {
        if matches!(&scalar, Scalar::Text(text) if text == "off") {
            return Ok(Self(None));
        }
        let shown = scalar.to_string();
        match Span::try_from(scalar) {
            Ok(Span(time)) if (FAILURES_MIN..=FAILURES_MAX).contains(&time) => Ok(Self(Some(time))),
            Ok(_) => Err(format!(
                "{shown} is no time to remember a failure for, expected \"off\" or \"1s\" to \"10s\""
            )),
            Err(text) => Err(text.replace("expected a text", "expected \"off\" or a text")),
        }
    }
}

impl From<KindShape> for CacheKind {
    fn from(shape: KindShape) -> Self {
        match shape {
            KindShape::Shared => Self::Shared,
            KindShape::Private => Self::Private,
            KindShape::Off => Self::Off,
        }
    }
}

impl From<SetCookieShape> for SetCookie {
    fn from(shape: SetCookieShape) -> Self {
        match shape {
            SetCookieShape::Decline => Self::Decline,
            SetCookieShape::Store => Self::Store,
        }
    }
}

impl From<StorageShape> for CacheStorage {
    fn from(shape: StorageShape) -> Self {
        match shape {
            StorageShape::Memory => Self::Memory,
            StorageShape::Disk => Self::Disk,
        }
    }
}

impl From<PartitionsShape> for PartitionRules {
    fn from(shape: PartitionsShape) -> Self {
        match shape {
            PartitionsShape::SharedRules => Self::Shared,
            PartitionsShape::PrivateRules => Self::Private,
        }
    }
}

impl From<IdentityShape> for Identity {
    fn from(shape: IdentityShape) -> Self {
        match shape {
            IdentityShape::Credentials => Self::ByCredentials,
            IdentityShape::Shared => Self::Shared,
        }
    }
}

/// For how long a failure may be remembered.
const FAILURES_MIN: Duration = Duration::from_secs(1);
const FAILURES_MAX: Duration = Duration::from_secs(10);
