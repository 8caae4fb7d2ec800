//! What outlives a breaker that had to be forgotten: that it refuses, and until when.

use std::time::Instant;

use crate::breaker::{Breaker, Forced, Opening, Phase};
use crate::call::Generation;
use crate::event::OpenReason;

/// The few words from which a breaker goes on that was forgotten while it was not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remnant {
    hold: Hold,
    generation: Generation,
    openings: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Open { since: Instant, until: Instant, reason: OpenReason },
    Forced(Forced),
}

impl Remnant {
    /// When the next call may pass; `None` when it is for an operator to say.
    pub fn until(&self) -> Option<Instant> {
        match self.hold {
            Hold::Open { until, .. } => Some(until),
            Hold::Forced(Forced::Open { until, .. }) => until,
            Hold::Forced(Forced::Closed) => None,
        }
    }
}

impl Breaker {
    /// What must be remembered of it; `None` if it is closed and nobody holds it so.
    pub fn remnant(&self) -> Option<Remnant> {
        let hold = match (self.forced, &self.phase) {
            (Some(forced), _) => Hold::Forced(forced),
            (None, Phase::Open(opening) | Phase::HalfOpen { opening, .. }) => {
                let Opening { since, until, reason } = *opening;
                Hold::Open { since, until, reason }
            }
            (None, Phase::Closed { .. }) => return None,
        };
        Some(Remnant { hold, generation: self.generation, openings: self.openings })
    }

    /// Goes on where another breaker of the scope was forgotten; half-open becomes open with its
    /// time up, so that the next call is a probe.
    pub fn resume(&mut self, remnant: Remnant) {
        // Passes of either of the two count no more.
        self.generation = Generation(self.generation.0.max(remnant.generation.0) + 1);
        self.openings = remnant.openings;
        match remnant.hold {
            Hold::Open { since, until, reason } => {
                self.phase = Phase::Open(Opening { since, until, reason });
            }
            Hold::Forced(forced) => self.forced = Some(forced),
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::breaker::options::BreakerOptions;
    use crate::breaker::{Admission, Stance};
    use crate::event::BreakerState;
    use crate::outcome::Evidence;
    use crate::rng::Rng;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn open_breaker_goes_on_with_its_time_and_its_growth() {
        let (now, mut rng) = (Instant::now(), Rng::new(1));
        let mut first = breaker();
        let probe_at = fail(&mut first, now, &mut rng);
        let probe_at = fail(&mut first, probe_at, &mut rng);
        let mut second = forgotten(&first);
        assert_eq!(second.stance(), Stance::Refusing { until: Some(probe_at) });
        assert_eq!(second.stance(), first.stance());
        let (asked, _) = second.admit(probe_at.checked_sub(SECOND).unwrap());
        assert_eq!(asked, Admission::Refuse { until: Some(probe_at) });
        let reopened = fail(&mut second, probe_at, &mut rng);
        assert_eq!(reopened - probe_at, 40 * SECOND, "10 s, 20 s, 40 s");
    }

    #[test]
    fn half_open_breaker_probes_again_and_old_passes_count_no_more() {
        let (now, mut rng) = (Instant::now(), Rng::new(1));
        let mut first = breaker();
        let probe_at = fail(&mut first, now, &mut rng);
        let (Admission::Admit(old), _) = first.admit(probe_at) else { panic!("it is time") };
        let mut second = forgotten(&first);
        assert!(second.record(probe_at, old, &failure(), &mut rng).is_none());
        let (Admission::Admit(pass), _) = second.admit(probe_at) else { panic!("it is time") };
        assert!(pass.probe.is_some());
        second.record(probe_at, pass, &Evidence::of_status(200, None), &mut rng);
        assert_eq!((second.state(), second.remnant()), (BreakerState::Closed, None));
    }

    #[test]
    fn what_an_operator_said_still_holds() {
        let now = Instant::now();
        for until in [None, Some(now + SECOND)] {
            let mut first = breaker();
            first.force_open(now, until);
            assert_eq!(first.remnant().map(|remnant| remnant.until()), Some(until));
            assert_eq!(forgotten(&first).stance(), Stance::Refusing { until });
        }
        let (mut held, mut rng) = (breaker(), Rng::new(1));
        held.force_closed(now);
        let mut held = forgotten(&held);
        let (Admission::Admit(pass), _) = held.admit(now) else { panic!("it is held closed") };
        held.record(now, pass, &failure(), &mut rng);
        assert_eq!(held.state(), BreakerState::Closed);
    }

    #[test]
    fn closed_breaker_leaves_nothing() {
        assert_eq!(breaker().remnant(), None);
    }

    /// Opens with one failure, for 10 s at first and twice as long each time.
    fn breaker() -> Breaker {
        let options = BreakerOptions {
            reset_timeout: 10 * SECOND,
            reset_growth: 2.0,
            reset_jitter: 0.0,
            ..BreakerOptions::consecutive(1)
        };
        Breaker::new("a".into(), options)
    }

    fn forgotten(first: &Breaker) -> Breaker {
        let mut second = breaker();
        second.resume(first.remnant().expect("it is not closed"));
        second
    }

    fn fail(breaker: &mut Breaker, now: Instant, rng: &mut Rng) -> Instant {
        let (Admission::Admit(pass), _) = breaker.admit(now) else { panic!("it admits") };
        let event = breaker.record(now, pass, &failure(), rng).expect("one failure opens it");
        event.retry_at.expect("it says until when")
    }

    fn failure() -> Evidence {
        Evidence::of_status(503, None)
    }
}
