//! What the benchmarks beside this crate have in common: an origin that counts, and clients that cost
//! next to nothing.
//!
//! The package also switches on the command's features for plain `cargo run` at the root (see the
//! workspace's Cargo.toml).

pub mod child;
pub mod figures;
pub mod origin;
pub mod wire;
