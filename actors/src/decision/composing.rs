//! Puts the decisions of a call together from its record.

use std::time::{Duration, Instant};

use spillgate_core::verdict::{Finality, Retry, Verdict};

use crate::course::{Note, NoteKind, Role};
use crate::decision::{Decision, DecisionKind};
use crate::record::{AttemptRecord, CallRecord, Wait, WaitCause};

/// The decisions of a call, in order of time, up to a bound.
pub(super) fn compose(record: &CallRecord) -> Vec<Decision> {
    let composer = Composer { record };
    let mut moments: Vec<Moment> = Vec::with_capacity(2 + 4 * record.attempts.len());
    moments.extend(composer.entry());
    let notes = record.notes.iter().filter(|note| composer.concerns(note));
    moments.extend(notes.map(noted));
    let waits = record.waits.iter().filter(|wait| composer.is_felt(wait));
    moments.extend(waits.map(|wait| composer.waited(wait)));
    moments.extend(record.attempts.iter().flat_map(|attempt| tried(attempt)));
    moments.retain(|moment| moment.at >= record.began);
    // Stable: of what happened at once, the cause stands before its effect.
    moments.sort_by_key(|moment| moment.at);
    moments.extend(composer.last_word());
    moments.extend(composer.end());
    composer.bounded(moments)
}

/// A decision, not yet placed in the call.
struct Moment {
    at: Instant,
    attempt: Option<u32>,
    what: DecisionKind,
}

struct Composer<'a> {
    record: &'a CallRecord,
}

impl Composer<'_> {
    fn entry(&self) -> Option<Moment> {
        let record = self.record;
        let (flight, role) = (record.flight?, record.role?);
        let at = record.began;
        let others = record.attempts.iter().filter(|_| role != Role::Led);
        let under_way = others.filter(|attempt| attempt.began < at && attempt.ended > at);
        let what = DecisionKind::Entered {
            flight,
            role,
            priority: record.priority,
            deadline: record.deadline.saturating_duration_since(at),
            under_way: under_way.map(|attempt| attempt.n).next_back(),
        };
        Some(Moment { at, attempt: None, what })
    }

    /// Whether a wait was one: not the way of a message, nor begun for a retry that nobody waits for.
    fn is_felt(&self, wait: &Wait) -> bool {
        let is_sleep = wait.cause != WaitCause::Queue && wait.to < self.record.ended;
        is_sleep || wait.to - wait.from >= WAIT_MIN
    }

    /// Whether a note of the flight is about this call; one that joined is itself who joined.
    fn concerns(&self, note: &Note) -> bool {
        match note.what {
            NoteKind::Shared { .. } | NoteKind::Queued { .. } => {
                self.record.role == Some(Role::Led)
            }
            NoteKind::Refused { .. }
            | NoteKind::Hedged { .. }
            | NoteKind::Outrun
            | NoteKind::Redirected { .. }
            | NoteKind::Ranked { .. } => true,
        }
    }

    fn waited(&self, wait: &Wait) -> Moment {
        let from = wait.from.saturating_duration_since(self.record.began);
        let length = wait.to.saturating_duration_since(wait.from);
        let what = DecisionKind::Waited { cause: wait.cause, from, length };
        Moment { at: wait.to, attempt: None, what }
    }

    /// Why there was no further attempt, where that is not plain from the answer.
    fn last_word(&self) -> Option<Moment> {
        let record = self.record;
        let last = record.attempts.last();
        let settled = last.and_then(|attempt| match attempt.settlement?.verdict {
            Verdict::Done(finality) => Some(finality),
            Verdict::RetryAt(_) | Verdict::Refused(_) => None,
        });
        let finality = record.finality.or(settled)?;
        if finality == Finality::Settled {
            return None;
        }
        let at = record.ended;
        let what = DecisionKind::NoRetry {
            finality,
            attempts: last.map_or(0, |attempt| attempt.resend + 1),
            left: record.deadline.saturating_duration_since(at),
            retry_in: self.retry_in(),
            tokens: record.budget_left(),
            scope: record.scope.clone(),
        };
        Some(Moment { at, attempt: None, what })
    }

    fn end(&self) -> Option<Moment> {
        let record = self.record;
        let attempts = u32::try_from(record.attempts.len()).unwrap_or(u32::MAX);
        let tokens = record.budget_left();
        let what = match (record.error, record.status) {
            (Some(kind), _) => DecisionKind::Failed {
                kind,
                grounds: record.grounds,
                retry_in: self.retry_in(),
                scope: record.scope.clone(),
                attempts,
                tokens,
            },
            (None, Some(status)) => DecisionKind::Answered { status, attempts, tokens },
            (None, None) => return None,
        };
        Some(Moment { at: record.ended, attempt: None, what })
    }

    fn retry_in(&self) -> Option<Duration> {
        let record = self.record;
        record.retry_at.map(|at| at.saturating_duration_since(record.ended))
    }

    /// The first of them, and how many more there are.
    fn bounded(&self, moments: Vec<Moment>) -> Vec<Decision> {
        let began = self.record.began;
        let placed = |Moment { at, attempt, what }| {
            let at = Instant::saturating_duration_since(&at, began);
            Decision { at, attempt, what }
        };
        let beyond = moments.len().saturating_sub(DECISIONS_MAX);
        let beyond = u32::try_from(beyond).unwrap_or(u32::MAX);
        let count = beyond.saturating_add(self.record.notes_left_out);
        let mut decisions: Vec<Decision> =
            moments.into_iter().take(DECISIONS_MAX).map(placed).collect();
        if count > 0 {
            let at = self.record.ended.saturating_duration_since(began);
            decisions.push(Decision { at, attempt: None, what: DecisionKind::LeftOut { count } });
        }
        decisions
    }
}

