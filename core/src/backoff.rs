//! How long to wait before a retry: exponential with full jitter.
//!
//! `U(0, min(cap, base * factor^n))`: of the published schedules it makes the fewest calls under
//! contention (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).

use std::time::Duration;

use crate::rng::Rng;

/// The schedule of delays.
#[derive(Debug, Clone, PartialEq)]
pub struct BackoffOptions {
    /// The ceiling of the first delay.
    pub base: Duration,
    /// By what the ceiling grows with each retry.
    pub factor: f64,
    /// The highest ceiling.
    pub cap: Duration,
    /// How the delay is drawn.
    pub jitter: Jitter,
    /// The ceiling of the first delay after the server asked to be asked less without saying when.
    pub base_throttled: Duration,
    /// How a time that the server names is taken.
    pub hint: HintUse,
}

/// How a time that the server names (`Retry-After`) is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HintUse {
    /// Never earlier, spread over half of it again; the whole host keeps it.
    Obey,
    /// Between the delay drawn and so much more; it binds this retry alone.
    Clamp(Duration),
}

/// How a delay is drawn below its ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Jitter {
    /// Evenly from zero to the ceiling.
    Full,
    /// Evenly from half the ceiling to the ceiling.
    Equal,
    /// The ceiling itself: for tests, and for upstreams with a single client.
    None,
}

impl Default for BackoffOptions {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(250),
            factor: 2.0,
            cap: Duration::from_secs(10),
            jitter: Jitter::Full,
            base_throttled: Duration::from_secs(1),
            hint: HintUse::Obey,
        }
    }
}

impl BackoffOptions {
    /// The delays of the AWS SDKs' standard mode, as of 2026: from 50 ms, or 1 s after throttling,
    /// to 20 s; a named time holds within 5 s above the delay drawn (aws-sdk-java-v2#6925).
    pub fn aws_standard() -> Self {
        Self {
            base: Duration::from_millis(50),
            cap: Duration::from_secs(20),
            hint: HintUse::Clamp(Duration::from_secs(5)),
            ..Self::default()
        }
    }

    /// The schedule after the server asked to be asked less.
    pub fn throttled(&self) -> Self {
        Self { base: self.base.max(self.base_throttled), ..self.clone() }
    }

    /// The delay before retry number `retry`, counted from 1; any number is safe.
    pub fn delay(&self, retry: u32, rng: &mut Rng) -> Duration {
        let ceiling = self.ceiling(retry);
        match self.jitter {
            Jitter::Full => rng.up_to(ceiling),
            Jitter::Equal => ceiling / 2 + rng.up_to(ceiling / 2),
            Jitter::None => ceiling,
        }
    }

    /// The longest delay before retry number `retry`.
    pub fn ceiling(&self, retry: u32) -> Duration {
        let exponent = i32::try_from(retry.saturating_sub(1).min(1_000)).unwrap_or(1_000);
        let seconds = self.base.as_secs_f64() * self.factor.max(1.0).powi(exponent);
        if seconds.is_finite() && seconds < self.cap.as_secs_f64() {
            return Duration::from_secs_f64(seconds);
        }
        self.cap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_up_to_the_cap() {
        let options = BackoffOptions::default();
        let ms: Vec<u128> = (1..=8).map(|retry| options.ceiling(retry).as_millis()).collect();
        assert_eq!(ms, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000]);
    }

    /// Polly#2163 (PITFALLS A28).
    #[test]
    fn attempt_number_100_000_does_not_overflow() {
        let options = BackoffOptions { factor: 10.0, ..BackoffOptions::default() };
        assert_eq!(options.ceiling(100_000), options.cap);
        assert_eq!(options.ceiling(u32::MAX), options.cap);
        assert_eq!(options.ceiling(0), options.base);
    }

    #[test]
    fn full_jitter_covers_the_whole_range() {
        let options = BackoffOptions::default();
        let mut rng = Rng::new(3);
        let draws: Vec<Duration> = (0..1000).map(|_| options.delay(1, &mut rng)).collect();
        assert!(draws.iter().all(|delay| *delay <= options.base));
        assert!(draws.iter().any(|delay| *delay < options.base / 10));
        assert!(draws.iter().any(|delay| *delay > options.base * 9 / 10));
    }

    #[test]
    fn throttling_starts_at_a_second_and_never_below_the_base() {
        let throttled = BackoffOptions::default().throttled();
        let seconds: Vec<u64> = (1..=5).map(|retry| throttled.ceiling(retry).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 10]);
        let base = Duration::from_secs(3);
        let slow = BackoffOptions { base, ..BackoffOptions::default() };
        assert_eq!(slow.throttled().ceiling(1), base);
    }

    #[test]
    fn aws_delays_double_from_fifty_milliseconds_to_twenty_seconds() {
        let options = BackoffOptions::aws_standard();
        let ms = |options: &BackoffOptions| {
            (1..=10).map(|retry| options.ceiling(retry).as_millis()).collect::<Vec<_>>()
        };
        assert_eq!(ms(&options), [50, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 20_000]);
        let throttled = ms(&options.throttled());
        assert_eq!(throttled[..6], [1_000, 2_000, 4_000, 8_000, 16_000, 20_000]);
    }
}
