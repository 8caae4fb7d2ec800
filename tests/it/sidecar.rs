//! The sidecar over real sockets: who waits for whose answer, and who never gets another's.

mod admin;
mod doors;
mod faults;
mod forward;
mod hygiene;
mod origin;
mod patience;
mod stampede;
mod traps;
mod tunnels;
mod upgrades;
