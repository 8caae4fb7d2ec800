//! The reporter: one thread that tells observers and the exporter what the journal holds.
//!
//! Calls never wait for it. It ends with its handle, and nobody joins it: an observer that hangs
//! or a collector that does not answer must not hold up the exit.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never, select, unbounded};
use spillgate_actors::record::JournalEntry;

use crate::telemetry::export::{Exporter, FlushFailure};
use crate::telemetry::options::{Environment, TelemetryError, TelemetryOptions};
use crate::telemetry::spans::SpanAssembler;
use crate::telemetry::{options, otlp};

/// Is told every entry of the journal, in order, on the reporter's thread.
///
/// One that panics is warned of and not asked again.
pub(crate) type Observer = Box<dyn FnMut(&JournalEntry) + Send>;

/// The handle of the reporter; the thread ends once it is dropped.
pub(crate) struct Reporter {
    control: Sender<Control>,
    exporter: Option<Exporter>,
}

impl Reporter {
    /// Starts the reporter, and an OTLP exporter where options or environment name a collector.
    pub(crate) fn start(
        options: &TelemetryOptions,
        entries: Receiver<JournalEntry>,
        observers: Vec<Observer>,
    ) -> Result<Self, TelemetryError> {
        Self::start_in(&options::process_environment, options, entries, observers)
    }

    /// Starts the reporter as `start` does, in an environment of the caller's.
    pub(crate) fn start_in(
        environment: Environment<'_>,
        options: &TelemetryOptions,
        entries: Receiver<JournalEntry>,
        observers: Vec<Observer>,
    ) -> Result<Self, TelemetryError> {
        let Some(destination) = options.destination(environment)? else {
            return Self::run(None, entries, observers);
        };
        let resource = otlp::resource(&options.service_name, environment);
        let build = move || otlp::build(&destination, &resource);
        let exporter = Exporter::start(options.export_queue_max, build)?;
        Self::run(Some(exporter), entries, observers)
    }

    /// Starts the reporter with an exporter of the caller's.
    #[cfg(test)]
    pub(crate) fn start_with<E: opentelemetry_sdk::trace::SpanExporter + 'static>(
        options: &TelemetryOptions,
        exporting: crate::telemetry::export::Exporting<E>,
        entries: Receiver<JournalEntry>,
    ) -> Result<Self, TelemetryError> {
        let exporter = Exporter::start(options.export_queue_max, move || Ok(exporting))?;
        Self::run(Some(exporter), entries, Vec::new())
    }

    /// Adds an observer, which is told every entry sent from here on.
    pub(crate) fn observe(&self, observer: Observer) {
        let _ = self.control.send(Control::Observe(observer));
    }

    /// Whether spans are exported at all.
    pub(crate) fn is_exporting(&self) -> bool {
        self.exporter.is_some()
    }

    /// Waits until what is in the journal is told and exported, at most for `timeout`.
    ///
    /// Blocks the calling thread: from async code, call it where blocking is allowed.
    pub(crate) fn flush(&self, timeout: Duration) -> Result<(), TelemetryError> {
        let until = Instant::now() + timeout;
        let (done, told) = bounded(1);
        let timed_out = || TelemetryError::TimedOut(timeout);
        self.control.send(Control::Drain { until, done }).map_err(|_| timed_out())?;
        told.recv_deadline(until).map_err(|_| timed_out())?;
        let Some(exporter) = &self.exporter else { return Ok(()) };
        exporter.flush(until).map_err(|failure| match failure {
            FlushFailure::TimedOut => timed_out(),
            FlushFailure::Refused(problem) => TelemetryError::Export(problem),
        })
    }

    /// Flushes and ends the reporter, at most within `timeout`.
    pub(crate) fn shutdown(self, timeout: Duration) -> Result<(), TelemetryError> {
        self.flush(timeout)
    }

    fn run(
        exporter: Option<Exporter>,
        entries: Receiver<JournalEntry>,
        observers: Vec<Observer>,
    ) -> Result<Self, TelemetryError> {
        // Unbounded, as its senders are few and most of them wait for an answer.
        let (control, commands) = unbounded();
        // Ids of inner spans need to differ, not to be secret.
        let seed = getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()));
        let spans = exporter.clone().map(|exporter| (SpanAssembler::new(seed), exporter));
        let reporting = Reporting { entries, commands, observers, spans };
        thread::Builder::new()
            .name("spillgate-report".to_owned())
            .spawn(move || reporting.run())
            .map_err(TelemetryError::Thread)?;
        Ok(Self { control, exporter })
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter").field("is_exporting", &self.is_exporting()).finish()
    }
}

enum Control {
    Observe(Observer),
    Drain { until: Instant, done: Sender<()> },
}

/// What the thread owns.
struct Reporting {
    entries: Receiver<JournalEntry>,
    commands: Receiver<Control>,
    observers: Vec<Observer>,
    spans: Option<(SpanAssembler, Exporter)>,
}

impl Reporting {
    fn run(mut self) {
        loop {
            select! {
                recv(self.entries) -> entry => match entry {
                    Ok(entry) => self.take(&entry),
                    // No more calls, but whoever holds the handle can still ask for a flush.
                    Err(_) => self.entries = never(),
                },
                recv(self.commands) -> command => match command {
                    Ok(command) => self.obey(command),
                    Err(_) => break,
                },
            }
        }
        self.drain(None);
    }

    fn take(&mut self, entry: &JournalEntry) {
        // An observer added before the entry was sent is to see it; a drain waits its turn.
        let mut drains = Vec::new();
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Control::Observe(observer) => self.observers.push(observer),
                Control::Drain { .. } => drains.push(command),
            }
        }
        self.tell(entry, None);
        for drain in drains {
            self.obey(drain);
        }
    }

    fn obey(&mut self, command: Control) {
        match command {
            Control::Observe(observer) => self.observers.push(observer),
            Control::Drain { until, done } => {
                self.drain(Some(until));
                let _ = done.send(());
            }
        }
    }

    /// Tells what is queued at this moment; what arrives meanwhile is not waited for.
    fn drain(&mut self, patience: Option<Instant>) {
        for _ in 0..self.entries.len() {
            let Ok(entry) = self.entries.try_recv() else { return };
            self.tell(&entry, patience);
        }
    }

    fn tell(&mut self, entry: &JournalEntry, patience: Option<Instant>) {
        self.observers.retain_mut(|observer| {
            let told = catch_unwind(AssertUnwindSafe(|| observer(entry)));
            if told.is_err() {
                tracing::warn!("an observer panicked and is not asked again");
                // What it captured may panic once more as it goes.
                let broken = std::mem::replace(observer, Box::new(|_| ()));
                let _ = catch_unwind(AssertUnwindSafe(|| drop(broken)));
            }
            told.is_ok()
        });
        let Some((assembler, exporter)) = &mut self.spans else { return };
        let spans = match entry {
            JournalEntry::Call(record) => assembler.assemble(record),
            JournalEntry::Flight(record) => assembler.assemble_rest(record),
            JournalEntry::Breaker(_) | JournalEntry::Hit(_) => return,
        };
        if !spans.is_empty() {
            exporter.push(spans, patience);
        }
    }
}
