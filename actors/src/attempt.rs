//! One attempt on the wire: a task of its own, owned by no caller.
//!
//! It bounds the time, reads the body, hands streams over, and says what it came to. Whatever
//! happens, panics in user code included, it settles exactly once, and only after the connection it
//! gave up has been closed: a slot is never lent twice.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use actix::{Recipient, WeakRecipient};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http::header::{HeaderName, HeaderValue};
use spillgate_core::advice::ErrorKind;
use spillgate_core::outcome::{BodyLeft, Evidence, Exposure, Neutral, Outcome};
use spillgate_core::quota::Quota;
use tokio::sync::oneshot;

use crate::answer::Head;
use crate::body::{self, BodyWriter, Collected, ReaderGone};
use crate::error::Error;
use crate::messages::{Opened, Settled};
use crate::order::{Arrival, Delivery, Ending, Order, Outturn, Payload, Trial};
use crate::phases::{Mark, Phase};
use crate::replay::{Loan, Replay};
use crate::retry_after;
use crate::seams::{Classifier, Judgement, Seams};
use crate::transport::{BodyStream, Inbound, Outbound, OutboundBody, TransportError, Way};

/// What an attempt needs to run.
pub(crate) struct Run {
    pub(crate) trial: Arc<Trial>,
    pub(crate) once: Option<Replay>,
    /// When it is cut off. Waiters of a shared flight come and go: their deadlines abort it.
    pub(crate) until: Instant,
    /// When the one reader of a stream gives up.
    pub(crate) deadline: Instant,
    pub(crate) seams: Arc<Seams>,
    /// Where it tells how it ended.
    pub(crate) host: Recipient<Settled>,
    /// Where it hands over the head of a stream.
    pub(crate) opened: WeakRecipient<Opened>,
    /// Resolves when the attempt is called back.
    pub(crate) cancelled: oneshot::Receiver<()>,
}

/// What an attempt came to, before it is judged.
struct Ended {
    outturn: Outturn,
    ending: Ending,
    delivered: Delivery,
}

/// Runs the attempt and tells the host how it ended.
pub(crate) async fn run(mut run: Run) {
    let mut cancelled = std::mem::replace(&mut run.cancelled, oneshot::channel().1);
    let (once, loan) = run.once.take().map(Replay::lend).unzip();
    let once = once.map(|lent| Box::pin(lent) as BodyStream);
    let work = AssertUnwindSafe(exchange(&run, once)).catch_unwind();
    let ended = tokio::select! {
        biased;
        _ = &mut cancelled => None,
        ended = work => Some(ended.unwrap_or_else(|_| Ended::panicked())),
    };
    let ended = ended.unwrap_or_else(|| Ended::failed(TransportError::sent(ErrorKind::Cancelled)));
    if ended.outturn.is_err() {
        // The exchange is dropped, which woke its connection's task.
        let_connections_run().await;
    }
    let classifier = match ended.delivered {
        Delivery::Whole => run.seams.classifier.as_ref(),
        // The body was its reader's: there is nothing left to judge by.
        Delivery::Stream => None,
    };
    let (evidence, outturn) = judge(classifier, ended.outturn, ended.ending.status);
    let mut ending = ended.ending;
    ending.error = outturn.as_ref().err().map(|failure| failure.kind).or(ending.error);
    let record = run.trial.record(Instant::now(), ending);
    let evidence = evidence.taking(run.took(record.began, record.ended));
    let (body, once) = match loan {
        Some(loan) if wants_another(&evidence, &outturn) => fetch_home(loan).await,
        Some(_) | None => (BodyLeft::Whole, None),
    };
    let evidence = Evidence { body, ..evidence };
    let attempt = run.trial.attempt;
    run.host.do_send(Settled { attempt, evidence, outturn, record, once });
}

/// A task spawned after a wake-up runs after what was woken, and `yield_now` promises no such order:
/// so when it is done, connections have closed and given back what they held.
async fn let_connections_run() {
    for _ in 0..CLOSE_TURNS {
        let _ = tokio::spawn(async {}).await;
    }
}

/// Whether the body could be needed once more, for a retry or a redirect; if not, it is left to go
/// out: an upstream may answer well before it has read everything.
fn wants_another(evidence: &Evidence, outturn: &Outturn) -> bool {
    let redirects = outturn.as_ref().is_ok_and(|arrival| arrival.head.status.is_redirection());
    evidence.is_retryable() || redirects
}

/// Calls a streamed body home, from a connection that may still be sending it.
async fn fetch_home(loan: Loan) -> (BodyLeft, Option<Replay>) {
    let mut home = loan.recall();
    let_connections_run().await;
    match home.try_recv() {
        Ok(replay) => (BodyLeft::Whole, Some(replay)),
        Err(_) => (BodyLeft::Gone, None),
    }
}

