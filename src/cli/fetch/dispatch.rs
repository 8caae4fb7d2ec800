//! Takes URLs from the input while there is room, and writes a row for each that ends.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use spillgate_actors::core::advice::{ErrorClass, ErrorKind};
use spillgate_actors::messages::Halt;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use url::Url;

use crate::cli::end::End;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::fetch::input::{Entry, Place};
use crate::cli::fetch::job::{self, Finished, Job, Worker};
use crate::cli::fetch::naming::Names;
use crate::cli::fetch::output::{Item, Output};
use crate::cli::fetch::progress::{Counts, Progress};
use crate::cli::fetch::resume::{Past, digest};
use crate::cli::signals::Signals;

/// A run under way.
pub(crate) struct Dispatch {
    worker: Arc<Worker>,
    files: Files,
    past: Past,
    pub(crate) output: Output,
    pub(crate) progress: Progress,
    pub(crate) counts: Counts,
    limits: Limits,
    /// The worst so far.
    pub(crate) exit: Exit,
    jobs: JoinSet<Ended>,
    /// The URLs taken in that have not ended, secrets redacted, by their place in the input.
    pub(crate) under_way: BTreeMap<u64, String>,
    faults_told: usize,
}

/// A job that has ended, and where its URL came from.
struct Ended {
    place: Place,
    digest: String,
    finished: Box<Finished>,
}

/// What bounds a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How many URLs there are, where that is known.
    pub(crate) total: Option<u64>,
    /// URLs inside at once.
    pub(crate) jobs_max: usize,
    /// Failures that stop the run.
    pub(crate) failures_max: Option<u64>,
}

/// Where bodies go.
pub(crate) enum Files {
    /// Nowhere: they are counted.
    None,
    /// Into one file.
    One(PathBuf),
    /// Into a directory.
    Many(Names),
}

/// Why a run ended before its input did.
pub(crate) enum Stop {
    /// Somebody asked for it.
    Signal,
    /// Somebody asked for it twice.
    SecondSignal,
    /// Too many URLs failed.
    Failures(u64),
    /// Nobody reads the rows any more, or they cannot be written.
    Output,
    /// Something that all URLs need cannot be used.
    Failed(Failure),
}

type Entries = mpsc::Receiver<Result<Entry, Failure>>;

impl Dispatch {
    /// A run that has not begun.
    pub(crate) fn new(
        worker: Worker,
        (files, past): (Files, Past),
        output: Output,
        progress: Progress,
        limits: Limits,
    ) -> Self {
        Self {
            worker: Arc::new(worker),
            files,
            past,
            output,
            progress,
            counts: Counts::new(limits.total),
            limits,
            exit: Exit::Fine,
            jobs: JoinSet::new(),
            under_way: BTreeMap::new(),
            faults_told: 0,
        }
    }

    /// Runs until all have ended, or something stops it.
    pub(crate) async fn run(&mut self, entries: Entries, signals: &mut Signals) -> Option<Stop> {
        let mut stop = self.dispatch(entries, signals).await;
        if matches!(stop, Some(Stop::Signal)) {
            stop = Some(self.wind_down(signals).await);
        }
        self.jobs.shutdown().await;
        self.count_bytes();
        stop
    }

    async fn dispatch(&mut self, mut entries: Entries, signals: &mut Signals) -> Option<Stop> {
        let mut ticks = interval(self.progress.period());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        let mut is_open = true;
        let mut permit = None;
        while is_open || !self.jobs.is_empty() {
            let has_room = is_open && self.jobs.len() < self.limits.jobs_max + PARKED_MAX;
            let room = Arc::clone(&self.worker.room);
            let stop = tokio::select! {
                biased;
                () = signals.next() => Some(Stop::Signal),
                Some(ended) = self.jobs.join_next() => self.settle(ended.ok(), signals).await,
                _ = ticks.tick() => {
                    self.show();
                    None
                }
                entered = room.acquire_owned(), if has_room && permit.is_none() => {
                    permit = entered.ok();
                    None
                }
                entry = entries.recv(), if permit.is_some() => match entry {
                    Some(Ok(entry)) => self.accept(entry, &mut permit, signals).await,
                    Some(Err(failure)) => Some(Stop::Failed(failure)),
                    None => {
                        is_open = false;
                        permit = None;
                        self.counts.total = Some(self.counts.accepted + self.counts.skipped);
                        None
                    }
                },
            };
            if stop.is_some() {
                return stop;
            }
        }
        None
    }

    /// Lets what is on its way arrive, for a moment.
    async fn wind_down(&mut self, signals: &mut Signals) -> Stop {
        if self.jobs.is_empty() {
            return Stop::Signal;
        }
        let client = &self.worker.client;
        // What has not been sent by now is not sent any more.
        let _ = client.addr().send(Halt).await;
        let running = client.snapshot().running;
        self.progress.say(&format!(
            "interrupted: waiting up to {} s for {running} on the wire; again to stop now",
            WIND_DOWN.as_secs()
        ));
        let began = Instant::now();
        let mut looks = interval(LOOK);
        let mut quiet_looks = 0;
        let patience = sleep(WIND_DOWN);
        tokio::pin!(patience);
        loop {
            let stop = tokio::select! {
                biased;
                // Some senders signal the process and then its group: that is one wish.
                () = signals.next() => {
                    (began.elapsed() > ECHO).then_some(Stop::SecondSignal)
                }
                () = &mut patience => Some(Stop::Signal),
                ended = self.jobs.join_next() => match ended {
                    Some(ended) => match self.settle(ended.ok(), signals).await {
                        Some(Stop::Signal) => Some(Stop::SecondSignal),
                        // That many failures stop a run that is stopping already.
                        Some(Stop::Failures(_)) | None => None,
                        Some(stop @ (Stop::SecondSignal | Stop::Output | Stop::Failed(_))) => {
                            Some(stop)
                        }
                    },
                    None => Some(Stop::Signal),
                },
                _ = looks.tick() => {
                    let is_quiet = self.worker.client.snapshot().running == 0;
                    quiet_looks = if is_quiet { quiet_looks + 1 } else { 0 };
                    (quiet_looks > QUIET_LOOKS_MAX).then_some(Stop::Signal)
                }
            };
            if let Some(stop) = stop {
                return stop;
            }
        }
    }

