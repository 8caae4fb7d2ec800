//! What the coordinator keeps of calls and flights beside its machine: payloads and their story.
//!
//! The machine decides by numbers; here is what the numbers stand for, and what will be told of
//! them once the answer is given.

use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use http::StatusCode;
use http::header::SET_COOKIE;
use spillgate_core::advice::ErrorKind;
use spillgate_core::breaker::options::BreakerOptions;
use spillgate_core::call::{AttemptId, FlightId, Priority, Target};
use spillgate_core::verdict::{Finality, Grounds, Offer};

use crate::answer::Response;
use crate::cache_use::{CacheMark, Joined};
use crate::course::{Note, NoteKind, Role};
use crate::error::Error;
use crate::messages::Reply;
use crate::order::{Ending, Order, Origin, Outturn, Trial};
use crate::phases::PhaseMarks;
use crate::record::{AttemptRecord, CallRecord, FlightRecord, SpanContext, Wait, WaitCause};
use crate::replay::Replay;
use crate::retry_after;

/// A ticket that waits for its answer.
pub(crate) struct Caller {
    pub(crate) origin: Origin,
    pub(crate) reply: Option<Reply>,
    /// What it would send, until a flight takes it over.
    pub(crate) luggage: Option<Luggage>,
    /// The call span of the flight it joined.
    pub(crate) leader: Option<SpanContext>,
}

/// What a new flight takes over from its first caller.
pub(crate) struct Luggage {
    pub(crate) order: Order,
    pub(crate) target: Target,
    pub(crate) once: Option<Replay>,
    pub(crate) breaker: Option<BreakerOptions>,
}

/// A flight's payload and story.
pub(crate) struct Work {
    pub(crate) order: Arc<Order>,
    /// Where the present hop goes.
    pub(crate) target: Target,
    pub(crate) once: Option<Replay>,
    pub(crate) breaker: Option<BreakerOptions>,
    leader: Leader,
    /// What the latest attempt brought.
    pub(crate) outturn: Option<Outturn>,
    pub(crate) hops: u32,
    /// Its place in the queue, as last noted.
    pub(crate) rank: Priority,
    story: Story,
}

/// The call that began a flight, in whose trace the attempts are told.
struct Leader {
    context: SpanContext,
    url: Arc<str>,
    route: Option<Arc<str>>,
    explains: bool,
    /// How many attempts its record told, once it has left.
    told: Option<usize>,
}

/// What happened so far, for records.
#[derive(Clone, Default)]
struct Story {
    attempts: Vec<Arc<AttemptRecord>>,
    waits: Vec<Wait>,
    notes: Vec<Note>,
    notes_left_out: u32,
    waiting: Option<Waiting>,
    /// The attempts on the wire that count: one, or two while it is hedged.
    current: Vec<Arc<Trial>>,
    last_status: Option<StatusCode>,
}

#[derive(Clone, Copy)]
struct Waiting {
    since: Instant,
    /// Until when it sleeps, and what for; from then on it queues.
    asleep: Option<Sleep>,
}

/// A time that a flight waits for, and why.
pub(crate) type Sleep = (Instant, WaitCause);

impl Work {
    pub(crate) fn new(luggage: Luggage, origin: &Origin, now: Instant) -> Self {
        let waiting = Some(Waiting { since: now, asleep: None });
        let (context, url, route) = (origin.context, origin.url.clone(), origin.route.clone());
        let leader = Leader { context, url, route, explains: origin.explains, told: None };
        Self {
            order: Arc::new(luggage.order),
            target: luggage.target,
            once: luggage.once,
            breaker: luggage.breaker,
            leader,
            outturn: None,
            hops: 0,
            rank: origin.priority,
            story: Story { waiting, ..Story::default() },
        }
    }

    /// The span of the call that began it.
    pub(crate) fn leader(&self) -> SpanContext {
        self.leader.context
    }

    /// Whether the call that began it wants to be told all that can be.
    pub(crate) fn explains(&self) -> bool {
        self.leader.explains
    }

    /// A caller leaves while the flight goes on; if it began the flight, what comes is told later.
    pub(crate) fn left_by(&mut self, caller: &Caller) {
        if caller.origin.context == self.leader.context {
            self.leader.told = Some(self.story.attempts.len());
        }
    }

    /// What happened since the leader left, told when the flight ends.
    pub(crate) fn rest(mut self, now: Instant, flight: FlightId) -> Option<FlightRecord> {
        let mut attempts = self.story.attempts.split_off(self.leader.told?);
        attempts.extend(self.story.current.iter().map(|trial| trial.cancelled(now)));
        let Leader { context, url, route, .. } = self.leader;
        let record = FlightRecord { flight, leader: context, url, route, attempts };
        (!record.attempts.is_empty()).then_some(record)
    }

