//! The laboratory at work: which scenarios there are, and how they are run over seeds.
//!
//! Each scenario and seed is a task of its own. Threads take tasks in any order; what they find is
//! put together in the order of tasks, so that the number of threads changes nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::simulate::bars::BARS;
use crate::simulate::measure::number;
use crate::simulate::report::{Report, RowResult};
use crate::simulate::scenario::{Curve, Lab, Scenario};
use crate::simulate::worlds;

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
            let of_row = findings.iter().flat_map(|finding| finding.values(id, metric));
            of_row.collect::<Vec<f64>>()
        };
        let rows = rows.map(|bar| RowResult::new(*bar, &values(bar.id, bar.metric))).collect();
        let curves = findings.iter().map(|finding| finding.curves.as_slice()).collect::<Vec<_>>();
        Report { rows, curves: mean_curves(&curves) }
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
        let runs = number(*runs);
        curve.points.iter_mut().for_each(|(x, y)| (*x, *y) = (*x / runs, *y / runs));
    }
    grouped.into_iter().map(|(curve, _)| curve).collect()
}
