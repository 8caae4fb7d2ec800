//! How a ticket gets its one answer, and its call its record.

use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt as _;
use spillgate_core::advice::ErrorKind;
use spillgate_core::call::{FlightId, Ticket};
use spillgate_core::coordinator::port::Answer;
use spillgate_core::verdict::{Finality, Gate, Grounds, Retry, Verdict};

use crate::answer::{Response, StreamingResponse};
use crate::body;
use crate::coordinator::Coordinator;
use crate::course::{NoteKind, Standing};
use crate::error::{Error, describe};
use crate::ledger::{Caller, End, Streaming, Work};
use crate::messages::{Opened, Reply};
use crate::record::{CallRecord, JournalEntry, WaitCause};

impl Coordinator {
    pub(super) fn answer(&mut self, now: Instant, ticket: Ticket, answer: Answer) {
        let Some(caller) = self.callers.remove(&ticket) else { return };
        match answer {
            Answer::Arrived(flight, finality) => self.arrived(now, caller, flight, finality),
            Answer::Opened(flight) => self.open(now, caller, flight),
            Answer::Refused { flight, kind, until, grounds } => {
                // Whoever is told that it waits no more must not see itself waiting.
                self.publish_lane(&caller.origin.host);
                let goes_on = flight.is_some_and(|id| self.machine.flights().of(id).is_some());
                let error = Some(kind);
                let end =
                    End { flight, error, retry_at: until, grounds, goes_on, ..End::default() };
                let record = self.leave(now, &caller, end);
                if let (Some(flight), true) = (flight, goes_on) {
                    self.parted(now, flight, caller.origin.priority);
                }
                let work = flight.and_then(|flight| self.works.get(&flight));
                let mut error = Error::new(kind, refusal_text(kind, grounds, &caller)).until(until);
                if let Some(Err(failure)) = work.and_then(|work| work.outturn.as_ref()) {
                    error = error.caused_by(Arc::new(Error::of_transport(failure)));
                }
                let mut caller = caller;
                caller.refuse(error, &record);
            }
        }
    }

    /// Records a call that ends without what its flight may still bring.
    pub(super) fn leave(&mut self, now: Instant, caller: &Caller, end: End) -> Arc<CallRecord> {
        let mut work = end.flight.and_then(|flight| self.works.get_mut(&flight));
        let record = Arc::new(caller.record(now, work.as_deref(), end));
        if let (Some(work), true) = (&mut work, end.goes_on) {
            work.left_by(caller);
        }
        self.seams.journal.write(JournalEntry::Call(record.clone()));
        record
    }

    fn arrived(&self, now: Instant, mut caller: Caller, flight: FlightId, finality: Finality) {
        let work = self.works.get(&flight);
        let outturn = work.and_then(|work| work.outturn.as_ref());
        let (status, error) = match outturn {
            Some(Ok(arrival)) => (Some(arrival.head.status.as_u16()), None),
            Some(Err(failure)) => (None, Some(failure.kind)),
            None => (None, Some(ErrorKind::Internal)),
        };
        let retry_at = work.and_then(|work| work.retry_at(now, finality));
        let (flight, finality) = (Some(flight), Some(finality));
        let end = End { flight, status, error, retry_at, finality, ..End::default() };
        let record = Arc::new(caller.record(now, work, end));
        self.seams.journal.write(JournalEntry::Call(record.clone()));
        let Some(outturn) = outturn else {
            return caller.refuse(Error::new(ErrorKind::Internal, "the answer was lost"), &record);
        };
        let mark = work.and_then(|work| work.order.mark.as_ref());
        let shared = caller.share(outturn, mark, &record).map_err(|error| error.until(retry_at));
        caller.give(shared, &record);
    }

