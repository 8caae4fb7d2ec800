//! How a client is put together.

use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(feature = "sidecar")]
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use spillgate_actors::answer::Head;
use spillgate_actors::core::advice::ErrorKind;
use spillgate_actors::core::event::BreakerEvent;
use spillgate_actors::door::Door;
use spillgate_actors::error::Error;
use spillgate_actors::journal::Journal;
use spillgate_actors::record::JournalEntry;
use spillgate_actors::seams::{Classifier, Judgement, Parts};
use spillgate_actors::transport::Transport;

use crate::cache::store::CacheStore;
use crate::caching::storage::Opened;
use crate::caching::{Caching, Front};
use crate::chaos::Chaos;
use crate::chaos::injector::{ChaosTransport, Injector};
use crate::client::Client;
use crate::config::Config;
use crate::config::overrides::HostOverrides;
use crate::config::settings::ExportProtocol;
use crate::engine::Engine;
use crate::plan::ConfigPlan;
use crate::redaction::Redaction;
use crate::telemetry::options::{OtlpProtocol, TelemetryOptions};
use crate::telemetry::parent::parent_of;
use crate::telemetry::reporter::{Observer, Reporter};
use crate::transport::ReqwestTransport;
use crate::transport::options::{TransportOptions, TransportSetupError};

/// Collects what makes a client differ from the standard; the first problem is told by `build`.
#[derive(Default)]
#[must_use = "a builder does nothing until it builds"]
pub struct ClientBuilder {
    config: Config,
    hosts: Vec<(String, HostOverrides)>,
    telemetry: Option<TelemetryOptions>,
    transport_options: TransportOptions,
    transport: Option<Arc<dyn Transport>>,
    observers: Vec<Observer>,
    classifier: Option<Classifier>,
    headers: HeaderMap,
    seed: Option<u64>,
    chaos: Chaos,
    takes_chaos_of_config: bool,
    passes_on: bool,
    cache_store: Option<Opened>,
    problem: Option<Error>,
}

impl Client {
    /// A client with the standard pipeline: see `docs/defaults.md` for each number and its why.
    ///
    /// # Panics
    ///
    /// When the operating system refuses a thread; [`ClientBuilder::build`] returns that as an error.
    #[expect(clippy::panic, reason = "as `std::thread::spawn` does, and documented")]
    pub fn standard() -> Self {
        Self::builder().build().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a client that differs from the standard.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }
}

impl ClientBuilder {
    /// Reads a TOML file and lays the `SPILLGATE_` variables over it; errors show line, column and
    /// what was expected.
    pub fn config_file(mut self, path: impl AsRef<Path>) -> Result<Self, Error> {
        let config = Config::load(path).and_then(Config::with_environment);
        self.config =
            config.map_err(|error| Error::new(ErrorKind::InvalidConfig, error.to_string()))?;
        Ok(self)
    }

    /// Takes a configuration that was read or made elsewhere.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Changes what applies to the hosts of a pattern, such as `*.example.com` or `name:port`.
    pub fn host(
        mut self,
        pattern: impl Into<String>,
        change: impl FnOnce(HostOverrides) -> HostOverrides,
    ) -> Self {
        self.hosts.push((pattern.into(), change(HostOverrides::default())));
        self
    }

