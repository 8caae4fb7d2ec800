//! The reporter's patience: with observers that panic and collectors that do not answer.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use spillgate_actors::record::JournalEntry;

use super::records::retried_call;
use crate::telemetry::export::{Driver, Exporting};
use crate::telemetry::options::{OtlpProtocol, TelemetryError, TelemetryOptions};
use crate::telemetry::reporter::{Observer, Reporter};

#[test]
fn flush_exports_everything_sent_before_it() {
    let (reporter, journal, batches) = capturing(usize::MAX);
    for _ in 0..100 {
        journal.send(call()).unwrap();
    }
    reporter.flush(PATIENCE).unwrap();
    assert_eq!(batches.try_iter().flatten().count(), 100 * 17);
    journal.send(call()).unwrap();
    reporter.shutdown(PATIENCE).unwrap();
    assert_eq!(batches.iter().flatten().count(), 17);
    assert!(journal.send(call()).is_err(), "the thread is to end with its handle");
}

#[test]
fn spans_left_when_the_handle_is_dropped_are_still_exported() {
    let (reporter, journal, batches) = capturing(usize::MAX);
    journal.send(call()).unwrap();
    drop(reporter);
    assert_eq!(batches.iter().flatten().count(), 17);
}

#[test]
fn panicking_observer_is_dropped_and_the_others_go_on() {
    let (journal, entries) = unbounded();
    let (seen, told) = unbounded();
    let broken: Observer = Box::new(|_| panic!("an observer's own fault"));
    let reporter = Reporter::start_in(
        &|_| None,
        &TelemetryOptions::default(),
        entries,
        vec![broken, counting(&seen)],
    )
    .unwrap();
    assert!(!reporter.is_exporting());
    journal.send(call()).unwrap();
    journal.send(call()).unwrap();
    reporter.flush(PATIENCE).unwrap();
    assert_eq!(told.try_iter().count(), 2);
}

#[test]
fn late_observer_sees_every_entry_sent_after_it() {
    // While the thread stands still, a command and an entry are both waiting for it; it may look
    // at either first, so one round alone proves nothing.
    for _ in 0..30 {
        let (journal, entries) = unbounded();
        let (entered, standing) = unbounded();
        let (release, released) = unbounded::<()>();
        let still: Observer = Box::new(move |_| {
            let _ = entered.send(());
            let _ = released.recv();
        });
        let options = TelemetryOptions::default();
        let reporter = Reporter::start_in(&|_| None, &options, entries, vec![still]).unwrap();
        journal.send(call()).unwrap();
        standing.recv().unwrap();
        let (seen, told) = unbounded();
        reporter.observe(counting(&seen));
        journal.send(call()).unwrap();
        drop(release);
        reporter.flush(PATIENCE).unwrap();
        assert_eq!(told.try_iter().count(), 1);
    }
}

#[test]
fn flush_still_answers_after_the_last_call() {
    let (reporter, journal, batches) = capturing(8);
    journal.send(call()).unwrap();
    drop(journal);
    reporter.flush(PATIENCE).unwrap();
    reporter.flush(PATIENCE).unwrap();
    assert_eq!(batches.try_iter().flatten().count(), 17);
}

#[test]
fn full_export_queue_drops_whole_calls_and_holds_up_nobody() {
    let (gate, gated) = unbounded();
    let (captured, batches) = unbounded();
    let exporter = Capture { captured, gate: Some(gated) };
    let (journal, entries) = unbounded();
    let options = TelemetryOptions { export_queue_max: 2, ..TelemetryOptions::default() };
    let exporting = Exporting { exporter, driver: Driver::Thread };
    let reporter = Reporter::start_with(&options, exporting, entries).unwrap();
    let (seen, told) = unbounded();
    reporter.observe(counting(&seen));
    for _ in 0..200 {
        journal.send(call()).unwrap();
    }
    // The exporter stands still, and yet all calls are told.
    assert_eq!(told.iter().take(200).count(), 200);
    drop(gate);
    reporter.flush(PATIENCE).unwrap();
    let spans = batches.try_iter().flatten().count();
    assert_eq!(spans % 17, 0, "a call's spans are dropped together");
    assert!((17..200 * 17).contains(&spans), "{spans}");
}