    /// An attempt goes out: the waiting is over.
    pub(crate) fn sent(&mut self, now: Instant, offer: &Offer, context: SpanContext) -> Arc<Trial> {
        self.story.end_waiting(now);
        let trial = Arc::new(Trial {
            attempt: offer.attempt,
            resend: offer.resend,
            hedge: offer.beside.is_some(),
            context,
            marks: PhaseMarks::new(now),
            order: self.order.clone(),
            host: self.order.lane.clone(),
            admission: OnceLock::new(),
        });
        self.story.current.push(trial.clone());
        trial
    }

    /// An attempt was outrun by another: whatever it still brings is not told.
    pub(crate) fn outrun(&mut self, now: Instant, attempt: AttemptId) {
        if let Some(trial) = self.story.take(attempt) {
            self.story.attempts.push(trial.cancelled(now));
            self.note(now, Some(attempt.n), NoteKind::Outrun);
        }
    }

    /// An attempt ended; says whether it still counted.
    pub(crate) fn settled(
        &mut self,
        attempt: AttemptId,
        brought: Option<(Outturn, Arc<AttemptRecord>)>,
    ) -> bool {
        if self.story.take(attempt).is_none() {
            return false;
        }
        let Some((outturn, record)) = brought else { return true };
        let status = record.status.and_then(|status| StatusCode::from_u16(status).ok());
        self.story.last_status = status.or(self.story.last_status);
        self.story.attempts.push(record);
        self.outturn = Some(outturn);
        true
    }

    /// Whether an attempt is on the wire that counts.
    pub(crate) fn is_running(&self) -> bool {
        !self.story.current.is_empty()
    }

    /// The flight waits from here on.
    pub(crate) fn waits(&mut self, now: Instant, asleep: Option<Sleep>) {
        self.story.waiting = Some(Waiting { since: now, asleep });
    }

    /// Remembers what is out of the ordinary, up to a bound.
    pub(crate) fn note(&mut self, at: Instant, attempt: Option<u32>, what: NoteKind) {
        if self.story.notes.len() < NOTES_MAX {
            self.story.notes.push(Note { at, attempt, what });
        } else {
            self.story.notes_left_out = self.story.notes_left_out.saturating_add(1);
        }
    }

    /// Its place in the queue is this from here on.
    pub(crate) fn ranks(&mut self, now: Instant, rank: Priority) {
        if rank != self.rank {
            let what = NoteKind::Ranked { from: self.rank, to: rank };
            self.note(now, None, what);
            self.rank = rank;
        }
    }

    /// When the upstream wants to be asked again: as it was understood, or as its last answer says.
    pub(crate) fn retry_at(&self, now: Instant, finality: Finality) -> Option<Instant> {
        if let Finality::DeadlineNear { retry_at: Some(at) } = finality {
            return Some(at);
        }
        let Some(Ok(arrival)) = &self.outturn else { return None };
        let status = arrival.head.status;
        let declined = status.is_client_error() || status.is_server_error();
        declined.then(|| retry_after::read(&arrival.head.headers, now, SystemTime::now())).flatten()
    }
}

impl Story {
    /// Takes an attempt off the wire.
    fn take(&mut self, attempt: AttemptId) -> Option<Arc<Trial>> {
        let index = self.current.iter().position(|trial| trial.attempt == attempt)?;
        Some(self.current.swap_remove(index))
    }

    fn end_waiting(&mut self, now: Instant) {
        let Some(Waiting { since, asleep }) = self.waiting.take() else { return };
        let mut push = |cause, from: Instant, to: Instant| {
            if to > from && self.waits.len() < WAITS_MAX {
                self.waits.push(Wait { cause, from, to });
            }
        };
        let (awake, cause) = asleep.unwrap_or((since, WaitCause::Queue));
        let awake = awake.clamp(since, now.max(since));
        push(cause, since, awake);
        push(WaitCause::Queue, awake, now);
    }
}

/// How a call ended, for its record.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct End {
    pub(crate) flight: Option<FlightId>,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<ErrorKind>,
    pub(crate) retry_at: Option<Instant>,
    pub(crate) finality: Option<Finality>,
    pub(crate) grounds: Grounds,
    /// Whether its flight goes on for others.
    pub(crate) goes_on: bool,
}

