//! `spillgate completions` and `spillgate man`: what packagers install beside the binary.

use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

use crate::cli::failure::Failure;
use crate::cli::paper::print;

/// What `completions` is told.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  spillgate completions bash > /etc/bash_completion.d/spillgate")]
pub(crate) struct CompletionsArgs {
    /// Shell to complete for
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// What `man` is told.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  spillgate man fetch > spillgate-fetch.1")]
pub(crate) struct ManArgs {
    /// Command whose page to print [default: the page of spillgate itself]
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

/// Prints a shell's completions for `command`.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, NAME, &mut script);
    print(&script).code()
}

/// Prints a manual page of `command`, or of one of its own commands.
pub(crate) fn man(args: &ManArgs, mut command: Command) -> ExitCode {
    command.build();
    let page = match args.command.as_deref() {
        None => Ok(command),
        Some(name) => subcommand(&command, name),
    };
    let mut text = Vec::new();
    let rendered = page.and_then(|page| {
        let page = page.disable_help_subcommand(true);
        clap_mangen::Man::new(page)
            .render(&mut text)
            .map_err(|error| Failure::bug(format!("the page cannot be made: {error}")))
    });
    match rendered {
        Ok(()) => print(&text).code(),
        Err(failure) => failure.tell().code(),
    }
}

fn subcommand(command: &Command, name: &str) -> Result<Command, Failure> {
    let found = command.find_subcommand(name).cloned();
    found.ok_or_else(|| {
        let known = command.get_subcommands().map(Command::get_name).collect::<Vec<_>>().join(", ");
        Failure::usage(format!("there is no command `{name}`")).hint(format!("one of {known}"))
    })
}

const NAME: &str = "spillgate";
