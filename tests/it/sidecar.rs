//! The sidecar over real sockets: who waits for whose answer, and who never gets another's.

mod admin;
mod apart;
mod bodies;
mod doors;
mod draining;
mod faults;
mod forward;
mod hygiene;
mod metrics;
pub(crate) mod origin;
mod patience;
mod process;
mod reloading;
mod staleness;
mod stampede;
mod storage;
mod tls;
mod traps;
mod tunnels;
mod upgrades;