impl Caller {
    /// The record of this call, ended at `now`; a running attempt is told as far as it came.
    pub(crate) fn record(&self, now: Instant, work: Option<&Work>, end: End) -> CallRecord {
        let mut story = work.map(|work| work.story.clone()).unwrap_or_default();
        story.end_waiting(now);
        for trial in std::mem::take(&mut story.current) {
            let (error, status, goes_on) = (end.error, end.status, end.goes_on);
            let ending = Ending { status, error, goes_on, ..Ending::default() };
            story.attempts.push(trial.record(now, ending));
        }
        story.attempts.sort_by_key(|attempt| attempt.n);
        if self.leader.is_some() {
            // Its own waiting is the whole call; the flight's waits belong to the leader's span.
            story.waits.clear();
        }
        let origin = &self.origin;
        CallRecord {
            ticket: origin.ticket,
            flight: end.flight,
            role: end.flight.map(|_| self.role(work)),
            context: origin.context,
            parent_span_id: origin.parent_span_id,
            leader: self.leader,
            method: origin.method.clone(),
            url: origin.url.clone(),
            host: origin.host.clone(),
            route: origin.route.clone(),
            scope: origin.scope.clone(),
            priority: origin.priority,
            began: origin.began,
            deadline: origin.deadline,
            ended: now,
            waits: story.waits,
            attempts: story.attempts,
            status: end.status,
            error: end.error,
            retry_at: end.retry_at,
            finality: end.finality,
            grounds: end.grounds,
            notes: story.notes,
            notes_left_out: story.notes_left_out,
            explains: origin.explains,
        }
    }

    fn role(&self, work: Option<&Work>) -> Role {
        let has_left = work.is_some_and(|work| work.leader.told.is_some());
        match (self.leader, has_left) {
            (None, _) => Role::Led,
            (Some(_), false) => Role::Joined,
            (Some(_), true) => Role::WentOn,
        }
    }

    /// What this caller gets of what its flight brought.
    pub(crate) fn share(
        &self,
        outturn: &Outturn,
        mark: Option<&CacheMark>,
        record: &Arc<CallRecord>,
    ) -> Result<Response, Error> {
        match outturn {
            Ok(arrival) => {
                let mut head = arrival.head.clone();
                let mut joined = None;
                if self.leader.is_some() {
                    let cookies = arrival.head.headers.get_all(SET_COOKIE).iter().cloned();
                    joined =
                        mark.map(|mark| Joined { mark: mark.clone(), cookies: cookies.collect() });
                    // A cookie is meant for the one who asked.
                    head.headers.remove(SET_COOKIE);
                }
                let response = Response::new(head, arrival.body.clone());
                Ok(response.recorded(record.clone()).joining(joined))
            }
            Err(failure) => Err(self.dress(Error::of_transport(failure), record)),
        }
    }

    /// Completes an error with what is known of the call.
    pub(crate) fn dress(&self, error: Error, record: &Arc<CallRecord>) -> Error {
        let status = record
            .status
            .or_else(|| record.attempts.iter().rev().find_map(|attempt| attempt.status));
        error
            .at(self.origin.method.clone(), self.origin.url.clone())
            .in_scope(self.origin.scope.clone())
            .after_status(status.and_then(|status| StatusCode::from_u16(status).ok()))
            .recorded(record.clone())
    }
}

/// A call that streams: answered already, but its record waits for the body's end.
pub(crate) struct Streaming {
    /// Without the attempt, whose own record comes with its end.
    record: CallRecord,
    trial: Option<Arc<Trial>>,
}

impl Streaming {
    /// A stream whose head is there, with the record of its call so far.
    pub(crate) fn new(mut record: CallRecord, work: Option<&Work>) -> Self {
        record.attempts.pop();
        Self { record, trial: work.and_then(|work| work.story.current.last().cloned()) }
    }

    /// The record of the call, once its attempt has ended.
    pub(crate) fn ended(self, attempt: Option<Arc<AttemptRecord>>) -> CallRecord {
        let Self { mut record, .. } = self;
        if let Some(attempt) = attempt {
            record.ended = attempt.ended;
            record.error = attempt.error;
            record.attempts.push(attempt);
        }
        record
    }

    /// The record of a call whose stream ends with the client.
    pub(crate) fn cut(self, now: Instant) -> CallRecord {
        let (status, error) = (self.record.status, Some(ErrorKind::ShuttingDown));
        let ending = Ending { status, error, ..Ending::default() };
        let attempt = self.trial.as_ref().map(|trial| trial.record(now, ending));
        self.ended(attempt)
    }
}

const NOTES_MAX: usize = 64;
const WAITS_MAX: usize = 64;
