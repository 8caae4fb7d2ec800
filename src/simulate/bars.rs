//! The bars: what each row of the acceptance table must measure.
//!
//! Validation rows are published results that the worlds must reproduce with the published
//! policies; the others are what the production machines must reach in the same worlds.

use std::fmt;

/// One row of the acceptance table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    /// Whether it proves the worlds or the machines.
    pub kind: Kind,
    /// The row's name; what stands before the first slash names the scenario.
    pub id: &'static str,
    /// What is measured, with its unit.
    pub metric: &'static str,
    /// What it must be.
    pub bound: Bound,
}

/// What a row proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// That the worlds are the published ones.
    Validation,
    /// That the machines do what they promise.
    Bar,
}

/// What a measured value must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// No less than this.
    AtLeast(f64),
    /// No more than this.
    AtMost(f64),
    /// No farther from the centre than the tolerance.
    Near {
        /// The published value.
        centre: f64,
        /// How far the measured one may be off.
        tolerance: f64,
    },
}

impl Bar {
    /// The scenario that measures it.
    pub fn scenario(&self) -> &'static str {
        self.id.split('/').next().unwrap_or(self.id)
    }
}

impl Bound {
    /// Whether a measured value is what it must be.
    pub fn holds(&self, value: f64) -> bool {
        match *self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            Self::Near { centre, tolerance } => (value - centre).abs() <= tolerance,
        }
    }
}

impl Kind {
    /// The letter that stands for it in tables.
    pub fn letter(self) -> char {
        match self {
            Self::Validation => 'V',
            Self::Bar => 'B',
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">={least}"),
            Self::AtMost(most) => write!(f, "<={most}"),
            Self::Near { centre, tolerance } => write!(f, "{centre}+-{tolerance}"),
        }
    }
}

const fn row(kind: Kind, id: &'static str, metric: &'static str, bound: Bound) -> Bar {
    Bar { kind, id, metric, bound }
}

use Bound::{AtLeast, AtMost, Near};
use Kind::{Bar as Measured, Validation};