    /// Changes what applies to all hosts.
    pub fn defaults(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Calls back at every change of a breaker's state, on the reporter thread; a panic ends only
    /// the callback.
    pub fn on_breaker(mut self, mut callback: impl FnMut(&BreakerEvent) + Send + 'static) -> Self {
        self.observers.push(Box::new(move |entry| {
            if let JournalEntry::Breaker(event) = entry {
                callback(event);
            }
        }));
        self
    }

    /// Judges whole answers: what is business, what is trouble. A panic in it leaves the status to
    /// judge.
    pub fn classifier(
        mut self,
        classifier: impl Fn(&Head, &[u8]) -> Judgement + Send + Sync + 'static,
    ) -> Self {
        self.classifier = Some(Arc::new(classifier));
        self
    }

    /// Adds a header to every request that does not bring its own.
    pub fn default_header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => {
                self.headers.insert(name, value);
                self
            }
            _ => {
                self.spoil("a default header is malformed; expected a token and visible characters")
            }
        }
    }

    /// Exports spans as these options say; `OTEL_*` variables win.
    pub fn telemetry(mut self, options: TelemetryOptions) -> Self {
        self.telemetry = Some(options);
        self
    }

    /// Trusts the certificate authorities of a PEM file, beside the system's.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.transport_options.ca_files.push(path.into());
        self
    }

    /// Changes how connections are made and answers are bounded.
    pub fn transport_options(mut self, change: impl FnOnce(&mut TransportOptions)) -> Self {
        change(&mut self.transport_options);
        self
    }

    /// Sends through another transport than reqwest, for tests without sockets.
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Sends without touching what is sent and what comes, for a proxy.
    #[cfg(feature = "sidecar")]
    pub fn passing_on(mut self) -> Self {
        self.passes_on = true;
        self.transport_options.idle_timeout = PASSING_IDLE;
        self
    }

    /// Keeps answers in a store of one's own. `secret` keys the digests in it: the one that what is in
    /// the store was stored with, or a random one.
    pub fn cache_store(mut self, store: Arc<dyn CacheStore>, secret: [u8; 32]) -> Self {
        self.cache_store = Some((store, Some(secret)));
        self
    }

    /// Makes jitter and trace ids follow from a seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Injects faults between the actors and the network, for game days and tests.
    pub fn chaos(mut self, chaos: Chaos) -> Self {
        self.chaos = chaos;
        self
    }

    /// Whether to inject the faults of the configuration's `[[chaos]]` sections, if no others are
    /// asked for; chance follows from [`seed`](Self::seed).
    pub fn chaos_from_config(mut self, takes: bool) -> Self {
        self.takes_chaos_of_config = takes;
        self
    }

    /// Checks everything and starts the threads. An error names the setting and what was expected.
    pub fn build(self) -> Result<Client, Error> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let mut config = self.config;
        for (pattern, overrides) in self.hosts {
            config.add_host(&pattern, overrides).map_err(|error| invalid(&error))?;
        }
        config.check().map_err(|error| invalid(&error))?;
        let telemetry = self.telemetry.unwrap_or_else(|| telemetry_of(&config));
        let transport = match self.transport {
            Some(transport) => transport,
            None => transport_of(&config, self.transport_options, self.passes_on)?,
        };
        let chaos = if self.chaos.is_empty() && self.takes_chaos_of_config {
            Chaos::of_config(&config, self.seed.unwrap_or_default())
        } else {
            self.chaos
        };
        let injector = injector_of(&chaos)?;
        let transport = match &injector {
            Some(injector) => Arc::new(ChaosTransport::new(transport, injector.clone())),
            None => transport,
        };
        let (sender, entries) = crossbeam_channel::bounded(ENTRIES_MAX);
        let reporter = Reporter::start(&telemetry, entries, self.observers)
            .map_err(|error| invalid(&error))?;
        let caching = Arc::new(Caching::open(&config, self.cache_store, fresh_secret()?)?);
        let forgetting = caching.clone();
        let redaction = Redaction::new(&config.telemetry.redact.query);
        let door = Door::open(Parts {
            transport,
            plan: Arc::new(ConfigPlan::new(config)),
            journal: Journal::new(sender),
            redact: Arc::new(move |url| redaction.redact(url)),
            parent_of,
            classifier: self.classifier,
            headers: self.headers,
            forget: Some(Arc::new(move |what| forgetting.invalidate(what.into()))),
            seed: self.seed.map_or_else(fresh_seed, Ok)?,
        })?;
        let engine = Engine::new(Front { door, caching }, reporter, telemetry.shutdown_timeout);
        Ok(Client::new(engine.with_chaos(injector)))
    }

    fn spoil(mut self, problem: &str) -> Self {
        self.problem = self.problem.or_else(|| Some(Error::new(ErrorKind::InvalidConfig, problem)));
        self
    }
}

/// What injects faults, if there are any.
fn injector_of(chaos: &Chaos) -> Result<Option<Arc<Injector>>, Error> {
    if chaos.is_empty() {
        return Ok(None);
    }
    tracing::warn!("chaos is on: faults are injected into this client's attempts");
    Ok(Some(Arc::new(Injector::new(chaos)?)))
}

fn transport_of(
    config: &Config,
    mut options: TransportOptions,
    passes_on: bool,
) -> Result<Arc<dyn Transport>, Error> {
    options.ca_files.extend(config.tls.ca_file.clone());
    // Fewer idle connections than slots, and most connects are for nothing.
    let slots = usize::try_from(config.limits.global).unwrap_or(usize::MAX);
    options.idle_connections_max = options.idle_connections_max.max(slots.min(IDLE_MAX));
    let total = slots.saturating_mul(TURNS_MIN);
    options.idle_connections_total_max = options.idle_connections_total_max.max(total);
    let refused = |error: TransportSetupError| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        Error::new(ErrorKind::InvalidConfig, format!("{error}{}", cause.unwrap_or_default()))
    };
    #[cfg(feature = "sidecar")]
    if passes_on {
        let transport = crate::transport::passing::PassingTransport::new(&options);
        return Ok(Arc::new(transport.map_err(refused)?));
    }
    debug_assert!(!passes_on, "only a proxy passes on");
    Ok(Arc::new(ReqwestTransport::new(&options).map_err(refused)?))
}

fn telemetry_of(config: &Config) -> TelemetryOptions {
    let settings = &config.telemetry;
    let standard = TelemetryOptions::default();
    TelemetryOptions {
        otlp: settings.otlp.as_ref().map(ToString::to_string),
        protocol: match settings.protocol {
            Some(ExportProtocol::Grpc) => OtlpProtocol::Grpc,
            Some(ExportProtocol::HttpProtobuf) | None => OtlpProtocol::HttpProtobuf,
        },
        service_name: settings.service_name.clone().unwrap_or(standard.service_name.clone()),
        ..standard
    }
}

fn fresh_seed() -> Result<u64, Error> {
    getrandom::u64().map_err(no_randomness)
}

/// What keys the digests of credentials: never from a seed.
fn fresh_secret() -> Result<[u8; 32], Error> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(no_randomness)?;
    Ok(secret)
}

fn no_randomness(cause: getrandom::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("the system gives no randomness: {cause}"))
}

fn invalid(error: &dyn std::error::Error) -> Error {
    Error::new(ErrorKind::InvalidConfig, error.to_string())
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Records that may wait for the reporter; beyond it they are counted as dropped.
const ENTRIES_MAX: usize = 16_384;

/// Idle connections kept for a host, whatever the slots.
const IDLE_MAX: usize = 1_024;

/// Connections for each slot before the pool is emptied: else a burst would empty it for itself.
const TURNS_MIN: usize = 4;
/// How long a proxy keeps a connection that it does not use.
#[cfg(feature = "sidecar")]
const PASSING_IDLE: Duration = Duration::from_secs(4);
