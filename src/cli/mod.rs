//! The command line: stdout is data, stderr is talk.

mod cached;
mod chaos;
mod check_config;
mod demo;
mod drill;
mod end;
mod exit;
mod explained;
mod failure;
mod fetch;
mod manual;
mod paper;
mod request;
mod serve;
mod setup;
mod shown;
mod signals;
mod simulate;
mod told;
mod trace;
mod values;
mod written;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// The resilience runtime for outbound HTTP
#[derive(Parser)]
#[command(name = "spillgate", version, about, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the whole thing at work on this machine: failing upstreams, a service, live numbers
    #[command(after_help = "Example:\n  spillgate demo --seconds 10 --json")]
    Demo(demo::DemoArgs),
    /// Fetches URLs and prints one JSON object for each
    Fetch(Box<fetch::args::FetchArgs>),
    /// Calls one URL and prints every phase and decision
    Trace(Box<trace::TraceArgs>),
    /// Runs the sidecar: everything this library does, as a proxy
    #[command(after_help = "Example:\n  spillgate serve --upstream https://api.example.com")]
    Serve(serve::ServeArgs),
    /// Runs an upstream that fails on request, to try any client against
    Drill(drill::DrillArgs),
    /// Tries policies in modelled worlds, in virtual time
    #[command(after_help = "Example:\n  spillgate simulate all --seeds 10 --out report")]
    Simulate(simulate::SimulateArgs),
    /// Checks a configuration, and says what it means for a URL
    CheckConfig(check_config::CheckArgs),
    /// Helps to write a configuration
    Config(check_config::ConfigArgs),
    /// Prints completions for a shell
    Completions(manual::CompletionsArgs),
    /// Prints a manual page
    Man(manual::ManArgs),
}

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Demo(args) => demo::run(args),
        Command::Fetch(args) => fetch::run(*args),
        Command::Trace(args) => trace::run(*args),
        Command::Drill(args) => drill::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::CheckConfig(args) => check_config::check(&args),
        Command::Config(args) => check_config::config(&args),
        Command::Completions(args) => manual::completions(&args, Cli::command()),
        Command::Man(args) => manual::man(&args, Cli::command()),
    }
}

const EXAMPLES: &str = "\
Example:
  spillgate demo
  spillgate fetch -i urls.txt --out-dir files";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_a_twin_in_the_environment_that_no_setting_has() {
        let mut command = Cli::command();
        command.build();
        let mut seen = 0;
        for subcommand in command.get_subcommands().filter(|c| c.get_name() != "help") {
            let flags = subcommand.get_arguments().filter(|arg| arg.get_long().is_some());
            for flag in flags.filter(|flag| !matches!(flag.get_id().as_str(), "help" | "version")) {
                let place = format!("{} --{}", subcommand.get_name(), flag.get_id());
                let twin = flag.get_env().unwrap_or_else(|| panic!("{place} has none"));
                let twin = twin.to_str().unwrap();
                assert!(twin.starts_with("SPILLGATE_"), "{place}: {twin}");
                assert!(!twin.contains("__"), "{place}: {twin} would be a setting");
                seen += 1;
            }
        }
        assert!(seen > 20, "{seen}");
    }

    #[test]
    fn every_command_has_an_example_and_holds_together() {
        Cli::command().debug_assert();
        for subcommand in Cli::command().get_subcommands() {
            let help = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
            let line = format!("spillgate {}", subcommand.get_name());
            assert!(help.contains(&line), "{}: {help}", subcommand.get_name());
        }
    }
}
