//! `spillgate drill`.

use std::process::ExitCode;

use crate::cli::exit::Exit;

/// What `drill` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct DrillArgs {}

/// Runs `drill`.
pub(crate) fn run(_args: DrillArgs) -> ExitCode {
    Exit::Fine.code()
}
