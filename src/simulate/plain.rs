//! Published policies, as plainly as they were published: what the production machines are
//! measured against.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use spillgate_core::call::{AttemptId, FlightId, Ticket};
use spillgate_core::outcome::{Evidence, Outcome};

use crate::simulate::client::{Client, Effect, Reply, Wish};

/// Sends at once whatever is asked for, and again when it fails.
#[derive(Debug)]
pub(super) struct Plain {
    options: PlainOptions,
    tokens: f64,
    waiting: BTreeMap<FlightId, Waiting>,
}

/// How often a plain client tries.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlainOptions {
    /// Attempts after the first.
    pub(super) retries: u32,
    /// The time for one attempt.
    pub(super) timeout: Duration,
    /// What bounds the retries.
    pub(super) allowance: Allowance,
}

/// What bounds the retries of a plain client.
#[derive(Debug, Clone, Copy)]
pub(super) enum Allowance {
    /// Nothing.
    Endless,
    /// Each call earns this share of a retry, whether it succeeds or not, up to a few.
    OfRequests(f64),
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    ticket: Ticket,
    route: usize,
    n: u32,
}

impl Plain {
    /// A client with a full allowance.
    pub(super) fn new(options: PlainOptions) -> Self {
        Self { options, tokens: SAVED_MAX, waiting: BTreeMap::new() }
    }

    fn may_retry(&mut self, n: u32) -> bool {
        if n > self.options.retries {
            return false;
        }
        match self.options.allowance {
            Allowance::Endless => true,
            Allowance::OfRequests(_) if self.tokens < 1.0 => false,
            Allowance::OfRequests(_) => {
                self.tokens -= 1.0;
                true
            }
        }
    }

    fn send(&self, now: Instant, attempt: AttemptId, waiting: Waiting) -> Effect {
        let until = now.checked_add(self.options.timeout).unwrap_or(now);
        Effect::Send { attempt, ticket: waiting.ticket, route: waiting.route, until }
    }
}

impl Client for Plain {
    fn submit(&mut self, now: Instant, wish: Wish, effects: &mut Vec<Effect>) {
        if let Allowance::OfRequests(share) = self.options.allowance {
            self.tokens = (self.tokens + share).min(SAVED_MAX);
        }
        let attempt = AttemptId { flight: FlightId(wish.ticket.0), n: 1 };
        let waiting = Waiting { ticket: wish.ticket, route: wish.route, n: 1 };
        self.waiting.insert(attempt.flight, waiting);
        effects.push(self.send(now, attempt, waiting));
    }

    fn settle(
        &mut self,
        now: Instant,
        attempt: AttemptId,
        evidence: Evidence,
        effects: &mut Vec<Effect>,
    ) {
        let Some(waiting) = self.waiting.get(&attempt.flight).copied() else { return };
        if waiting.n != attempt.n {
            return;
        }
        let good = evidence.outcome == Outcome::Success;
        if !good && self.may_retry(attempt.n) {
            let again = AttemptId { n: attempt.n + 1, ..attempt };
            self.waiting.insert(attempt.flight, Waiting { n: again.n, ..waiting });
            effects.push(self.send(now, again, waiting));
            return;
        }
        self.waiting.remove(&attempt.flight);
        let reply = Reply::of(&evidence);
        effects.push(Effect::Answer { ticket: waiting.ticket, reply });
    }

    fn wake(&mut self, _: Instant, _: &mut Vec<Effect>) {}

    fn next_wake(&self) -> Option<Instant> {
        None
    }
}

/// Retries that a plain client saves up.
const SAVED_MAX: f64 = 10.0;
