//! `spillgate check-config` and `spillgate config`: what a configuration says, before it is used.

use std::path::PathBuf;
use std::process::ExitCode;

use http::Method;
use url::Url;

use crate::cli::chaos;
use crate::cli::explained::explained;
use crate::cli::failure::Failure;
use crate::cli::paper::print;
use crate::cli::shown::shown;
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
    /// Prints the settings that are in effect, as a file that would say the same
    Show(ShowArgs),
}

/// What `config show` is told.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  spillgate config show spillgate.toml --origin")]
struct ShowArgs {
    /// Configuration file (TOML); without one, the defaults and the environment
    #[arg(value_name = "FILE", env = "SPILLGATE_CONFIG")]
    file: Option<PathBuf>,
    /// Print beside each setting who says it: a line, a variable, or nobody
    #[arg(long, env = "SPILLGATE_ORIGIN", value_parser = clap::builder::FalseyValueParser::new())]
    origin: bool,
}

/// Runs `check-config`.
pub(crate) fn check(args: &CheckArgs) -> ExitCode {
    let text = checked(args);
    text.map_or_else(|failure| failure.tell(), |text| print(text.as_bytes())).code()
}

/// Runs `config`.
pub(crate) fn config(args: &ConfigArgs) -> ExitCode {
    let text = match &args.command {
        ConfigCommand::Init => Ok(Config::sample().to_owned()),
        ConfigCommand::Show(args) => read(args.file.as_ref()).map(|c| shown(&c, args.origin)),
    };
    text.map_or_else(|failure| failure.tell(), |text| print(text.as_bytes())).code()
}

fn read(file: Option<&PathBuf>) -> Result<Config, Failure> {
    let config = file.map_or_else(|| Ok(Config::default()), Config::load)?;
    Ok(config.with_environment()?)
}

fn checked(args: &CheckArgs) -> Result<String, Failure> {
    let config = read(args.file.as_ref())?;
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