async fn exchange(run: &Run, once: Option<BodyStream>) -> Ended {
    let order = &run.trial.order;
    let outbound = outbound(&run.trial, once);
    let head = tokio::time::timeout_at(run.until.into(), run.seams.transport.exchange(outbound));
    let inbound = match head.await {
        Ok(Ok(inbound)) => inbound,
        Ok(Err(failure)) => return Ended::failed(failure),
        Err(_) => return Ended::failed(run.out_of_time()),
    };
    let ending = Ending {
        status: Some(inbound.status.as_u16()),
        version: Some(inbound.version),
        connection: inbound.connection,
        ..Ending::default()
    };
    let Inbound { status, version, headers, body, .. } = inbound;
    let head = Head { status, version, headers, url: order.safe_url.clone() };
    if order.delivery == Delivery::Stream && is_final(order, &head) {
        return stream(run, head, body, ending).await;
    }
    read(run, head, body, ending).await
}

/// Reads the whole body into memory.
async fn read(run: &Run, head: Head, mut body: BodyStream, mut ending: Ending) -> Ended {
    let mut bytes = Collected::default();
    loop {
        match run.next_chunk(&mut body, run.until).await {
            Ok(Some(chunk)) => {
                ending.response_bytes += chunk.len() as u64;
                if ending.response_bytes > run.trial.order.body_max as u64 {
                    let failure = TransportError::sent(ErrorKind::HttpResponseBodySize);
                    return Ended::whole(Err(failure.during(Phase::Read)), ending);
                }
                bytes.push(chunk);
            }
            Ok(None) => break,
            Err(failure) => return Ended::whole(Err(failure), ending),
        }
    }
    run.trial.marks.note(Mark::ReadEnd);
    Ended::whole(Ok(Arrival { head, body: bytes.whole() }), ending)
}

/// Hands the head over at once and the body chunk by chunk; ends when the body does.
async fn stream(run: &Run, head: Head, mut body: BodyStream, mut ending: Ending) -> Ended {
    let (writer, reader) = body::pipe(CHUNKS_MAX);
    let Some(coordinator) = run.opened.upgrade() else {
        return Ended::failed(TransportError::sent(ErrorKind::ShuttingDown));
    };
    coordinator.do_send(Opened { attempt: run.trial.attempt, head: head.clone(), body: reader });
    match pass_on(run, &mut body, &writer, &mut ending).await {
        Ok(()) => {
            run.trial.marks.note(Mark::ReadEnd);
            writer.end(Ok(()));
            Ended::streamed(Ok(Arrival { head, body: Bytes::new() }), ending)
        }
        Err(failure) => {
            let error = Error::of_transport(&failure)
                .at(run.trial.order.method.clone(), run.trial.order.safe_url.clone())
                .after_status(Some(head.status));
            writer.end(Err(error));
            Ended::streamed(Err(failure), ending)
        }
    }
}

/// Passes a body on to its reader, as fast as both go.
async fn pass_on(
    run: &Run,
    body: &mut BodyStream,
    writer: &BodyWriter,
    ending: &mut Ending,
) -> Result<(), TransportError> {
    let left = |ReaderGone| TransportError::sent(ErrorKind::Cancelled).during(Phase::Read);
    loop {
        let next = tokio::select! {
            biased;
            gone = writer.reader_gone() => return Err(left(gone)),
            next = run.next_chunk(body, run.deadline) => next?,
        };
        let Some(chunk) = next else { return Ok(()) };
        ending.response_bytes += chunk.len() as u64;
        match tokio::time::timeout_at(run.deadline.into(), writer.write(chunk)).await {
            Ok(written) => written.map_err(left)?,
            Err(_) => return Err(run.out_of_time()),
        }
    }
}

/// Whether a streamed answer is handed to the caller; what may be retried or followed is not.
fn is_final(order: &Order, head: &Head) -> bool {
    let status = head.status.as_u16();
    let follows = order.redirects_max > 0 && head.status.is_redirection();
    !Evidence::of_status(status, None).is_retryable() && !follows
}

fn judge(
    classifier: Option<&Classifier>,
    outturn: Outturn,
    status: Option<u16>,
) -> (Evidence, Outturn) {
    let arrival = match outturn {
        Ok(arrival) => arrival,
        Err(failure) => {
            let evidence = Evidence {
                status,
                outcome: Outcome::of_error(failure.kind),
                ..Evidence::of_error(failure.kind, failure.exposure)
            };
            return (evidence, Err(failure));
        }
    };
    let headers = &arrival.head.headers;
    let wall = SystemTime::now();
    let hint = retry_after::read(headers, Instant::now(), wall);
    let unix_now = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let quota = Quota::read(|name| headers.get(name).map(HeaderValue::as_bytes), unix_now);
    let evidence = Evidence::of_status(arrival.head.status.as_u16(), hint);
    let evidence = Evidence { quota, ..evidence };
    let Some(classifier) = classifier else { return (evidence, Ok(arrival)) };
    let asked = AssertUnwindSafe(|| classifier(&arrival.head, &arrival.body));
    match std::panic::catch_unwind(asked).unwrap_or(Judgement::ByStatus) {
        Judgement::ByStatus => (evidence, Ok(arrival)),
        Judgement::Success => (Evidence { outcome: Outcome::Success, ..evidence }, Ok(arrival)),
        Judgement::Failure => (Evidence { outcome: Outcome::Failure, ..evidence }, Ok(arrival)),
        Judgement::Business(message) => {
            let outcome = Outcome::Neutral(Neutral::Declined);
            let kind = Some(ErrorKind::Business);
            let failure = TransportError::sent(ErrorKind::Business).caused_by(Declined(message));
            (Evidence { outcome, kind, ..evidence }, Err(failure))
        }
    }
}

