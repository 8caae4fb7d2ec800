//! The worlds, one family a file.

mod cold;
mod contention;
mod edges;
mod hedging;
mod herd;
mod layers;
mod outage;
mod overload;
mod partial;
mod ranks;
mod retry_load;
mod stampede;
mod tail;
mod throttle;

use crate::simulate::bars::Kind::{Bar, Validation};
use crate::simulate::lab::Scenario;

/// All scenarios: those that prove the worlds, then those that prove the machines.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "S1v",
        kind: Validation,
        about: "retry policies against a share of failures, as Brooker published them",
        run: retry_load::published,
    },
    Scenario {
        name: "S2a",
        kind: Validation,
        about: "back-off under contention, as the AWS Architecture Blog published it",
        run: contention::published,
    },
    Scenario {
        name: "S3t",
        kind: Validation,
        about: "the most load at which an overload passes, as HotOS'21 published it",
        run: overload::published,
    },
    Scenario {
        name: "S4a",
        kind: Validation,
        about: "hedged reads, as The Tail at Scale published them",
        run: tail::published,
    },
    Scenario {
        name: "S8",
        kind: Validation,
        about: "adaptive throttling, as the SRE book published it",
        run: throttle::published,
    },
    Scenario {
        name: "S9",
        kind: Validation,
        about: "retries at each of five layers",
        run: layers::published,
    },
    Scenario {
        name: "S1a",
        kind: Bar,
        about: "retries and their budget against a share of failures",
        run: partial::budget,
    },
    Scenario {
        name: "S1b",
        kind: Bar,
        about: "the breaker against a share of failures",
        run: partial::breaker,
    },
    Scenario { name: "S1c", kind: Bar, about: "one dead shard of three", run: partial::shards },
    Scenario {
        name: "S2c",
        kind: Bar,
        about: "a thousand clients told to come back at the same moment",
        run: herd::retry_after,
    },
    Scenario {
        name: "S3",
        kind: Bar,
        about: "an outage and a pulse of load near the upstream's capacity",
        run: overload::recovery,
    },
    Scenario {
        name: "S3t",
        kind: Bar,
        about: "the most load at which an overload passes",
        run: overload::threshold,
    },
    Scenario { name: "S4a", kind: Bar, about: "hedged reads under a budget", run: tail::budgeted },
    Scenario {
        name: "S4b",
        kind: Bar,
        about: "hedging at high utilisation",
        run: hedging::utilisation,
    },
    Scenario {
        name: "S5",
        kind: Bar,
        about: "foreground and background calls of one overloaded host",
        run: ranks::shares,
    },
    Scenario {
        name: "S6",
        kind: Bar,
        about: "an upstream that comes back with a cold cache",
        run: cold::start,
    },
    Scenario {
        name: "S7a",
        kind: Bar,
        about: "many callers of a cache at the moment when what they want expires",
        run: stampede::expiry,
    },
    Scenario {
        name: "S7b",
        kind: Bar,
        about: "an outage of ten minutes behind a cache",
        run: outage::staleness,
    },
    Scenario {
        name: "S9",
        kind: Bar,
        about: "budgets at each of five layers",
        run: layers::budgets,
    },
    Scenario {
        name: "S9d",
        kind: Bar,
        about: "deadlines through five layers",
        run: layers::deadlines,
    },
    Scenario {
        name: "X",
        kind: Bar,
        about: "constants that no published row looks at",
        run: edges::constants,
    },
];
