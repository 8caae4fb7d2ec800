//! What becomes of a call whose attempt has settled.

use std::time::Instant;

use crate::advice::ErrorKind;
use crate::backoff::HintUse;
use crate::breaker::Stance;
use crate::call::Repeat;
use crate::host::{Host, Running};
use crate::limit::Load;
use crate::outcome::{BodyLeft, Evidence, Exposure, Neutral, Outcome};
use crate::verdict::{AbortCause, Cost, Finality, Retry, Verdict};

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
            Exposure::MaybeSent if evidence.is_throttled(now) => Cost::Throttled,
            Exposure::MaybeSent => Cost::Token,
        };
        match (offer.repeat, cost) {
            (Repeat::Always, _) | (Repeat::IfNeverSent, Cost::Free) => {}
            (Repeat::IfNeverSent, Cost::Token | Cost::Throttled) | (Repeat::Never, _) => {
                return Verdict::Done(Finality::NotRepeatable);
            }
        }
        if evidence.body == BodyLeft::Gone {
            return Verdict::Done(Finality::BodyGone);
        }
        if running.pass.is_some() && self.stance(now, &self.scope_of(offer)) != Stance::Admitting {
            return Verdict::Done(Finality::CircuitOpen);
        }
        let at = self.retry_time(now, offer.resend + 1, evidence);
        // Beyond the deadline the coordinator says no, and tells what the server asked for.
        if at < offer.deadline && !self.budget.affords(cost) {
            return Verdict::Done(Finality::BudgetSpent);
        }
        Verdict::RetryAt(Retry { at, hint: evidence.hint, cost })
    }

    fn retry_time(&mut self, now: Instant, retry: u32, evidence: &Evidence) -> Instant {
        let backoff = &self.policy.retry.backoff;
        let drawn = if evidence.is_throttled(now) {
            backoff.throttled().delay(retry, &mut self.rng)
        } else {
            backoff.delay(retry, &mut self.rng)
        };
        let soonest = now.checked_add(drawn).unwrap_or(now);
        let Some(hint) = evidence.hint.filter(|hint| *hint > now) else { return soonest };
        match backoff.hint {
            HintUse::Obey => {
                let spread = self.rng.up_to((hint - now) / 2);
                hint.checked_add(spread).unwrap_or(hint)
            }
            HintUse::Clamp(more) => {
                hint.clamp(soonest, soonest.checked_add(more).unwrap_or(soonest))
            }
        }
    }
}

impl Running {
    /// What an attempt says once it is known why it was called back: being too slow for every
    /// waiter's deadline is the upstream's failure, a change of mind is nobody's.
    pub(super) fn seen(&self, evidence: &Evidence) -> Evidence {
        let cancelled = evidence.outcome == Outcome::Neutral(Neutral::Cancelled);
        if cancelled && self.abort == Some(AbortCause::Deadline) {
            let late = Evidence::of_error(ErrorKind::DeadlineExceeded, evidence.exposure);
            return Evidence { took: evidence.took, ..late };
        }
        *evidence
    }

    /// What it says of the host's load; errors are answered from anywhere, and a probe stands alone.
    pub(super) fn load(&self, evidence: &Evidence) -> Option<Load> {
        if self.pass.is_some_and(|pass| pass.probe.is_some()) {
            return None;
        }
        match (evidence.outcome, evidence.kind) {
            (Outcome::Success, _) => evidence.took.map(Load::Answered),
            (_, Some(kind)) if is_timeout(kind) => {
                Some(Load::TimedOut(evidence.took.unwrap_or_default()))
            }
            (Outcome::Failure | Outcome::Neutral(_), _) => None,
        }
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::HttpResponseTimeout | ErrorKind::ConnectionTimeout | ErrorKind::DeadlineExceeded
    )
}
