//! What is told of calls after they ended: spans, and whoever else listens to the journal.
//!
//! A call leaves one plain record behind. One thread of ours takes the records, hands each to the
//! observers and turns the sampled ones into spans; a second thread exports them. Neither is ever
//! waited for by a call.
//!
//! Absent on purpose: the service's own tracer provider. Span ids go out in `traceparent` before
//! the spans exist, and the OpenTelemetry API takes no ids from outside; so spans leave through an
//! exporter of ours, and meet the service's spans in the collector under the same trace id.

pub(crate) mod attributes;
pub(crate) mod export;
pub(crate) mod options;
pub(crate) mod otlp;
pub(crate) mod parent;
pub(crate) mod reporter;
pub(crate) mod spans;

#[cfg(test)]
mod tests;
