//! `spillgate serve`: the sidecar as a process.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use spillgate_core::cache::rules::SetCookie;
use url::Url;

use crate::cache::Cache;
use crate::cache::key::Identity;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::setup::block_on;
use crate::cli::signals::Signals;
use crate::client::Client;
use crate::config::Config;
use crate::config::serving::{ListenerSettings, ServingPreset};
use crate::config::settings::CacheKind;
use crate::sidecar::bounds::Bounds;
use crate::sidecar::manner::Repeats;
use crate::sidecar::{ListenerOptions, Sidecar};

/// What `serve` is told.
#[derive(clap::Args)]
pub(crate) struct ServeArgs {
    /// Configuration file (TOML) with a `[[listener]]` for each upstream
    #[arg(short, long, value_name = "FILE", env = "SPILLGATE_CONFIG")]
    config: Option<PathBuf>,
    /// Address to listen on for --upstream; port 0 takes a free one
    #[arg(long, value_name = "ADDR", env = "SPILLGATE_LISTEN", default_value = "127.0.0.1:0")]
    listen: String,
    /// Where requests go, beside the listeners of the file
    #[arg(long, value_name = "URL", env = "SPILLGATE_UPSTREAM")]
    upstream: Option<Url>,
    /// How daring it is where the file does not say
    #[arg(long, value_enum, env = "SPILLGATE_PRESET", default_value_t = Preset::Cautious)]
    preset: Preset,
    /// How long requests may take to end once it is told to
    #[arg(long, value_name = "TIME", env = "SPILLGATE_GRACE", default_value = "30s",
        value_parser = humantime::parse_duration)]
    grace: Duration,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Preset {
    Cautious,
    Conformance,
    Private,
}

/// Runs `serve`.
pub(crate) fn run(args: &ServeArgs) -> ExitCode {
    let exit = block_on(serve(args)).and_then(|exit| exit);
    exit.unwrap_or_else(|failure| failure.tell()).code()
}

async fn serve(args: &ServeArgs) -> Result<Exit, Failure> {
    let mut signals = Signals::catch()?;
    let config = args.config.as_ref().map_or_else(|| Ok(Config::default()), Config::load)?;
    let config = config.with_environment()?;
    let listeners = listeners(args, &config);
    if listeners.is_empty() {
        let failure = Failure::usage("there is nothing to serve");
        return Err(failure.hint("name an --upstream, or a file with a [[listener]]"));
    }
    let admin = config.admin;
    let mut running = Vec::new();
    let mut stdout = io::stdout();
    // Each preset is a client and a cache of its own: what one may store, another may not use.
    for preset in [ServingPreset::Cautious, ServingPreset::Conformance, ServingPreset::Private] {
        let own: Vec<_> = listeners.iter().filter(|(own, _, _)| *own == preset).collect();
        if own.is_empty() {
            continue;
        }
        let (client, cache) = parts(preset, &config)?;
        let options = own.iter().map(|(_, _, options)| options.clone()).collect();
        let started = Sidecar::start(client.clone(), cache, options).await;
        let sidecar = started.map_err(|error| Failure::usage(error.to_string()))?;
        for ((_, name, options), address) in own.iter().zip(sidecar.addrs()) {
            let scheme = if options.tls.is_some() { "https" } else { "http" };
            let _ = writeln!(stdout, "{name}={scheme}://{address}");
        }
        running.push((sidecar, client));
    }
    if let (Some(bind), Some((first, _))) = (admin, running.first()) {
        let told = first.administer(bind).await;
        let address = told.map_err(|error| Failure::usage(error.to_string()))?;
        let _ = writeln!(stdout, "admin=http://{address}");
    }
    let _ = stdout.flush();
    signals.next().await;
    tokio::select! {
        biased;
        () = signals.next() => Ok(Exit::Interrupted),
        () = end(running, args.grace) => Ok(Exit::Fine),
    }
}

/// Lets what was begun come to its end, for a while.
async fn end(running: Vec<(Sidecar, Client)>, grace: Duration) {
    let ending = running.into_iter().map(|(sidecar, client)| async move {
        let _ = tokio::time::timeout(grace, sidecar.drain()).await;
        client.shutdown(Duration::ZERO).await;
    });
    futures_util::future::join_all(ending).await;
}

type Named = (ServingPreset, String, ListenerOptions);

fn listeners(args: &ServeArgs, config: &Config) -> Vec<Named> {
    let (of_flags, bounds) = (args.preset.into(), Bounds::default());
    let of_file = config.listeners.iter().map(|settings: &ListenerSettings| {
        let (bind, upstream) = (settings.bind.to_string(), settings.upstream.clone());
        let tls = settings.tls.clone();
        // A file says itself what is sent again.
        let options = ListenerOptions { bind, upstream, repeats: Repeats::ByPolicy, tls, bounds };
        (settings.preset.unwrap_or(of_flags), name_of(&settings.upstream), options)
    });
    let of_flag = args.upstream.iter().map(|upstream| {
        let (bind, repeats) = (args.listen.clone(), Repeats::NeverSent);
        let options =
            ListenerOptions { bind, upstream: upstream.clone(), repeats, tls: None, bounds };
        (of_flags, name_of(upstream), options)
    });
    of_flag.chain(of_file).collect()
}

/// An upstream's name and port, without what may be secret.
fn name_of(upstream: &Url) -> String {
    let host = upstream.host_str().unwrap_or_default();
    upstream.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn parts(preset: ServingPreset, config: &Config) -> Result<(Client, Arc<Cache>), Failure> {
    let client =
        Client::builder().config(of_preset(preset, config.clone())).passing_on().build()?;
    let cache = client.cache().shared();
    Ok((client, cache))
}

/// The configuration as a preset has it.
fn of_preset(preset: ServingPreset, mut config: Config) -> Config {
    let cache = &mut config.cache;
    match preset {
        ServingPreset::Cautious => {
            if cache.identity == Identity::ByCredentials {
                cache.identity = Identity::UnlessShared;
            }
            return config;
        }
        ServingPreset::Conformance => {
            cache.targeted = vec![HeaderName::from_static("cdn-cache-control")];
        }
        ServingPreset::Private => cache.mode = CacheKind::Private,
    }
    cache.identity = Identity::Shared;
    cache.set_cookie = SetCookie::Store;
    cache.negative = Duration::ZERO;
    if let Some(path) = &mut cache.path {
        // Each preset is a cache of its own, and a file has one owner.
        let mut name = path.clone().into_os_string();
        name.push(format!("-{}", preset.name()));
        *path = name.into();
    }
    unguarded(&mut config);
    config
}

/// Nothing that a suite of tests could mistake for the cache's doing.
fn unguarded(config: &mut Config) {
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
