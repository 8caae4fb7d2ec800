//! The decorator round the network that does to an attempt what was drawn for it.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use spillgate_actors::error::Error;
use spillgate_actors::phases::{Mark, Phase, PhaseMarks};
use spillgate_actors::transport::{ExchangeFuture, Inbound, Outbound, Transport, TransportError};
use spillgate_core::advice::ErrorKind;
use spillgate_core::chaos::{Dealer, Harm, Injection, Strike, exposure};
use spillgate_core::outcome::Exposure;

use super::body::{Cut, CutBody, Planted};
use super::{Aim, Chaos};
use crate::config::pattern::HostName;

/// A network into which faults are injected.
pub(crate) struct ChaosTransport {
    inner: Arc<dyn Transport>,
    injector: Arc<Injector>,
}

/// Draws faults, in the order of the attempts, until it is stopped.
pub(crate) struct Injector {
    began: Instant,
    aims: Vec<Aim>,
    dealer: Mutex<Dealer>,
    stopped: AtomicBool,
}

/// A fault that a client injects, and how many attempts have suffered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injected {
    /// The fault.
    pub harm: Harm,
    /// The attempts that have suffered it.
    pub times: u64,
}

impl ChaosTransport {
    /// Injects what `injector` draws into `inner`.
    pub(crate) fn new(inner: Arc<dyn Transport>, injector: Arc<Injector>) -> Self {
        Self { inner, injector }
    }
}

impl Transport for ChaosTransport {
    fn exchange(&self, outbound: Outbound) -> ExchangeFuture {
        let injection = self.injector.draw(&outbound);
        if injection.is_none() {
            return self.inner.exchange(outbound);
        }
        outbound.marks.note_injected(injection.to_string());
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { suffer(&*inner, outbound, injection).await })
    }
}

impl Injector {
    /// Checks the chaos; its time begins here.
    pub(crate) fn new(chaos: &Chaos) -> Result<Self, Error> {
        let (doses, aims): (Vec<_>, Vec<_>) = chaos.aimed()?.into_iter().unzip();
        Ok(Self {
            began: Instant::now(),
            aims,
            dealer: Mutex::new(Dealer::new(chaos.seed, doses)),
            stopped: AtomicBool::new(false),
        })
    }

    /// Injects nothing more.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// The faults, and how often each was injected.
    pub(crate) fn injected(&self) -> Vec<Injected> {
        let dealer = self.dealer.lock().unwrap_or_else(PoisonError::into_inner);
        dealer.given().map(|(dose, times)| Injected { harm: dose.harm, times }).collect()
    }

    fn draw(&self, outbound: &Outbound) -> Injection {
        let host = HostName::of(&outbound.url).filter(|_| !self.stopped.load(Ordering::Relaxed));
        let Some(host) = host else { return Injection::default() };
        let applies = |index| {
            self.aims.get(index).is_some_and(|aim: &Aim| {
                let path = outbound.url.path();
                aim.host.as_ref().is_none_or(|pattern| pattern.matches(&host))
                    && aim.route.as_ref().is_none_or(|r| r.matches(&outbound.method, path, None))
            })
        };
        let mut dealer = self.dealer.lock().unwrap_or_else(PoisonError::into_inner);
        dealer.inject(self.began.elapsed(), applies)
    }
}

async fn suffer(
    inner: &dyn Transport,
    outbound: Outbound,
    Injection { latency, strike }: Injection,
) -> Result<Inbound, TransportError> {
    let marks = Arc::clone(&outbound.marks);
    match strike {
        None => late(inner, outbound, latency).await,
        Some(Strike::Truncate) => cut(late(inner, outbound, latency).await, Cut::Broken),
        Some(Strike::Stall) => cut(late(inner, outbound, latency).await, Cut::Silent),
        Some(Strike::Hang) => {
            seem_written(&marks);
            std::future::pending().await
        }
        Some(Strike::Error(kind)) => {
            let failure = failure(kind);
            if failure.exposure == Exposure::MaybeSent {
                seem_written(&marks);
            }
            tokio::time::sleep(latency).await;
            Err(failure)
        }
        Some(Strike::Status { code, retry_after }) => {
            seem_written(&marks);
            tokio::time::sleep(latency).await;
            marks.note(Mark::Head);
            Ok(answer(code, retry_after))
        }
    }
}

/// Sends the request, and lets its answer wait: that is time waited for the head.
async fn late(
    inner: &dyn Transport,
    outbound: Outbound,
    latency: Duration,
) -> Result<Inbound, TransportError> {
    if latency.is_zero() {
        return inner.exchange(outbound).await;
    }
    let marks = Arc::clone(&outbound.marks);
    // The head that the network notes is not yet the one that the attempt sees.
    let real = PhaseMarks::new(marks.began());
    let mut exchange = inner.exchange(Outbound { marks: Arc::clone(&real), ..outbound });
    let arrived = poll_fn(|cx| {
        let polled = exchange.as_mut().poll(cx);
        for mark in BEFORE_HEAD {
            if let Some(at) = real.at(mark) {
                marks.note_at(mark, at);
            }
        }
        polled
    });
    let arrived = arrived.await;
    tokio::time::sleep(latency).await;
    if arrived.is_ok() {
        marks.note(Mark::Head);
    }
    arrived
}

fn cut(arrived: Result<Inbound, TransportError>, cut: Cut) -> Result<Inbound, TransportError> {
    let Inbound { status, version, headers, body, connection } = arrived?;
    let body = Box::pin(CutBody::new(body, cut));
    Ok(Inbound { status, version, headers, body, connection })
}

/// The request counts as sent, as one that an upstream took and never answered does.
fn seem_written(marks: &PhaseMarks) {
    marks.note(Mark::WriteBegin);
    marks.note(Mark::WriteEnd);
}

fn failure(kind: ErrorKind) -> TransportError {
    let exposure = exposure(kind).unwrap_or(Exposure::MaybeSent);
    let phase = match (exposure, kind) {
        (Exposure::MaybeSent, _) => Phase::Wait,
        (Exposure::NeverSent, ErrorKind::DnsError | ErrorKind::DeviceOffline) => Phase::Dns,
        (Exposure::NeverSent, ErrorKind::TlsCertificateError | ErrorKind::TlsProtocolError) => {
            Phase::Tls
        }
        (Exposure::NeverSent, _) => Phase::Tcp,
    };
    let failure = TransportError { kind, exposure, phase: Some(phase), source: None };
    failure.caused_by(Planted)
}

fn answer(code: u16, retry_after: Option<Duration>) -> Inbound {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    if let Some(time) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(time.as_secs()));
    }
    Inbound {
        status: StatusCode::from_u16(code).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
        version: Version::HTTP_11,
        headers,
        body: Box::pin(futures_util::stream::empty()),
        connection: None,
    }
}

/// What passes before an answer's head.
const BEFORE_HEAD: [Mark; 8] = [
    Mark::ConnectBegin,
    Mark::ConnectEnd,
    Mark::DnsBegin,
    Mark::DnsEnd,
    Mark::TlsBegin,
    Mark::TlsEnd,
    Mark::WriteBegin,
    Mark::WriteEnd,
];