fn noted(note: &Note) -> Moment {
    let (at, attempt) = (note.at, note.attempt);
    let what = match &note.what {
        NoteKind::Refused { refusal, scope, standing } => DecisionKind::Refused {
            gate: refusal.gate,
            retry_in: refusal.until.map(|until| until.saturating_duration_since(at)),
            grounds: refusal.grounds,
            scope: scope.clone(),
            generation: standing.generation,
            reason: standing.reason,
            tokens: standing.tokens,
        },
        NoteKind::Hedged { beside } => DecisionKind::Hedged { beside: *beside },
        NoteKind::Outrun => DecisionKind::Outrun,
        NoteKind::Redirected { host } => DecisionKind::Redirected { host: host.clone() },
        NoteKind::Ranked { from, to } => DecisionKind::Ranked { from: *from, to: *to },
        NoteKind::Queued { ahead } => DecisionKind::Queued { ahead: *ahead },
        NoteKind::Shared { waiters } => DecisionKind::Shared { waiters: *waiters },
    };
    Moment { at, attempt, what }
}

/// An attempt on its way out, back, and what its host made of it.
fn tried(attempt: &AttemptRecord) -> impl Iterator<Item = Moment> {
    let n = Some(attempt.n);
    let passed = attempt.admission.map(|admission| DecisionKind::Passed {
        generation: admission.generation,
        probe: admission.probe,
        cost: admission.cost,
        tokens: admission.tokens,
    });
    let injected = attempt.chaos.clone().map(|fault| DecisionKind::Injected { fault });
    let out = passed.into_iter().chain(injected);
    let out = out.map(move |what| Moment { at: attempt.began, attempt: n, what });
    let at = attempt.ended;
    let ended = (!attempt.goes_on).then(|| DecisionKind::Ended {
        status: attempt.status,
        error: attempt.error,
        took: at.saturating_duration_since(attempt.began),
    });
    let retry = attempt.settlement.and_then(|settled| match settled.verdict {
        Verdict::RetryAt(Retry { at: then, hint, cost }) => Some(DecisionKind::Retry {
            delay: then.saturating_duration_since(at),
            wish: hint.map(|hint| hint.saturating_duration_since(at)),
            cost,
            tokens: settled.tokens,
        }),
        Verdict::Done(_) | Verdict::Refused(_) => None,
    });
    let after = ended.into_iter().chain(retry);
    out.chain(after.map(move |what| Moment { at, attempt: n, what }))
}

/// A wait for a slot that is shorter was nobody's decision: it is the way from one actor to the next.
const WAIT_MIN: Duration = Duration::from_millis(1);
/// The most decisions of a call that are told.
const DECISIONS_MAX: usize = 64;
