//! `spillgate fetch`: URLs in, one JSON object for each out.

pub(crate) mod args;
mod dispatch;
mod download;
mod explain;
mod input;
mod job;
mod naming;
mod output;
mod plan;
mod progress;
mod resume;
mod row;
mod tally;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::fetch::args::FetchArgs;
use crate::cli::fetch::dispatch::{Dispatch, Stop};
use crate::cli::fetch::output::{Output, Unwritten};
use crate::cli::fetch::plan::Plan;
use crate::cli::fetch::progress::{Counts, Progress};
use crate::cli::fetch::resume::Notes;
use crate::cli::setup::{GRACE, block_on};
use crate::cli::signals::Signals;

/// Runs `fetch`.
pub(crate) fn run(args: FetchArgs) -> ExitCode {
    let exit = plan::of(args).and_then(|plan| block_on(fetch(plan))?);
    exit.unwrap_or_else(|failure| failure.tell()).code()
}

async fn fetch(plan: Plan) -> Result<Exit, Failure> {
    let mut signals = Signals::catch()?;
    let Plan { source, worker, files, past, notes, limits, progress } = plan;
    let client = worker.client.clone();
    let entries = source.start()?;
    let progress = Progress::new(progress);
    let output = Output::start(notes, progress.screen())?;
    let mut dispatch = Dispatch::new(worker, (files, past), output, progress, limits);
    let stop = dispatch.run(entries, &mut signals).await;
    let Dispatch { output, progress, counts, exit, under_way, .. } = dispatch;
    let is_hurried = matches!(stop, Some(Stop::SecondSignal));
    let patience = if is_hurried { HURRY } else { Duration::MAX };
    let written = tokio::select! {
        biased;
        written = output.finish() => written,
        () = signals.next() => None,
        () = tokio::time::sleep(patience) => None,
    };
    progress.end(&counts);
    tell_unfinished(&under_way);
    let exit = conclude(stop, written, &counts, exit)?;
    if !is_hurried {
        tokio::select! {
            _ = client.shutdown(GRACE) => {}
            () = signals.next() => {}
        }
    }
    Ok(exit)
}

/// Names the URLs that were taken in and have not ended.
fn tell_unfinished(under_way: &BTreeMap<u64, String>) {
    let mut stderr = std::io::stderr().lock();
    for (index, url) in under_way.iter().take(NAMED_MAX) {
        let _ = writeln!(stderr, "unfinished: {index} {url}");
    }
    if let Some(more) = under_way.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        let _ = writeln!(stderr, "unfinished: {more} more");
    }
}

/// Says why the run stopped, if it did, and what is left to do.
fn conclude(
    stop: Option<Stop>,
    written: Option<(Notes, Result<(), Unwritten>)>,
    counts: &Counts,
    exit: Exit,
) -> Result<Exit, Failure> {
    let (notes, written) = match written {
        Some((notes, written)) => (Some(notes), written),
        None => (None, Ok(())),
    };
    let why = match (stop, written) {
        (_, Err(Unwritten::Failed(failure))) | (Some(Stop::Failed(failure)), _) => Err(failure),
        (_, Err(Unwritten::ReaderGone)) | (Some(Stop::Output), Ok(())) => {
            let unfinished = counts.unfinished();
            let text = format!("stopped, since nobody reads the rows; {unfinished} unfinished");
            let _ = writeln!(std::io::stderr().lock(), "{text}");
            return Ok(exit.min(Exit::Interrupted));
        }
        (Some(Stop::Signal | Stop::SecondSignal), Ok(())) => {
            Ok((Exit::Interrupted, "interrupted".to_owned()))
        }
        (Some(Stop::Failures(count)), Ok(())) => {
            Ok((exit, format!("stopped after {count} failures, as --max-failures asks")))
        }
        (None, Ok(())) => return Ok(exit),
    };
    let (count, how) = left(counts, notes);
    match why {
        Ok((worst, why)) => {
            let _ = writeln!(std::io::stderr().lock(), "{why}; {count}\nhint: {how}");
            Ok(exit.min(worst))
        }
        Err(failure) => Err(failure.and(&count).hint(how)),
    }
}

/// What is unfinished, and how to finish it.
fn left(counts: &Counts, notes: Option<Notes>) -> (String, String) {
    let unfinished = counts.unfinished();
    let count = match counts.untaken() {
        Some(untaken) => {
            format!("{} unfinished ({unfinished} of them taken in)", unfinished + untaken)
        }
        None => format!("{unfinished} unfinished, and what is left of the input"),
    };
    let how = match notes {
        Some(mut notes) => match notes.save() {
            Ok(()) => format!(
                "the same command with --resume fetches only these, by {}",
                notes.path().display()
            ),
            Err(error) => {
                format!("{} cannot be written: {error}", notes.path().display())
            }
        },
        None => "with --resume or --out-dir a run can be taken up again".to_owned(),
    };
    (count, how)
}

/// Unfinished URLs that are named on stderr.
const NAMED_MAX: usize = 10;
/// How long a second signal waits for rows that a reader has not taken.
const HURRY: Duration = Duration::from_millis(200);
