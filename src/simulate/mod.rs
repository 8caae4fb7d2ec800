//! The policy laboratory: the production machines in modelled worlds, in virtual time.
//!
//! No clock, socket or runtime takes part in a result: the same seed gives the same bytes. The
//! worlds prove themselves first, by reproducing published results with the published policies;
//! then the machines of [`spillgate_core`] are driven through them as the actors drive them.

mod agenda;
mod backend;
pub mod bars;
mod cached;
mod chance;
mod client;
pub mod compare;
mod fleet;
mod frames;
pub mod lab;
mod measure;
mod parallel;
mod plain;
mod plot;
mod process;
pub mod report;
pub mod run;
mod tally;
#[cfg(test)]
mod tests;
mod worlds;
