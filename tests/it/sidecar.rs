//! The sidecar over real sockets: who waits for whose answer, and who never gets another's.

mod admin;
mod doors;
mod draining;
mod faults;
mod hygiene;
mod metrics;
mod origin;
mod patience;
mod process;
mod reloading;
mod stampede;
mod traps;
