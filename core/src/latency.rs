//! Recent latencies, as quantiles.
//!
//! A histogram with eight buckets an octave (at most 9 % wide), of which only those are kept that
//! something fell in: a host that was called once takes 32 bytes, none takes more than 2 KB. Counts are
//! halved when there are many, so that old traffic fades.

use std::time::Duration;

/// The latencies of recent attempts.
#[derive(Debug, Clone)]
pub struct Latency {
    /// Buckets and what fell in them, in order.
    counts: Vec<(u8, u32)>,
    total: u32,
    fade_at: u32,
}

impl Default for Latency {
    fn default() -> Self {
        Self::fading_at(FADE_AT)
    }
}

impl Latency {
    /// No latencies; old ones fade once there are `fade_at`.
    pub fn fading_at(fade_at: u32) -> Self {
        Self { counts: Vec::new(), total: 0, fade_at: fade_at.max(1) }
    }

    /// Counts one attempt. O(log `BUCKETS`), but for a bucket's first.
    pub fn record(&mut self, latency: Duration) {
        if self.total >= self.fade_at {
            self.counts.iter_mut().for_each(|(_, count)| *count /= 2);
            self.counts.retain(|(_, count)| *count > 0);
            self.total = self.counts.iter().map(|(_, count)| count).sum();
        }
        let bucket = bucket(latency);
        match self.counts.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.counts.get_mut(at).into_iter().for_each(|(_, count)| *count += 1),
            Err(at) => self.counts.insert(at, (bucket, 1)),
        }
        self.total += 1;
    }

    /// The latency that the share `quantile` of attempts did not exceed; zero without any.
    pub fn quantile(&self, quantile: f64) -> Duration {
        let wanted = f64::from(self.total) * quantile.clamp(0.0, 1.0);
        let mut seen = 0;
        for (bucket, count) in &self.counts {
            seen += count;
            if f64::from(seen) >= wanted {
                return upper_bound(*bucket);
            }
        }
        Duration::ZERO
    }

    /// How many attempts count.
    pub fn samples(&self) -> u32 {
        self.total
    }
}

fn bucket(latency: Duration) -> u8 {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(8);
    let octave = micros.ilog2();
    let step = (micros >> (octave - 3)) & 7;
    let index = u64::from(octave - 3) * 8 + step;
    u8::try_from(index).unwrap_or(u8::MAX).min(BUCKETS - 1)
}

fn upper_bound(bucket: u8) -> Duration {
    let (octave, step) = (bucket / 8, u64::from(bucket) % 8);
    Duration::from_micros((9 + step) << octave)
}

const BUCKETS: u8 = 8 * 30;
const FADE_AT: u32 = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_bucket_of_the_truth() {
        let mut latency = Latency::default();
        (1..=1000).for_each(|ms| latency.record(Duration::from_millis(ms)));
        for (quantile, truth) in [(0.5, 500.0), (0.95, 950.0), (1.0, 1000.0)] {
            let found = latency.quantile(quantile).as_secs_f64() * 1000.0;
            assert!(found >= truth && found <= truth * 1.13, "{quantile}: {found}");
        }
        assert_eq!(Latency::default().quantile(0.5), Duration::ZERO);
    }

    #[test]
    fn old_traffic_fades() {
        let mut latency = Latency::default();
        (0..1_000_000).for_each(|_| latency.record(Duration::from_millis(1)));
        (0..40_000).for_each(|_| latency.record(Duration::from_secs(1)));
        assert!(latency.quantile(0.5) >= Duration::from_secs(1));
        assert_eq!(latency.counts.len(), 2, "what fades is not kept");
        let mut longest = Latency::default();
        longest.record(Duration::MAX);
        assert_eq!((longest.samples(), longest.quantile(1.0)), (1, upper_bound(BUCKETS - 1)));
    }
}
