//! `spillgate simulate`: the policy laboratory.

mod world_file;

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::Config;
use crate::cli::exit::Exit;
use crate::simulate::bars::Kind;
use crate::simulate::compare::{World, compare, worlds};
use crate::simulate::lab::scenarios;
use crate::simulate::report::Report;
use crate::simulate::scenario::{Detail, Lab};

/// What `simulate` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct SimulateArgs {
    /// A scenario by its name, a file that describes a world, `all`, or `list`.
    #[arg(default_value = "all", env = "SPILLGATE_SIMULATE_SCENARIO")]
    scenario: String,
    /// Over how many seeds each scenario runs.
    #[arg(long, value_name = "N", default_value_t = 10, env = "SPILLGATE_SIMULATE_SEEDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seeds: u64,
    /// Writes the rows as CSV and the plots as SVG into this directory.
    #[arg(long, value_name = "DIR", env = "SPILLGATE_SIMULATE_OUT")]
    out: Option<PathBuf>,
    /// Compares this configuration with the standard one, in the same worlds.
    #[arg(long, value_name = "FILE", env = "SPILLGATE_SIMULATE_POLICY")]
    policy: Option<PathBuf>,
}

/// Why nothing was simulated.
#[derive(Debug)]
struct Refusal {
    exit: Exit,
    text: String,
}

/// Runs `simulate`.
pub(crate) fn run(args: &SimulateArgs) -> ExitCode {
    match simulate(args) {
        Ok(exit) => exit.code(),
        Err(refusal) => {
            // There is nobody left to tell when stderr is closed.
            let _ = writeln!(io::stderr(), "error: {refusal}");
            refusal.exit.code()
        }
    }
}

fn simulate(args: &SimulateArgs) -> Result<Exit, Refusal> {
    if args.scenario == "list" {
        return Ok(list().map(|()| Exit::Fine)?);
    }
    let known = scenarios().any(|(name, _)| name == args.scenario);
    if !known && args.scenario != "all" {
        let world = world_file::read(Path::new(&args.scenario))?;
        return side_by_side(args, &[world]);
    }
    if args.policy.is_some() {
        return side_by_side(args, &worlds());
    }
    let chosen = known.then_some(args.scenario.as_str());
    let detail = if args.out.is_some() { Detail::Plots } else { Detail::Rows };
    let report = Lab { detail, ..Lab::default() }.run(chosen, args.seeds);
    report.write_table(&mut io::stdout().lock())?;
    if let Some(directory) = &args.out {
        write_files(&report, directory)?;
    }
    Ok(complain(&report)?)
}

/// Compares the standard configuration with the one that was given, if there is one.
fn side_by_side(args: &SimulateArgs, worlds: &[World]) -> Result<Exit, Refusal> {
    let mut policies = vec![(String::from("standard"), Lab::default())];
    if let Some(path) = &args.policy {
        let config = Config::load(path)
            .map_err(|error| Refusal { exit: Exit::Config, text: error.to_string() })?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let lab =
            Lab { policy: config.defaults.clone(), limits: config.limits, detail: Detail::Rows };
        policies.push((name.into_owned(), lab));
    }
    let comparison = compare(&policies, worlds, args.seeds);
    comparison.write_table(&mut io::stdout().lock())?;
    if let Some(directory) = &args.out {
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("compare.csv"), comparison.csv())?;
    }
    Ok(Exit::Fine)
}

fn list() -> io::Result<()> {
    let mut to = io::stdout().lock();
    let mut shown = "";
    for (name, about) in scenarios() {
        let name = if name == shown { "" } else { name };
        writeln!(to, "{name:<5} {about}")?;
        shown = name;
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

impl Refusal {
    fn usage(text: String) -> Self {
        Self { exit: Exit::Usage, text }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::usage(error.to_string())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
