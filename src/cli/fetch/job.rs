//! Fetches one URL: calls the client, and calls it again where only a command knows that it should.
//!
//! The client retries up to the head of a streamed answer; a body that breaks later is begun anew
//! here. An open circuit is waited for here as well, if it closes soon enough: a list of URLs has
//! the patience that a service's caller has not.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use spillgate_actors::core::advice::{ErrorClass, ErrorKind};
use spillgate_actors::core::event::BreakerState;
use spillgate_actors::core::policy::HostPolicy;
use spillgate_actors::core::rng::Rng;
use spillgate_actors::deadline::Deadline;
use spillgate_actors::error::Error;
use spillgate_actors::fetch::Key;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep_until, timeout_at};
use url::Url;

use crate::cli::end::End;
use crate::cli::fetch::download::{self, Saved};
use crate::cli::fetch::explain;
use crate::cli::fetch::input::Entry;
use crate::cli::fetch::row::Row;
use crate::cli::fetch::tally::{Outturn, Tally};
use crate::cli::request::Template;
use crate::client::Client;
use crate::config::Config;
use crate::config::pattern::HostName;
use crate::redaction::Redaction;
use crate::request::RequestBuilder;

/// What all URLs of a run have in common.
pub(crate) struct Worker {
    pub(crate) client: Client,
    pub(crate) config: Config,
    pub(crate) template: Template,
    pub(crate) redaction: Redaction,
    pub(crate) on_open: OnOpen,
    /// Whether rows come with the decisions that led to them.
    pub(crate) explains: bool,
    /// Bytes received so far, those of unfinished files included.
    pub(crate) traffic: AtomicU64,
    pub(crate) seed: u64,
    /// Room for URLs inside the client at once.
    pub(crate) room: Arc<Semaphore>,
}

/// What to do about a URL whose circuit is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OnOpen {
    /// Wait for it to close, if it can within the deadline
    Wait,
    /// Give the URL up at once
    Fail,
}

/// One URL to fetch, and where to.
pub(crate) struct Job {
    pub(crate) entry: Entry,
    pub(crate) file: Option<PathBuf>,
    /// Its room inside the client; given back while it waits for a circuit.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// A row, and what goes with it.
pub(crate) struct Finished {
    pub(crate) row: Row,
    pub(crate) end: End,
    pub(crate) file: Option<PathBuf>,
}

/// What one job carries from call to call.
struct Course<'a> {
    worker: &'a Worker,
    url: &'a str,
    policy: HostPolicy,
    deadline: Deadline,
    /// Until when an open circuit is waited for: no longer for a file than for an answer.
    patience: Instant,
    key: Option<Key>,
    attempts_max: u32,
    is_repeatable: bool,
    rng: Rng,
    permit: Option<OwnedSemaphorePermit>,
}

/// Fetches one URL; a panic on the way is a row too.
pub(crate) async fn run(worker: Arc<Worker>, job: Job) -> Box<Finished> {
    let (index, url) = (job.entry.index, worker.redaction.redact_given(&job.entry.url));
    let done = AssertUnwindSafe(fetch(&worker, job)).catch_unwind().await;
    done.unwrap_or_else(|_| {
        let error = Error::new(ErrorKind::Internal, "the command's own code panicked");
        let outturn = Outturn { error: Some(error), ..Outturn::default() };
        worker.finish((index, url), &outturn, Tally::new(), None)
    })
}

