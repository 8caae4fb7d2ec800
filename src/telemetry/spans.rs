//! Turns the record of a call into its tree of spans.
//!
//! The spans are built as plain data, with the ids that went out in `traceparent` and the times
//! that were noted; a tracer would draw ids of its own. A child's time is clamped into its
//! parent's, so a connect that goes on for others ends here with the attempt that caused it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use opentelemetry::trace::{
    Event, Link, SpanContext as OtelContext, SpanId, SpanKind, Status, TraceFlags, TraceId,
    TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use spillgate_actors::decision::{self, Decision, DecisionKind};
use spillgate_actors::phases::{Phase, PhaseSpan};
use spillgate_actors::record::{AttemptRecord, CallRecord, FlightRecord, SpanContext};
use spillgate_core::rng::Rng;

use crate::telemetry::attributes;

/// Builds the spans of calls that ended.
#[derive(Debug)]
pub(crate) struct SpanAssembler {
    anchor: Anchor,
    rng: Rng,
    scope: InstrumentationScope,
}

impl SpanAssembler {
    /// An assembler whose span ids follow from `seed` and whose clocks are compared right here.
    pub(crate) fn new(seed: u64) -> Self {
        let scope = InstrumentationScope::builder("spillgate")
            .with_version(env!("CARGO_PKG_VERSION"))
            .with_schema_url("https://opentelemetry.io/schemas/1.37.0")
            .build();
        let anchor = Anchor { instant: Instant::now(), system: SystemTime::now() };
        Self { anchor, rng: Rng::new(seed), scope }
    }

    /// The spans of a call, the call's own first; none if its trace is not recorded.
    pub(crate) fn assemble(&mut self, record: &CallRecord) -> Vec<SpanData> {
        if !record.context.sampled {
            return Vec::new();
        }
        let life = Interval::new(record.began, record.ended);
        let mut spans = Vec::with_capacity(1 + record.waits.len() + 9 * record.attempts.len());
        spans.push(self.call(record, life));
        if record.is_coalesced() {
            // It did nothing but wait: its link says for what.
            return spans;
        }
        for wait in &record.waits {
            let time = Interval::new(wait.from, wait.to).within(life);
            let mut span = self.inner(record.context, wait.cause.span_name(), time);
            span.attributes.push(KeyValue::new("spillgate.wait", wait.cause.name()));
            spans.push(span);
        }
        let parent = Node { context: record.context, time: life };
        for attempt in record.attempts.iter().filter(|attempt| !attempt.goes_on) {
            let route = record.route.as_ref().filter(|_| attempt.url == record.url);
            self.push_attempt(&mut spans, parent, attempt, route);
        }
        spans
    }

    /// The spans of attempts that went on after the call that began them.
    pub(crate) fn assemble_rest(&mut self, record: &FlightRecord) -> Vec<SpanData> {
        let mut spans = Vec::new();
        for attempt in record.attempts.iter().filter(|_| record.leader.sampled) {
            let route = record.route.as_ref().filter(|_| attempt.url == record.url);
            // Their parent has ended: they keep the time they took.
            let time = Interval::new(attempt.began, attempt.ended);
            self.push_attempt(&mut spans, Node { context: record.leader, time }, attempt, route);
        }
        spans
    }

    fn call(&self, record: &CallRecord, life: Interval) -> SpanData {
        let name = attributes::span_name(&record.method, record.route.as_deref());
        let mut span = self.span(record.context, record.parent_span_id, name.into(), life);
        span.attributes = attributes::of_call(record);
        span.status = attributes::call_status(record);
        span.events = self.events(record, life);
        // The attempts of a flight are spans of the call that led it: others point there.
        let leader = record.leader.map(|leader| Link::with_context(otel_context(leader)));
        span.links.links.extend(leader);
        span
    }

    /// A redirect leads to another URL, of which the call's `route` says nothing.
    fn push_attempt(
        &mut self,
        spans: &mut Vec<SpanData>,
        parent: Node,
        attempt: &AttemptRecord,
        route: Option<&Arc<str>>,
    ) {
        let name = attributes::span_name(&attempt.method, route.map(|route| &**route));
        let time = Interval::new(attempt.began, attempt.ended).within(parent.time);
        let parent = Some(parent.context.span_id);
        let mut span = self.span(attempt.context, parent, name.into(), time);
        span.span_kind = SpanKind::Client;
        span.attributes = attributes::of_attempt(attempt, route);
        span.status = attributes::attempt_status(attempt);
        spans.push(span);
        self.push_phases(spans, attempt, time);
    }

