//! The one or two attempts of a flight that run at once, as the oracle sees them.

use spillgate_core::call::AttemptId;
use spillgate_core::verdict::{AbortCause, Finality, Offer, Verdict};

use crate::demand::Demand;
use crate::reach::{Mark, Reach};

/// What is known of a flight's latest attempts.
#[derive(Debug, Default)]
pub(super) struct Race {
    /// The latest two that ran at once, and how many of them have failed.
    pair: (u32, u32),
    failed: u32,
    /// Whether an attempt has brought what ends the race.
    decided: bool,
}

impl Race {
    pub(super) fn begin(&mut self, offer: &Offer) {
        self.decided = false;
        if let Some(beside) = offer.beside {
            (self.pair, self.failed) = ((beside.n, offer.attempt.n), 0);
        }
    }

    pub(super) fn end(&mut self, n: u32, verdict: Verdict, reach: &mut Reach) {
        self.decided = verdict == Verdict::Done(Finality::Settled);
        let is_of_pair = self.pair.0 == n || self.pair.1 == n;
        if is_of_pair && !self.decided && !matches!(verdict, Verdict::Refused(_)) {
            self.failed += 1;
            reach.hit_if(Mark::BothFailed, self.failed == 2);
        }
        reach.hit_if(Mark::SavedByTwin, is_of_pair && self.decided && self.failed == 1);
    }
}

impl Demand {
    /// An attempt is called back: whether there is a reason.
    pub(super) fn check_abort(&self, attempt: AttemptId, cause: AbortCause, reach: &mut Reach) {
        let race = &self.flights[&attempt.flight].race;
        let fine = match cause {
            AbortCause::Outrun => race.decided,
            AbortCause::Deadline => true,
            AbortCause::Cancelled => self.draining || self.is_left(attempt),
        };
        assert!(fine, "{attempt:?} is called back for no reason: {cause:?}");
        let outrun = cause == AbortCause::Outrun;
        reach.hit_if(Mark::LastWaiterLeft, !outrun);
        reach.hit_if(Mark::HedgeLost, outrun && race.pair.1 == attempt.n);
        reach.hit_if(Mark::HedgeWon, outrun && race.pair.0 == attempt.n);
    }

    /// An attempt is offered: alone, or as a hedge beside the one that runs.
    pub(super) fn check_beside(&self, offer: &Offer) {
        let id = offer.attempt.flight;
        let others = self.outstanding.keys().filter(|other| other.flight == id);
        let others = others.filter(|other| !self.called_back.contains(other)).map(|other| other.n);
        let beside = offer.beside.iter().map(|beside| beside.n);
        assert!(others.eq(beside), "one attempt at a time, or a hedge beside it");
    }
}
