//! Counting: shares, quantiles and the like, without a lossy cast in sight elsewhere.

use std::time::Duration;

/// A count as a number.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(super) fn number(count: usize) -> f64 {
    count as f64
}

/// How many `part` is for each of `whole`; zero when there is none.
pub(super) fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { number(part) / number(whole) }
}

/// The same in per cent.
pub(super) fn percent(part: usize, whole: usize) -> f64 {
    100.0 * ratio(part, whole)
}

/// The value that the share `quantile` does not exceed, by nearest rank; zero when there is none.
pub(super) fn quantile(values: &mut [Duration], quantile: f64) -> Duration {
    let rank = whole((number(values.len()) * quantile).ceil()).max(1) - 1;
    if rank >= values.len() {
        return values.iter().max().copied().unwrap_or_default();
    }
    let (_, value, _) = values.select_nth_unstable(rank);
    *value
}

/// A number's whole part as a count; what is below zero is zero.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped at zero")]
pub(super) fn whole(number: f64) -> usize {
    number.max(0.0) as usize
}

/// A time in milliseconds.
pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// The mean; zero when there is none.
pub(super) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / number(values.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let mut values: Vec<Duration> = (1..=1_000).rev().map(Duration::from_millis).collect();
        assert_eq!(quantile(&mut values, 0.99), Duration::from_millis(990));
        assert_eq!(quantile(&mut values, 0.999), Duration::from_millis(999));
        assert_eq!(quantile(&mut values, 1.0), Duration::from_secs(1));
        assert_eq!(quantile(&mut [], 0.5), Duration::ZERO);
    }
}
