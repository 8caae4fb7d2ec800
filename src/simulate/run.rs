//! Scenarios over seeds: which there are, and how what they find is put together.

use crate::simulate::bars::BARS;
use crate::simulate::lab::{Lab, Scenario};
use crate::simulate::measure::number;
use crate::simulate::parallel::in_parallel;
use crate::simulate::plot::Curve;
use crate::simulate::report::{Report, RowResult};
use crate::simulate::worlds;

/// Names and subjects of all scenarios, in the order in which they run.
pub fn scenarios() -> impl Iterator<Item = (&'static str, &'static str)> {
    worlds::SCENARIOS.iter().map(|scenario| (scenario.name, scenario.about))
}

/// Runs the scenarios that `chosen` names, or all, over the seeds from 1 to `seeds`.
pub fn run(lab: &Lab, chosen: Option<&str>, seeds: u64) -> Report {
    let named = |scenario: &&Scenario| chosen.is_none_or(|name| scenario.name == name);
    let picked: Vec<&Scenario> = worlds::SCENARIOS.iter().filter(named).collect();
    let tasks: Vec<(&Scenario, u64)> =
        picked.iter().flat_map(|scenario| (1..=seeds).map(move |seed| (*scenario, seed))).collect();
    let findings = in_parallel(&tasks, |(scenario, seed)| (scenario.run)(lab, *seed));
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
