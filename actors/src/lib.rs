//! The actor runtime of spillgate.

pub mod phases;
pub mod record;
pub mod transport;

pub use spillgate_core as core;
