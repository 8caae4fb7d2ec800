//! `spillgate simulate`: the policy laboratory.

mod world_file;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use url::Url;

use crate::Config;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::paper::print;
use crate::config::pattern::HostName;
use crate::simulate::bars::Kind;
use crate::simulate::compare::{Candidate, World, compare, worlds};
use crate::simulate::lab::{Detail, Lab};
use crate::simulate::report::Report;
use crate::simulate::run;

/// What `simulate` is told.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  spillgate simulate all --out report\n  spillgate simulate --policy spillgate.toml --host api.example.com"
)]
pub(crate) struct SimulateArgs {
    /// A scenario by its name, a file that describes a world, `all`, or `list`
    #[arg(default_value = "all", env = "SPILLGATE_SIMULATE_SCENARIO")]
    scenario: String,
    /// Over how many seeds each scenario runs
    #[arg(long, value_name = "N", default_value_t = 10, env = "SPILLGATE_SIMULATE_SEEDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seeds: u64,
    /// Writes the rows as CSV and the plots as SVG into this directory
    #[arg(long, value_name = "DIR", env = "SPILLGATE_SIMULATE_OUT")]
    out: Option<PathBuf>,
    /// Compares this configuration with the standard one, in the same worlds
    #[arg(long, value_name = "FILE", env = "SPILLGATE_SIMULATE_POLICY")]
    policy: Option<PathBuf>,
    /// The host that the upstream is: its `[[host]]` section of the configuration applies
    #[arg(long, value_name = "HOST", env = "SPILLGATE_SIMULATE_HOST", requires = "policy")]
    host: Option<String>,
}

/// Runs `simulate`.
pub(crate) fn run(args: &SimulateArgs) -> ExitCode {
    simulate(args).unwrap_or_else(|failure| failure.tell()).code()
}

fn simulate(args: &SimulateArgs) -> Result<Exit, Failure> {
    if args.scenario == "list" {
        return Ok(print(list().as_bytes()));
    }
    let known = run::scenarios().any(|(name, _)| name == args.scenario);
    if !known && args.scenario != "all" {
        let world = world_file::read(Path::new(&args.scenario))?;
        return side_by_side(args, &[world]);
    }
    if args.policy.is_some() {
        return side_by_side(args, &worlds());
    }
    let chosen = known.then_some(args.scenario.as_str());
    let detail = if args.out.is_some() { Detail::Plots } else { Detail::Rows };
    let lab = Lab { detail, ..Lab::default() };
    let report = run::run(&lab, chosen, args.seeds);
    let printed = print(report.table().as_bytes());
    if let Some(directory) = &args.out {
        let csv = [(String::from("simulate.csv"), report.csv())];
        write_files(directory, csv.into_iter().chain(report.plots()))?;
    }
    Ok(printed.min(complain(&report)))
}

/// Compares the standard configuration with the one that was given, if there is one.
fn side_by_side(args: &SimulateArgs, worlds: &[World]) -> Result<Exit, Failure> {
    let host = args.host.as_ref();
    let named =
        |world: &World| World { host: host.unwrap_or(&world.host).clone(), ..world.clone() };
    let worlds: Vec<World> = worlds.iter().map(named).collect();
    let mut policies = vec![Candidate::new("standard", Lab::default())];
    if let Some(path) = &args.policy {
        policies.push(candidate(path, &worlds)?);
    }
    let comparison = compare(&policies, &worlds, args.seeds);
    if let Some(directory) = &args.out {
        write_files(directory, [(String::from("compare.csv"), comparison.csv())])?;
    }
    Ok(print(comparison.table().as_bytes()))
}

/// What a file says of the hosts of these worlds.
fn candidate(path: &Path, worlds: &[World]) -> Result<Candidate, Failure> {
    let config = Config::load(path)?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let lab = Lab { policy: config.defaults.clone(), limits: config.limits, detail: Detail::Rows };
    let mut candidate = Candidate::new(name, lab);
    let hosts: BTreeSet<&str> = worlds.iter().map(|world| world.host.as_str()).collect();
    for written in hosts {
        let url = Url::parse(&format!("https://{written}/")).ok();
        let host = url.filter(|url| url.path() == "/").as_ref().and_then(HostName::of);
        let Some(host) = host else {
            return Err(Failure::usage(format!("`{written}` is no host"))
                .hint("expected a name such as api.example.com or localhost:8080"));
        };
        let section = match config.matching_host(&host) {
            Some(pattern) => format!("[[host]] match = \"{pattern}\""),
            None => String::from("[defaults]"),
        };
        candidate = candidate.host(written, section, config.host_policy(&host));
    }
    Ok(candidate)
}

fn list() -> String {
    let mut text = String::new();
    let mut shown = "";
    for (name, about) in run::scenarios() {
        let name = if name == shown { "" } else { name };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<5} {about}");
        shown = name;
    }
    text
}

fn write_files(
    directory: &Path,
    files: impl IntoIterator<Item = (String, String)>,
) -> Result<(), Failure> {
    let failed = |path: &Path, error: io::Error| {
        Failure::usage(format!("cannot write {}: {error}", path.display()))
    };
    fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    for (name, text) in files {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    Ok(())
}

/// Names the rows that fail.
fn complain(report: &Report) -> Exit {
    let mut to = io::stderr().lock();
    for row in report.failures() {
        let (bar, mean) = (row.bar, row.mean);
        let what = match bar.kind {
            Kind::Validation => "VALIDATION FAILED, the worlds are not the published ones",
            Kind::Bar => "bar missed",
        };
        // Whoever closed stderr does not want to know.
        let _ =
            writeln!(to, "{what}: {} {} is {mean:.6}, must be {}", bar.id, bar.metric, bar.bound);
    }
    if report.passes() { Exit::Fine } else { Exit::Bug }
}
