//! From flags to a run that can begin: everything that can be wrong is found here.

use std::io;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::{Semaphore, mpsc};

use crate::cli::failure::Failure;
use crate::cli::fetch::args::FetchArgs;
use crate::cli::fetch::dispatch::{Files, Limits};
use crate::cli::fetch::input::{self, Entry, Lines};
use crate::cli::fetch::job::{self, Worker};
use crate::cli::fetch::naming::Names;
use crate::cli::fetch::progress::Mode;
use crate::cli::fetch::resume::{FILE_NAME, Notes, Past};
use crate::config::Config;
use crate::redaction::Redaction;

/// A run that can begin.
pub(crate) struct Plan {
    pub(crate) source: Source,
    pub(crate) worker: Worker,
    pub(crate) files: Files,
    pub(crate) past: Past,
    pub(crate) notes: Notes,
    pub(crate) limits: Limits,
    pub(crate) progress: Mode,
}

/// Where the URLs come from.
pub(crate) struct Source {
    urls: Vec<String>,
    lines: Option<Lines>,
}

impl Source {
    /// Starts to read.
    pub(crate) fn start(self) -> Result<mpsc::Receiver<Result<Entry, Failure>>, Failure> {
        input::start(self.urls, self.lines)
    }
}

/// Checks everything, opens what is read and written, and starts the client.
pub(crate) fn of(mut args: FetchArgs) -> Result<Plan, Failure> {
    check_sources(&args)?;
    if let Some(path) = &args.output {
        check_output(path, &args)?;
    }
    let mut config = args.client.config()?;
    let jobs_max = jobs_max(&args, &mut config)?;
    let urls = std::mem::take(&mut args.urls);
    let lines = args.input.as_deref().map(Lines::open).transpose()?;
    let known = lines.as_ref().map_or(Some(0), Lines::total);
    let (files, past, notes) = open_files(&args)?;
    let limits = Limits {
        total: known.map(|lines| lines + urls.len() as u64),
        jobs_max,
        failures_max: args.max_failures.map(|most| u64::from(most.get())),
    };
    let planned = job::deadline_of(&config.defaults, !matches!(files, Files::None));
    let template = args.request.template(planned)?;
    let worker = Worker {
        client: args.client.client(config.clone())?,
        redaction: Redaction::new(&config.telemetry.redact.query),
        config,
        template,
        on_open: args.on_open,
        explains: args.explain,
        traffic: AtomicU64::new(0),
        room: Arc::new(Semaphore::new(jobs_max)),
        // Jitter needs no secret: without randomness each URL still has a delay of its own.
        seed: getrandom::u64().unwrap_or_default(),
    };
    let source = Source { urls, lines };
    Ok(Plan { source, worker, files, past, notes, limits, progress: args.progress })
}

fn check_sources(args: &FetchArgs) -> Result<(), Failure> {
    if args.urls.is_empty() && args.input.is_none() {
        return Err(Failure::usage("nothing to fetch: no URL and no --input")
            .hint("give URLs, or `-i FILE` with one a line; `-i -` reads standard input"));
    }
    if args.input.as_deref() == Some(Path::new("-")) && args.request.reads_stdin() {
        return Err(Failure::usage("--input - and --data @- both read standard input")
            .hint("put one of them into a file"));
    }
    Ok(())
}

fn check_output(path: &Path, args: &FetchArgs) -> Result<(), Failure> {
    if args.input.is_some() || args.urls.len() != 1 {
        return Err(Failure::usage("--output takes the body of one URL, given as an argument")
            .hint("--out-dir DIR takes many"));
    }
    if path == Path::new("-") {
        return Err(
            Failure::usage("--output -: standard output carries the rows").hint("name a file")
        );
    }
    if path.is_dir() {
        return Err(Failure::usage(format!("--output {}: is a directory", path.display()))
            .hint("--out-dir names files by their URLs"));
    }
    let directory = directory_of(path);
    if !directory.is_dir() {
        let text = format!("--output {}: no directory {}", path.display(), directory.display());
        return Err(Failure::usage(text).hint("make it first"));
    }
    Ok(())
}

/// How many URLs may be inside at once.
///
/// Twice the slots keep each slot busy, and the wait behind them stays short of the deadline. A
/// queue that nobody configured is made long enough: its length protects services, not a list.
fn jobs_max(args: &FetchArgs, config: &mut Config) -> Result<usize, Failure> {
    let limits = &mut config.limits;
    let calls_max = limits.calls_max;
    let wanted = args.jobs.map(|jobs| jobs.get() as usize);
    if let Some(jobs) = wanted.filter(|jobs| *jobs > calls_max) {
        let text = format!("--jobs {jobs}: limits.calls lets {calls_max} in");
        return Err(Failure::usage(text).hint(
            "raise limits.calls in the configuration, or SPILLGATE_DEFAULTS__LIMITS__CALLS",
        ));
    }
    let jobs = wanted.unwrap_or(JOBS_STANDARD.max(limits.global as usize * 2).min(calls_max));
    if limits.queue_max == crate::config::Config::default().limits.queue_max {
        limits.queue_max = limits.queue_max.max(jobs);
    }
    Ok(jobs)
}

fn open_files(args: &FetchArgs) -> Result<(Files, Past, Notes), Failure> {
    if let Some(directory) = &args.out_dir {
        std::fs::create_dir_all(directory).map_err(|error| {
            Failure::usage(format!("--out-dir {}: cannot be made: {error}", directory.display()))
                .hint("it is made if it is not there; expected a directory that can be written")
        })?;
    }
    let place = args.out_dir.clone().or_else(|| args.output.as_deref().map(directory_of));
    let path = args.state.clone().unwrap_or_else(|| place.unwrap_or_default().join(FILE_NAME));
    let past = if args.resume { load(&path)? } else { Past::default() };
    let keeps = args.resume || args.state.is_some() || args.out_dir.is_some();
    let opened = match (keeps, args.resume) {
        (true, true) => Notes::append(path.clone()),
        (true, false) => Notes::create(path.clone()),
        (false, _) => Ok(Notes::in_memory(path.clone())),
    };
    let notes = opened.map_err(|error| {
        let what = if args.state.is_some() { "--state" } else { "--out-dir" };
        Failure::usage(format!("{what}: {} cannot be written: {error}", path.display()))
            .hint("expected a directory that can be written; --state FILE keeps it elsewhere")
    })?;
    let files = match (&args.output, &args.out_dir) {
        (Some(path), _) => Files::One(path.clone()),
        (None, Some(directory)) => {
            let mut names = Names::new(directory.clone(), args.name.clone().unwrap_or_default());
            past.files().for_each(|file| names.reserve(file));
            Files::Many(names)
        }
        (None, None) => Files::None,
    };
    Ok((files, past, notes))
}

fn load(path: &Path) -> Result<Past, Failure> {
    let past = Past::load(path).map_err(|error: io::Error| {
        Failure::usage(format!("{} cannot be read: {error}", path.display()))
            .hint("--resume reads what an earlier run noted there; --state FILE names another")
    })?;
    if past.is_empty() {
        let path = path.display();
        let _ = writeln!(io::stderr().lock(), "nothing is noted in {path}: fetching all");
    }
    Ok(past)
}

fn directory_of(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

/// Enough for the 24 slots over a few hosts, of which one may be down.
const JOBS_STANDARD: usize = 64;
