//! The decisions of spillgate as pure, synchronous state machines.
//!
//! Nothing here knows a clock, an entropy source, a lock, a runtime or a socket: time and randomness
//! are arguments, and the same code runs in production and in the deterministic simulator. Leaf
//! policies such as [`breaker`], [`budget`], [`backoff`], [`limit`], [`queue`] and [`hedge`] never
//! import each other. The two machines [`host`] (supply) and [`coordinator`] (demand) compose them,
//! and never import each other either: they meet in the words of [`verdict`].

pub mod advice;
pub mod allowance;
pub mod backoff;
pub mod breaker;
pub mod budget;
pub mod cache;
pub mod call;
pub mod chaos;
pub mod coordinator;
pub mod deadline;
pub mod device;
pub mod event;
pub mod flights;
pub mod hedge;
pub mod host;
pub mod latencies;
pub mod latency;
pub mod learning;
pub mod limit;
pub mod outcome;
pub mod pace;
pub mod policy;
pub mod queue;
pub mod quota;
pub mod race;
pub mod rate;
pub mod remnants;
pub mod residents;
pub mod rng;
pub mod scopes;
pub mod slots;
pub mod turnover;
pub mod verdict;
pub mod window;
pub mod wire;
