//! The configuration as a whole; each part has its own tests beside it.

use std::time::Duration;

use super::*;

mod contradictions;
mod documents;
mod errors;
mod layers;
mod policies;
mod routes;

fn read(text: &str) -> Config {
    Config::from_toml(text, "spillgate.toml").unwrap()
}

fn with(config: Config, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    config.with_variables(variables.iter().map(|(name, value)| (name.into(), value.into())))
}

fn host(name: &str) -> HostName {
    HostName::new("https", name, 443)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
