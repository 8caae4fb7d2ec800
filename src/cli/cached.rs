//! What the cache does, under the names that a configuration uses: for all hosts, and for one call.

use std::time::Duration;

use spillgate_actors::core::cache::rules::SetCookie;

use crate::cache::key::Identity;
use crate::cache::regime::PartitionRules;
use crate::cli::written::{list, quoted, time};
use crate::config::settings::{CacheKind, CacheSettings, CacheStorage};

/// The settings of all hosts, each as TOML writes it.
pub(super) fn rows(cache: &CacheSettings) -> Vec<(&'static str, String)> {
    let targeted = cache.targeted.iter().map(|name| quoted(name.as_str()));
    let mut rows = vec![
        ("mode", quoted(mode(cache))),
        ("store", quoted(storage(cache))),
        ("max_bytes", cache.max_bytes.to_string()),
        ("stale_if_error", time(cache.stale_if_error)),
        ("stale_while_revalidate", time(cache.stale_while_revalidate)),
        ("negative", time(cache.negative)),
        ("failures", cache.failures.map_or_else(|| quoted("off"), time)),
        ("targeted", list(targeted)),
        ("set_cookie", quoted(set_cookie(cache))),
        ("identity", quoted(identity(cache))),
        ("partitions", quoted(partitions(cache))),
    ];
    if let (CacheStorage::Disk, Some(path)) = (cache.store, &cache.path) {
        rows.insert(2, ("path", quoted(&path.display().to_string())));
    }
    rows
}

/// The settings of one call, in words.
pub(super) fn explained(cache: &CacheSettings) -> Vec<(&'static str, String)> {
    if cache.mode == CacheKind::Off {
        return vec![("cache.mode", "off".to_owned())];
    }
    let plain = |time: Duration| humantime::format_duration(time).to_string();
    let stale = |budget: Duration, none: &str| {
        if budget.is_zero() { none.to_owned() } else { format!("{} unless it says", plain(budget)) }
    };
    let failures = cache.failures.map_or_else(
        || "not remembered".to_owned(),
        |time| format!("remembered for {}, and up to half of it more", plain(time)),
    );
    let place = match (cache.store, &cache.path) {
        (CacheStorage::Disk, Some(path)) => format!("disk, {}", path.display()),
        (CacheStorage::Disk | CacheStorage::Memory, _) => "memory".to_owned(),
    };
    vec![
        ("cache.mode", mode(cache).to_owned()),
        ("cache.store", format!("{place}, up to {} bytes", cache.max_bytes)),
        ("cache.stale_if_error", stale(cache.stale_if_error, "only if the answer says")),
        (
            "cache.stale_while_revalidate",
            stale(cache.stale_while_revalidate, "only if the answer says"),
        ),
        ("cache.negative", stale(cache.negative, "only if the answer says")),
        ("cache.failures", failures),
        ("cache.set_cookie", set_cookie(cache).to_owned()),
        ("cache.identity", format!("{}, {}", identity(cache), partitions(cache))),
    ]
}

fn mode(cache: &CacheSettings) -> &'static str {
    match cache.mode {
        CacheKind::Shared => "shared",
        CacheKind::Private => "private",
        CacheKind::Off => "off",
    }
}

fn storage(cache: &CacheSettings) -> &'static str {
    match cache.store {
        CacheStorage::Memory => "memory",
        CacheStorage::Disk => "disk",
    }
}

fn set_cookie(cache: &CacheSettings) -> &'static str {
    match cache.set_cookie {
        SetCookie::Decline => "decline",
        SetCookie::Store => "store",
    }
}

fn identity(cache: &CacheSettings) -> &'static str {
    match cache.identity {
        Identity::ByCredentials | Identity::UnlessShared => "credentials",
        Identity::Shared => "shared",
    }
}

fn partitions(cache: &CacheSettings) -> &'static str {
    match cache.partitions {
        PartitionRules::Shared => "shared-rules",
        PartitionRules::Private => "private-rules",
    }
}
