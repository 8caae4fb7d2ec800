//! Integration tests: one binary, real sockets, the drill as the upstream.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in the functions it shares"
)]

mod basics;
mod command;
mod commands;
mod downloads;
mod fetch;
mod otlp;
