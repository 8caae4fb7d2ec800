//! The attempts of one flight that are on the wire: mostly one, two while it is hedged.
//!
//! The first usable answer decides. What failed waits for the other, and only when both have failed
//! is the flight tried again, after the later of their times and at the higher of their prices. What
//! was called back says nothing more.

use crate::verdict::{Cost, Finality, Retry, Verdict};

/// Who runs, and what was said of one that has fallen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Race {
    first: Option<u32>,
    hedge: Option<u32>,
    fallen: Option<Verdict>,
}

/// What the end of an attempt means for its flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nothing: the attempt counts no more.
    Stale,
    /// Nothing yet: the other one still runs, and may do better.
    Open,
    /// The flight goes on with this.
    Decided(Verdict),
}

impl Race {
    /// An attempt starts alone.
    pub fn begin(&mut self, n: u32) {
        *self = Self { first: Some(n), ..Self::default() };
    }

    /// A second attempt starts beside the first.
    pub fn hedge(&mut self, n: u32) {
        self.hedge = Some(n);
    }

    /// An attempt has ended, or was not sent.
    pub fn end(&mut self, n: u32, verdict: Verdict) -> Ending {
        if !self.runs(n) {
            return Ending::Stale;
        }
        self.first = self.first.filter(|first| *first != n);
        self.hedge = self.hedge.filter(|hedge| *hedge != n);
        match verdict {
            Verdict::Done(Finality::Settled) => Ending::Decided(verdict),
            Verdict::Refused(_) if self.is_running() => Ending::Open,
            Verdict::Refused(_) => Ending::Decided(self.fallen.take().unwrap_or(verdict)),
            Verdict::Done(_) | Verdict::RetryAt(_) => {
                let both = self.fallen.map_or(verdict, |fallen| worse(fallen, verdict));
                self.fallen = Some(both).filter(|_| self.is_running());
                if self.is_running() { Ending::Open } else { Ending::Decided(both) }
            }
        }
    }

    /// Takes out all that still run: they are called back.
    pub fn call_back(&mut self) -> impl Iterator<Item = u32> + use<> {
        let Self { first, hedge, .. } = std::mem::take(self);
        first.into_iter().chain(hedge)
    }

    /// Whether this attempt runs and counts.
    pub fn runs(&self, n: u32) -> bool {
        self.first == Some(n) || self.hedge == Some(n)
    }

    /// Whether this attempt runs as the first, and was never hedged.
    pub fn is_alone(&self, n: u32) -> bool {
        self.first == Some(n) && self.hedge.is_none() && self.fallen.is_none()
    }

    fn is_running(&self) -> bool {
        self.first.is_some() || self.hedge.is_some()
    }
}

/// What follows when both have failed: no retry if either forbids it.
fn worse(one: Verdict, other: Verdict) -> Verdict {
    let (Verdict::RetryAt(a), Verdict::RetryAt(b)) = (one, other) else {
        return if matches!(one, Verdict::Done(_)) { one } else { other };
    };
    let cost = match (a.cost, b.cost) {
        (Cost::Throttled, _) | (_, Cost::Throttled) => Cost::Throttled,
        (Cost::Token, _) | (_, Cost::Token) => Cost::Token,
        (Cost::Free, Cost::Free) => Cost::Free,
    };
    Verdict::RetryAt(Retry { at: a.at.max(b.at), hint: a.hint.max(b.hint), cost })
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::verdict::{Gate, Grounds, Refusal};

    const WELL: Verdict = Verdict::Done(Finality::Settled);
    const SPENT: Verdict = Verdict::Done(Finality::AttemptsSpent);
    const REFUSED: Verdict =
        Verdict::Refused(Refusal { gate: Gate::Hedge, until: None, grounds: Grounds::Gate });

    #[test]
    fn lone_attempt_decides_whatever_it_brings() {
        for verdict in [WELL, SPENT, REFUSED] {
            let mut race = Race::default();
            race.begin(1);
            assert_eq!(race.end(2, verdict), Ending::Stale);
            assert_eq!(race.end(1, verdict), Ending::Decided(verdict));
            assert_eq!(race.end(1, verdict), Ending::Stale);
        }
    }

    #[test]
    fn first_usable_answer_decides_and_the_other_is_called_back() {
        for (winner, loser) in [(1, 2), (2, 1)] {
            let mut race = pair();
            assert_eq!(race.end(winner, WELL), Ending::Decided(WELL));
            assert_eq!(race.call_back().collect::<Vec<_>>(), [loser]);
            assert_eq!(race.end(loser, WELL), Ending::Stale);
        }
    }

    #[test]
    fn failure_waits_for_the_other() {
        let sooner = Instant::now();
        let later = sooner + Duration::from_secs(1);
        let retry = |at, cost| Verdict::RetryAt(Retry { at, hint: None, cost });
        let check = |first, second, expected| {
            let mut race = pair();
            assert_eq!(race.end(1, first), Ending::Open);
            assert_eq!(race.end(2, second), Ending::Decided(expected), "{first:?} {second:?}");
        };
        check(SPENT, WELL, WELL);
        check(retry(later, Cost::Token), REFUSED, retry(later, Cost::Token));
        check(retry(later, Cost::Free), SPENT, SPENT);
        check(SPENT, retry(later, Cost::Free), SPENT);
        let costly = retry(later, Cost::Throttled);
        check(retry(later, Cost::Token), retry(sooner, Cost::Throttled), costly);
        check(retry(sooner, Cost::Token), retry(later, Cost::Free), retry(later, Cost::Token));
    }

    #[test]
    fn refused_hedge_changes_nothing_for_the_first() {
        let mut race = pair();
        assert_eq!(race.end(2, REFUSED), Ending::Open);
        assert!(race.runs(1) && !race.runs(2));
        assert_eq!(race.end(1, SPENT), Ending::Decided(SPENT));
    }

    fn pair() -> Race {
        let mut race = Race::default();
        race.begin(1);
        assert!(race.is_alone(1) && !race.is_alone(2));
        race.hedge(2);
        assert!(!race.is_alone(1));
        race
    }
}
