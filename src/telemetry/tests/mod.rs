//! What leaves the journal: the tree of spans, the reporter's patience, and OTLP on the wire.

mod otlp;
#[path = "../../../tests/it/otlp.rs"]
mod receiver;
mod records;
mod reporter;
mod spans;
