//! The state of a client at one moment, as plain data.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use spillgate_core::call::{HostKey, Priority, ScopeKey};
use spillgate_core::event::BreakerState;

use crate::registry::{HostCard, Registry};

/// The state of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Calls inside: waiting, running, or answered but unread.
    pub calls: usize,
    /// Calls answered so far, whatever with.
    pub answers: u64,
    /// Calls that shared another's flight so far.
    pub coalesced: u64,
    /// Attempts on the wire.
    pub running: u32,
    /// The most attempts that were ever on the wire at once.
    pub running_peak: u32,
    /// Flights that wait for a slot.
    pub queued: usize,
    /// Entries that the reporter did not take in time.
    pub records_dropped: u64,
    /// The hosts, by name.
    pub hosts: Vec<HostSnapshot>,
    /// The breakers that are not closed, or were configured or open once, by name.
    pub breakers: Vec<BreakerSnapshot>,
}

/// The state of a host.
#[derive(Debug, Clone, PartialEq)]
pub struct HostSnapshot {
    /// Scheme, name and port.
    pub host: HostKey,
    /// The state of the host's own breaker.
    pub breaker: BreakerState,
    /// Attempts on the wire.
    pub running: u32,
    /// The most that were ever on the wire at once.
    pub running_peak: u32,
    /// The most there may be.
    pub slots_max: u32,
    /// Flights that wait, by priority, the most urgent first.
    pub queued: [usize; Priority::ALL.len()],
    /// Attempts sent so far.
    pub attempts: u64,
    /// Attempts that followed another of the same hop.
    pub retries: u64,
    /// Attempts that ran beside another of the same hop.
    pub hedges: u64,
    /// Attempts that succeeded.
    pub successes: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// Offers refused by a gate.
    pub refusals: u64,
    /// Calls that shared a flight.
    pub coalesced: u64,
    /// Half of the recent successful attempts were faster.
    pub p50: Duration,
    /// 95 % of the recent successful attempts were faster.
    pub p95: Duration,
    /// Tokens left in the retry budget.
    pub tokens: f64,
}

/// The state of a breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerSnapshot {
    /// What shares it.
    pub scope: ScopeKey,
    /// The host actor that owns it.
    pub keeper: HostKey,
    /// Its state.
    pub state: BreakerState,
}

impl Snapshot {
    /// Reads the published state; the parts are each true, if not of the very same instant.
    pub(crate) fn of(registry: &Registry, records_dropped: u64) -> Self {
        let now = Instant::now();
        let mut hosts: Vec<HostSnapshot> =
            registry.hosts().iter().map(|card| HostSnapshot::of(card, registry, now)).collect();
        hosts.sort_by(|a, b| a.host.cmp(&b.host));
        let mut breakers: Vec<BreakerSnapshot> = registry
            .scopes()
            .iter()
            .map(|card| BreakerSnapshot {
                scope: card.scope().clone(),
                keeper: card.keeper().clone(),
                state: card.state(now),
            })
            .collect();
        breakers.sort_by(|a, b| a.scope.cmp(&b.scope));
        Self {
            calls: registry.calls.load(Relaxed),
            answers: registry.answers.load(Relaxed),
            coalesced: registry.coalesced.load(Relaxed),
            running: registry.running.load(Relaxed),
            running_peak: registry.running_peak.load(Relaxed),
            queued: registry.queued.load(Relaxed),
            records_dropped,
            hosts,
            breakers,
        }
    }
}

impl HostSnapshot {
    fn of(card: &HostCard, registry: &Registry, now: Instant) -> Self {
        let own = registry.scope(&card.key);
        let breaker = own.map_or(BreakerState::Closed, |scope| scope.state(now));
        let tokens = u32::try_from(card.tokens_milli.load(Relaxed)).unwrap_or(u32::MAX);
        Self {
            host: card.key.clone(),
            breaker,
            running: card.running.load(Relaxed),
            running_peak: card.running_peak.load(Relaxed),
            slots_max: card.slots_max.load(Relaxed),
            queued: card.queued.each_ref().map(|depth| depth.load(Relaxed)),
            attempts: card.attempts.load(Relaxed),
            retries: card.retries.load(Relaxed),
            hedges: card.hedges.load(Relaxed),
            successes: card.successes.load(Relaxed),
            failures: card.failures.load(Relaxed),
            refusals: card.refusals.load(Relaxed),
            coalesced: card.coalesced.load(Relaxed),
            p50: Duration::from_micros(card.p50_us.load(Relaxed)),
            p95: Duration::from_micros(card.p95_us.load(Relaxed)),
            tokens: f64::from(tokens) / 1000.0,
        }
    }
}
