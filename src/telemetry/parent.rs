//! Finds the service's span around a call, so that the call's span becomes its child.
//!
//! A service whose `tracing-opentelemetry` or `opentelemetry` is of another version looks like one
//! without: types of different versions cannot see each other.

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use spillgate_actors::record::SpanContext;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The span this code runs in: the current `tracing` span, else the current OpenTelemetry context.
///
/// Costs two looks at thread-local state where there is none.
pub(crate) fn parent_of_current() -> Option<SpanContext> {
    parent_of(&Span::current()).or_else(|| Context::map_current(span_context))
}

/// The OpenTelemetry identity of a `tracing` span, if a subscriber gave it one.
pub(crate) fn parent_of(span: &Span) -> Option<SpanContext> {
    if span.is_disabled() {
        return None;
    }
    span_context(&span.context())
}

fn span_context(context: &Context) -> Option<SpanContext> {
    if !context.has_active_span() {
        return None;
    }
    let span = context.span();
    let found = span.span_context();
    found.is_valid().then(|| SpanContext {
        trace_id: found.trace_id().to_bytes(),
        span_id: found.span_id().to_bytes(),
        sampled: found.is_sampled(),
    })
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState, TracerProvider as _};
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
    use tracing_subscriber::Registry;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn nothing_around_means_no_parent() {
        assert_eq!(parent_of_current(), None);
        assert_eq!(parent_of(&Span::none()), None);
        let subscriber = Registry::default();
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("plain");
            assert_eq!(span.in_scope(parent_of_current), None);
        });
    }

    #[test]
    fn current_tracing_span_is_the_parent() {
        for (sampler, sampled) in [(Sampler::AlwaysOn, true), (Sampler::AlwaysOff, false)] {
            let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
            let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("service"));
            tracing::subscriber::with_default(Registry::default().with(layer), || {
                let span = tracing::info_span!("request");
                let inside = span.in_scope(parent_of_current).unwrap();
                assert_eq!(parent_of(&span), Some(inside));
                assert_eq!(inside.sampled, sampled);
                assert_ne!(inside.span_id, [0; 8]);
                let other = tracing::info_span!("request").in_scope(parent_of_current).unwrap();
                assert_ne!(other.trace_id, inside.trace_id);
            });
        }
    }

    #[test]
    fn current_opentelemetry_context_is_the_parent_without_tracing() {
        let remote = opentelemetry::trace::SpanContext::new(
            TraceId::from_bytes([7; 16]),
            SpanId::from_bytes([9; 8]),
            TraceFlags::SAMPLED,
            true,
            TraceState::NONE,
        );
        let _guard = Context::new().with_remote_span_context(remote).attach();
        let expected = SpanContext { trace_id: [7; 16], span_id: [9; 8], sampled: true };
        assert_eq!(parent_of_current(), Some(expected));
    }
}
