//! The actor runtime of spillgate: a coordinator (demand), a host actor per upstream (supply), and
//! attempts as tasks between them.
//!
//! Read [`messages`] first: it is the path of a request. Actors feed the pure machines of
//! [`spillgate_core`] and do what those say; payloads, sockets and records are here, decisions are
//! not.

mod address;
mod admission;
pub mod answer;
mod attempt;
pub mod body;
pub mod cache_use;
pub mod coordinator;
pub mod course;
pub mod deadline;
pub mod decision;
pub mod door;
pub mod error;
pub mod fetch;
mod flight_key;
mod host;
pub mod hostname;
mod intake;
pub mod journal;
mod ledger;
pub mod messages;
mod order;
pub mod phases;
pub mod plan;
pub mod record;
pub mod redirect;
pub mod registry;
mod replay;
pub mod report;
pub mod request_body;
mod retry_after;
mod route_class;
pub mod seams;
pub mod snapshot;
mod system;
mod table;
mod timer;
mod trace_ids;
pub mod transport;
mod userinfo;

pub use coordinator::Coordinator;
pub use fetch::Fetch;
pub use intake::REPEATABLE;
pub use messages::{Cancel, Drain, Drained, ForceOpen, Halt, Inspect, Invalidate, Reload, Reset};
pub use spillgate_core as core;
