//! `spillgate serve`: the sidecar as a process.

mod administering;
mod descriptors;
mod presets;
mod running;
mod watch;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use self::administering::AdminArgs;
use self::presets::Preset;
use self::running::{Running, files_of};
use self::watch::Watch;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::setup::block_on;
use crate::cli::signals::{Hangups, Signals};
use crate::config::Config;
use crate::config::pattern::HostPattern;
use crate::config::serving::{ListenerRole, ListenerSettings, ServingPreset};
use crate::sidecar::admin::{Order, Orders};
use crate::sidecar::manner::Repeats;
use crate::sidecar::{DrainOptions, ListenerOptions, Sidecar};

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
    /// Be a forward proxy for the hosts of --allow instead
    #[arg(long, env = "SPILLGATE_FORWARD", requires = "allow", conflicts_with = "upstream",
        value_parser = clap::builder::FalseyValueParser::new())]
    forward: bool,
    /// Hosts that --forward may reach, such as `*.example.com` or `localhost:8080`; can be repeated
    #[arg(long, value_name = "HOST", env = "SPILLGATE_ALLOW", value_delimiter = ',',
        requires = "forward", value_parser = HostPattern::parse)]
    allow: Vec<HostPattern>,
    /// How daring it is where the file does not say
    #[arg(long, value_enum, env = "SPILLGATE_PRESET", default_value_t = Preset::Cautious)]
    preset: Preset,
    /// How long requests may take to end once it is told to
    #[arg(long, value_name = "TIME", env = "SPILLGATE_GRACE", default_value = "30s",
        value_parser = humantime::parse_duration)]
    grace: Duration,
    /// How long it goes on accepting then, while /readyz already says no
    #[arg(long, value_name = "TIME", env = "SPILLGATE_LAME_DUCK", default_value = "0s",
        value_parser = humantime::parse_duration)]
    lame_duck: Duration,
    /// How often to look whether the file or a certificate has changed; 0s never does
    #[arg(long, value_name = "TIME", env = "SPILLGATE_WATCH", default_value = "1s",
        value_parser = humantime::parse_duration)]
    watch: Duration,
    #[command(flatten)]
    admin: AdminArgs,
}

impl ServeArgs {
    /// The configuration: built-in, file, environment.
    fn config(&self) -> Result<Config, Failure> {
        let config = self.config.as_ref().map_or_else(|| Ok(Config::default()), Config::load)?;
        Ok(config.with_environment()?)
    }

    /// What the flags alone say is to be served.
    fn role(&self) -> Option<ListenerRole> {
        if self.forward {
            return Some(ListenerRole::Forward(self.allow.clone()));
        }
        self.upstream.clone().map(ListenerRole::Reverse)
    }

    fn file(&self) -> Option<&PathBuf> {
        self.config.as_ref()
    }
}

/// Runs `serve`.
pub(crate) fn run(args: &ServeArgs) -> ExitCode {
    let exit = block_on(serve(args)).and_then(|exit| exit);
    exit.unwrap_or_else(|failure| failure.tell()).code()
}

async fn serve(args: &ServeArgs) -> Result<Exit, Failure> {
    let (mut signals, hangups) = (Signals::catch()?, Hangups::catch()?);
    let mut watch = Watch::new(args.watch);
    watch.files(args.file().cloned().into_iter().collect());
    let config = args.config()?;
    let listeners = listeners(args, &config);
    watch.files(files_of(args, &listeners));
    if listeners.is_empty() {
        let failure = Failure::usage("there is nothing to serve");
        return Err(failure.hint(
            "name an --upstream, hosts to --allow with --forward, or a file with a [[listener]]",
        ));
    }
    let admin = args.admin.options(&config)?;
    descriptors::raise();
    let mut running = Running::start(&config, &listeners).await?;
    let admin = match admin {
        None => None,
        Some(options) => Some(running.sidecar.administer_with(options).await),
    };
    let admin = admin.transpose().map_err(|error| Failure::usage(error.to_string()))?;
    let orders = running.sidecar.take_orders();
    announce(&running.sidecar, &listeners, admin);
    until_told(args, (&mut running, orders), (&mut signals, hangups), watch).await;
    let options = DrainOptions { lame_duck: args.lame_duck, grace: args.grace };
    tokio::select! {
        biased;
        () = signals.next() => Ok(Exit::Interrupted),
        cut = running.end(options) => {
            if cut > 0 {
                let grace = humantime::format_duration(args.grace);
                say(&format!("warning: {cut} requests were cut off after {grace} of grace"));
            }
            Ok(Exit::Fine)
        }
    }
}

/// Does what it is told until it is told to end.
async fn until_told(
    args: &ServeArgs,
    (running, mut orders): (&mut Running, Orders),
    (signals, mut hangups): (&mut Signals, Hangups),
    mut watch: Watch,
) {
    loop {
        let reply = tokio::select! {
            biased;
            // First: a signal that follows an order to drain is the second word, and ends it at once.
            order = next_order(&mut orders) => match order {
                Order::Drain => return,
                Order::Reload(reply) => Some(reply),
            },
            () = signals.next() => return,
            () = hangups.next() => None,
            () = watch.changed() => None,
        };
        watch.refresh();
        let done = running.reload(args).await;
        match &done {
            Ok(changes) => say(&format!("reloaded: {changes}")),
            Err(why) => say(&format!("error: nothing has changed: {why}")),
        }
        if done.is_ok()
            && let Ok(config) = args.config()
        {
            watch.files(files_of(args, &listeners(args, &config)));
        }
        if let Some(reply) = reply {
            // Whoever asked may have left.
            let _: Result<(), Result<Value, String>> = reply.send(done);
        }
    }
}

async fn next_order(orders: &mut Orders) -> Order {
    match orders.next().await {
        Some(order) => order,
        None => std::future::pending().await,
    }
}

type Named = (ServingPreset, String, ListenerOptions);

fn listeners(args: &ServeArgs, config: &Config) -> Vec<Named> {
    let of_flags = args.preset.into();
    let of_file = config.listeners.iter().map(|settings: &ListenerSettings| {
        let (role, tls) = (settings.role.clone(), settings.tls.clone());
        let name = name_of(&role);
        let options = ListenerOptions {
            bind: settings.bind.to_string(),
            // A file says itself what is sent again.
            repeats: Repeats::ByPolicy,
            tls,
            tunnels: settings.tunnels,
            ..ListenerOptions::of(role)
        };
        (settings.preset.unwrap_or(of_flags), name, options)
    });
    let of_flag = args.role().map(|role| {
        let (bind, name) = (args.listen.clone(), name_of(&role));
        (of_flags, name, ListenerOptions { bind, ..ListenerOptions::of(role) })
    });
    of_flag.into_iter().chain(of_file).collect()
}

/// Says where it listens, a line for each.
fn announce(sidecar: &Sidecar, listeners: &[Named], admin: Option<SocketAddr>) {
    let mut out = io::stdout().lock();
    for ((_, name, options), address) in listeners.iter().zip(sidecar.addrs()) {
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        // Whoever closed stdout does not want to know.
        let _ = writeln!(out, "{name}={scheme}://{address}");
    }
    if let Some(address) = admin {
        let _ = writeln!(out, "admin=http://{address}");
    }
    let _ = out.flush();
}

/// An upstream's name and port, without what may be secret, or what the listener is.
fn name_of(role: &ListenerRole) -> String {
    let ListenerRole::Reverse(upstream) = role else { return "forward".to_owned() };
    let host = upstream.host_str().unwrap_or_default();
    upstream.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn say(text: &str) {
    // Whoever closed stderr does not want to know.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
