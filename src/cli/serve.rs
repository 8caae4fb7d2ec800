//! `spillgate serve`: the sidecar as a process.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use url::Url;

use crate::builder::ClientBuilder;
use crate::cache::memory::MemoryStore;
use crate::cache::{Cache, CacheOptions};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::setup::block_on;
use crate::cli::signals::Signals;
use crate::client::Client;
use crate::sidecar::manner::Repeats;
use crate::sidecar::{ListenerOptions, Sidecar};

/// What `serve` is told.
#[derive(clap::Args)]
pub(crate) struct ServeArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", env = "SPILLGATE_LISTEN", default_value = "127.0.0.1:0")]
    listen: String,
    /// Where requests go
    #[arg(long, value_name = "URL", env = "SPILLGATE_UPSTREAM")]
    upstream: Url,
    /// How daring it is
    #[arg(long, value_enum, env = "SPILLGATE_PRESET", default_value_t = Preset::Cautious)]
    preset: Preset,
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
    let (builder, options) = preset(args.preset);
    let client = builder.passing_on().build()?;
    let cache = Cache::new(options, Arc::new(MemoryStore::new(64 << 20)), [7; 32]);
    let listeners = vec![ListenerOptions {
        bind: args.listen.clone(),
        upstream: args.upstream.clone(),
        repeats: Repeats::NeverSent,
    }];
    let sidecar = Sidecar::start(client.clone(), Arc::new(cache), listeners)
        .await
        .map_err(|error| Failure::usage(error.to_string()))?;
    let mut stdout = io::stdout();
    for address in sidecar.addrs() {
        let _ = writeln!(stdout, "listening on http://{address}");
    }
    let _ = stdout.flush();
    signals.next().await;
    sidecar.drain().await;
    Ok(Exit::Fine)
}

fn preset(preset: Preset) -> (ClientBuilder, CacheOptions) {
    use crate::cache::key::Identity;
    use spillgate_core::cache::rules::{Mode, SetCookie};
    let mut options = CacheOptions::default();
    let builder = match preset {
        Preset::Cautious => {
            options.identity = Identity::UnlessShared;
            Client::builder()
        }
        Preset::Conformance | Preset::Private => {
            options.identity = Identity::Shared;
            options.rules.set_cookie = SetCookie::Store;
            options.rules.targeted = vec!["cdn-cache-control".into()];
            if matches!(preset, Preset::Private) {
                options.rules.mode = Mode::Private;
                options.rules.targeted = vec![];
            }
            Client::builder().defaults(|config| {
                config.limits.global = 256;
                config.defaults.concurrency = 256;
                config.defaults.limit.floor = 1;
                config.defaults.retry.attempts_max = 1;
                config.defaults.breaker = crate::Breaker::off();
            })
        }
    };
    (builder, options)
}