#[test]
fn unreachable_http_collector_does_not_hold_up_the_exit() {
    assert_exit_is_bounded(OtlpProtocol::HttpProtobuf);
}

#[cfg(feature = "otlp-grpc")]
#[test]
fn unreachable_grpc_collector_does_not_hold_up_the_exit() {
    assert_exit_is_bounded(OtlpProtocol::Grpc);
}

#[tokio::test]
async fn starts_and_ends_inside_a_runtime() {
    let both = [OtlpProtocol::HttpProtobuf, OtlpProtocol::Grpc];
    for protocol in both.into_iter().filter(|one| can_speak(*one)) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (reporter, journal) = towards(&listener, protocol);
        journal.send(call()).unwrap();
        assert!(reporter.flush(Duration::from_millis(1)).is_err());
        drop(reporter);
    }
}

#[test]
fn bad_endpoint_is_refused_at_the_start() {
    let (_journal, entries) = unbounded();
    let otlp = Some("localhost:4318".to_owned());
    let options = TelemetryOptions { otlp, ..TelemetryOptions::default() };
    let error = Reporter::start_in(&|_| None, &options, entries, Vec::new()).unwrap_err();
    assert!(matches!(error, TelemetryError::Endpoint { origin: "otlp", .. }), "{error}");
}

fn assert_exit_is_bounded(protocol: OtlpProtocol) {
    // One takes connections and stays silent, the other refuses them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let refusing = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_exit = towards(&silent, protocol);
    let refused_exit = towards(&refusing, protocol);
    drop(refusing);
    for (reporter, journal) in [silent_exit, refused_exit] {
        for _ in 0..1000 {
            journal.send(call()).unwrap();
        }
        let asked = Instant::now();
        let outcome = reporter.shutdown(TelemetryOptions::default().shutdown_timeout);
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        assert!(outcome.is_err(), "nobody took the spans");
    }
}

fn can_speak(protocol: OtlpProtocol) -> bool {
    protocol == OtlpProtocol::HttpProtobuf || cfg!(feature = "otlp-grpc")
}

fn towards(listener: &TcpListener, protocol: OtlpProtocol) -> (Reporter, Sender<JournalEntry>) {
    let (journal, entries) = unbounded();
    let otlp = Some(format!("http://{}", listener.local_addr().unwrap()));
    let options = TelemetryOptions { otlp, protocol, ..TelemetryOptions::default() };
    (Reporter::start_in(&|_| None, &options, entries, Vec::new()).unwrap(), journal)
}

fn capturing(queue_max: usize) -> (Reporter, Sender<JournalEntry>, Receiver<Vec<SpanData>>) {
    let (captured, batches) = unbounded();
    let (journal, entries) = unbounded();
    let exporting =
        Exporting { exporter: Capture { captured, gate: None }, driver: Driver::Thread };
    let export_queue_max = queue_max.min(4096);
    let options = TelemetryOptions { export_queue_max, ..TelemetryOptions::default() };
    (Reporter::start_with(&options, exporting, entries).unwrap(), journal, batches)
}

fn counting(seen: &Sender<()>) -> Observer {
    let seen = seen.clone();
    Box::new(move |_| seen.send(()).unwrap())
}

fn call() -> JournalEntry {
    JournalEntry::Call(Arc::new(retried_call()))
}

/// Keeps what it is given; with a gate it stands still until that is closed.
#[derive(Debug)]
struct Capture {
    captured: Sender<Vec<SpanData>>,
    gate: Option<Receiver<()>>,
}

impl SpanExporter for Capture {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        if let Some(gate) = &self.gate {
            let _ = gate.recv();
        }
        let _ = self.captured.send(batch);
        Ok(())
    }
}

/// Far more than any of these steps takes.
const PATIENCE: Duration = Duration::from_secs(30);
