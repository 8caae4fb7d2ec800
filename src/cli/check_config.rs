//! `spillgate check-config` and `spillgate config`: what a configuration says, before it is used.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use http::Method;
use spillgate_actors::core::breaker::options::BreakerKind;
use spillgate_actors::core::limit::LimitKind;
use spillgate_actors::core::policy::HostPolicy;
use url::Url;

use crate::cli::chaos;
use crate::cli::failure::Failure;
use crate::cli::paper::print;
use crate::cli::values::method;
use crate::config::Config;
use crate::config::pattern::HostName;

/// What `check-config` is told.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  spillgate check-config spillgate.toml --explain https://api.example.com/"
)]
pub(crate) struct CheckArgs {
    /// Configuration file (TOML); without one the environment alone is checked
    #[arg(value_name = "FILE", env = "SPILLGATE_CONFIG")]
    file: Option<PathBuf>,
    /// Print the policy that a call of this URL has
    #[arg(long, value_name = "URL", env = "SPILLGATE_EXPLAIN_URL")]
    explain: Option<String>,
    /// Method of that call
    #[arg(short = 'X', long, value_name = "METHOD", env = "SPILLGATE_METHOD",
        default_value = "GET", value_parser = method)]
    method: Method,
}

/// What `config` is told.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  spillgate config init > spillgate.toml")]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(clap::Subcommand)]
enum ConfigCommand {
    /// Prints a commented file with every setting at its default
    Init,
}

/// Runs `check-config`.
pub(crate) fn check(args: &CheckArgs) -> ExitCode {
    let text = checked(args);
    text.map_or_else(|failure| failure.tell(), |text| print(text.as_bytes())).code()
}

/// Runs `config`.
pub(crate) fn config(args: &ConfigArgs) -> ExitCode {
    match args.command {
        ConfigCommand::Init => print(Config::sample().as_bytes()).code(),
    }
}

fn checked(args: &CheckArgs) -> Result<String, Failure> {
    let file = args.file.as_ref().map_or_else(|| Ok(Config::default()), Config::load)?;
    let config = file.with_environment()?;
    chaos::warn_if_inert(&config);
    let Some(text) = &args.explain else {
        let name = args.file.as_ref().map_or_else(
            || "built-in defaults and environment".to_owned(),
            |path| path.display().to_string(),
        );
        return Ok(format!("{name}: fine\n"));
    };
    let parsed = Url::parse(text).ok();
    let host = parsed.as_ref().and_then(HostName::of);
    let (Some(url), Some(host)) = (parsed, host) else {
        return Err(Failure::usage("--explain: the URL is malformed")
            .hint("expected http://host/path or https://"));
    };
    Ok(explained(&config, &args.method, &url, &host))
}

fn explained(config: &Config, method: &Method, url: &Url, host: &HostName) -> String {
    let path = url.path();
    let policy = config.policy(host, method, path, None);
    let route = config.matching_route(host, method, path, None).unwrap_or("none");
    let repeats = config.is_repeatable(host, method, path, None);
    let HostPolicy { deadline, timeouts, retry, breaker, concurrency, limit, .. } = &policy;
    let time = |duration| humantime::format_duration(duration).to_string();
    let streak = format!("after {} failures in a row", breaker.failure_threshold);
    let share = format!(
        "at {} % failures of at least {} calls in {}",
        breaker.failure_rate * 100.0,
        breaker.min_calls,
        breaker.window_calls.map_or_else(|| time(breaker.window), |calls| format!("{calls} calls"))
    );
    let kind = match breaker.kind {
        BreakerKind::Consecutive => streak,
        BreakerKind::Rate => share,
        BreakerKind::Hybrid => format!("{streak}, or {share}"),
        BreakerKind::Off => "never".to_owned(),
    };
    let retried = if repeats { "unasked" } else { "only with an idempotency key or by permission" };
    let backoff = &retry.backoff;
    let mut text = String::new();
    for (name, value) in [
        ("host", host.to_string()),
        ("route", route.to_owned()),
        ("deadline", time(*deadline)),
        ("timeouts.connect", time(timeouts.connect)),
        ("timeouts.attempt", time(timeouts.attempt)),
        ("timeouts.read_idle", time(timeouts.read_idle)),
        ("retry.max_attempts", retry.attempts_max.to_string()),
        (
            "retry.backoff",
            format!("{} times {}, to {}", time(backoff.base), backoff.factor, time(backoff.cap)),
        ),
        (
            "retry.budget",
            format!(
                "{} a success, {} at first, {} at most",
                retry.budget.ratio, retry.budget.initial, retry.budget.cap
            ),
        ),
        ("retried", retried.to_owned()),
        ("breaker.opens", kind),
        ("breaker.reset_timeout", time(breaker.reset_timeout)),
        ("limits.per_host", concurrency.to_string()),
        ("limits.adaptive", (limit.kind != LimitKind::Fixed).to_string()),
        ("limits.global", config.limits.global.to_string()),
    ] {
        let _ = writeln!(text, "{name:<22} {value}");
    }
    text
}
