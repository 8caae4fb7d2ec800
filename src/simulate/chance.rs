//! Draws from the distributions that the modelled worlds are made of.

use std::f64::consts::TAU;
use std::time::Duration;

use spillgate_core::rng::Rng;

use crate::simulate::measure::whole;

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

/// A number below `bound` by Zipf's law: the second half as likely as the
/// first, the third a third as likely.
pub(super) fn zipf(rng: &mut Rng, bound: u64) -> u64 {
    // Rejection and inversion after Hoermann and Derflinger, 1996, for the exponent one: no table.
    let bound = f64::from(u32::try_from(bound).unwrap_or(u32::MAX));
    let (least, most) = (1.5_f64.ln() - 1.0, (bound + 0.5).ln());
    loop {
        let drawn = uniform(rng, least, most);
        let rank = drawn.exp().round().clamp(1.0, bound);
        if drawn >= (rank + 0.5).ln() - rank.recip() {
            return whole(rank - 1.0) as u64;
        }
    }
}

/// A time from seconds; nonsense is zero.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_by_zipfs_law_is_half_as_likely_as_the_first() {
        let mut rng = Rng::new(1);
        let mut drawn = [0_i32; 10];
        for _ in 0..29_290 {
            let rank = usize::try_from(zipf(&mut rng, 10)).unwrap();
            drawn[rank] += 1;
        }
        // The tenth harmonic number is 2.929.
        for (rank, expected) in [(0, 10_000), (1, 5_000), (4, 2_000), (9, 1_000)] {
            assert!((drawn[rank] - expected).abs() < 250, "{rank}: {drawn:?}");
        }
    }
}
