//! The lines that are printed, and whether any of them missed its bound.

use std::time::Duration;

use spillgate_benches::figures::median_ms;

use crate::crowd::Had;

/// Prints lines as they come.
pub(crate) struct Table {
    way: &'static str,
    missed: usize,
}

/// What a figure must be.
#[derive(Clone, Copy)]
pub(crate) enum Bound {
    /// Exactly so much.
    Is(f64),
    /// No more than so much.
    AtMost(f64),
    /// Nothing is asked of it.
    Noted,
}

impl Table {
    pub(crate) fn new() -> Self {
        println!("{:<6} {:<22} {:<56} {:>9} {:>9}", "", "way", "figure", "measured", "bound");
        Self { way: "", missed: 0 }
    }

    /// What the lines from here on are about.
    pub(crate) fn way(&mut self, way: &'static str) {
        self.way = way;
    }

    pub(crate) fn count(&mut self, what: &str, measured: usize, bound: Bound) {
        let measured = u32::try_from(measured).map_or(f64::INFINITY, f64::from);
        self.figure(what, measured, bound);
    }

    pub(crate) fn figure(&mut self, what: &str, measured: f64, bound: Bound) {
        self.line(what, measured, (bound, 0));
    }

    /// The median of what callers waited, in milliseconds.
    pub(crate) fn median(&mut self, what: &str, had: &[Had], bound: Bound) {
        let measured = median_ms(had.iter().map(|had| had.took));
        self.line(&format!("{what}: median ms"), measured, (bound, 1));
    }

    /// The longest that a caller waited, in milliseconds.
    pub(crate) fn longest(&mut self, what: &str, had: &[Had], bound: Bound) {
        let longest = had.iter().map(|had| had.took).max().unwrap_or(Duration::MAX);
        self.line(&format!("{what}: longest ms"), longest.as_secs_f64() * 1e3, (bound, 1));
    }

    /// Whether no line missed its bound.
    pub(crate) fn is_met(&self) -> bool {
        self.missed == 0
    }

    fn line(&mut self, what: &str, measured: f64, (bound, digits): (Bound, usize)) {
        let (holds, told) = match bound {
            Bound::Is(wanted) => ((measured - wanted).abs() < 0.5, format!("{wanted:.0}")),
            Bound::AtMost(most) => (measured <= most, format!("<= {most:.0}")),
            Bound::Noted => (true, String::new()),
        };
        let verdict = match (bound, holds) {
            (Bound::Noted, _) => "noted",
            (Bound::Is(_) | Bound::AtMost(_), true) => "ok",
            (Bound::Is(_) | Bound::AtMost(_), false) => "MISSED",
        };
        self.missed += usize::from(!holds);
        println!("{verdict:<6} {:<22} {what:<56} {measured:>9.digits$} {told:>9}", self.way);
    }
}