    /// Starts to fetch an entry with the permit, unless it was fetched by an earlier run.
    async fn accept(
        &mut self,
        entry: Entry,
        permit: &mut Option<OwnedSemaphorePermit>,
        signals: &mut Signals,
    ) -> Option<Stop> {
        let digest = digest(&entry.url);
        let past = self.past.row(entry.index, &digest);
        if past.is_some_and(|row| row.is_finished) {
            self.counts.skipped += 1;
            return None;
        }
        let url = Url::parse(&entry.url).ok().filter(|_| entry.fault.is_none());
        let file = match (&mut self.files, url) {
            (Files::None, _) | (Files::Many(_), None) => None,
            (Files::One(path), _) => Some(path.clone()),
            (Files::Many(names), Some(url)) => {
                let kept = past.and_then(|row| names.keep(row.file.as_deref()?));
                Some(kept.unwrap_or_else(|| names.choose(entry.index, &url)))
            }
        };
        let permit = permit.take()?;
        self.counts.accepted += 1;
        let (index, place) = (entry.index, entry.place);
        self.under_way.insert(index, self.worker.redaction.redact_given(&entry.url));
        let begun = file.clone().map(|file| Item::Begun { index, digest: digest.clone(), file });
        let work = job::run(Arc::clone(&self.worker), Job { entry, file, permit });
        self.jobs.spawn(async move { Ended { place, digest, finished: work.await } });
        match begun {
            Some(item) => self.write(item, signals).await,
            None => None,
        }
    }

    async fn settle(&mut self, ended: Option<Ended>, signals: &mut Signals) -> Option<Stop> {
        // A job is aborted only by the end of the run, and its panics are rows.
        let Ended { place, digest, finished } = ended?;
        let Finished { row, end, file } = *finished;
        self.under_way.remove(&row.index);
        for told in row.decisions.iter().flatten() {
            self.progress.say(&format!("{} {}: {}", row.index, row.url, told.line()));
        }
        self.tell_fault(place, end, row.error.as_deref());
        let is_final = end.is_final();
        let unwritable = row.error.clone().filter(|_| end == End::Unwritable);
        let row = Box::new(row);
        if let Some(stop) = self.write(Item::Row { row, digest, is_final, file }, signals).await {
            return Some(stop);
        }
        self.exit = self.exit.min(end.exit());
        match end {
            End::Fine => self.counts.fine += 1,
            End::Failed(_, ErrorClass::Rejected) => self.counts.rejected += 1,
            End::Failed(_, _) | End::Unwritable => self.counts.failed += 1,
        }
        if let Some(text) = unwritable {
            // What happens to one file may well happen to all.
            return Some(Stop::Failed(Failure::usage(text)));
        }
        let failures = self.counts.failed + self.counts.rejected;
        let is_over = self.limits.failures_max.is_some_and(|most| failures >= most);
        (is_over && end != End::Fine).then_some(Stop::Failures(failures))
    }

    /// Hands it to the writing thread; a signal does not wait for a reader that does not read.
    async fn write(&mut self, item: Item, signals: &mut Signals) -> Option<Stop> {
        tokio::select! {
            biased;
            sent = self.output.items.send(item) => sent.is_err().then_some(Stop::Output),
            () = signals.next() => Some(Stop::Signal),
        }
    }

    /// Names the place of a URL that cannot be sent, as far as there are few of them.
    fn tell_fault(&mut self, place: Place, end: End, error: Option<&str>) {
        let (End::Failed(ErrorKind::InvalidRequest, _), Some(error)) = (end, error) else { return };
        self.faults_told += 1;
        if self.faults_told <= FAULTS_MAX {
            self.progress.say(&format!("{place}: {error}"));
        }
        if self.faults_told == FAULTS_MAX {
            self.progress.say("further ones have only their rows");
        }
    }

    fn show(&mut self) {
        self.count_bytes();
        self.progress.show(&self.counts, &self.worker.client.snapshot());
    }

    fn count_bytes(&mut self) {
        self.counts.bytes = self.worker.traffic.load(Ordering::Relaxed);
    }
}

/// How long a first signal waits for what is under way.
const WIND_DOWN: Duration = Duration::from_secs(2);
/// How often it is looked whether there is still something under way.
const LOOK: Duration = Duration::from_millis(50);
/// So many looks without anything on the wire leave time for what arrived to be written.
const QUIET_LOOKS_MAX: u32 = 3;
/// How long after a signal another one is the same wish.
const ECHO: Duration = Duration::from_millis(200);
/// URLs that may wait for a circuit, outside the client.
const PARKED_MAX: usize = 4_096;
/// Malformed URLs that are named on stderr.
const FAULTS_MAX: usize = 10;
