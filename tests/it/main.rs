//! Integration tests: one binary, real sockets, the drill as the upstream.

mod basics;
mod demo;
mod examples;
mod lifecycles;
mod otlp;
mod spans;
