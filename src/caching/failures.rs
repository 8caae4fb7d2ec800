//! The memory of failures, for those who ask for it: what failed a moment ago is not asked again.
//!
//! It is apart from the cache and never stands before a stored answer. The first success ends it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::sync::Cache as Table;
use spillgate_actors::answer::{Head, Response};
use spillgate_actors::core::advice::{ErrorClass, ErrorKind};
use spillgate_actors::error::Error;

use crate::cache::ask::{CacheMode, Pending};
use crate::cache::audience::Audience;
use crate::cache::fate::is_failure;
use crate::caching::labels::Label;
use crate::caching::renewals::Place;
use crate::caching::terms::Terms;
use crate::caching::{Caching, Front};

/// What failed, where, and until when that is remembered.
pub(super) struct Failures {
    table: Table<Place, Arc<Failure>>,
}

struct Failure {
    until: Instant,
    what: Result<Answer, Error>,
}

/// An answer, and who may be told of it.
struct Answer {
    response: Response,
    audience: Audience,
}

impl Default for Failures {
    fn default() -> Self {
        Self { table: Table::new(FAILURES_MAX) }
    }
}

impl Failures {
    pub(super) fn note_error(&self, pending: &Pending, error: &Error, time: Option<Duration>) {
        let Some(time) = time.filter(|_| pending.may_store()) else { return };
        let of_upstream =
            error.class() == ErrorClass::Transient && error.kind() != ErrorKind::DeadlineExceeded;
        if of_upstream {
            self.note(pending, time, Err(error.clone()));
        }
    }

    pub(super) fn note_answer(
        &self,
        pending: &Pending,
        response: &Response,
        time: Option<Duration>,
    ) {
        let Some(time) = time.filter(|_| pending.may_store()) else { return };
        if !is_failure(response.status()) {
            self.table.remove(&pending.place());
            return;
        }
        let audience = Audience::of(pending, response.headers()).filter(Audience::remembers);
        let Some(audience) = audience else { return };
        if response.bytes().len() <= BODY_BYTES_MAX {
            let head = Head { headers: audience.headers().clone(), ..response.clone().into_head() };
            let response = Response::new(head, response.bytes().clone());
            self.note(pending, time, Ok(Answer { response, audience }));
        }
    }

    fn note(&self, pending: &Pending, time: Duration, what: Result<Answer, Error>) {
        // Half of it again at the most, so that not all who remember come back at once.
        let share = f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX);
        let until = Instant::now() + time.mul_f64(1.0 + share / 2.0);
        self.table.insert(pending.place(), Arc::new(Failure { until, what }));
    }
}

impl Caching {
    /// What is remembered of a failure, or what is stored in its place.
    pub(super) fn recall(
        &self,
        front: &Front,
        pending: &Pending,
        terms: &Terms,
    ) -> Option<Result<Response, Error>> {
        terms.failures?;
        if pending.ask().mode != CacheMode::Default || !pending.may_store() {
            return None;
        }
        let failure = self.failures.table.get(&pending.place())?;
        if failure.until <= Instant::now() {
            self.failures.table.remove(&pending.place());
            return None;
        }
        if let Ok(Answer { audience, .. }) = &failure.what
            && !audience.is_for(&pending.ask().headers)
        {
            return None;
        }
        if let Some(stale) = self.cache().instead(pending) {
            let label = match &failure.what {
                Ok(answer) => Label::after(&answer.response),
                Err(error) => Label::instead_of(error),
            };
            return Some(Ok(label.replace(front, pending, &stale)));
        }
        if pending.holds_anything() {
            return None;
        }
        Some(match &failure.what {
            Ok(answer) => Ok(Label::of_memory().mark(answer.response.clone())),
            Err(error) => Err(remembered(error, failure.until)),
        })
    }
}

fn remembered(error: &Error, until: Instant) -> Error {
    let text =
        format!("{}; this is remembered of a call before, nothing was sent", error.message());
    let mut again = Error::new(error.kind(), text).until(Some(until));
    if let Some(scope) = error.scope() {
        again = again.in_scope(scope.into());
    }
    again.after_status(error.last_status())
}

/// The longest body that is remembered with its failure.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Failures that are remembered.
const FAILURES_MAX: usize = 4_096;
