//! What the callers count themselves: each call as it is sent, each answer as it arrives.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use spillgate_actors::answer::Response;
use spillgate_actors::core::advice::{ErrorClass, ErrorKind};
use spillgate_actors::error::Error;
use spillgate_actors::phases::Phase;
use spillgate_actors::record::{AttemptRecord, CallRecord};

/// The callers' common slate.
#[derive(Debug, Default)]
pub(super) struct Tally {
    slate: Mutex<Callers>,
}

/// What all callers together have seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Callers {
    /// Calls made.
    pub(super) calls: u64,
    /// Answers received, of any kind.
    pub(super) answers: u64,
    /// Answers below 400.
    pub(super) ok: u64,
    /// Errors, cancelled calls and answers from 400 on; not what was rejected.
    pub(super) errors: u64,
    /// Calls that a policy of the client refused before anything was sent.
    pub(super) rejected: u64,
    /// Errors that are the callers' own change of mind.
    pub(super) cancelled: u64,
    /// Answers that came from another call's flight.
    pub(super) coalesced: u64,
    /// Retries that were sent before the time that `Retry-After` asked for.
    pub(super) retried_too_soon: u64,
    /// Errors and rejections by kind.
    pub(super) kinds: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Counts a call.
    pub(super) fn called(&self) {
        self.slate().calls += 1;
    }

    /// Counts its answer.
    pub(super) fn answered(&self, answer: &Result<Response, Error>) {
        self.slate().take(answer);
    }

    /// What is counted so far.
    pub(super) fn callers(&self) -> Callers {
        self.slate().clone()
    }

    fn slate(&self) -> MutexGuard<'_, Callers> {
        self.slate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Callers {
    /// How often calls ended with this kind.
    pub(super) fn of(&self, kind: ErrorKind) -> u64 {
        self.kinds.get(kind.name()).copied().unwrap_or(0)
    }

    fn take(&mut self, answer: &Result<Response, Error>) {
        self.answers += 1;
        let (class, kind, record) = match answer {
            Ok(response) if response.status().as_u16() < 400 => (None, None, response.record()),
            Ok(response) => {
                (Some(ErrorClass::Transient), Some(ErrorKind::HttpStatus), response.record())
            }
            Err(error) => (Some(error.class()), Some(error.kind()), error.record()),
        };
        match class {
            None => self.ok += 1,
            Some(ErrorClass::Rejected) => self.rejected += 1,
            Some(ErrorClass::Cancelled) => {
                self.errors += 1;
                self.cancelled += 1;
            }
            Some(
                ErrorClass::Device
                | ErrorClass::Transient
                | ErrorClass::Permanent
                | ErrorClass::Business,
            ) => self.errors += 1,
        }
        if let Some(kind) = kind {
            *self.kinds.entry(kind.name()).or_default() += 1;
        }
        if let Some(record) = record {
            self.coalesced += u64::from(record.is_coalesced());
            self.retried_too_soon += retries_too_soon(record);
        }
    }
}

fn retries_too_soon(record: &CallRecord) -> u64 {
    let pairs = record.attempts.iter().zip(record.attempts.iter().skip(1));
    let too_soon = pairs.filter(|(before, after)| {
        before.status == Some(429) && after.began < answered_at(before) + ASKED_FOR
    });
    u64::try_from(too_soon.count()).unwrap_or(u64::MAX)
}

/// When the head was there: the earliest moment at which a client can have known.
fn answered_at(attempt: &AttemptRecord) -> std::time::Instant {
    let read = attempt.phases.iter().find(|span| span.phase == Phase::Read);
    read.map_or(attempt.began, |span| span.from)
}

/// What the throttling upstream asks for.
const ASKED_FOR: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn every_answer_is_ok_an_error_or_rejected() {
        let tally = Tally::default();
        let answers = [
            Ok(Response::builder().build()),
            Ok(Response::builder().status(StatusCode::SERVICE_UNAVAILABLE).build()),
            Err(Error::new(ErrorKind::CircuitOpen, "")),
            Err(Error::new(ErrorKind::QueueFull, "")),
            Err(Error::new(ErrorKind::Cancelled, "")),
            Err(Error::new(ErrorKind::DeadlineExceeded, "")),
        ];
        for answer in &answers {
            tally.called();
            tally.answered(answer);
        }
        let callers = tally.callers();
        assert_eq!((callers.calls, callers.answers), (6, 6));
        assert_eq!((callers.ok, callers.errors, callers.rejected), (1, 3, 2));
        assert_eq!((callers.cancelled, callers.of(ErrorKind::QueueFull)), (1, 1));
    }
}