async fn fetch(worker: &Worker, job: Job) -> Box<Finished> {
    let Job { entry, file, permit } = job;
    let shown = (entry.index, worker.redaction.redact_given(&entry.url));
    let mut tally = Tally::new();
    if let Some(fault) = entry.fault {
        let error = Error::new(ErrorKind::InvalidRequest, fault);
        let outturn = Outturn { error: Some(error), ..Outturn::default() };
        return worker.finish(shown, &outturn, tally, None);
    }
    let mut course = worker.course(&entry, file.is_some(), permit);
    let mut broken = None;
    loop {
        let request = course.request(&tally);
        let outturn = match &file {
            None => whole(worker, request).await,
            Some(path) => streamed(worker, request, path).await,
        };
        if worker.explains {
            let told = explain::told(&outturn, tally.began, tally.attempts);
            tally.decisions.get_or_insert_default().extend(told);
        }
        tally.add(&outturn);
        if course.goes_on(&outturn, &tally).await {
            broken = Some(outturn).filter(|outturn| outturn.is_broken).or(broken);
            continue;
        }
        // A body that broke says more than the refusal to begin it anew.
        let is_refused = matches!(outturn.end(), End::Failed(_, ErrorClass::Rejected));
        let last = broken.filter(|_| is_refused).unwrap_or(outturn);
        return worker.finish(shown, &last, tally, file);
    }
}

/// The time for a URL whose command line says nothing of it.
pub(crate) fn deadline_of(policy: &HostPolicy, is_streamed: bool) -> Duration {
    // The standard deadline is for answers; a file takes as long as its size asks for.
    let is_standard = policy.deadline == HostPolicy::default().deadline;
    if is_streamed && is_standard { FILE_DEADLINE } else { policy.deadline }
}

/// Brings the whole answer, to count it; may share another URL's flight.
async fn whole(worker: &Worker, request: RequestBuilder) -> Outturn {
    match request.send().await {
        Ok(response) => {
            let bytes = response.bytes().len() as u64;
            worker.traffic.fetch_add(bytes, Ordering::Relaxed);
            let status = Some(response.status().as_u16());
            Outturn { status, bytes, record: response.record().cloned(), ..Outturn::default() }
        }
        Err(error) => failed(error),
    }
}

/// Streams a good answer into its file.
async fn streamed(worker: &Worker, request: RequestBuilder, path: &std::path::Path) -> Outturn {
    let response = match request.send_streaming().await {
        Ok(response) => response,
        Err(error) => return failed(error),
    };
    let head = Instant::now();
    let (status, record) = (response.status(), response.record().clone());
    let mut outturn =
        Outturn { status: Some(status.as_u16()), record: Some(record), ..Outturn::default() };
    if status.is_success() {
        match download::save(response, path, &worker.traffic).await {
            Saved::Whole(bytes) => outturn.bytes = bytes,
            Saved::Broken(error) => {
                outturn.error = Some(error);
                outturn.is_broken = true;
            }
            Saved::Unwritable(error) => {
                let text = format!("{}: cannot be written: {error}", path.display());
                outturn.unwritable = Some(text);
            }
        }
    } else {
        outturn.bytes = download::discard(response).await;
        worker.traffic.fetch_add(outturn.bytes, Ordering::Relaxed);
    }
    outturn.streaming = Some(head.elapsed());
    outturn
}

fn failed(error: Error) -> Outturn {
    let record = error.record().cloned();
    Outturn { error: Some(error), record, ..Outturn::default() }
}

