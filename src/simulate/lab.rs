//! The laboratory: which scenarios there are, and how they are run over seeds.
//!
//! Each scenario and seed is a task of its own. Threads take tasks in any order; what they find is
//! put together in the order of tasks, so that the number of threads changes nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use spillgate_core::policy::{HostPolicy, Limits};

use crate::simulate::bars::{BARS, Kind};
use crate::simulate::report::{Report, RowResult};
use crate::simulate::worlds;

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
    readings: Vec<Reading>,
    /// Lines for the plots.
    pub(super) curves: Vec<Curve>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    id: &'static str,
    metric: &'static str,
    value: f64,
}

/// One line of a plot.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    /// The plot's name.
    pub(super) plot: &'static str,
    /// The line's name.
    pub(super) series: &'static str,
    /// Its points.
    pub(super) points: Vec<(f64, f64)>,
}

/// Names and subjects of all scenarios, in the order in which they run.
pub fn scenarios() -> impl Iterator<Item = (&'static str, &'static str)> {
    worlds::SCENARIOS.iter().map(|scenario| (scenario.name, scenario.about))
}

impl Lab {
    /// Runs the scenarios that `chosen` names, or all, over the seeds from 1 to `seeds`.
    pub fn run(&self, chosen: Option<&str>, seeds: u64) -> Report {
        let named = |scenario: &&Scenario| chosen.is_none_or(|name| scenario.name == name);
        let picked: Vec<&Scenario> = worlds::SCENARIOS.iter().filter(named).collect();
        let tasks: Vec<(&Scenario, u64)> = picked
            .iter()
            .flat_map(|scenario| (1..=seeds).map(move |seed| (*scenario, seed)))
            .collect();
        let findings = in_parallel(&tasks, |(scenario, seed)| (scenario.run)(self, *seed));
        let rows = BARS.iter().filter(|bar| {
            picked.iter().any(|from| from.name == bar.scenario() && from.kind == bar.kind)
        });
        let values = |id, metric| {
            let readings = findings.iter().flat_map(|finding| &finding.readings);
            let of_row = readings.filter(|found| found.id == id && found.metric == metric);
            of_row.map(|found| found.value).collect::<Vec<f64>>()
        };
        let rows = rows.map(|bar| RowResult::new(*bar, &values(bar.id, bar.metric))).collect();
        let curves = findings.iter().map(|finding| finding.curves.as_slice()).collect::<Vec<_>>();
        Report { rows, curves: mean_curves(&curves) }
    }

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

/// Does all tasks on all processors; what they bring is in the order of the tasks.
pub(super) fn in_parallel<T: Sync, R: Send>(tasks: &[T], run: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<BTreeMap<usize, R>> = Mutex::new(BTreeMap::new());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads.min(tasks.len()) {
            scope.spawn(|| {
                while let Some((position, task)) = take(&next, tasks) {
                    let result = run(task);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.insert(position, result);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

fn take<'a, T>(next: &AtomicUsize, tasks: &'a [T]) -> Option<(usize, &'a T)> {
    let position = next.fetch_add(1, Ordering::Relaxed);
    tasks.get(position).map(|task| (position, task))
}

/// One line for each plot and series: the mean over the runs, point by point, as far as all go.
fn mean_curves(runs: &[&[Curve]]) -> Vec<Curve> {
    let mut grouped: Vec<(Curve, usize)> = Vec::new();
    for curve in runs.iter().flat_map(|run| run.iter()) {
        let same = |(known, _): &&mut (Curve, usize)| {
            known.plot == curve.plot && known.series == curve.series
        };
        let Some((sum, runs)) = grouped.iter_mut().find(same) else {
            grouped.push((curve.clone(), 1));
            continue;
        };
        *runs += 1;
        sum.points.truncate(curve.points.len());
        for ((x, y), (more_x, more_y)) in sum.points.iter_mut().zip(&curve.points) {
            *x += more_x;
            *y += more_y;
        }
    }
    for (curve, runs) in &mut grouped {
        let runs = crate::simulate::measure::number(*runs);
        curve.points.iter_mut().for_each(|(x, y)| (*x, *y) = (*x / runs, *y / runs));
    }
    grouped.into_iter().map(|(curve, _)| curve).collect()
}
