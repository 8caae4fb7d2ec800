//! The slow start after a breaker closed: the admitted share grows with time and with good answers.
//!
//! One good probe does not prove that an upstream with cold caches bears the whole load. Time alone
//! is a poor guide: an upstream that is well again should not wait for it, and one that still fails
//! should not be given more because of it. So each good answer raises the share by a fifth, and each
//! failure takes that back. Failures lower it, but they cannot hold it down: when its time is up all
//! calls pass, for an upstream that always fails a third of its requests is not to be throttled for
//! ever. The share is dealt out evenly, not drawn, so that it is exact at any rate; and one call a
//! second always passes, so that a client with little traffic is refused nothing.

use std::time::{Duration, Instant};

/// A share that grows from a tenth to one.
#[derive(Debug, Clone)]
pub(super) struct Ramp {
    began: Instant,
    /// What time alone needs from a tenth to all, and the longest it lasts.
    span: Duration,
    share: f64,
    moved: Instant,
    credit: f64,
    admitted: Option<Instant>,
}

impl Ramp {
    /// A ramp over `span`, unless that is nothing.
    pub(super) fn new(now: Instant, span: Duration) -> Option<Self> {
        let ends = now.checked_add(span).is_some();
        let (share, moved) = (SHARE_MIN, now);
        let ramp = Self { began: now, span, share, moved, credit: 0.0, admitted: None };
        (!span.is_zero() && ends).then_some(ramp)
    }

    /// Admits one call, or says when the next one surely passes.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Instant> {
        self.credit += self.share(now);
        let due = self.admitted.and_then(|at| at.checked_add(PAUSE_MAX));
        match due.filter(|due| *due > now) {
            Some(due) if self.credit < 1.0 => Err(due.min(self.end())),
            Some(_) | None => {
                self.credit = (self.credit - 1.0).clamp(0.0, 1.0);
                self.admitted = Some(now);
                Ok(())
            }
        }
    }

    /// Learns of a good answer.
    pub(super) fn succeed(&mut self, now: Instant) {
        self.share = (self.share(now) * STEP).min(1.0);
        self.moved = now;
    }

    /// Learns of a failure.
    pub(super) fn fail(&mut self, now: Instant) {
        self.share = (self.share(now) / STEP).max(SHARE_MIN);
        self.moved = now;
    }

    /// When all calls pass, if nothing more is learned.
    pub(super) fn end(&self) -> Instant {
        let left = self.span.mul_f64((1.0 - self.share) / (1.0 - SHARE_MIN));
        let at_latest = self.began.checked_add(self.span).unwrap_or(self.began);
        self.moved.checked_add(left).unwrap_or(self.moved).min(at_latest)
    }

    fn share(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.moved);
        let grown = (1.0 - SHARE_MIN) * passed.as_secs_f64() / self.span.as_secs_f64();
        (self.share + grown).clamp(SHARE_MIN, 1.0)
    }
}

/// The share at the start; Envoy's slow start has the same floor.
const SHARE_MIN: f64 = 0.1;
/// By what a good answer raises the share and a failure lowers it: 13 good answers are all.
const STEP: f64 = 1.2;
/// The longest that nothing passes.
const PAUSE_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(30);

    #[test]
    fn admitted_share_grows_with_time_at_any_rate() {
        for per_second in [50_u32, 1_000] {
            let t0 = Instant::now();
            let mut ramp = Ramp::new(t0, SPAN).unwrap();
            let mut admitted = [0_u32; 30];
            for n in 0..30 * per_second {
                let at = Duration::from_secs(1) * n / per_second;
                let second = usize::try_from(at.as_secs()).unwrap();
                admitted[second] += u32::from(ramp.admit(t0 + at).is_ok());
            }
            for (second, admitted) in admitted.into_iter().enumerate() {
                let share = 0.1 + 0.9 * (f64::from(u32::try_from(second).unwrap()) + 0.5) / 30.0;
                let expected = share * f64::from(per_second);
                assert!((f64::from(admitted) - expected).abs() <= 2.0, "{second}: {admitted}");
            }
        }
    }

    #[test]
    fn one_call_a_second_is_refused_nothing() {
        let t0 = Instant::now();
        let mut ramp = Ramp::new(t0, SPAN).unwrap();
        assert!((0..30).all(|second| ramp.admit(t0 + Duration::from_secs(second)).is_ok()));
    }

    #[test]
    fn refusal_says_when_the_next_call_surely_passes() {
        let t0 = Instant::now();
        let mut ramp = Ramp::new(t0, SPAN).unwrap();
        assert_eq!(ramp.admit(t0), Ok(()));
        let until = ramp.admit(t0).unwrap_err();
        assert_eq!(until, t0 + PAUSE_MAX);
        assert_eq!(ramp.admit(until), Ok(()));
        let mut short = Ramp::new(t0, Duration::from_millis(100)).unwrap();
        assert_eq!(short.admit(t0), Ok(()));
        assert_eq!(short.admit(t0), Err(t0 + Duration::from_millis(100)));
    }

    #[test]
    fn half_a_share_lets_every_second_call_pass() {
        let t0 = Instant::now();
        let mut ramp = Ramp::new(t0, Duration::from_secs(9)).unwrap();
        let now = t0 + Duration::from_secs(4);
        let passed: Vec<bool> = (0..6).map(|_| ramp.admit(now).is_ok()).collect();
        assert_eq!(passed, [true, false, true, false, true, false]);
    }

    #[test]
    fn good_answers_end_it_long_before_time_does() {
        let t0 = Instant::now();
        let mut ramp = Ramp::new(t0, SPAN).unwrap();
        let answers = (1..100).find(|_| {
            ramp.succeed(t0);
            ramp.end() <= t0
        });
        assert_eq!(answers, Some(13));
    }

    #[test]
    fn upstream_that_mostly_fails_is_given_no_more_until_time_is_up() {
        let t0 = Instant::now();
        let mut ramp = Ramp::new(t0, SPAN).unwrap();
        for ms in (0..30_000).step_by(10) {
            let now = t0 + Duration::from_millis(ms);
            if ms % 40 == 0 {
                ramp.succeed(now);
            } else {
                ramp.fail(now);
            }
            assert!(ramp.share(now) < 0.2, "{}", ramp.share(now));
            assert!(ramp.end() > now);
        }
        assert!(ramp.end() <= t0 + SPAN);
    }

    #[test]
    fn third_that_always_fails_does_not_hold_it_down() {
        let t0 = Instant::now();
        let mut ramp = Ramp::new(t0, SPAN).unwrap();
        for n in 0..60 {
            if n % 3 == 0 {
                ramp.fail(t0);
            } else {
                ramp.succeed(t0);
            }
        }
        assert_eq!(ramp.end(), t0);
    }

    #[test]
    fn no_span_is_no_ramp() {
        assert!(Ramp::new(Instant::now(), Duration::ZERO).is_none());
        assert!(Ramp::new(Instant::now(), Duration::MAX).is_none());
    }
}
