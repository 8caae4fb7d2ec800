//! What the admin listener shows of the clients and their caches, as JSON.

use serde_json::{Value, json};
use spillgate_actors::core::call::Priority;
use spillgate_actors::snapshot::HostSnapshot;

use crate::config::serving::ListenerRole;
use crate::sidecar::premises::{Part, Rooms};

/// All hosts of all clients.
pub(super) fn hosts(rooms: &Rooms) -> Value {
    rooms.parts.iter().flat_map(hosts_of).map(|(host, part)| host_of(&part, &host)).collect()
}

/// One host by its name or its whole key, of each client that knows it; none if none does.
pub(super) fn host(rooms: &Rooms, named: &str) -> Option<Value> {
    let mut found = Vec::new();
    for part in &rooms.parts {
        let state = part.exchanges.client().snapshot();
        for host in &state.hosts {
            let key = host.host.to_string();
            let name = key.split_once("://").map_or(&*key, |(_, name)| name);
            if named != key && named != name {
                continue;
            }
            let breakers = state.breakers.iter().filter(|card| card.keeper == host.host);
            let breakers = breakers
                .map(|card| json!({ "scope": card.scope.to_string(), "state": card.state.name() }));
            let mut shown = host_of(&part.name, host);
            if let Some(fields) = shown.as_object_mut() {
                fields.insert("breakers".to_owned(), breakers.collect());
            }
            found.push(shown);
        }
    }
    (!found.is_empty()).then_some(Value::Array(found))
}

/// What waits, and for which host.
pub(super) fn queue(rooms: &Rooms) -> Value {
    let clients = rooms.parts.iter().map(|part| {
        let state = part.exchanges.client().snapshot();
        let waiting = state.hosts.iter().filter(|host| host.queued.iter().any(|depth| *depth > 0));
        let waiting = waiting.map(|host| {
            json!({
                "host": host.host.to_string(),
                "queued": depths(host),
                "running": host.running,
                "slots": host.slots_max,
            })
        });
        json!({
            "preset": &*part.name,
            "calls": state.calls,
            "queued": state.queued,
            "running": state.running,
            "running_peak": state.running_peak,
            "waiting_for_another": part.exchanges.tallies.read().waiting,
            "hosts": waiting.collect::<Vec<_>>(),
        })
    });
    clients.collect()
}

/// What is stored, in numbers: addresses can hold secrets.
pub(super) fn cache(rooms: &Rooms) -> Value {
    let (mut addresses, mut bytes) = (0, 0);
    let caches: Vec<Value> = rooms
        .parts
        .iter()
        .map(|part| {
            let tally = part.exchanges.cache().tally();
            addresses += tally.pages;
            bytes += tally.bytes;
            json!({
                "preset": &*part.name,
                "addresses": tally.pages,
                "bytes": tally.bytes,
                "hits": tally.hits,
                "stale": tally.stale,
                "misses": tally.misses,
                "revalidated": tally.revalidated,
                "stored": tally.stored,
                "evicted": tally.evicted,
                "evicted_bytes": tally.evicted_bytes,
            })
        })
        .collect();
    json!({ "addresses": addresses, "bytes": bytes, "caches": caches })
}

/// Where it listens, and for whom; without what an address may hold beside that.
pub(super) fn listeners(rooms: &Rooms) -> Value {
    let listeners = rooms.listeners.iter().map(|listening| {
        let service = listening.service.load();
        let of = |part: &&Part| std::sync::Arc::ptr_eq(&part.exchanges, &service.exchanges);
        let preset = rooms.parts.iter().find(of).map(|part| part.name.to_string());
        let (upstream, allow) = match &service.duty.role {
            ListenerRole::Reverse(url) => (Some(url.origin().ascii_serialization()), None),
            ListenerRole::Forward(allow) => {
                let allow = allow.iter().map(ToString::to_string);
                (None, Some(allow.collect::<Vec<String>>()))
            }
        };
        json!({
            "address": listening.addr.to_string(),
            "upstream": upstream,
            "allow": allow,
            "preset": preset,
            "tls": service.tls.is_some(),
            "connections": listening.counts.connections.present(),
            "requests_in_flight": listening.counts.requests.present(),
        })
    });
    listeners.collect()
}

fn hosts_of(part: &Part) -> Vec<(HostSnapshot, std::sync::Arc<str>)> {
    let hosts = part.exchanges.client().snapshot().hosts.into_iter();
    hosts.map(|host| (host, part.name.clone())).collect()
}

fn host_of(preset: &str, host: &HostSnapshot) -> Value {
    json!({
        "preset": preset,
        "host": host.host.to_string(),
        "breaker": host.breaker.name(),
        "running": host.running,
        "running_peak": host.running_peak,
        "slots": host.slots_max,
        "queued": host.queued.iter().sum::<usize>(),
        "queued_by_priority": depths(host),
        "attempts": host.attempts,
        "retries": host.retries,
        "hedges": host.hedges,
        "successes": host.successes,
        "failures": host.failures,
        "refusals": host.refusals,
        "p50_seconds": host.p50.as_secs_f64(),
        "p95_seconds": host.p95.as_secs_f64(),
        "retry_tokens": host.tokens,
    })
}

fn depths(host: &HostSnapshot) -> Value {
    let depths = Priority::ALL.iter().zip(host.queued);
    depths.map(|(priority, depth)| (priority.name().to_owned(), json!(depth))).collect()
}
