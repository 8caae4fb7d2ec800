//! What would this policy do: policies side by side in the same worlds, with the same seeds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use spillgate_core::policy::HostPolicy;

use crate::simulate::backend::{Backend, Ill, Spell, Throttle};
use crate::simulate::chance::Spread;
use crate::simulate::fleet::{self, Arrivals, Load, plain_errand};
use crate::simulate::lab::Lab;
use crate::simulate::measure::{mean, millis};
use crate::simulate::parallel::in_parallel;
use crate::simulate::process::Recipe;
use crate::simulate::report::{figure, quoted};
use crate::simulate::tally::Tally;

/// A world in plain numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct World {
    /// Its name.
    pub name: String,
    /// The host that the upstream is.
    pub host: String,
    /// Processes with a pipeline of their own.
    pub processes: usize,
    /// How calls come.
    pub calls: Calls,
    /// The time for a whole call; `None` leaves it to the policy.
    pub deadline: Option<Duration>,
    /// The mean time that the upstream needs for an answer.
    pub service: Duration,
    /// Requests that the upstream works on at once; `None` is as many as come.
    pub workers: Option<usize>,
    /// Requests that wait for a worker at most; one more is answered with 503.
    pub queue_max: usize,
    /// The share of answers that are a 500.
    pub failing: f64,
    /// Requests allowed in each tenth of a second; the others get a 429 and are to wait so long.
    pub throttle: Option<(usize, Duration)>,
    /// What goes wrong for a while.
    pub trouble: Option<Trouble>,
}

/// How calls come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Calls {
    /// At random, by this rate, for so long.
    Steady {
        /// Calls a second over all processes.
        rps: f64,
        /// For so long.
        lasting: Duration,
    },
    /// One of each process within a tenth of a second.
    Herd,
}

/// What goes wrong for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trouble {
    /// When.
    pub at: Duration,
    /// For how long.
    pub lasting: Duration,
    /// What.
    pub kind: TroubleKind,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TroubleKind {
    /// Requests are taken and none is worked on.
    Hangs,
    /// All answers are a 503, at once.
    Fails,
    /// Each answer takes that many times as long.
    Slow(f64),
}

/// A configuration that is compared: what it says of each host.
#[derive(Debug, Clone)]
pub struct Candidate {
    name: String,
    lab: Lab,
    hosts: BTreeMap<String, (String, Lab)>,
}

/// The part of a configuration that spoke for a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedSection {
    /// The configuration.
    pub policy: String,
    /// The host.
    pub host: String,
    /// The section, as the configuration spells it.
    pub section: String,
}

/// Policies side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The names of the policies.
    pub policies: Vec<String>,
    /// The sections that applied, where a configuration has any.
    pub sections: Vec<AppliedSection>,
    /// What was measured, world by world.
    pub rows: Vec<ComparedRow>,
}

/// One number of one world under each policy.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedRow {
    /// The world.
    pub world: String,
    /// What is measured, with its unit.
    pub metric: &'static str,
    /// The mean over the seeds, for each policy.
    pub values: Vec<f64>,
}

/// The worlds in which policies are compared unless another is given.
pub fn worlds() -> Vec<World> {
    let steady = |rps| Calls::Steady { rps, lasting: Duration::from_secs(240) };
    let base = World {
        name: String::from("20 % of requests fail"),
        host: String::from("upstream"),
        processes: 10,
        calls: steady(100.0),
        deadline: None,
        service: Duration::from_millis(5),
        workers: None,
        queue_max: usize::MAX,
        failing: 0.2,
        throttle: None,
        trouble: None,
    };
    let near_full = World {
        failing: 0.0,
        calls: steady(280.0),
        service: Duration::from_millis(100),
        workers: Some(30),
        ..base.clone()
    };
    let at = Duration::from_secs(30);
    let trouble = |seconds, kind| Some(Trouble { at, lasting: Duration::from_secs(seconds), kind });
    vec![
        base.clone(),
        World {
            name: String::from("outage of 30 s"),
            failing: 0.0,
            trouble: trouble(30, TroubleKind::Fails),
            ..base.clone()
        },
        World {
            name: String::from("hangs for 10 s at 93 % load"),
            trouble: trouble(10, TroubleKind::Hangs),
            ..near_full.clone()
        },
        World {
            name: String::from("ten times slower for 30 s"),
            calls: steady(200.0),
            trouble: trouble(30, TroubleKind::Slow(10.0)),
            ..near_full
        },
        World {
            name: String::from("herd of 1,000 told to wait 5 s"),
            processes: 1_000,
            calls: Calls::Herd,
            failing: 0.0,
            throttle: Some((60, Duration::from_secs(5))),
            ..base
        },
    ]
}

/// Runs each world with each policy over the seeds from 1 to `seeds`.
pub fn compare(policies: &[Candidate], worlds: &[World], seeds: u64) -> Comparison {
    let tasks: Vec<(&World, &Candidate, u64)> = worlds
        .iter()
        .flat_map(|world| policies.iter().map(move |policy| (world, policy)))
        .flat_map(|(world, policy)| (1..=seeds).map(move |seed| (world, policy, seed)))
        .collect();
    let measured = in_parallel(&tasks, |(world, policy, seed)| {
        world.measure(policy.lab_of(&world.host), *seed)
    });
    let value = |world: &World, policy: &Candidate, metric: usize| {
        let of_both = tasks.iter().zip(&measured).filter(|((of_world, of_policy, _), _)| {
            std::ptr::eq(*of_world, world) && std::ptr::eq(*of_policy, policy)
        });
        let values: Vec<f64> =
            of_both.filter_map(|(_, values)| values.get(metric).copied()).collect();
        mean(&values)
    };
    let rows = worlds.iter().flat_map(|world| {
        let metrics = METRICS.iter().enumerate();
        metrics.filter(|(_, name)| world.trouble.is_some() || **name != RECOVERY).map(
            move |(position, metric)| ComparedRow {
                world: world.name.clone(),
                metric,
                values: policies.iter().map(|policy| value(world, policy, position)).collect(),
            },
        )
    });
    let rows = rows.collect();
    let sections = sections(policies, worlds);
    Comparison {
        policies: policies.iter().map(|policy| policy.name.clone()).collect(),
        sections,
        rows,
    }
}

