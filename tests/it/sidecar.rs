//! The sidecar over real sockets: who waits for whose answer, and who never gets another's.

mod admin;
mod hygiene;
pub(crate) mod origin;
mod staleness;
mod stampede;
mod storage;
