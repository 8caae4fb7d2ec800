//! Integration tests: one binary, real sockets, the drill as the upstream.

mod alone;
mod basics;
mod bench;
mod breaking;
mod deadlines;
mod door;
mod lifecycles;
mod lifetimes;
mod limits;
mod otlp;
mod queueing;
mod redirects;
mod refusals;
mod registry;
mod retries;
mod secrets;
mod sharing;
mod streaming;
