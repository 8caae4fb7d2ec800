//! The flags of the admin listener, laid over the file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::config::Config;
use crate::config::administering::AdminSettings;
use crate::sidecar::admin::AdminOptions;

/// Where it tells how it is, and to whom.
#[derive(clap::Args)]
#[command(next_help_heading = "Admin")]
pub(super) struct AdminArgs {
    /// Address to tell how it is at: /healthz, /readyz, /metrics, /hosts, /cache, /reload and more
    #[arg(long, value_name = "ADDR", env = "SPILLGATE_ADMIN")]
    admin: Option<SocketAddr>,
    /// File with the token that --admin-expose needs; whoever shows it may do everything
    #[arg(long, value_name = "FILE", env = "SPILLGATE_ADMIN_TOKEN_FILE")]
    admin_token_file: Option<PathBuf>,
    /// Let others than this machine reach it, if they show the token
    #[arg(long, env = "SPILLGATE_ADMIN_EXPOSE",
        value_parser = clap::builder::FalseyValueParser::new())]
    admin_expose: bool,
}

impl AdminArgs {
    /// What flags and file say together; none if neither names an address.
    pub(super) fn options(&self, config: &Config) -> Result<Option<AdminOptions>, Failure> {
        let of_file = config.admin.clone();
        let settings = match (self.admin, of_file) {
            (None, None) => return Ok(None),
            (None, Some(settings)) => settings,
            (Some(bind), None) => AdminSettings::at(bind),
            (Some(bind), Some(settings)) => AdminSettings { bind, ..settings },
        };
        let AdminSettings { bind, expose, token_file, hosts } = settings;
        let file = self.admin_token_file.as_ref().or(token_file.as_ref());
        let token = file.map(|file| token_of(file)).transpose()?;
        Ok(Some(AdminOptions { bind, exposed: expose || self.admin_expose, token, hosts }))
    }
}

fn token_of(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file).map_err(|cause| {
        Failure::usage(format!("cannot read the token in {}: {cause}", file.display()))
    })?;
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        let failure = Failure::usage(format!("there is no token in {}", file.display()));
        return Err(failure.hint("one word, such as what `openssl rand -hex 32` prints"));
    }
    Ok(token.to_owned())
}
