//! What a third-party OTLP receiver sees of calls over real sockets.

mod bench;
mod calls;
mod collectors;
mod parents;
mod phases;
mod sharing;