    fn push_phases(&mut self, spans: &mut Vec<SpanData>, attempt: &AttemptRecord, time: Interval) {
        let attempt_node = Node { context: attempt.context, time };
        let mut acquire = attempt_node;
        let mut connect = attempt_node;
        for PhaseSpan { phase, from, to } in &attempt.phases {
            let parent = match phase {
                Phase::Acquire | Phase::Write | Phase::Wait | Phase::Read => attempt_node,
                Phase::Connect => acquire,
                Phase::Dns | Phase::Tcp | Phase::Tls => connect,
            };
            let time = Interval::new(*from, *to).within(parent.time);
            let span = self.inner(parent.context, phase.span_name(), time);
            let span_id = span.span_context.span_id().to_bytes();
            let node = Node { context: SpanContext { span_id, ..attempt.context }, time };
            match phase {
                // Without a span of its own to hang from, a connect hangs from the acquire.
                Phase::Acquire => (acquire, connect) = (node, node),
                Phase::Connect => connect = node,
                Phase::Dns | Phase::Tcp | Phase::Tls | Phase::Write | Phase::Wait | Phase::Read => {
                }
            }
            spans.push(span);
        }
    }

    /// An INTERNAL span below `parent`, with an id of its own.
    fn inner(&mut self, parent: SpanContext, name: &'static str, time: Interval) -> SpanData {
        // All zero is no id.
        let span_id = self.rng.next_u64().max(1).to_be_bytes();
        let context = SpanContext { span_id, ..parent };
        self.span(context, Some(parent.span_id), Cow::Borrowed(name), time)
    }

    fn span(
        &self,
        context: SpanContext,
        parent_span_id: Option<[u8; 8]>,
        name: Cow<'static, str>,
        time: Interval,
    ) -> SpanData {
        SpanData {
            span_context: otel_context(context),
            parent_span_id: parent_span_id.map_or(SpanId::INVALID, SpanId::from_bytes),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name,
            start_time: self.anchor.system_time(time.from),
            end_time: self.anchor.system_time(time.to),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }

    /// The decisions of a call that went another way than most, or whose caller asked for all.
    fn events(&self, record: &CallRecord, life: Interval) -> SpanEvents {
        let mut events = SpanEvents::default();
        if record.is_plain() {
            return events;
        }
        for Decision { at, attempt, what } in decision::of(record) {
            if let DecisionKind::LeftOut { count } = what {
                events.dropped_count = count;
            } else if record.explains || what.is_notable() {
                let at = self.anchor.system_time(life.clamp(record.began + at));
                let mut attributes = vec![
                    KeyValue::new("spillgate.decision", what.to_string()),
                    KeyValue::new("spillgate.decision.kind", what.name()),
                ];
                attributes
                    .extend(attempt.map(|n| KeyValue::new("spillgate.attempt", i64::from(n))));
                events.events.push(Event::new("decision", at, attributes, 0));
            }
        }
        events
    }
}

/// One instant on both clocks: monotonic times become dates by their distance from it.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    instant: Instant,
    system: SystemTime,
}

impl Anchor {
    fn system_time(self, at: Instant) -> SystemTime {
        match at.checked_duration_since(self.instant) {
            Some(later) => self.system + later,
            None => self.system - self.instant.duration_since(at),
        }
    }
}

/// A stretch of time whose end is never before its beginning.
#[derive(Debug, Clone, Copy)]
struct Interval {
    from: Instant,
    to: Instant,
}

impl Interval {
    fn new(from: Instant, to: Instant) -> Self {
        Self { from, to: to.max(from) }
    }

    fn within(self, outer: Self) -> Self {
        Self { from: outer.clamp(self.from), to: outer.clamp(self.to) }
    }

    fn clamp(self, at: Instant) -> Instant {
        at.clamp(self.from, self.to)
    }
}

/// A span that others can hang from.
#[derive(Debug, Clone, Copy)]
struct Node {
    context: SpanContext,
    time: Interval,
}

fn otel_context(context: SpanContext) -> OtelContext {
    OtelContext::new(
        TraceId::from_bytes(context.trace_id),
        SpanId::from_bytes(context.span_id),
        TraceFlags::default().with_sampled(context.sampled),
        false,
        TraceState::NONE,
    )
}
