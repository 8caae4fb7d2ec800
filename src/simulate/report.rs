//! What a run of the laboratory says: a table to read, CSV to keep.

use std::fmt::Write as _;

use crate::simulate::bars::{Bar, Kind};
use crate::simulate::frames::FRAMES;
use crate::simulate::measure::mean;
use crate::simulate::plot::{Curve, draw};

/// What was measured, row by row, with lines for plots.
#[derive(Debug)]
pub struct Report {
    /// The rows, in the order of the acceptance table.
    pub rows: Vec<RowResult>,
    pub(super) curves: Vec<Curve>,
}

/// What was measured for one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowResult {
    /// The row.
    pub bar: Bar,
    /// The mean over the seeds.
    pub mean: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// Whether the mean is what it must be.
    pub pass: bool,
}

impl RowResult {
    /// The result of a row from its values; a row without values fails.
    pub(super) fn new(bar: Bar, values: &[f64]) -> Self {
        let mean = mean(values);
        let min = values.iter().copied().fold(f64::INFINITY, f64::min);
        let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let pass = !values.is_empty() && bar.bound.holds(mean);
        Self { bar, mean, min, max, pass }
    }

    fn write(&self, table: &mut String, width: usize) {
        let [mean, min, max] = [self.mean, self.min, self.max].map(figure);
        let (id, metric, bound) = (self.bar.id, self.bar.metric, self.bar.bound.to_string());
        let pass = if self.pass { "yes" } else { "NO" };
        let _ = writeln!(
            table,
            "  {id:<width$}  {metric:<26} {mean:>9} {min:>9} {max:>9}  {bound:<16} {pass}"
        );
    }
}

impl Report {
    /// Whether every row passes.
    pub fn passes(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.pass)
    }

    /// The rows that fail.
    pub fn failures(&self) -> impl Iterator<Item = &RowResult> {
        self.rows.iter().filter(|row| !row.pass)
    }

    /// The rows as a table to read.
    pub fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.bar.id.len()).max().unwrap_or(0);
        let mut table = String::new();
        for (kind, title) in [
            (Kind::Validation, "V: published results, by the published policies"),
            (Kind::Bar, "B: bars, by the production machines"),
        ] {
            let mut rows = self.rows.iter().filter(|row| row.bar.kind == kind).peekable();
            if rows.peek().is_some() {
                // Writing to a String cannot fail.
                let _ = writeln!(
                    table,
                    "{title}\n  {:<width$}  {:<26} {:>9} {:>9} {:>9}  {:<16} pass",
                    "id", "metric", "mean", "min", "max", "bound"
                );
            }
            rows.for_each(|row| row.write(&mut table, width));
        }
        table
    }

    /// The rows as CSV.
    pub fn csv(&self) -> String {
        let mut csv = String::from("id,metric,mean,min,max,bound,pass\n");
        for row in &self.rows {
            let RowResult { bar, mean, min, max, pass } = row;
            let (id, metric, bound) = (quoted(bar.id), bar.metric, bar.bound);
            let [mean, min, max] = [mean, min, max].map(|value| format!("{value:.6}"));
            // Writing to a String cannot fail.
            let _ = writeln!(csv, "{id},{metric},{mean},{min},{max},{bound},{pass}");
        }
        csv
    }

    /// The plots, each with the name of its file.
    pub fn plots(&self) -> impl Iterator<Item = (String, String)> {
        FRAMES.iter().filter_map(|frame| {
            let curves: Vec<&Curve> =
                self.curves.iter().filter(|curve| curve.plot == frame.name).collect();
            let svg = || (format!("{}.svg", frame.name), draw(frame, &curves));
            (!curves.is_empty()).then(svg)
        })
    }
}

/// A number with as many digits as one reads.
pub(super) fn figure(value: f64) -> String {
    let size = value.abs();
    if size >= 1_000.0 {
        format!("{value:.0}")
    } else if size >= 100.0 {
        format!("{value:.1}")
    } else if size >= 10.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

/// A field of CSV.
pub(super) fn quoted(text: &str) -> String {
    if text.contains([',', '"']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}
