//! What becomes of a call whose attempt has settled.

use std::time::Instant;

use crate::breaker::Stance;
use crate::call::Repeat;
use crate::host::{Host, Running};
use crate::outcome::{Evidence, Exposure};
use crate::verdict::{Cost, Finality, Retry, Verdict};

impl Host {
    pub(super) fn judge(
        &mut self,
        now: Instant,
        running: &Running,
        evidence: &Evidence,
    ) -> Verdict {
        let offer = &running.offer;
        if running.abort.is_some() || !evidence.is_retryable() {
            return Verdict::Done(Finality::Settled);
        }
        let attempts_max = offer.attempts_max.unwrap_or(self.policy.retry.attempts_max);
        if offer.resend + 1 >= attempts_max {
            return Verdict::Done(Finality::AttemptsSpent);
        }
        let cost = match evidence.exposure {
            Exposure::NeverSent => Cost::Free,
            Exposure::MaybeSent => Cost::Token,
        };
        match (offer.repeat, cost) {
            (Repeat::Always, _) | (Repeat::IfNeverSent, Cost::Free) => {}
            (Repeat::IfNeverSent, Cost::Token) | (Repeat::Never, _) => {
                return Verdict::Done(Finality::NotRepeatable);
            }
        }
        if running.pass.is_some() && self.scopes.stance(&offer.scope) != Stance::Admitting {
            return Verdict::Done(Finality::CircuitOpen);
        }
        let at = self.retry_time(now, offer.resend + 1, evidence.hint);
        // Beyond the deadline the coordinator says no, and tells what the server asked for.
        if at < offer.deadline && cost == Cost::Token && !self.budget.has_token() {
            return Verdict::Done(Finality::BudgetSpent);
        }
        Verdict::RetryAt(Retry { at, hint: evidence.hint, cost })
    }

    fn retry_time(&mut self, now: Instant, retry: u32, hint: Option<Instant>) -> Instant {
        let backoff = &self.policy.retry.backoff;
        let Some(hint) = hint.filter(|hint| *hint > now) else {
            let delay = backoff.delay(retry, &mut self.rng);
            return now.checked_add(delay).unwrap_or(now);
        };
        let spread = self.rng.up_to((hint - now) / 2);
        hint.checked_add(spread).unwrap_or(hint)
    }
}
