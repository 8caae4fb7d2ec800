//! Draws from the distributions that the modelled worlds are made of.

use std::f64::consts::TAU;
use std::time::Duration;

use spillgate_core::rng::Rng;

/// How a time is spread.
#[derive(Debug, Clone, Copy)]
pub(super) enum Spread {
    /// Always the same.
    Fixed(f64),
    /// Exponential, by its mean in seconds.
    Exponential(f64),
    /// Log-normal, by its median in seconds and the deviation of its logarithm.
    LogNormal {
        /// Half are shorter.
        median: f64,
        /// The deviation of the natural logarithm.
        sigma: f64,
    },
}

impl Spread {
    /// Draws one time.
    pub(super) fn draw(&self, rng: &mut Rng) -> Duration {
        seconds(match *self {
            Self::Fixed(fixed) => fixed,
            Self::Exponential(mean) => exponential(rng, mean),
            Self::LogNormal { median, sigma } => median * normal(rng, 0.0, sigma).exp(),
        })
    }
}

/// An exponential draw, by its mean.
pub(super) fn exponential(rng: &mut Rng, mean: f64) -> f64 {
    -mean * (1.0 - rng.unit()).ln()
}

/// A normal draw.
pub(super) fn normal(rng: &mut Rng, mean: f64, deviation: f64) -> f64 {
    // Box and Muller, 1958; the second draw is not kept, so that a draw has no memory.
    let radius = (-2.0 * (1.0 - rng.unit()).ln()).sqrt();
    mean + deviation * radius * (TAU * rng.unit()).cos()
}

/// An even draw from `[low, high)`.
pub(super) fn uniform(rng: &mut Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * rng.unit()
}

/// Whether something with this chance happens.
pub(super) fn happens(rng: &mut Rng, chance: f64) -> bool {
    rng.unit() < chance
}

/// A number below `bound`, as an index.
pub(super) fn index(rng: &mut Rng, bound: usize) -> usize {
    usize::try_from(rng.below(bound as u64)).unwrap_or(0)
}

/// A time from seconds; nonsense is zero.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
