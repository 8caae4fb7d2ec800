//! The command line: stdout is data, stderr is talk.

mod demo;
mod drill;
mod exit;
mod failure;
mod fetch;
mod request;
mod setup;
mod signals;
mod simulate;
mod values;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The resilience runtime for outbound HTTP.
#[derive(Parser)]
#[command(name = "spillgate", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the whole thing at work on this machine: failing upstreams, a service, live numbers.
    Demo(demo::DemoArgs),
    /// Fetches URLs and prints one JSON object for each.
    Fetch(Box<fetch::args::FetchArgs>),
    /// Runs an upstream that fails on request, to try any client against.
    Drill(drill::DrillArgs),
    /// Tries policies in modelled worlds, in virtual time.
    Simulate(simulate::SimulateArgs),
}

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Demo(args) => demo::run(args),
        Command::Fetch(args) => fetch::run(*args),
        Command::Drill(args) => drill::run(&args),
        Command::Simulate(args) => simulate::run(&args),
    }
}
