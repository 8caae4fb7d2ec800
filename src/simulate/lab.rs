//! What is put to the test, and what a world says about it.

use spillgate_core::policy::{HostPolicy, Limits};

use crate::simulate::bars::Kind;
use crate::simulate::plot::Curve;

/// What is put to the test.
#[derive(Debug, Clone, Default)]
pub struct Lab {
    /// The pipeline of a host.
    pub policy: HostPolicy,
    /// The bounds of a process.
    pub limits: Limits,
    /// What is wanted of a run.
    pub detail: Detail,
}

/// What is wanted of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Detail {
    /// The rows of the acceptance table.
    #[default]
    Rows,
    /// Lines for plots, too, which need further worlds.
    Plots,
}

/// A world and what is measured in it.
pub(super) struct Scenario {
    /// Its name, as rows begin with.
    pub(super) name: &'static str,
    /// What its rows prove.
    pub(super) kind: Kind,
    /// What it is about, in a line.
    pub(super) about: &'static str,
    /// Lets it run with a seed.
    pub(super) run: fn(&Lab, u64) -> Finding,
}

/// What one run of a scenario brought.
#[derive(Debug, Clone, Default)]
pub(super) struct Finding {
    /// The values.
    pub(super) readings: Vec<Reading>,
    /// Lines for the plots.
    pub(super) curves: Vec<Curve>,
}

/// One measured value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// Its row.
    pub(super) id: &'static str,
    /// What was measured.
    pub(super) metric: &'static str,
    /// The value.
    pub(super) value: f64,
}

impl Lab {
    /// Whether a run with this seed goes through the worlds that only plots need.
    pub(super) fn draws(&self, seed: u64) -> bool {
        self.detail == Detail::Plots && seed == 1
    }
}

impl Finding {
    /// Takes a measured value.
    pub(super) fn read(&mut self, id: &'static str, metric: &'static str, value: f64) {
        self.readings.push(Reading { id, metric, value });
    }

    /// Takes a line.
    pub(super) fn draw(
        &mut self,
        plot: &'static str,
        series: &'static str,
        points: Vec<(f64, f64)>,
    ) {
        self.curves.push(Curve { plot, series, points });
    }
}
