//! `spillgate demo`.

use std::process::ExitCode;

use crate::cli::exit::Exit;

/// What `demo` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {}

/// Runs `demo`.
pub(crate) fn run(_args: DemoArgs) -> ExitCode {
    Exit::Fine.code()
}
