//! A deterministic simulator of both machines: one coordinator, several hosts, virtual time.
//!
//! A seed lays out a world of upstreams, callers and operators; messages are late and doubled,
//! wakes come late. Oracles keep their own books and compare after every step. Run more seeds with
//! `SPILLGATE_SIM_SEEDS=10000`, replay one with a trace by `SPILLGATE_SIM_SEED=7` and
//! `--nocapture`. `MUTANTS.md` lists planted mistakes and what caught each.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an oracle fails by panicking, and a test may read clock, environment and terminal"
)]

mod breakers;
mod demand;
mod log;
mod pacing;
mod plan;
mod reach;
mod supply;
mod traffic;
mod upstream;
mod wire;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use crate::log::Log;
use crate::reach::Reach;
use crate::world::World;

#[test]
fn every_seed_keeps_every_promise_and_all_states_are_reached() {
    let base = base();
    if let Some(seed) = setting("SPILLGATE_SIM_SEED") {
        run(seed, base, Log::Print(base));
        return;
    }
    let seeds = setting("SPILLGATE_SIM_SEEDS").unwrap_or(200);
    let mut reach = Reach::default();
    for seed in 0..seeds {
        reach.add(&run(seed, base, Log::Off).reach);
    }
    println!("{reach}");
    assert!(seeds < 200 || reach.missing().is_empty(), "never reached: {:?}", reach.missing());
}

#[test]
fn same_seed_gives_the_same_log() {
    let base = base();
    let digest = |seed| run(seed, base, Log::Digest(std::hash::DefaultHasher::new())).log.digest();
    let digests: Vec<Option<u64>> = (0..8).map(digest).collect();
    assert!((0..8).map(digest).eq(digests.iter().copied()));
    assert!(
        digests.iter().all(|digest| digest.is_some() && *digest != digests[0]) || digests.len() > 1
    );
    assert_ne!(digests[0], digests[1]);
}

fn run(seed: u64, base: Instant, log: Log) -> World {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, base, log);
        world.script();
        world.run();
        world.check_rest();
        world
    }));
    result.unwrap_or_else(|panic| {
        println!("seed {seed} failed; replay it with a trace:");
        println!(
            "SPILLGATE_SIM_SEED={seed} cargo test -p spillgate-core --test sim -- --nocapture"
        );
        resume_unwind(panic)
    })
}

fn base() -> Instant {
    Instant::now()
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
