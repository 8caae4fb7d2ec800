//! The flags that shape the client, laid over file and environment.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::builder::ClientBuilder;
use crate::cli::chaos;
use crate::cli::failure::Failure;
use crate::cli::values::{collector, positive};
use crate::client::Client;
use crate::config::Config;
use crate::config::overrides::HostOverrides;

/// The flags that shape the client.
#[derive(clap::Args)]
#[command(next_help_heading = "Client")]
pub(crate) struct ClientArgs {
    /// Configuration file (TOML); `SPILLGATE_DEFAULTS__`... variables and flags go over it
    #[arg(long, value_name = "FILE", env = "SPILLGATE_CONFIG")]
    config: Option<PathBuf>,
    /// Requests on the wire at once for each host [default: 6]
    #[arg(long, value_name = "N", env = "SPILLGATE_PER_HOST", value_parser = positive)]
    per_host: Option<NonZeroU32>,
    /// Requests on the wire at once over all hosts [default: 24, or --per-host if that is more]
    #[arg(long, value_name = "N", env = "SPILLGATE_GLOBAL", value_parser = positive)]
    global: Option<NonZeroU32>,
    /// Collector that gets the spans over OTLP; `OTEL_*` variables win
    #[arg(long, value_name = "URL", env = "SPILLGATE_OTLP", hide_env_values = true)]
    otlp: Option<String>,
    /// PEM file of authorities to trust beside the system's; can be repeated
    #[arg(long = "ca", value_name = "FILE", env = "SPILLGATE_CA")]
    ca: Vec<PathBuf>,
    /// Faults to inject, such as latency=0.1:200ms-800ms,error=0.05:connection_refused,status=0.02:503,
    /// hang=0.01,truncate=0.01,stall=0.01,seed=7,host=*.example.com; or `config` for its [[chaos]]
    #[arg(long, value_name = "SPEC", env = "SPILLGATE_CHAOS", value_parser = chaos::wish)]
    chaos: Option<chaos::Wish>,
}

impl ClientArgs {
    /// The configuration: built-in, file, environment, flags.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        let file = self.config.as_ref().map_or_else(|| Ok(Config::default()), Config::load)?;
        let mut config = file.with_environment()?;
        if let Some(slots) = self.per_host {
            // A pattern of code goes over the sections of the file: flags win.
            let change = HostOverrides::default().concurrency(slots.get());
            config.add_host("*", change)?;
            config.defaults.concurrency = slots.get();
        }
        match (self.global, self.per_host) {
            (Some(global), Some(slots)) if slots > global => {
                return Err(Failure::usage(format!(
                    "--per-host {slots} can never be reached with --global {global}"
                ))
                .hint("give --global at least as many, or leave it out"));
            }
            (Some(global), _) => config.limits.global = global.get(),
            (None, Some(slots)) => config.limits.global = config.limits.global.max(slots.get()),
            (None, None) => {}
        }
        if let Some(text) = &self.otlp {
            // Read here, since the errors of flags show the value, and a URL can hold a secret.
            let url = collector(text).map_err(|problem| {
                Failure::usage(format!("--otlp: {problem}"))
                    .hint("such as --otlp http://127.0.0.1:4318")
            })?;
            config.telemetry.otlp = Some(url);
        }
        Ok(config)
    }

    /// A client of that configuration.
    pub(crate) fn client(&self, config: Config) -> Result<Client, Failure> {
        let chaos = self.chaos.as_ref().map(|wish| chaos::granted(wish, &config)).transpose()?;
        let builder = Client::builder().config(config);
        let builder = match chaos {
            Some(chaos) => {
                chaos::announce(&chaos);
                builder.chaos(chaos)
            }
            None => builder,
        };
        let builder = self.ca.iter().fold(builder, ClientBuilder::ca_file);
        builder.build().map_err(|error| {
            let failure = Failure::from(error);
            match self.ca.as_slice() {
                [] => failure,
                _ => failure.hint("--ca takes a file of certificates in PEM"),
            }
        })
    }
}

/// Runs asynchronous work to its end on threads of its own.
///
/// What still runs then, such as a read of a terminal, is left behind.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|error| Failure::bug(format!("cannot start a runtime: {error}")))?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    Ok(done)
}

/// The actors have a thread of their own; what is left is waiting and writing files.
const WORKERS: usize = 2;

/// How long calls inside may take once a command is done; the last spans have their own time.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