/// All rows, the validations first.
#[rustfmt::skip]
pub const BARS: &[Bar] = &[
    row(Validation, "S1v/retry3/f=0.3", "success_pct", Near { centre: 99.1, tolerance: 0.6 }),
    row(Validation, "S1v/retry3/f=0.3", "load_x", Near { centre: 1.407, tolerance: 0.03 }),
    row(Validation, "S1v/brooker_adaptive/f=0.2", "success_pct", Near { centre: 90.5, tolerance: 0.8 }),
    row(Validation, "S1v/brooker_adaptive/f=0.5", "load_x", Near { centre: 1.143, tolerance: 0.01 }),
    row(Validation, "S1v/brooker_breaker/f=0.1", "success_pct", Near { centre: 91.8, tolerance: 1.5 }),
    row(Validation, "S1v/brooker_breaker/f=0.1", "load_x", Near { centre: 1.026, tolerance: 0.02 }),
    row(Validation, "S2a/expo/n=100", "calls", Near { centre: 1871.0, tolerance: 60.0 }),
    row(Validation, "S2a/full/n=100", "calls", Near { centre: 796.0, tolerance: 25.0 }),
    row(Validation, "S2a/equal/n=100", "calls", Near { centre: 812.0, tolerance: 25.0 }),
    row(Validation, "S2a/decorr/n=100", "calls", Near { centre: 1004.0, tolerance: 30.0 }),
    row(Validation, "S2a/none/n=100", "calls", Near { centre: 2422.0, tolerance: 40.0 }),
    row(Validation, "S2a/full/n=100", "time_ms", Near { centre: 4924.0, tolerance: 400.0 }),
    row(Validation, "S2a/expo/n=100", "time_ms", Near { centre: 64532.0, tolerance: 4000.0 }),
    row(Validation, "S3t/naive_1retry", "max_recovering_qps", Near { centre: 150.0, tolerance: 10.0 }),
    row(Validation, "S3t/naive_3retry", "max_recovering_qps", Near { centre: 75.0, tolerance: 10.0 }),
    row(Validation, "S3t/budget_10pct_of_requests", "max_recovering_qps", Near { centre: 272.0, tolerance: 15.0 }),
    row(Validation, "S4a/no_hedge", "p999_ms", Near { centre: 1800.0, tolerance: 350.0 }),
    row(Validation, "S4a/hedge_10ms", "p999_ms", Near { centre: 74.0, tolerance: 12.0 }),
    row(Validation, "S4a/hedge_10ms", "extra_pct", Near { centre: 2.0, tolerance: 0.1 }),
    row(Validation, "S8/k=2/x=10", "backend_rps", Near { centre: 2000.0, tolerance: 30.0 }),
    row(Validation, "S8/k=1.1/x=10", "backend_rps", Near { centre: 1100.0, tolerance: 30.0 }),
    row(Validation, "S9/3 attempts everywhere/f=1", "bottom_per_call", Near { centre: 243.0, tolerance: 0.001 }),
    row(Measured, "S1a/token_success/f=0.05", "success_pct", AtLeast(99.9)),
    row(Measured, "S1a/token_success/f=0.1", "success_pct", AtLeast(98.0)),
    row(Measured, "S1a/token_success/f=0.2", "load_x", AtMost(1.11)),
    row(Measured, "S1a/token_success/f=1", "load_x", AtMost(1.05)),
    row(Measured, "S1b/rate50_10s_min20_5s/rps=1000/f=0.3", "success_pct", AtLeast(68.5)),
    row(Measured, "S1b/rate50_10s_min20_5s/rps=100/f=0.2", "success_pct", AtLeast(79.0)),
    row(Measured, "S1b/rate50_10s_min20_5s/rps=100/f=1", "load_x", AtMost(0.02)),
    row(Measured, "S1c/rate50_10s_min20_5s/scope=route/rps=100", "healthy_shard_success_pct", AtLeast(99.9)),
    row(Measured, "S1c/learned/rps=100", "healthy_shard_success_pct", AtLeast(99.9)),
    row(Measured, "S2c/+U(0,50%)", "success_pct", AtLeast(99.0)),
    row(Measured, "S2c/+U(0,50%)", "peak_100ms", AtMost(70.0)),
    row(Measured, "S3/outage10/vegas+dl_fifo_margin300ms+budget", "recover_s", AtMost(10.0)),
    row(Measured, "S3/pulse900x10/vegas+dl_fifo_margin300ms+budget", "recover_s", AtMost(10.0)),
    row(Measured, "S3/outage10/100proc:vegas(max6)+dl_fifo_margin300ms+budget", "recover_s", AtMost(20.0)),
    row(Measured, "S3/outage10/100proc:vegas+rate50/5s+ramp+dl+budget", "recover_s", AtMost(20.0)),
    row(Measured, "S3/outage10/full_stack(limit6,300ms,budget,rate50/5s+ramp)", "recover_s", AtMost(15.0)),
    row(Measured, "S3/outage10/full_stack(limit6,300ms,budget,rate50/5s+ramp)", "load_last60s_x", AtMost(1.05)),
    row(Measured, "S3/outage10/full_stack(limit6,300ms,budget,rate50/5s+ramp)", "goodput_before_pct", AtLeast(99.9)),
    row(Measured, "S3t/vegas+dl_fifo_margin300ms+budget", "max_recovering_qps", AtLeast(280.0)),
    row(Measured, "S4a/hedge_10ms_budget5%", "p999_ms", AtMost(100.0)),
    row(Measured, "S4a/brownout_x10_budget5%", "extra_pct", AtMost(5.1)),
    row(Measured, "S4b/CancelBudget5/util=0.8", "p99_ms", AtMost(680.0)),
    row(Measured, "S4b/CancelBudget5/util=0.8", "extra_pct", AtMost(5.1)),
    row(Measured, "S5/fg40bg120/PrioCoalInherit", "joined_p99_ms", AtMost(200.0)),
    row(Measured, "S5/fg40bg120/PrioCoalInherit", "fg_miss2s_pct", AtMost(0.1)),
    row(Measured, "S5/fg110bg30/PrioCoalInheritShare10", "bg_rps", AtLeast(10.8)),
    row(Measured, "S5/fg110bg30/PrioCoalInheritShare10", "bg_wait_max_s", AtMost(5.0)),
    row(Measured, "S6/Reset5JitterRamp30", "recover_s", AtMost(60.0)),
    row(Measured, "S6/Reset5JitterRamp30", "lost_calls_after", AtMost(9500.0)),
    row(Measured, "S7a/none/procs=1", "origin_rps", Near { centre: 1897.0, tolerance: 60.0 }),
    row(Measured, "S7a/coalesce/procs=1", "origin_rps", AtMost(210.0)),
    row(Measured, "S7a/coalesce/procs=1", "blocked_pct", Near { centre: 21.8, tolerance: 2.0 }),
    row(Measured, "S7a/swr/procs=1", "origin_rps", AtMost(210.0)),
    row(Measured, "S7a/swr/procs=1", "blocked_pct", AtMost(2.0)),
    row(Measured, "S7a/cold/callers=1000", "origin_requests", AtMost(1.0)),
    row(Measured, "S7a/cold/callers=1000", "success_pct", AtLeast(100.0)),
    row(Measured, "S7b/keys=10000/sie=0/outage=600", "avail_outage_pct", Near { centre: 2.6, tolerance: 1.0 }),
    row(Measured, "S7b/keys=10000/sie=3600/outage=600", "avail_outage_pct", AtLeast(99.5)),
    row(Measured, "S9/budget_req10/f=1", "bottom_per_call", AtMost(1.62)),
    row(Measured, "S9/budget_succ10/f=1", "bottom_per_call", AtMost(1.01)),
    row(Measured, "S9d/propagate=true", "after_deadline", AtMost(0.0)),
    row(Measured, "X/overload", "p50_ms", AtMost(400.0)),
    row(Measured, "X/dead_queue", "late_sends_pct", AtMost(5.0)),
    row(Measured, "X/slow_start", "first_500ms_x", AtMost(0.6)),
    row(Measured, "X/queued_herd", "peak_100ms", AtMost(160.0)),
    row(Measured, "X/hedges_saved", "extra_of_100", AtMost(12.0)),
];
