//! What is said when all is over: for people, or as one JSON object.

use std::io::{self, Write};

use serde_json::{Map, Value, json};
use spillgate_actors::core::advice::ErrorKind;

use super::facts::{Facts, Invariant};
use super::service::SERVICE_NAME;
use crate::cli::exit::Exit;

/// The exit code that the invariants ask for.
pub(super) fn exit(invariants: &[Invariant]) -> Exit {
    if invariants.iter().all(|invariant| invariant.held) { Exit::Fine } else { Exit::Bug }
}

/// The one JSON object.
pub(super) fn json(facts: &Facts, invariants: &[Invariant]) -> Value {
    let Facts { callers, client, audit, story, wire, .. } = facts;
    let held: Map<String, Value> =
        invariants.iter().map(|one| (one.name.to_owned(), one.held.into())).collect();
    json!({
        "seconds": (facts.seconds * 1_000.0).round() / 1_000.0,
        "calls": callers.calls,
        "answers": callers.answers,
        "ok": callers.ok,
        "errors": callers.errors,
        "rejected": callers.rejected,
        "cancelled": callers.cancelled,
        "kinds": callers.kinds,
        "coalesced": callers.coalesced,
        "retries": facts.retries(),
        "cache_hits": 0,
        "upstream_requests": wire.written,
        "attempts_never_sent": wire.begun.saturating_sub(wire.written),
        "peak_in_flight": client.running_peak,
        "peak_in_flight_per_host": facts.peak_per_host(),
        "breakers": {
            "transitions": story.transitions,
            "opened": story.opened,
            "half_opened": story.half_opened,
            "closed": story.closed,
        },
        "records_dropped": client.records_dropped,
        "drill": {
            "requests": audit.requests,
            "retries": audit.retries(),
            "aborted": audit.aborted,
            "peak_in_flight": audit.peak_in_flight,
            "peak_in_flight_per_host": audit.peak_in_flight_per_host,
        },
        "invariants": held,
    })
}

/// The same for people.
pub(super) fn print(
    out: &mut dyn Write,
    facts: &Facts,
    invariants: &[Invariant],
) -> io::Result<()> {
    let Facts { callers, client, audit, story, wire, .. } = facts;
    let of = |kind: ErrorKind| callers.of(kind);
    writeln!(out)?;
    let (calls, answers) = (callers.calls, callers.answers);
    writeln!(out, "{calls} calls in {:.1} s, {answers} answers", facts.seconds)?;
    writeln!(
        out,
        "  ok         {:>7}   {} of them shared another call's answer",
        callers.ok, callers.coalesced
    )?;
    writeln!(
        out,
        "  errors     {:>7}   {} too late, {} final 4xx or 5xx, {} cancelled",
        callers.errors,
        of(ErrorKind::DeadlineExceeded),
        of(ErrorKind::HttpStatus),
        callers.cancelled
    )?;
    writeln!(
        out,
        "  rejected   {:>7}   {} circuit open, {} queue full, {} told to wait",
        callers.rejected,
        of(ErrorKind::CircuitOpen),
        of(ErrorKind::QueueFull),
        of(ErrorKind::RateLimited)
    )?;
    writeln!(
        out,
        "  upstream   {:>7}   requests, {} of them retries; the upstreams counted {}",
        wire.written,
        facts.retries(),
        audit.requests
    )?;
    writeln!(
        out,
        "  in flight  {:>7}   at most, {} at one upstream; the upstreams saw {} and {}",
        client.running_peak,
        facts.peak_per_host(),
        audit.peak_in_flight,
        audit.peak_in_flight_per_host
    )?;
    writeln!(
        out,
        "  breakers   {:>7}   times opened, {} times closed again",
        story.opened, story.closed
    )?;
    print_invariants(out, invariants)
}

/// Says which invariants were broken, if any.
pub(super) fn complain(out: &mut dyn Write, invariants: &[Invariant]) -> io::Result<()> {
    for broken in invariants.iter().filter(|invariant| !invariant.held) {
        writeln!(out, "error: invariant broken: {}: {}", broken.name, broken.numbers)?;
    }
    Ok(())
}

/// Says what to look at next.
pub(super) fn hint(out: &mut dyn Write, exporting: bool) -> io::Result<()> {
    if exporting {
        return writeln!(out, "\nhint: the calls are traces of the service `{SERVICE_NAME}` there");
    }
    writeln!(out, "\nhint: to see each call as a trace, start Jaeger and run this again with")?;
    writeln!(out, "      --otlp http://127.0.0.1:4318, then open http://127.0.0.1:16686")
}

