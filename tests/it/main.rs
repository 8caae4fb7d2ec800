//! Integration tests: one binary, real sockets, the drill as the upstream.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what tests share fails by panicking, as they do"
)]

mod alone;
mod basics;
mod bench;
mod breaking;
mod deadlines;
mod demo;
mod examples;
mod lifecycles;
mod lifetimes;
mod limits;
mod otlp;
mod queueing;
mod redirects;
mod registry;
mod retries;
mod runtimes;
mod sharing;
mod spans;
mod streaming;
