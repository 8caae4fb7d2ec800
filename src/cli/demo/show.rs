//! The course of a demo: curtain up, callers in, callers out, accounts.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use spillgate_actors::core::advice::ErrorKind;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::audit::Audit;
use super::facts::{Facts, WireCount};
use super::screen::Screen;
use super::service::Service;
use super::signals::Signals;
use super::table::Frame;
use super::upstreams::Upstreams;
use super::{DemoArgs, Failure, summary, workload};
use crate::cli::exit::Exit;

/// A demo that is running.
pub(super) struct Show {
    upstreams: Upstreams,
    service: Arc<Service>,
    screen: Screen,
    began: Instant,
    lasts: Option<Duration>,
    seed: u64,
    json: bool,
    exporting: bool,
}

impl Show {
    /// Starts upstreams and service; nobody calls yet.
    pub(super) fn begin(args: DemoArgs) -> Result<Self, Failure> {
        let DemoArgs { seconds, otlp, json, seed, hosts, chaos } = args;
        let upstreams = Upstreams::start(usize::from(hosts), seed).map_err(|cause| {
            Failure::new(Exit::Usage, "the upstreams cannot listen on 127.0.0.1", &cause)
        })?;
        // An empty variable counts as unset, as OpenTelemetry has it.
        let otlp = otlp.filter(|url| !url.is_empty());
        let exporting = otlp.is_some();
        let blamed = if exporting { Exit::Usage } else { Exit::Config };
        let service = Service::start(seed, otlp, chaos).map_err(|error| {
            let exit = if error.kind() == ErrorKind::InvalidConfig { blamed } else { Exit::Usage };
            Failure::new(exit, "the client cannot start", &error)
        })?;
        let began = Instant::now();
        let lasts = (seconds > 0).then(|| Duration::from_secs(seconds));
        let screen = Screen::new(json, upstreams.hosts(), (began, lasts));
        let service = Arc::new(service);
        Ok(Self { upstreams, service, screen, began, lasts, seed, json, exporting })
    }

    /// Runs it to its end and says how it went.
    pub(super) async fn run(mut self) -> Result<Exit, Failure> {
        let mut signals = Signals::listen()
            .map_err(|cause| Failure::new(Exit::Usage, "no signal can be waited for", &cause))?;
        spare_broken_pipe(self.screen.announce(self.upstreams.hosts()))?;
        let callers = workload::start(&self.service, self.upstreams.hosts(), self.seed);
        spare_broken_pipe(self.watch(&mut signals).await)?;
        let seconds = self.began.elapsed().as_secs_f64();
        tokio::select! {
            biased;
            () = signals.next() => Ok(Exit::Interrupted),
            facts = self.wind_down(callers, seconds) => self.conclude(&facts),
        }
    }

    /// Shows what happens, until the time is up, a signal comes, or nobody reads it any more.
    async fn watch(&mut self, signals: &mut Signals) -> io::Result<()> {
        let mut frames = tokio::time::interval(self.screen.pace());
        frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let end = self.lasts.and_then(|lasts| self.began.checked_add(lasts));
        let mut end = std::pin::pin!(until(end));
        loop {
            tokio::select! {
                biased;
                () = signals.next() => return Ok(()),
                () = &mut end => return Ok(()),
                _ = frames.tick() => self.screen.show(&self.frame())?,
            }
        }
    }

    /// Sends the callers home, lets the breakers close, and collects the accounts of all parties.
    async fn wind_down(&self, mut callers: JoinSet<()>, seconds: f64) -> Facts {
        let service = &self.service;
        service.close();
        // Whoever is to be healed must not be hurt again.
        service.client().stop_chaos();
        let home = async {
            let leaving = async { while callers.join_next().await.is_some() {} };
            tokio::join!(leaving, service.heal());
            // A breaker that opened for the last callers is healed once they are gone.
            service.heal().await;
        };
        // What is not at rest in time shows in the accounts.
        let _ = tokio::time::timeout(HOME_MAX, home).await;
        let _ = tokio::time::timeout(REST_MAX, self.rest()).await;
        let client = service.client().snapshot();
        let drained = service.client().shutdown(GRACE).await;
        Facts {
            seconds,
            callers: service.tally().callers(),
            client,
            drained,
            wire: WireCount { begun: service.wire().begun(), written: service.wire().written() },
            unsent_by_chaos: service.unsent_by_chaos(),
            story: service.chronicle().told(),
            audit: Audit::of(self.upstreams.drill()),
        }
    }

    /// Waits until nothing moves at either end of the wire.
    async fn rest(&self) {
        let drill = self.upstreams.drill();
        loop {
            let client = self.service.client().snapshot();
            let gone = client.calls == 0 && client.running == 0 && client.queued == 0;
            let received = drill.read(|ledger| (ledger.in_flight(), ledger.hits()));
            if gone && received == (0, self.service.wire().written()) {
                return;
            }
            tokio::time::sleep(REST_PAUSE).await;
        }
    }

    fn conclude(&mut self, facts: &Facts) -> Result<Exit, Failure> {
        let invariants = facts.invariants();
        spare_broken_pipe(self.screen.show(&self.frame()))?;
        let mut out = io::stdout().lock();
        let printed = if self.json {
            writeln!(out, "{}", summary::json(facts, &invariants))
        } else {
            summary::print(&mut out, facts, &invariants)
                .and_then(|()| summary::hint(&mut out, self.exporting))
        };
        spare_broken_pipe(printed.and_then(|()| out.flush()))?;
        let _ = summary::complain(&mut io::stderr(), &invariants);
        Ok(summary::exit(&invariants))
    }

    fn frame(&self) -> Frame {
        Frame {
            at: Instant::now(),
            client: self.service.client().snapshot(),
            callers: self.service.tally().callers(),
            story: self.service.chronicle().told(),
        }
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end.into()).await,
        None => std::future::pending().await,
    }
}

/// A reader that has seen enough, such as `head`, is no failure.
fn spare_broken_pipe(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Usage, "the output cannot be written", &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The longest deadline of a caller and the longest time a breaker waits, twice.
const HOME_MAX: Duration = Duration::from_secs(10);
const REST_MAX: Duration = Duration::from_secs(5);
const REST_PAUSE: Duration = Duration::from_millis(5);
const GRACE: Duration = Duration::from_secs(1);