fn print_invariants(out: &mut dyn Write, invariants: &[Invariant]) -> io::Result<()> {
    let broken = invariants.iter().filter(|invariant| !invariant.held).count();
    match broken {
        0 => writeln!(out, "\ninvariants: all {} held", invariants.len())?,
        _ => writeln!(out, "\ninvariants: {broken} of {} BROKEN", invariants.len())?,
    }
    for Invariant { name, held, numbers } in invariants {
        let word = if *held { "held  " } else { "BROKEN" };
        writeln!(out, "  {word}  {name:<26}  {numbers}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use spillgate_actors::messages::Drained;
    use spillgate_actors::snapshot::{HostSnapshot, Snapshot};

    use super::*;
    use crate::cli::demo::audit::Audit;
    use crate::cli::demo::chronicle::Story;
    use crate::cli::demo::facts::WireCount;
    use crate::cli::demo::tally::Callers;

    #[test]
    fn facts_that_agree_exit_with_zero() {
        let invariants = facts().invariants();
        assert!(invariants.iter().all(|one| one.held), "{invariants:?}");
        assert_eq!(exit(&invariants), Exit::Fine);
        assert!(told(complain, &invariants).is_empty());
    }

    #[test]
    fn each_broken_invariant_exits_with_one_and_is_named() {
        check("each_call_answered_once", |facts| facts.callers.calls += 1);
        check("each_call_answered_once", |facts| facts.client.answers += 1);
        check("answers_add_up", |facts| facts.callers.ok += 1);
        check("upstream_requests_agree", |facts| facts.audit.requests -= 1);
        check("coalesced_calls_agree", |facts| facts.client.coalesced += 1);
        check("no_request_without_a_call", |facts| facts.audit.requests += 100);
        check("slots_per_host_respected", |facts| facts.client.hosts[0].running_peak = 7);
        check("slots_per_host_respected", |facts| facts.audit.peak_in_flight_per_host = 7);
        check("slots_in_all_respected", |facts| facts.client.running_peak = 25);
        check("slots_in_all_respected", |facts| facts.audit.peak_in_flight = 25);
        check("retries_within_budget", |facts| facts.client.hosts[0].retries = 1_000);
        check("retries_within_budget", |facts| facts.audit.log.retries = 3);
        check("attempts_within_maximum", |facts| facts.audit.log.attempts_most = 5);
        check("unsafe_requests_sent_once", |facts| facts.audit.log.unsafe_most = 2);
        check("idempotency_keys_kept", |facts| facts.audit.log.keys_changed = 1);
        check("retry_after_respected", |facts| facts.callers.retried_too_soon = 1);
        check("nothing_in_flight_at_rest", |facts| facts.client.running = 1);
        check("nothing_in_flight_at_rest", |facts| facts.audit.in_flight = 1);
        check("nothing_in_flight_at_rest", |facts| facts.drained = Drained::Cut);
        check("breakers_in_order", |facts| facts.story.out_of_order = 1);
        check("no_breaker_stuck", |facts| {
            facts.client.hosts[0].breaker = spillgate_actors::core::event::BreakerState::Open;
        });
    }

    #[test]
    fn json_has_the_keys_that_others_rely_on() {
        let facts = facts();
        let object = json(&facts, &facts.invariants());
        for key in [
            "calls",
            "answers",
            "ok",
            "errors",
            "rejected",
            "coalesced",
            "retries",
            "cache_hits",
            "upstream_requests",
            "peak_in_flight",
            "peak_in_flight_per_host",
        ] {
            assert!(object[key].is_u64(), "{key}: {object}");
        }
        for key in ["requests", "peak_in_flight", "peak_in_flight_per_host"] {
            assert!(object["drill"][key].is_u64(), "{key}: {object}");
        }
        assert_eq!(object["invariants"]["each_call_answered_once"], true);
    }

    fn check(name: &str, break_it: impl FnOnce(&mut Facts)) {
        let mut facts = facts();
        break_it(&mut facts);
        let invariants = facts.invariants();
        let broken = invariants.iter().find(|one| one.name == name).unwrap();
        assert!(!broken.held, "{broken:?}");
        assert_eq!(exit(&invariants), Exit::Bug);
        assert_eq!(json(&facts, &invariants)["invariants"][name], false);
        assert!(told(complain, &invariants).contains(name));
        let printed = told(|out, invariants| print(out, &facts, invariants), &invariants);
        assert!(printed.contains(&format!("BROKEN  {name}")), "{printed}");
    }

    fn told(
        say: impl FnOnce(&mut dyn Write, &[Invariant]) -> io::Result<()>,
        invariants: &[Invariant],
    ) -> String {
        let mut text = Vec::new();
        say(&mut text, invariants).unwrap();
        String::from_utf8(text).unwrap()
    }

    /// Ten calls: one shared, one rejected, one retried.
    fn facts() -> Facts {
        let callers = Callers {
            calls: 10,
            answers: 10,
            ok: 8,
            errors: 1,
            rejected: 1,
            coalesced: 1,
            ..Callers::default()
        };
        let host = HostSnapshot {
            host: "http://a".into(),
            breaker: spillgate_actors::core::event::BreakerState::Closed,
            running: 0,
            running_peak: 6,
            slots_max: 6,
            queued: [0; 4],
            attempts: 9,
            retries: 1,
            hedges: 0,
            successes: 8,
            failures: 1,
            refusals: 0,
            coalesced: 1,
            p50: std::time::Duration::ZERO,
            p95: std::time::Duration::ZERO,
            tokens: 9.8,
        };
        let client = Snapshot {
            calls: 0,
            answers: 10,
            coalesced: 1,
            running: 0,
            running_peak: 6,
            queued: 0,
            records_dropped: 0,
            hosts: vec![host],
            breakers: Vec::new(),
        };
        let mut audit = Audit { requests: 9, peak_in_flight: 5, ..Audit::default() };
        audit.peak_in_flight_per_host = 5;
        audit.log.requests = 9;
        audit.log.retries = 1;
        Facts {
            seconds: 1.0,
            callers,
            client,
            drained: Drained::Whole,
            wire: WireCount { begun: 9, written: 9 },
            unsent_by_chaos: 0,
            story: Story::default(),
            audit,
        }
    }
}
