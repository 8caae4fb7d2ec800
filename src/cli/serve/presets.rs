//! How daring a sidecar is: what a preset makes of the configuration and of the cache.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use spillgate_core::cache::rules::SetCookie;

use crate::cache::Cache;
use crate::cache::key::Identity;
use crate::cli::failure::Failure;
use crate::client::Client;
use crate::config::Config;
use crate::config::serving::ServingPreset;
use crate::config::settings::{CacheKind, CacheSettings};

/// How daring it is, as a flag.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Preset {
    Cautious,
    Conformance,
    Private,
}

/// The client of a preset, and its cache.
pub(super) fn parts(
    preset: ServingPreset,
    config: &Config,
) -> Result<(Client, Arc<Cache>), Failure> {
    let config = config_of(preset, config.clone());
    let client = Client::builder().config(config).passing_on().build()?;
    let cache = client.cache().shared();
    Ok((client, cache))
}

/// What a preset makes of a configuration.
pub(super) fn config_of(preset: ServingPreset, mut config: Config) -> Config {
    if config.origin("defaults.cache.negative").is_none() {
        // Whose answers these are, and how long they hold, is not known here.
        config.cache.negative = Duration::ZERO;
    }
    match preset {
        ServingPreset::Cautious => {
            if config.cache.identity == Identity::ByCredentials {
                config.cache.identity = Identity::UnlessShared;
            }
        }
        ServingPreset::Conformance => {
            let CacheSettings { max_bytes, store, path, .. } = config.cache;
            // The letter of the standard: nothing that a file could add to it.
            config.cache = CacheSettings {
                max_bytes,
                store,
                path: path.map(|path| beside(path, preset)),
                negative: Duration::ZERO,
                targeted: vec![CDN_CACHE_CONTROL],
                set_cookie: SetCookie::Store,
                identity: Identity::Shared,
                ..CacheSettings::default()
            };
            unguard(&mut config);
        }
        ServingPreset::Private => {
            let cache = &mut config.cache;
            if cache.mode == CacheKind::Shared {
                cache.mode = CacheKind::Private;
            }
            cache.identity = Identity::Shared;
            cache.set_cookie = SetCookie::Store;
            cache.path = cache.path.take().map(|path| beside(path, preset));
            unguard(&mut config);
        }
    }
    config
}

/// A file of its own: each preset is a cache of its own, and a file has one owner.
fn beside(path: PathBuf, preset: ServingPreset) -> PathBuf {
    let mut name = path.into_os_string();
    name.push(format!("-{}", preset.name()));
    name.into()
}

/// Nothing that a suite of tests could mistake for the cache's doing.
fn unguard(config: &mut Config) {
    config.limits.global = config.limits.global.max(256);
    config.defaults.concurrency = config.defaults.concurrency.max(256);
    config.defaults.limit.floor = 1;
    config.defaults.retry.attempts_max = 1;
    config.defaults.breaker = crate::Breaker::off();
}

impl From<Preset> for ServingPreset {
    fn from(preset: Preset) -> Self {
        match preset {
            Preset::Cautious => Self::Cautious,
            Preset::Conformance => Self::Conformance,
            Preset::Private => Self::Private,
        }
    }
}

const CDN_CACHE_CONTROL: http::HeaderName = http::HeaderName::from_static("cdn-cache-control");
