//! The rules of HTTP caching: what may be stored, what may be used, and why.
//!
//! Pure functions over header lines, given as bytes because values may hold any octet. Each rule
//! stands in the module that is named after its question; the answer is a decision with its reason,
//! never a mere yes. Nothing here holds a body or a table: stores and coalescing are built on top,
//! and the same rules run in the library, in the sidecar and in the laboratory.
//!
//! RFC 9111 throughout, with RFC 5861 (stale answers), RFC 8246 (`immutable`) and RFC 9213 (targeted
//! fields).

pub mod conditions;
pub mod date;
pub mod directives;
pub mod fields;
pub mod freshness;
pub mod invalidation;
pub mod ranges;
pub mod rules;
pub mod status;
pub mod storing;
pub mod targeted;
pub mod updating;
pub mod using;
pub mod vary;