impl Worker {
    fn course<'a>(
        &'a self,
        entry: &'a Entry,
        is_streamed: bool,
        permit: OwnedSemaphorePermit,
    ) -> Course<'a> {
        let url = entry.url.as_str();
        let host = Url::parse(url).ok().and_then(|url| Some((HostName::of(&url)?, url)));
        let method = &self.template.method;
        let key = self.template.key();
        let (policy, by_method) = match &host {
            Some((host, url)) => (
                self.config.policy(host, method, url.path(), None),
                self.config.is_repeatable(host, method, url.path(), None),
            ),
            None => (self.config.defaults.clone(), false),
        };
        // The standard deadline is for answers; a file takes as long as its size asks for.
        let is_standard = policy.deadline == HostPolicy::default().deadline;
        let planned = if is_streamed && is_standard { FILE_DEADLINE } else { policy.deadline };
        let retries = self.template.retries.map(|retries| retries.saturating_add(1));
        Course {
            worker: self,
            url,
            deadline: Deadline::after(self.template.deadline.unwrap_or(planned)),
            patience: Deadline::after(self.template.deadline.unwrap_or(policy.deadline)).instant(),
            attempts_max: retries.unwrap_or(policy.retry.attempts_max),
            policy,
            is_repeatable: by_method || key.is_some(),
            key,
            rng: Rng::new(self.seed.wrapping_add(entry.index)),
            permit: Some(permit),
        }
    }

    fn finish(
        &self,
        shown: (u64, String),
        outturn: &Outturn,
        tally: Tally,
        file: Option<PathBuf>,
    ) -> Box<Finished> {
        let end = outturn.end();
        let is_saved = end == End::Fine && outturn.status.is_some_and(|s| (200..300).contains(&s));
        let file = file.filter(|_| is_saved);
        let path = file.as_ref().map(|path| path.display().to_string());
        let row = tally.row(shown, &self.template.method, outturn, path);
        Box::new(Finished { row, end, file })
    }
}

impl Course<'_> {
    fn request(&self, tally: &Tally) -> RequestBuilder {
        let Self { worker, url, deadline, .. } = self;
        let left = self.attempts_max.saturating_sub(tally.attempts);
        let request = worker.template.request(&worker.client, url, self.key.as_ref());
        let request = if worker.explains { request.explain() } else { request };
        request.deadline(*deadline).retries(left.saturating_sub(1))
    }

    /// Whether to call once more; waits until it is time for it.
    async fn goes_on(&mut self, outturn: &Outturn, tally: &Tally) -> bool {
        let Some(error) = &outturn.error else { return false };
        if outturn.is_broken {
            let at = self.time_after_break(error, tally);
            let Some(at) = at.filter(|at| *at < self.deadline.instant()) else { return false };
            sleep_until(at.into()).await;
            return true;
        }
        let at = self.time_after_refusal(error, tally);
        let Some(at) = at.filter(|at| *at < self.patience) else { return false };
        // Who waits here is not inside the client: a host that is down must not keep others out.
        self.permit = None;
        sleep_until(at.into()).await;
        let room = Arc::clone(&self.worker.room).acquire_owned();
        let entered = timeout_at(self.patience.into(), room).await;
        self.permit = entered.ok().and_then(Result::ok);
        self.permit.is_some()
    }

    fn time_after_break(&mut self, error: &Error, tally: &Tally) -> Option<Instant> {
        let passes =
            error.class() == ErrorClass::Transient && error.kind() != ErrorKind::DeadlineExceeded;
        if !passes || !self.is_repeatable || tally.attempts >= self.attempts_max {
            return None;
        }
        Instant::now().checked_add(self.policy.retry.backoff.delay(tally.attempts, &mut self.rng))
    }

    fn time_after_refusal(&mut self, error: &Error, tally: &Tally) -> Option<Instant> {
        let is_waited_for = error.is_circuit_open() && self.worker.on_open == OnOpen::Wait;
        if !is_waited_for || tally.attempts >= self.attempts_max {
            return None;
        }
        let now = Instant::now();
        let spread = POLL + self.rng.up_to(POLL);
        let state = error.scope().map(|scope| self.worker.client.breakers().state(scope));
        match state {
            // A probe is under way, and nobody knows how long it takes; or it has just succeeded.
            Some(BreakerState::HalfOpen | BreakerState::Closed) => now.checked_add(spread),
            Some(BreakerState::Open) | None => {
                error.retry_at().and_then(|at| at.max(now).checked_add(self.rng.up_to(POLL)))
            }
        }
    }
}

/// The standard deadline for a body that goes to a file: what stalls is ended long before.
const FILE_DEADLINE: Duration = Duration::from_secs(600);
/// How long to leave a half-open circuit alone.
const POLL: Duration = Duration::from_millis(250);
