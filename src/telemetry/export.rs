//! Hands finished spans to an exporter on a thread of its own, in batches.
//!
//! The SDK's batch processor counts single spans, drops a call's in the middle and flushes with a
//! fixed timeout of five seconds; this one takes a call's spans whole or not at all, and every
//! wait is bounded by its caller. An unreachable collector blocks this thread and nothing else.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};
use opentelemetry::Context as OtelContext;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
#[cfg(feature = "otlp-grpc")]
use tokio::runtime::Runtime;
use tracing::subscriber::NoSubscriber;

use crate::telemetry::options::TelemetryError;

/// The way to the export thread; the thread exports what is left and ends with the last clone.
#[derive(Debug, Clone)]
pub(crate) struct Exporter {
    orders: Sender<Order>,
    dropped: Arc<AtomicU64>,
}

/// An exporter with what it needs to run.
pub(crate) struct Exporting<E> {
    /// The exporter.
    pub(crate) exporter: E,
    /// Where its futures run.
    pub(crate) driver: Driver,
}

/// Where an exporter's futures run.
pub(crate) enum Driver {
    /// On the bare thread, which blocks: blocking clients refuse to run inside a runtime.
    Thread,
    /// In a runtime of the thread's own, which gRPC needs.
    #[cfg(feature = "otlp-grpc")]
    Runtime(Runtime),
}

impl Exporter {
    /// Starts the thread and builds the exporter on it, where it can live and die unobserved.
    pub(crate) fn start<E, B>(queue_max: usize, build: B) -> Result<Self, TelemetryError>
    where
        E: SpanExporter + 'static,
        B: FnOnce() -> Result<Exporting<E>, TelemetryError> + Send + 'static,
    {
        // One place at least: a channel without any passes nothing on without a receiver at hand.
        let (orders, inbox) = bounded(queue_max.max(1));
        let (ready, readiness) = bounded(1);
        let run = move || {
            let _guard = OtelContext::enter_telemetry_suppressed_scope();
            let result = untraced(build);
            let (outcome, exporting) = match result {
                Ok(exporting) => (Ok(()), Some(exporting)),
                Err(error) => (Err(error), None),
            };
            let _ = ready.send(outcome);
            if let Some(exporting) = exporting {
                ExportLoop::new(exporting, inbox).run();
            }
        };
        thread::Builder::new()
            .name("spillgate-export".to_owned())
            .spawn(run)
            .map_err(TelemetryError::Thread)?;
        let died = || Err(TelemetryError::Exporter("its thread panicked".to_owned()));
        readiness.recv().unwrap_or_else(|_| died())?;
        Ok(Self { orders, dropped: Arc::default() })
    }

    /// Queues the spans of one call; while the queue is full it waits until `patience`.
    pub(crate) fn push(&self, spans: Vec<SpanData>, patience: Option<Instant>) {
        let order = Order::Spans(spans);
        let accepted = match patience {
            Some(until) => self.orders.send_deadline(order, until).is_ok(),
            None => self.orders.try_send(order).is_ok(),
        };
        if !accepted && self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!("the collector does not keep up: the spans of some calls are dropped");
        }
    }

    /// Waits until all that was queued is exported, at most until `until`.
    pub(crate) fn flush(&self, until: Instant) -> Result<(), FlushFailure> {
        let (done, exported) = bounded(1);
        self.orders.send_deadline(Order::Flush(done), until).map_err(|error| match error {
            SendTimeoutError::Timeout(_) => FlushFailure::TimedOut,
            SendTimeoutError::Disconnected(_) => FlushFailure::Refused("it ended".to_owned()),
        })?;
        match exported.recv_deadline(until) {
            Ok(outcome) => outcome.map_err(FlushFailure::Refused),
            Err(RecvTimeoutError::Timeout) => Err(FlushFailure::TimedOut),
            Err(RecvTimeoutError::Disconnected) => {
                Err(FlushFailure::Refused("its thread panicked".to_owned()))
            }
        }
    }
}

/// Why spans may be missing at the collector.
#[derive(Debug)]
pub(crate) enum FlushFailure {
    /// The time was up.
    TimedOut,
    /// A batch was not taken.
    Refused(String),
}

#[derive(Debug)]
enum Order {
    Spans(Vec<SpanData>),
    Flush(Sender<Result<(), String>>),
}

struct ExportLoop<E> {
    exporting: Exporting<E>,
    inbox: Receiver<Order>,
    batch: Vec<SpanData>,
    due: Option<Instant>,
    health: Health,
    /// What the collector refused since the last flush.
    refused: Option<String>,
}

impl<E: SpanExporter> ExportLoop<E> {
    fn new(exporting: Exporting<E>, inbox: Receiver<Order>) -> Self {
        let health = Health::Taking;
        Self { exporting, inbox, batch: Vec::new(), due: None, health, refused: None }
    }

    fn run(mut self) {
        loop {
            let order = match self.due {
                Some(due) => self.inbox.recv_deadline(due),
                None => self.inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match order {
                Ok(Order::Spans(spans)) => self.collect(spans),
                Ok(Order::Flush(done)) => {
                    self.export();
                    let _ = done.send(self.refused.take().map_or(Ok(()), Err));
                }
                Err(RecvTimeoutError::Timeout) => self.export(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.export();
        // Its connections speak, and are traced, even as they are dropped.
        untraced(|| {
            let _ = self.exporting.exporter.shutdown();
            drop(self.exporting);
        });
    }

    fn collect(&mut self, spans: Vec<SpanData>) {
        self.due.get_or_insert_with(|| Instant::now() + DELAY_MAX);
        self.batch.extend(spans);
        if self.batch.len() >= BATCH_MAX {
            self.export();
        }
    }

    fn export(&mut self) {
        self.due = None;
        if self.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        let spans = batch.len();
        let Exporting { exporter, driver } = &self.exporting;
        let outcome = untraced(|| driver.block_on(exporter.export(batch)));
        match (&outcome, self.health) {
            (Err(error), Health::Taking) => {
                // Once for an outage: the next line about it is its end.
                tracing::warn!(%error, spans, "the collector does not take spans");
                self.health = Health::Refusing;
            }
            (Ok(()), Health::Refusing) => {
                tracing::info!("the collector takes spans again");
                self.health = Health::Taking;
            }
            (Ok(()), Health::Taking) | (Err(_), Health::Refusing) => {}
        }
        if let Err(error) = outcome {
            self.refused = Some(error.to_string());
        }
    }
}

/// Whether the collector took the last batch.
#[derive(Clone, Copy)]
enum Health {
    Taking,
    Refusing,
}

impl Driver {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self {
            #[cfg(feature = "otlp-grpc")]
            Self::Runtime(runtime) => runtime.block_on(future),
            Self::Thread => {
                let waker = Waker::from(Arc::new(Unpark(thread::current())));
                let mut future = pin!(future);
                loop {
                    match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                        Poll::Ready(output) => return output,
                        Poll::Pending => thread::park(),
                    }
                }
            }
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs `work` out of sight of the service's subscriber, whose spans it would feed for ever.
fn untraced<T>(work: impl FnOnce() -> T) -> T {
    tracing::subscriber::with_default(NoSubscriber::default(), work)
}

/// How long a span waits for company.
const DELAY_MAX: Duration = Duration::from_secs(1);

/// From how many spans on a batch is exported at once.
const BATCH_MAX: usize = 512;
