//! The numbers in Prometheus' text format.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use spillgate_actors::core::event::BreakerState;
use spillgate_actors::snapshot::{HostSnapshot, Snapshot};

use super::observed::{BOUNDS, Histogram, Seen, place_of};
use crate::cache::tally::CacheTally;
use crate::sidecar::counts::Outcome;
use crate::sidecar::premises::{Part, Rooms};
use crate::sidecar::tally::Tally;

/// Which hosts and scopes have series of their own: the first that came, so that no series ends
/// because another begins.
#[derive(Default)]
pub(super) struct Named {
    hosts: Mutex<BTreeSet<String>>,
    scopes: Mutex<BTreeSet<String>>,
}

/// A page of metrics.
#[derive(Default)]
struct Page {
    text: String,
}

/// What the page is about.
pub(super) struct Numbers<'a> {
    pub(super) rooms: &'a Rooms,
    pub(super) seen: Seen,
    pub(super) named: &'a Named,
    pub(super) draining: bool,
    pub(super) reloads: [u64; 2],
}

/// One client's numbers, all of one moment.
struct Moment<'a> {
    name: &'a str,
    tally: Tally,
    state: Snapshot,
    cache: CacheTally,
}

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Numbers<'_> {
    /// All families.
    pub(super) fn page(&self) -> String {
        let mut page = Page::default();
        page.family("spillgate_build_info", "gauge", "What runs");
        page.sample("spillgate_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        page.family("spillgate_up", "gauge", "1 while the process serves");
        page.sample("spillgate_up", &[], 1);
        page.family("spillgate_draining", "gauge", "1 once it takes no new work");
        page.sample("spillgate_draining", &[], u8::from(self.draining));
        let [done, refused] = self.reloads;
        page.family("spillgate_reloads_total", "counter", "Reloads of the configuration");
        page.sample("spillgate_reloads_total", &[("outcome", "done")], done);
        page.sample("spillgate_reloads_total", &[("outcome", "refused")], refused);
        self.listeners(&mut page);
        let moments: Vec<Moment<'_>> = self.rooms.parts.iter().map(Moment::of).collect();
        self.outcomes(&mut page, &moments);
        caches(&mut page, &moments);
        clients(&mut page, &moments);
        self.hosts(&mut page, &moments);
        self.breakers(&mut page, &moments);
        self.durations(&mut page);
        page.text
    }

    fn listeners(&self, page: &mut Page) {
        const REQUESTS: &str = "spillgate_sidecar_requests_total";
        let addresses: Vec<String> =
            self.rooms.listeners.iter().map(|listening| listening.addr.to_string()).collect();
        let listeners = || addresses.iter().zip(&self.rooms.listeners);
        page.family(REQUESTS, "counter", "Requests answered, by what the cache did and by status");
        for (address, listening) in listeners() {
            for (outcome, class, count) in listening.counts.answers() {
                let class = format!("{class}xx");
                let of = [("listener", &**address), ("outcome", outcome.name()), ("code", &class)];
                page.sample(REQUESTS, &of, count);
            }
        }
        for (name, kind, help, number) in [
            (
                "spillgate_sidecar_requests_in_flight",
                "gauge",
                "Requests that are being answered",
                (|counts| counts.requests.present()) as fn(&crate::sidecar::counts::Counts) -> u64,
            ),
            ("spillgate_sidecar_connections", "gauge", "Connections that are open", |counts| {
                counts.connections.present()
            }),
            (
                "spillgate_sidecar_connections_total",
                "counter",
                "Connections that were opened",
                |counts| counts.connections.total(),
            ),
        ] {
            page.family(name, kind, help);
            for (address, listening) in listeners() {
                page.sample(name, &[("listener", address)], number(&listening.counts));
            }
        }
    }

    /// What the cache did, over all listeners.
    fn outcomes(&self, page: &mut Page, moments: &[Moment<'_>]) {
        const LOOKUPS: &str = "spillgate_cache_lookups_total";
        let counted = |wanted: Outcome| -> u64 {
            let all = self.rooms.listeners.iter().flat_map(|listening| listening.counts.answers());
            all.filter(|(outcome, _, _)| *outcome == wanted).map(|(_, _, count)| count).sum()
        };
        page.family(LOOKUPS, "counter", "Requests, by what the cache did");
        for outcome in Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Refused) {
            page.sample(LOOKUPS, &[("outcome", outcome.name())], counted(outcome));
        }
        let of_clients: u64 = moments.iter().map(|moment| moment.state.coalesced).sum();
        let coalesced = of_clients + counted(Outcome::Coalesced);
        let name = "spillgate_coalesced_calls_total";
        page.family(name, "counter", "Requests answered with what another one brought");
        page.sample(name, &[], coalesced);
    }

    fn hosts(&self, page: &mut Page, moments: &[Moment<'_>]) {
        type Number = fn(&HostSnapshot) -> u64;
        for (name, kind, help, number) in [
            (
                "spillgate_attempts_total",
                "counter",
                "Requests sent to an upstream",
                (|host| host.attempts) as Number,
            ),
            ("spillgate_retries_total", "counter", "Those that followed another", |host| {
                host.retries
            }),
            ("spillgate_failures_total", "counter", "Those that failed", |host| host.failures),
            ("spillgate_host_in_flight", "gauge", "Those that are on the wire", |host| {
                host.running.into()
            }),
            ("spillgate_host_queued", "gauge", "Flights that wait for a slot", |host| {
                host.queued.iter().map(|depth| *depth as u64).sum()
            }),
        ] {
            let mut sums: BTreeMap<(&str, String), u64> = BTreeMap::new();
            for moment in moments {
                for host in &moment.state.hosts {
                    let label = self.named.host(host.host.as_ref());
                    *sums.entry((moment.name, label)).or_default() += number(host);
                }
            }
            page.family(name, kind, help);
            for ((preset, host), sum) in sums {
                page.sample(name, &[("preset", preset), ("host", &host)], sum);
            }
        }
    }

    fn breakers(&self, page: &mut Page, moments: &[Moment<'_>]) {
        const NAME: &str = "spillgate_breaker_state";
        const CHANGES: &str = "spillgate_breaker_transitions_total";
        let mut states: BTreeMap<(&str, String), usize> = BTreeMap::new();
        for moment in moments {
            let hosts = moment.state.hosts.iter().map(|host| (host.host.to_string(), host.breaker));
            let scopes =
                moment.state.breakers.iter().map(|card| (card.scope.to_string(), card.state));
            for (scope, state) in hosts.chain(scopes) {
                // What has no series of its own is seen as its worst.
                let worst = states.entry((moment.name, self.named.scope(&scope))).or_default();
                *worst = (*worst).max(place_of(state));
            }
        }
        page.family(NAME, "gauge", "0 is closed, 1 half-open, 2 open");
        for ((preset, scope), state) in states {
            page.sample(NAME, &[("preset", preset), ("scope", &scope)], state);
        }
        page.family(CHANGES, "counter", "Changes of breakers, by the state that they came to");
        for state in [BreakerState::Closed, BreakerState::HalfOpen, BreakerState::Open] {
            let count = self.seen.transitions.get(place_of(state)).copied().unwrap_or_default();
            page.sample(CHANGES, &[("to", state.name())], count);
        }
    }

    fn durations(&self, page: &mut Page) {
        let attempts = "http_client_request_duration_seconds";
        page.histogram(attempts, "How long requests to upstreams took", &self.seen.attempts);
        let queue = "spillgate_queue_duration_seconds";
        page.histogram(queue, "How long calls waited for a slot", &self.seen.queued);
    }
}

impl<'a> Moment<'a> {
    fn of(part: &'a Part) -> Self {
        let Part { name, exchanges } = part;
        Self {
            name,
            tally: exchanges.tallies.read(),
            state: exchanges.client().snapshot(),
            cache: exchanges.cache().tally(),
        }
    }
}

fn caches(page: &mut Page, moments: &[Moment<'_>]) {
    of_each(
        page,
        moments,
        "preset",
        &[
            (
                "spillgate_cache_entries",
                "gauge",
                "Addresses of which something is stored",
                |moment| moment.cache.pages,
            ),
            ("spillgate_cache_bytes", "gauge", "Bytes that they take", |moment| moment.cache.bytes),
            ("spillgate_cache_stored_total", "counter", "Answers that were stored", |moment| {
                moment.cache.stored
            }),
            (
                "spillgate_cache_evicted_total",
                "counter",
                "Addresses given up for want of room",
                |moment| moment.cache.evicted,
            ),
            ("spillgate_cache_evicted_bytes_total", "counter", "Bytes that they took", |moment| {
                moment.cache.evicted_bytes
            }),
        ],
    );
}

fn clients(page: &mut Page, moments: &[Moment<'_>]) {
    of_each(
        page,
        moments,
        "preset",
        &[
            (
                "spillgate_upstream_requests_total",
                "counter",
                "Requests given to the client",
                |moment| moment.tally.forwarded,
            ),
            (
                "spillgate_sidecar_waiting",
                "gauge",
                "Requests that wait for another's answer",
                |moment| moment.tally.waiting,
            ),
            ("spillgate_tunnels", "gauge", "Tunnels that are open", |moment| moment.tally.tunnels),
            ("spillgate_tunnels_total", "counter", "Tunnels that were opened", |moment| {
                moment.tally.tunnels_opened
            }),
            ("spillgate_calls", "gauge", "Calls inside the client", |moment| {
                moment.state.calls as u64
            }),
            ("spillgate_answers_total", "counter", "Calls that were answered", |moment| {
                moment.state.answers
            }),
            ("spillgate_attempts_in_flight", "gauge", "Attempts on the wire", |moment| {
                moment.state.running.into()
            }),
            ("spillgate_queued_calls", "gauge", "Flights that wait for a slot", |moment| {
                moment.state.queued as u64
            }),
            (
                "spillgate_records_dropped_total",
                "counter",
                "Records that nobody took in time",
                |moment| moment.state.records_dropped,
            ),
        ],
    );
}

type Family = (&'static str, &'static str, &'static str, fn(&Moment<'_>) -> u64);

fn of_each(page: &mut Page, moments: &[Moment<'_>], label: &str, families: &[Family]) {
    for (name, kind, help, number) in families {
        page.family(name, kind, help);
        for moment in moments {
            page.sample(name, &[(label, moment.name)], number(moment));
        }
    }
}

impl Named {
    fn host(&self, host: &str) -> String {
        named_in(&self.hosts, host)
    }

    fn scope(&self, scope: &str) -> String {
        named_in(&self.scopes, scope)
    }
}

fn named_in(names: &Mutex<BTreeSet<String>>, name: &str) -> String {
    let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
    if names.contains(name) || names.len() < SERIES_MAX {
        names.insert(name.to_owned());
        return name.to_owned();
    }
    OTHER.to_owned()
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a string cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.text.push_str(name);
        let mut before = '{';
        for (label, text) in labels {
            let _ = write!(self.text, "{before}{label}=\"{}\"", escaped(text));
            before = ',';
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{after} {value}");
    }

    fn histogram(&mut self, name: &str, help: &str, of: &Histogram) {
        let Histogram { counts, total, sum } = of;
        self.family(name, "histogram", help);
        let (bucket, mut below) = (format!("{name}_bucket"), 0);
        for (bound, count) in BOUNDS.iter().zip(counts) {
            below += count;
            self.sample(&bucket, &[("le", &bound.to_string())], below);
        }
        self.sample(&bucket, &[("le", "+Inf")], total);
        self.sample(&format!("{name}_sum"), &[], Duration::as_secs_f64(sum));
        self.sample(&format!("{name}_count"), &[], total);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Hosts, and scopes, with series of their own; the rest shares one.
const SERIES_MAX: usize = 256;
const OTHER: &str = "other";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_bounded_and_the_first_stay() {
        let named = Named::default();
        for n in 0..SERIES_MAX {
            assert_eq!(named.host(&format!("host-{n}")), format!("host-{n}"));
        }
        assert_eq!(named.host("one-too-many"), OTHER);
        assert_eq!(named.host("host-0"), "host-0");
        assert_eq!(named.scope("one-too-many"), "one-too-many");
    }

    #[test]
    fn labels_cannot_break_out() {
        let mut page = Page::default();
        page.sample("x", &[("a", "1\"\\\n2"), ("b", "")], 3);
        assert_eq!(page.text, "x{a=\"1\\\"\\\\\\n2\",b=\"\"} 3\n");
    }
}
