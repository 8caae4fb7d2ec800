//! Figures that hold on a noisy machine.

use std::time::Duration;

/// The middle one; not a number if there is none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The middle one, in milliseconds.
pub fn median_ms(times: impl IntoIterator<Item = Duration>) -> f64 {
    median(times.into_iter().map(|time| time.as_secs_f64() * 1e3))
}
