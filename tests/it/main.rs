//! Integration tests: one binary, real sockets, the drill as the upstream.

mod alone;
mod basics;
mod bench;
mod breaking;
mod deadlines;
mod lifecycles;
mod lifetimes;
mod limits;
mod otlp;
mod queueing;
mod redirects;
mod registry;
mod retries;
mod sharing;
mod streaming;
