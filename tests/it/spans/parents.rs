//! The service's own span around a call, however it is known.

use opentelemetry::Context;
use opentelemetry::trace::{
    FutureExt as _, SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    TracerProvider as _,
};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use spillgate::actors::fetch::Fetch;
use tracing::Instrument as _;
use tracing::instrument::WithSubscriber as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt as _;

use super::bench::{Bench, received_traceparents, traceparent};

#[tokio::test]
async fn current_tracing_span_becomes_the_parent() {
    let bench = Bench::plain();
    let (client, url) = (bench.client.clone(), bench.drill.url("/ok"));
    let calls = async move {
        let service = tracing::info_span!("service");
        let own = service.context().span().span_context().clone();
        let work = async {
            client.get(&url).route("/facade").send().await.unwrap();
            client.addr().send(Fetch::get(&url).route("/message")).await.unwrap().unwrap();
            let task = client.get(&url).route("/task").into_message();
            let addr = client.addr();
            // The message carries its parent to wherever it is sent from.
            tokio::spawn(async move { addr.send(task).await.unwrap().unwrap() }).await.unwrap();
        };
        work.instrument(service).await;
        own
    };
    let layer = tracing_opentelemetry::layer().with_tracer(tracer(Sampler::AlwaysOn));
    let own = calls.with_subscriber(Registry::default().with(layer)).await;
    assert!(own.is_valid());
    let (spans, drill) = bench.finish().await;
    let mut sent = Vec::new();
    for route in ["/facade", "/message", "/task"] {
        let call = spans.call(route);
        assert_eq!(call["parent_span_id"], own.span_id().to_string(), "{route}");
        assert_eq!(call["trace_id"], own.trace_id().to_string(), "{route}");
        sent.push(traceparent(spans.attempt(call)));
    }
    assert_eq!(received_traceparents(&drill), sent);
}

#[tokio::test]
async fn current_opentelemetry_context_becomes_the_parent() {
    let bench = Bench::plain();
    let inbound = SpanContext::new(
        TraceId::from_bytes([7; 16]),
        SpanId::from_bytes([9; 8]),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    let (client, url) = (bench.client.clone(), bench.drill.url("/ok"));
    let calls = async {
        client.get(&url).route("/facade").send().await.unwrap();
        client.get(&url).route("/message").into_message()
    };
    let message = calls.with_context(Context::new().with_remote_span_context(inbound)).await;
    client.addr().send(message).await.unwrap().unwrap();
    let (spans, _) = bench.finish().await;
    for call in [spans.call("/facade"), spans.call("/message")] {
        assert_eq!(call["parent_span_id"], "09".repeat(8), "{call:#}");
        assert_eq!(call["trace_id"], "07".repeat(16), "{call:#}");
    }
}

#[tokio::test]
async fn unsampled_parent_leaves_no_span_and_tells_the_upstream() {
    let bench = Bench::plain();
    let call = bench.client.get(bench.drill.url("/ok")).route("/ok");
    let layer = tracing_opentelemetry::layer().with_tracer(tracer(Sampler::AlwaysOff));
    let calls = async move {
        let service = tracing::info_span!("service");
        call.send().instrument(service).await.unwrap();
    };
    calls.with_subscriber(Registry::default().with(layer)).await;
    let (spans, drill) = bench.finish().await;
    assert_eq!(spans.len(), 0);
    let [sent] = &received_traceparents(&drill)[..] else { panic!("one request was sent") };
    assert!(sent.ends_with("-00"), "{sent}");
}

fn tracer(sampler: Sampler) -> opentelemetry_sdk::trace::SdkTracer {
    SdkTracerProvider::builder().with_sampler(sampler).build().tracer("service")
}
