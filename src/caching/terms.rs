//! Which rules hold for which call.

use std::time::Duration;

use http::Method;
use spillgate_actors::core::cache::rules::{Mode, Rules};
use url::Url;

use crate::cache::regime::RuleBook;
use crate::config::Config;
use crate::config::pattern::HostName;
use crate::config::settings::{CacheKind, CacheSettings};

/// What holds for one call.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(super) rules: RuleBook,
    /// For how long failures are remembered, if they are.
    pub(super) failures: Option<Duration>,
}

/// The terms of all calls, after a configuration.
pub(crate) struct TermsBook {
    config: Option<Config>,
    settings: CacheSettings,
    terms: Option<Terms>,
}

impl Terms {
    /// The rules.
    #[cfg(feature = "sidecar")]
    pub(crate) fn rules(&self) -> &RuleBook {
        &self.rules
    }
}

impl TermsBook {
    pub(crate) fn new(config: &Config) -> Self {
        let settings = config.cache.clone();
        let terms = terms_of(&settings);
        Self { config: config.differs_in_cache().then(|| config.clone()), settings, terms }
    }

    /// What holds where no host or route differs.
    pub(super) fn settings(&self) -> &CacheSettings {
        &self.settings
    }

    /// What holds for a call; `None` if the cache is off for it.
    pub(super) fn terms(&self, url: &Url, method: &Method, route: Option<&str>) -> Option<Terms> {
        let Some(config) = &self.config else { return self.terms.clone() };
        let port = url.port_or_known_default()?;
        let host = HostName::new(url.scheme(), url.host_str()?, port);
        terms_of(&config.cache_of(&host, method, url.path(), route))
    }
}

fn terms_of(settings: &CacheSettings) -> Option<Terms> {
    if settings.mode == CacheKind::Off {
        return None;
    }
    let rules = RuleBook::new(rules_of(settings), settings.partitions);
    Some(Terms { rules, failures: settings.failures })
}

/// The settings as the rules have them.
pub(crate) fn rules_of(settings: &CacheSettings) -> Rules {
    Rules {
        mode: match settings.mode {
            CacheKind::Private => Mode::Private,
            CacheKind::Shared | CacheKind::Off => Mode::Shared,
        },
        targeted: settings.targeted.iter().map(|name| name.as_str().to_owned()).collect(),
        set_cookie: settings.set_cookie,
        stale_if_error: settings.stale_if_error,
        stale_while_revalidate: settings.stale_while_revalidate,
        negative: settings.negative,
        ..Rules::default()
    }
}
