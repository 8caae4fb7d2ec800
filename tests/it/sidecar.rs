//! The sidecar over real sockets: who waits for whose answer, and who never gets another's.

mod admin;
mod bodies;
mod doors;
mod faults;
mod hygiene;
pub(crate) mod origin;
mod patience;
mod staleness;
mod stampede;
mod storage;
mod tls;
mod traps;
