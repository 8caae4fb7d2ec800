//! The sidecar over real sockets: who waits for whose answer, and who never gets another's.

mod admin;
mod bodies;
mod doors;
mod faults;
mod hygiene;
mod origin;
mod patience;
mod stampede;
mod tls;
mod traps;
