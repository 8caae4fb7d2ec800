//! Back-off under contention: clients that update one row by optimistic concurrency control.
//!
//! After the AWS Architecture Blog, "Exponential Backoff And Jitter" (2015): each client reads a
//! version, writes, and starts over after a delay when another was faster. Delays of the network
//! are normal, 10 +- 2 ms; delays of the schedules start at 5 ms and end at 2 s.

use std::time::Duration;

use spillgate_core::rng::Rng;

use crate::simulate::agenda::Agenda;
use crate::simulate::chance::{normal, seconds, uniform};
use crate::simulate::lab::{Finding, Lab};
use crate::simulate::measure::{millis, number};

/// A published schedule of delays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Schedule {
    None,
    Exponential,
    Full,
    Equal,
    Decorrelated,
}

#[derive(Debug, Clone, Copy)]
struct Writer {
    failures: i32,
    last_delay: f64,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Read(usize),
    Write { writer: usize, version: u32 },
}

/// Runs the published simulation.
pub(super) fn published(lab: &Lab, seed: u64) -> Finding {
    let mut finding = Finding::default();
    let rows = [
        (Schedule::Exponential, "exponential", "S2a/expo/n=100"),
        (Schedule::Full, "full jitter", "S2a/full/n=100"),
        (Schedule::Equal, "equal jitter", "S2a/equal/n=100"),
        (Schedule::Decorrelated, "decorrelated", "S2a/decorr/n=100"),
        (Schedule::None, "none", "S2a/none/n=100"),
    ];
    for (schedule, name, id) in rows {
        let (calls, time) = contest(schedule, 100, 100, seed);
        finding.read(id, "calls", calls);
        finding.read(id, "time_ms", time);
        if !lab.draws(seed) {
            continue;
        }
        let few = [10, 25, 50, 75].map(|writers| {
            let (calls, _) = contest(schedule, writers, 20, seed);
            (number(writers), calls)
        });
        let points = few.into_iter().chain([(100.0, calls)]).collect();
        finding.draw("backoff", name, points);
    }
    finding
}

/// The mean writes and milliseconds until all writers are done, over some runs.
fn contest(schedule: Schedule, writers: usize, runs: usize, seed: u64) -> (f64, f64) {
    let mut rng = Rng::new(seed);
    let (mut calls, mut time) = (0, 0.0);
    for _ in 0..runs {
        let (run_calls, end) = race(schedule, writers, &mut rng);
        calls += run_calls;
        time += millis(end);
    }
    (number(calls) / number(runs), time / number(runs))
}

fn race(schedule: Schedule, writers: usize, rng: &mut Rng) -> (usize, Duration) {
    let mut states = vec![Writer { failures: 0, last_delay: BASE_MS }; writers];
    let (mut version, mut calls, mut end) = (0, 0, Duration::ZERO);
    let mut agenda = Agenda::new();
    for writer in 0..writers {
        agenda.plan(trip(rng), Event::Read(writer));
    }
    while let Some((at, event)) = agenda.next() {
        match event {
            Event::Read(writer) => {
                let back_and_forth = trip(rng) + trip(rng);
                agenda.plan(at + back_and_forth, Event::Write { writer, version });
            }
            Event::Write { writer, version: seen } => {
                calls += 1;
                let told = at + trip(rng);
                end = end.max(told);
                if seen == version {
                    version += 1;
                    continue;
                }
                let Some(state) = states.get_mut(writer) else { continue };
                let delay = schedule.delay_ms(state, rng);
                agenda.plan(told + trip(rng) + seconds(delay / 1_000.0), Event::Read(writer));
            }
        }
    }
    (calls, end)
}

fn trip(rng: &mut Rng) -> Duration {
    seconds(normal(rng, 0.010, 0.002).abs())
}

impl Schedule {
    fn delay_ms(self, writer: &mut Writer, rng: &mut Rng) -> f64 {
        writer.failures += 1;
        let ceiling = (BASE_MS * 2.0_f64.powi(writer.failures.min(30))).min(CAP_MS);
        match self {
            Self::None => 0.0,
            Self::Exponential => ceiling,
            Self::Full => uniform(rng, 0.0, ceiling),
            Self::Equal => ceiling / 2.0 + uniform(rng, 0.0, ceiling / 2.0),
            Self::Decorrelated => {
                let drawn = uniform(rng, BASE_MS, writer.last_delay * 3.0).min(CAP_MS);
                writer.last_delay = drawn;
                drawn
            }
        }
    }
}

const BASE_MS: f64 = 5.0;
const CAP_MS: f64 = 2_000.0;
