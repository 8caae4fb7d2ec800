//! `spillgate simulate`: the policy laboratory.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::exit::Exit;
use crate::simulate::bars::Kind;
use crate::simulate::lab::{Lab, scenarios};
use crate::simulate::report::Report;

/// What `simulate` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct SimulateArgs {
    /// A scenario by its name, or `all`; `list` names them.
    #[arg(default_value = "all", env = "SPILLGATE_SIMULATE_SCENARIO")]
    scenario: String,
    /// Over how many seeds each scenario runs.
    #[arg(long, value_name = "N", default_value_t = 10, env = "SPILLGATE_SIMULATE_SEEDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seeds: u64,
    /// Writes the rows as CSV and the plots as SVG into this directory.
    #[arg(long, value_name = "DIR", env = "SPILLGATE_SIMULATE_OUT")]
    out: Option<PathBuf>,
}

/// Runs `simulate`.
pub(crate) fn run(args: &SimulateArgs) -> ExitCode {
    match simulate(args) {
        Ok(exit) => exit.code(),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            Exit::Usage.code()
        }
    }
}

fn simulate(args: &SimulateArgs) -> io::Result<Exit> {
    if args.scenario == "list" {
        return list().map(|()| Exit::Fine);
    }
    let chosen = (args.scenario != "all").then_some(args.scenario.as_str());
    if chosen.is_some_and(|name| scenarios().all(|(known, _)| known != name)) {
        let name = &args.scenario;
        return Err(io::Error::other(format!(
            "there is no scenario `{name}`\n  hint: `spillgate simulate list` names them"
        )));
    }
    let report = Lab::default().run(chosen, args.seeds);
    report.write_table(&mut io::stdout().lock())?;
    if let Some(directory) = &args.out {
        write_files(&report, directory)?;
    }
    complain(&report)
}

fn list() -> io::Result<()> {
    let mut to = io::stdout().lock();
    for (name, about) in scenarios() {
        writeln!(to, "{name:<5} {about}")?;
    }
    Ok(())
}

fn write_files(report: &Report, directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    std::fs::write(directory.join("simulate.csv"), report.csv())?;
    for (name, svg) in report.plots() {
        std::fs::write(directory.join(name), svg)?;
    }
    Ok(())
}

/// Names the rows that fail.
fn complain(report: &Report) -> io::Result<Exit> {
    let mut to = io::stderr().lock();
    for row in report.failures() {
        let (bar, mean) = (row.bar, row.mean);
        let what = match bar.kind {
            Kind::Validation => "VALIDATION FAILED, the worlds are not the published ones",
            Kind::Bar => "bar missed",
        };
        writeln!(to, "{what}: {} {} is {mean:.6}, must be {}", bar.id, bar.metric, bar.bound)?;
    }
    Ok(if report.passes() { Exit::Fine } else { Exit::Bug })
}
