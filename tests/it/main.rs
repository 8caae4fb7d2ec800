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
mod bodies;
mod breaking;
mod caching;
mod cancellation;
mod chaos;
mod command;
mod commands;
mod deadlines;
mod demo;
mod distinct_hosts;
mod door;
mod downloads;
mod examples;
mod fetch;
mod hedging;
mod hints;
mod learning;
mod ledger;
mod lifecycles;
mod lifetimes;
mod limits;
mod offline;
mod otlp;
mod probes;
mod queueing;
mod redirects;
mod refusals;
mod registry;
mod retries;
mod runtimes;
mod secrets;
mod sharing;
mod sidecar;
mod slowness;
mod spans;
mod staleness;
mod storms;
mod streaming;
