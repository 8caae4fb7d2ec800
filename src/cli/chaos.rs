//! The flag that turns chaos on, and the line that says so.

use std::io::Write as _;

use crate::chaos::Chaos;
use crate::chaos::spec::ChaosSpecError;
use crate::cli::failure::Failure;
use crate::config::Config;

/// What `--chaos` asks for.
#[derive(Debug, Clone)]
pub(crate) enum Wish {
    /// The `[[chaos]]` sections of the configuration.
    OfConfig,
    /// What the flag itself says.
    Line(Chaos),
}

/// Reads chaos in one line, or the word `config`.
pub(crate) fn wish(text: &str) -> Result<Wish, String> {
    if text.trim() == "config" {
        return Ok(Wish::OfConfig);
    }
    line(text).map(Wish::Line)
}

/// Reads chaos in one line.
pub(crate) fn line(text: &str) -> Result<Chaos, String> {
    text.parse().map_err(|error: ChaosSpecError| match error.hint() {
        Some(hint) => format!("{error}\nhint: {hint}"),
        None => format!("{error}\nhint: such as --chaos {EXAMPLE}"),
    })
}

/// The chaos that was wished for.
pub(crate) fn granted(wish: &Wish, config: &Config) -> Result<Chaos, Failure> {
    match wish {
        Wish::Line(chaos) => Ok(chaos.clone()),
        Wish::OfConfig if config.chaos.is_empty() => {
            let problem = "--chaos config: the configuration has no [[chaos]] section";
            Err(Failure::usage(problem).hint(format!("add one, or say it here: --chaos {EXAMPLE}")))
        }
        Wish::OfConfig => Ok(Chaos::of_config(config, 0)),
    }
}

/// Says loudly on stderr that faults are injected.
pub(crate) fn announce(chaos: &Chaos) {
    let _ = writeln!(std::io::stderr().lock(), "CHAOS IS ON, faults are injected: {chaos}");
}

/// Warns that faults of a configuration are not injected by themselves.
pub(crate) fn warn_if_inert(config: &Config) {
    let count = config.chaos.len();
    if count > 0 {
        let _ = writeln!(
            std::io::stderr().lock(),
            "warning: {count} of [[chaos]] injected only with `--chaos config` or, in code, \
             `chaos_from_config(true)`"
        );
    }
}

const EXAMPLE: &str = "latency=0.1:200ms-800ms,error=0.05:connection_refused,seed=7";
