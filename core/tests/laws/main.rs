//! One law for each policy, checked against naive models on generated histories.
//!
//! The arithmetic laws run over 10,000 cases, the models that are stepped beside a machine over
//! fewer, longer ones; `SPILLGATE_LAW_CASES` overrules both. Failures are kept in
//! `proptest-regressions` and are tried first from then on.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a law fails by panicking, and an Instant has no other constructor"
)]

mod breaker;
mod cache;
mod flights;
mod fuzzed;
mod learning;
mod limits;
mod measures;
mod pacing;
mod policies;
mod queue;
mod turns;
mod wire;

use proptest::prelude::ProptestConfig;

/// So many cases, or as many as `SPILLGATE_LAW_CASES` says.
fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("SPILLGATE_LAW_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(asked.unwrap_or(usual))
}

/// The cases of a law about arithmetic.
const ARITHMETIC: u32 = 10_000;
/// The cases of a law about long histories.
const HISTORIES: u32 = 1_000;
