//! x
pub mod redaction;
pub mod redirect;
pub mod transport;