    fn open(&mut self, now: Instant, mut caller: Caller, flight: FlightId) {
        let Some(Opened { attempt, head, body }) = self.opened.take() else { return };
        let work = self.works.get(&flight);
        let status = Some(head.status.as_u16());
        let record =
            caller.record(now, work, End { flight: Some(flight), status, ..End::default() });
        let answer = StreamingResponse::new(head, body, Arc::new(record.clone()));
        self.streaming.insert(attempt, Streaming::new(record, work));
        if let Some(Reply::Stream(reply)) = caller.reply.take() {
            let _ = reply.send(Ok(answer));
        }
    }
}

impl Work {
    /// Remembers what a host's verdict on attempt `n` means for the flight.
    pub(super) fn judged(&mut self, now: Instant, n: u32, verdict: Verdict, standing: Standing) {
        match verdict {
            Verdict::Done(_) => {}
            // While another of its attempts runs the flight does not wait.
            Verdict::RetryAt(_) if self.is_running() => {}
            Verdict::RetryAt(Retry { at, hint, .. }) => {
                let wished = hint.is_some_and(|hint| hint > now);
                let cause = if wished { WaitCause::RetryAfter } else { WaitCause::BackOff };
                self.waits(now, Some((at, cause)));
            }
            Verdict::Refused(refusal) => {
                let scope = self.target.scope.clone();
                self.note(now, Some(n), NoteKind::Refused { refusal, scope, standing });
                if self.is_running() {
                    return;
                }
                let cause = match refusal.gate {
                    Gate::Rate => WaitCause::Rate,
                    Gate::Probe => WaitCause::Verdict,
                    Gate::Slot => WaitCause::Queue,
                    Gate::Deadline
                    | Gate::Pace
                    | Gate::Budget
                    | Gate::Breaker
                    | Gate::Hedge
                    | Gate::Device => WaitCause::Pace,
                };
                self.waits(now, refusal.until.map(|until| (until, cause)));
            }
        }
    }
}

impl Caller {
    /// Gives this caller an error.
    pub(super) fn refuse(&mut self, error: Error, record: &Arc<CallRecord>) {
        let error = self.dress(error, record);
        self.give(Err(error), record);
    }

    /// Gives this caller its answer; one that has gone does not mind.
    pub(super) fn give(&mut self, answer: Result<Response, Error>, record: &Arc<CallRecord>) {
        match self.reply.take() {
            Some(Reply::Whole(reply)) => drop(reply.send(answer)),
            Some(Reply::Stream(reply)) => {
                drop(reply.send(answer.map(|response| as_stream(response, record))));
            }
            None => {}
        }
    }
}

/// A whole answer as a stream of one chunk: what was not worth streaming, such as a final 503.
fn as_stream(response: Response, record: &Arc<CallRecord>) -> StreamingResponse {
    let (writer, reader) = body::pipe(1);
    if !response.bytes().is_empty() {
        // There is room for one.
        let _ = writer.write(response.bytes().clone()).now_or_never();
    }
    writer.end(Ok(()));
    StreamingResponse::new(response.into_head(), reader, record.clone())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "only these kinds have more to say")]
fn refusal_text(kind: ErrorKind, grounds: Grounds, caller: &Caller) -> String {
    let scope = &caller.origin.scope;
    match kind {
        ErrorKind::CircuitOpen => format!("the circuit of {scope} is open; nothing was sent"),
        ErrorKind::QueueFull => {
            let priority = caller.origin.priority.name();
            format!("the queue is full, and holds nothing less urgent than {priority}")
        }
        ErrorKind::RateLimited => {
            format!("{scope} is held by a Retry-After for longer than the deadline leaves")
        }
        ErrorKind::DeadlineExceeded => {
            if let Grounds::TimeLeft { left, needed } = grounds {
                let (left, needed) = (left.as_millis(), needed.as_millis());
                return format!(
                    "{left} ms are left until the deadline, {needed} or more are of use"
                );
            }
            let age = caller.origin.began.elapsed().as_millis();
            format!("the deadline passed after {age} ms")
        }
        ErrorKind::ShuttingDown => "the client is shutting down".to_owned(),
        kind => describe(kind),
    }
}
