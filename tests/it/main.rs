//! Integration tests: one binary, real sockets, the drill as the upstream.

mod basics;
mod bench;
mod breaking;
mod deadlines;
mod lifecycles;
mod otlp;
mod queueing;
mod registry;
mod retries;
mod sharing;
