//! The `spillgate` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    spillgate::cli::main()
}