/// The sections that apply, each policy and host once.
fn sections(policies: &[Candidate], worlds: &[World]) -> Vec<AppliedSection> {
    let hosts: BTreeSet<&str> = worlds.iter().map(|world| world.host.as_str()).collect();
    let all = policies.iter().flat_map(|policy| {
        hosts.iter().filter_map(|host| {
            let (section, _) = policy.hosts.get(*host)?;
            let (policy, host) = (policy.name.clone(), (*host).to_owned());
            Some(AppliedSection { policy, host, section: section.clone() })
        })
    });
    all.collect()
}

impl Candidate {
    /// A policy that is the same for every host.
    pub fn new(name: impl Into<String>, lab: Lab) -> Self {
        Self { name: name.into(), lab, hosts: BTreeMap::new() }
    }

    /// Adds what it says of one host, and which part of it says so.
    pub fn host(
        mut self,
        host: impl Into<String>,
        section: impl Into<String>,
        policy: HostPolicy,
    ) -> Self {
        let lab = Lab { policy, ..self.lab.clone() };
        self.hosts.insert(host.into(), (section.into(), lab));
        self
    }

    fn lab_of(&self, host: &str) -> &Lab {
        self.hosts.get(host).map_or(&self.lab, |(_, lab)| lab)
    }
}

impl Comparison {
    /// The rows as a table to read, one column for each policy.
    pub fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.world.len()).max().unwrap_or(0);
        let columns = |values: &[String]| {
            let cells: Vec<String> = values.iter().map(|value| format!("{value:>17}")).collect();
            cells.concat()
        };
        let mut table = String::new();
        // Writing to a String cannot fail.
        let _ = writeln!(table, "{:<width$}  {:<12}{}", "world", "metric", columns(&self.policies));
        let mut shown = "";
        for row in &self.rows {
            let world = if row.world == shown { "" } else { row.world.as_str() };
            shown = &row.world;
            let values: Vec<String> = row.values.iter().map(|value| figure(*value)).collect();
            let _ = writeln!(table, "{world:<width$}  {:<12}{}", row.metric, columns(&values));
        }
        for AppliedSection { policy, host, section } in &self.sections {
            let _ = writeln!(table, "{policy} for host `{host}`: {section}");
        }
        table
    }
}

impl Comparison {
    /// The rows as CSV, one line for each policy.
    pub fn csv(&self) -> String {
        let mut csv = String::from("world,metric,policy,mean\n");
        for row in &self.rows {
            for (policy, value) in self.policies.iter().zip(&row.values) {
                let (world, policy) = (quoted(&row.world), quoted(policy));
                // Writing to a String cannot fail.
                let _ = writeln!(csv, "{world},{},{policy},{value:.6}", row.metric);
            }
        }
        csv
    }
}

impl World {
    fn measure(&self, lab: &Lab, seed: u64) -> Vec<f64> {
        let tally = self.run(lab, seed);
        let end = self.trouble.map_or(Duration::ZERO, |trouble| trouble.at + trouble.lasting);
        vec![
            tally.success_pct(),
            tally.load_x(),
            tally.recovery(end),
            millis(tally.latency(0.5, |_| true)),
            millis(tally.latency(0.99, |_| true)),
        ]
    }

    fn run(&self, lab: &Lab, seed: u64) -> Tally {
        let mut upstream = match self.workers {
            Some(workers) => Backend::of_workers(workers, self.spread()),
            None => Backend::endless(self.spread()),
        };
        upstream.queue_max = self.queue_max;
        upstream.failing = vec![self.failing];
        upstream.throttle =
            self.throttle.map(|(each_tenth, retry_after)| Throttle::new(each_tenth, retry_after));
        upstream.spells = self.trouble.iter().map(Trouble::spell).collect();
        let (arrivals, until) = match self.calls {
            Calls::Steady { rps, lasting } => (Arrivals::Poisson(rps), lasting),
            Calls::Herd => {
                let within = Duration::from_millis(100);
                (Arrivals::Once(within), within)
            }
        };
        let patience = self.deadline.unwrap_or(lab.policy.deadline);
        let load = Load { arrivals, until, patience, errand: plain_errand };
        let recipe = Recipe::new(lab.policy.clone(), lab.limits);
        fleet::run(recipe.processes(self.processes, seed), load, upstream, seed)
    }

    fn spread(&self) -> Spread {
        Spread::Exponential(self.service.as_secs_f64())
    }
}

impl Trouble {
    fn spell(&self) -> Spell {
        let ill = match self.kind {
            TroubleKind::Hangs => Ill::Hangs,
            TroubleKind::Fails => Ill::Fails,
            TroubleKind::Slow(times) => Ill::Slow(times),
        };
        Spell { during: self.at..self.at + self.lasting, ill }
    }
}

const RECOVERY: &str = "recover_s";
const METRICS: [&str; 5] = ["success_pct", "load_x", RECOVERY, "p50_ms", "p99_ms"];
