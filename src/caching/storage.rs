//! Where a client's answers are kept, as its configuration has it.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use spillgate_actors::core::advice::ErrorKind;
use spillgate_actors::error::Error;

use crate::cache::memory::MemoryStore;
use crate::cache::store::CacheStore;
use crate::cache::{Cache, CacheOptions};
use crate::caching::failures::Failures;
use crate::caching::renewals::Renewals;
use crate::caching::terms::TermsBook;
use crate::caching::{Caching, terms};
use crate::config::Config;
use crate::config::settings::{CacheSettings, CacheStorage};

/// A store, and the secret that keys what is in it if that is older than this process.
pub(crate) type Opened = (Arc<dyn CacheStore>, Option<[u8; 32]>);

impl Caching {
    /// The cache of a configuration, over a store of its owner's if there is one; `secret` keys its
    /// digests, unless its store has one.
    pub(crate) fn open(
        config: &Config,
        own: Option<Opened>,
        secret: [u8; 32],
    ) -> Result<Self, Error> {
        let caching = Self {
            cache: OnceLock::new(),
            secret,
            book: ArcSwap::from_pointee(TermsBook::new(config)),
            renewals: Renewals::default(),
            failures: Failures::default(),
        };
        // What cannot be opened is told at once, and what cannot fail costs nothing until then.
        let told = config.cache.store == CacheStorage::Disk;
        let opened = own.map(Ok).or_else(|| told.then(|| open(&config.cache))).transpose()?;
        if let Some(opened) = opened {
            let _ = caching.cache.set(Arc::new(caching.over(&config.cache, opened)));
        }
        Ok(caching)
    }

    /// Takes other settings; what is stored stays, as far as there is room. What another store would
    /// be needed for is refused, and nothing is changed.
    pub(crate) fn reload(&self, config: &Config) -> Result<(), Error> {
        self.may_reload(config)?;
        let (old, new) = (self.book.load().settings().clone(), &config.cache);
        self.book.store(Arc::new(TermsBook::new(config)));
        if let Some(cache) = self.cache.get().filter(|_| old.max_bytes != new.max_bytes) {
            cache.resize(new.max_bytes);
        }
        Ok(())
    }

    /// Whether settings can be taken; the error names the first that cannot.
    pub(crate) fn may_reload(&self, config: &Config) -> Result<(), Error> {
        let Some(setting) = fixed(self.book.load().settings(), &config.cache) else {
            return Ok(());
        };
        let text = format!("{setting} cannot change while the client runs; start it anew");
        Err(Error::new(ErrorKind::InvalidConfig, text))
    }

    /// The cache itself, made when it is first needed.
    pub(crate) fn cache(&self) -> &Arc<Cache> {
        self.cache.get_or_init(|| {
            let settings = self.book.load().settings().clone();
            Arc::new(self.over(&settings, in_memory(&settings)))
        })
    }

    fn over(&self, settings: &CacheSettings, (store, secret): Opened) -> Cache {
        let options = CacheOptions {
            rules: terms::rules_of(settings),
            identity: settings.identity,
            partitions: settings.partitions,
            ..CacheOptions::default()
        };
        Cache::new(options, store, secret.unwrap_or(self.secret))
    }
}

/// Opens the store that the settings name.
fn open(settings: &CacheSettings) -> Result<Opened, Error> {
    match settings.store {
        CacheStorage::Memory => Ok(in_memory(settings)),
        CacheStorage::Disk => on_disk(settings),
    }
}

/// A store in memory, which needs nothing that could be missing.
fn in_memory(settings: &CacheSettings) -> Opened {
    (Arc::new(MemoryStore::new(settings.max_bytes)), None)
}

#[cfg(feature = "cache-disk")]
fn on_disk(settings: &CacheSettings) -> Result<Opened, Error> {
    use crate::cache::disk::{DiskOptions, DiskStore};
    let Some(path) = &settings.path else { return Err(impossible(settings)) };
    let bytes_max = settings.max_bytes;
    let hot_bytes_max = DiskOptions::default().hot_bytes_max.min(bytes_max);
    let options = DiskOptions { bytes_max, hot_bytes_max };
    let store = DiskStore::open(path, options).map_err(|cause| {
        let text = format!("cache.path: {} cannot be used: {cause}", path.display());
        Error::new(ErrorKind::InvalidConfig, text)
    })?;
    let secret = store.secret();
    Ok((Arc::new(store), Some(secret)))
}

#[cfg(not(feature = "cache-disk"))]
fn on_disk(settings: &CacheSettings) -> Result<Opened, Error> {
    Err(impossible(settings))
}

fn impossible(settings: &CacheSettings) -> Error {
    let (setting, problem, hint) = settings.problem().unwrap_or(("cache.store", "it is off", ""));
    Error::new(ErrorKind::InvalidConfig, format!("{setting}: {problem}; hint: {hint}"))
}

/// A setting that differs and cannot change while a cache is in use: other answers would have to be
/// kept elsewhere, or be found by other keys.
fn fixed(old: &CacheSettings, new: &CacheSettings) -> Option<&'static str> {
    let differs = [
        ("cache.store", old.store != new.store),
        ("cache.path", old.path != new.path),
        ("cache.identity", old.identity != new.identity),
    ];
    differs.iter().find_map(|(setting, differs)| differs.then_some(*setting))
}