fn outbound(trial: &Trial, once: Option<BodyStream>) -> Outbound {
    let order = &trial.order;
    let mut headers = order.headers.clone();
    if let Ok(value) = trial.context.traceparent().try_into() {
        headers.insert(HeaderName::from_static("traceparent"), value);
    }
    let body = match (&order.body, once) {
        (_, Some(stream)) => OutboundBody::Stream(stream),
        (Payload::Bytes(bytes), None) => OutboundBody::Bytes(bytes.clone()),
        (Payload::Empty | Payload::Once, None) => OutboundBody::Empty,
    };
    Outbound {
        method: order.method.clone(),
        url: order.url.clone(),
        headers,
        body,
        connect_timeout: order.timeouts.connect,
        marks: trial.marks.clone(),
        way: if trial.hedge { Way::Apart } else { Way::Usual },
        beside: order.beside.clone(),
    }
}

impl Run {
    async fn next_chunk(
        &self,
        body: &mut BodyStream,
        until: Instant,
    ) -> Result<Option<Bytes>, TransportError> {
        let idle = self.trial.order.timeouts.read_idle;
        let idle_end = Instant::now() + idle.min(IDLE_MAX);
        let chunk = tokio::time::timeout_at(until.min(idle_end).into(), body.next());
        match chunk.await {
            Ok(Some(Ok(chunk))) => Ok(Some(chunk)),
            Ok(Some(Err(failure))) => Err(failure),
            Ok(None) => Ok(None),
            Err(_) if idle_end < until => {
                let failure = TransportError::sent(ErrorKind::ConnectionReadTimeout);
                Err(failure.during(Phase::Read))
            }
            Err(_) => Err(self.out_of_time()),
        }
    }

    /// How long the attempt took to answer: a stream is as fast as its head, however long it runs.
    fn took(&self, began: Instant, ended: Instant) -> Duration {
        let streams = self.trial.order.delivery == Delivery::Stream;
        let head = self.trial.marks.at(Mark::Head).filter(|_| streams);
        head.unwrap_or(ended).saturating_duration_since(began)
    }

    /// The error of an attempt whose time is up, telling whether a byte can have left.
    fn out_of_time(&self) -> TransportError {
        let marks = &self.trial.marks;
        let streams = self.trial.order.delivery == Delivery::Stream;
        let kind = if streams && Instant::now() >= self.deadline {
            ErrorKind::DeadlineExceeded
        } else {
            ErrorKind::HttpResponseTimeout
        };
        let phase =
            match (marks.at(Mark::WriteBegin), marks.at(Mark::WriteEnd), marks.at(Mark::Head)) {
                (_, _, Some(_)) => Phase::Read,
                (_, Some(_), None) => Phase::Wait,
                (Some(_), None, None) => Phase::Write,
                (None, None, None) => Phase::Acquire,
            };
        let exposure = match phase {
            Phase::Acquire => Exposure::NeverSent,
            Phase::Connect
            | Phase::Dns
            | Phase::Tcp
            | Phase::Tls
            | Phase::Write
            | Phase::Wait
            | Phase::Read => Exposure::MaybeSent,
        };
        TransportError { kind, exposure, phase: Some(phase), source: None }
    }
}

impl Ended {
    fn whole(outturn: Outturn, ending: Ending) -> Self {
        Self { outturn, ending, delivered: Delivery::Whole }
    }

    fn streamed(outturn: Outturn, ending: Ending) -> Self {
        Self { outturn, ending, delivered: Delivery::Stream }
    }

    fn failed(failure: TransportError) -> Self {
        Self::whole(Err(failure), Ending::default())
    }

    fn panicked() -> Self {
        tracing::error!("user code panicked inside an attempt; the call ends with an error");
        Self::failed(TransportError::sent(ErrorKind::Internal).caused_by(Panicked))
    }
}

#[derive(Debug)]
struct Panicked;

impl std::fmt::Display for Panicked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("user code panicked while the request was sent or read")
    }
}

impl std::error::Error for Panicked {}

#[derive(Debug)]
struct Declined(String);

impl std::fmt::Display for Declined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Declined {}

/// Turns of the event loop after which a dropped exchange has closed its socket.
/// One for HTTP/1.1; HTTP/2 needs a second for the stream's reset to reach the connection.
const CLOSE_TURNS: usize = 2;

/// Chunks of a streamed body that may wait for a slow reader.
const CHUNKS_MAX: usize = 8;

/// An idle time above this is as good as none, and cannot overflow.
const IDLE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
