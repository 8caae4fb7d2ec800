//! Benchmarks live beside this file; the package also switches on the command's features for plain
//! `cargo run` at the root (see the workspace's Cargo.toml).
