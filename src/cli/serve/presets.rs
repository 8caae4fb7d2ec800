//! How daring a sidecar is: what a preset makes of the configuration and of the cache.

use std::sync::Arc;
use std::time::Duration;

use spillgate_core::cache::rules::SetCookie;

use crate::cache::key::Identity;
use crate::cache::memory::MemoryStore;
use crate::cache::{Cache, CacheOptions};
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

/// The client and the cache of a preset.
pub(super) fn parts(preset: ServingPreset, config: &Config) -> Result<(Client, Cache), Failure> {
    let config = config_of(preset, config.clone());
    let identity = match preset {
        ServingPreset::Cautious => Identity::UnlessShared,
        ServingPreset::Conformance | ServingPreset::Private => Identity::Shared,
    };
    let mut secret = [0; 32];
    getrandom::fill(&mut secret)
        .map_err(|cause| Failure::bug(format!("the system gives no randomness: {cause}")))?;
    let store = Arc::new(MemoryStore::new(config.cache.max_bytes));
    let client = Client::builder().config(config).passing_on().build()?;
    Ok((client, Cache::new(CacheOptions { identity, ..CacheOptions::default() }, store, secret)))
}

/// What a preset makes of a configuration.
pub(super) fn config_of(preset: ServingPreset, mut config: Config) -> Config {
    match preset {
        ServingPreset::Cautious => {
            if config.origin("defaults.cache.negative").is_none() {
                // Whose answers these are, and how long they hold, is not known here.
                config.cache.negative = Duration::ZERO;
            }
        }
        ServingPreset::Conformance => {
            // The letter of the standard: nothing that a file could add to it.
            config.cache = CacheSettings {
                max_bytes: config.cache.max_bytes,
                negative: Duration::ZERO,
                targeted: vec![CDN_CACHE_CONTROL],
                set_cookie: SetCookie::Store,
                ..CacheSettings::default()
            };
            unguard(&mut config);
        }
        ServingPreset::Private => {
            if config.cache.mode == CacheKind::Shared {
                config.cache.mode = CacheKind::Private;
            }
            if config.origin("defaults.cache.negative").is_none() {
                config.cache.negative = Duration::ZERO;
            }
            config.cache.set_cookie = SetCookie::Store;
            unguard(&mut config);
        }
    }
    config
}

/// The name of a preset.
pub(super) fn name_of(preset: ServingPreset) -> &'static str {
    match preset {
        ServingPreset::Cautious => "cautious",
        ServingPreset::Conformance => "conformance",
        ServingPreset::Private => "private",
    }
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
