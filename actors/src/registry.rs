//! What the world may read of the actors' state without asking them.
//!
//! Cards hold atomics that only actors write, on the shard's one thread; the tables are
//! replaced in parts. A caller finds in nanoseconds that a circuit is open, where a message would cost
//! half a microsecond and a wake-up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use spillgate_core::breaker::Stance;
use spillgate_core::call::{HostKey, Priority, ScopeKey};
use spillgate_core::event::BreakerState;
use spillgate_core::outcome::Outcome;

use crate::order::Trial;
use crate::table::{Card, Table};

/// The published state of one client.
#[derive(Debug)]
pub struct Registry {
    epoch: Instant,
    hosts: Table<HostCard>,
    scopes: Table<ScopeCard>,
    /// Calls inside the client.
    pub calls: AtomicUsize,
    /// Calls answered, whatever with.
    pub answers: AtomicU64,
    /// Calls that shared another's flight.
    pub coalesced: AtomicU64,
    /// Attempts on the wire over all hosts.
    pub running: AtomicU32,
    /// The most attempts that were ever on the wire at once.
    pub running_peak: AtomicU32,
    /// Flights that wait for a slot.
    pub queued: AtomicUsize,
}

/// The published state of one breaker.
#[derive(Debug)]
pub struct ScopeCard {
    epoch: Instant,
    scope: ScopeKey,
    keeper: HostKey,
    state: AtomicU8,
    /// Nanoseconds after the epoch; 0 admits.
    refuses_until: AtomicU64,
}

/// The published state of one host.
#[derive(Debug)]
pub struct HostCard {
    /// Scheme, name and port.
    pub key: HostKey,
    /// The most attempts at once.
    pub slots_max: AtomicU32,
    /// Attempts on the wire.
    pub running: AtomicU32,
    /// The most attempts that were ever on the wire at once.
    pub running_peak: AtomicU32,
    /// Flights that wait, the most urgent rank first.
    pub queued: [AtomicUsize; Priority::ALL.len()],
    /// Attempts sent.
    pub attempts: AtomicU64,
    /// Attempts that followed another of their hop.
    pub retries: AtomicU64,
    /// Attempts that ran beside another of their hop.
    pub hedges: AtomicU64,
    /// Attempts that succeeded.
    pub successes: AtomicU64,
    /// Attempts that failed.
    pub failures: AtomicU64,
    /// Offers that a gate refused.
    pub refusals: AtomicU64,
    /// Calls that shared a flight to this host.
    pub coalesced: AtomicU64,
    /// Half of the recent successful attempts were faster, in microseconds.
    pub p50_us: AtomicU64,
    /// 95 % of the recent successful attempts were faster, in microseconds.
    pub p95_us: AtomicU64,
    /// The retry budget's tokens, in thousandths.
    pub tokens_milli: AtomicU64,
}

impl Registry {
    /// An empty registry.
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            hosts: Table::new(),
            scopes: Table::new(),
            calls: AtomicUsize::new(0),
            answers: AtomicU64::new(0),
            coalesced: AtomicU64::new(0),
            running: AtomicU32::new(0),
            running_peak: AtomicU32::new(0),
            queued: AtomicUsize::new(0),
        }
    }

    /// How a scope's breaker stands; one that is not published admits.
    pub fn stance(&self, scope: &str) -> Stance {
        self.scopes.look(scope, |card| card.stance()).unwrap_or(Stance::Admitting)
    }

    /// A scope's breaker, if it was ever configured or open, or is a host's own.
    pub fn scope(&self, scope: &str) -> Option<Arc<ScopeCard>> {
        self.scopes.get(scope)
    }

    /// All published breakers.
    pub fn scopes(&self) -> Vec<Arc<ScopeCard>> {
        self.scopes.all()
    }

    /// A host's card.
    pub fn host(&self, key: &str) -> Option<Arc<HostCard>> {
        self.hosts.get(key)
    }

    /// All hosts' cards.
    pub fn hosts(&self) -> Vec<Arc<HostCard>> {
        self.hosts.all()
    }

    /// Counts an attempt that goes out.
    pub(crate) fn started(&self) {
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.running_peak.fetch_max(running, Ordering::Relaxed);
    }

    /// Counts an attempt that came back.
    pub(crate) fn ended(&self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// Publishes a host.
    pub(crate) fn add_host(&self, key: &HostKey) {
        self.hosts.insert(&Arc::new(HostCard::new(key.clone())));
    }

    /// Forgets a host; what is published of its breakers stays.
    pub(crate) fn drop_host(&self, key: &HostKey) {
        self.hosts.remove(key);
    }

    /// Forgets a scope's breaker.
    pub(crate) fn drop_scope(&self, scope: &ScopeKey) {
        self.scopes.remove(scope);
    }

    /// Publishes how a scope's breaker stands.
    pub(crate) fn publish(
        &self,
        scope: &ScopeKey,
        keeper: &HostKey,
        state: BreakerState,
        stance: Stance,
    ) {
        let card = self.scope(scope).unwrap_or_else(|| self.add_scope(scope, keeper));
        let until = match stance {
            Stance::Admitting => ADMITS,
            Stance::Refusing { until: None } => FOREVER,
            Stance::Refusing { until: Some(until) } => {
                let nanos = until.saturating_duration_since(self.epoch).as_nanos();
                u64::try_from(nanos).unwrap_or(FOREVER).clamp(ADMITS + 1, FOREVER - 1)
            }
        };
        card.state.store(state as u8, Ordering::Release);
        card.refuses_until.store(until, Ordering::Release);
    }

    fn add_scope(&self, scope: &ScopeKey, keeper: &HostKey) -> Arc<ScopeCard> {
        let card = Arc::new(ScopeCard {
            epoch: self.epoch,
            scope: scope.clone(),
            keeper: keeper.clone(),
            state: AtomicU8::new(BreakerState::Closed as u8),
            refuses_until: AtomicU64::new(ADMITS),
        });
        self.scopes.insert(&card);
        card
    }
}

impl ScopeCard {
    /// What shares the breaker.
    pub fn scope(&self) -> &ScopeKey {
        &self.scope
    }

    /// The host actor that owns the breaker.
    pub fn keeper(&self) -> &HostKey {
        &self.keeper
    }

    /// How the breaker stands.
    pub fn stance(&self) -> Stance {
        match self.refuses_until.load(Ordering::Acquire) {
            ADMITS => Stance::Admitting,
            FOREVER => Stance::Refusing { until: None },
            nanos => Stance::Refusing { until: Some(self.epoch + Duration::from_nanos(nanos)) },
        }
    }

    /// The breaker's state at `now`; an open one whose time is up shows as half-open.
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.state.load(Ordering::Acquire) {
            state if state == BreakerState::Open as u8 => match self.stance() {
                Stance::Refusing { until: Some(until) } if until <= now => BreakerState::HalfOpen,
                Stance::Refusing { .. } | Stance::Admitting => BreakerState::Open,
            },
            state if state == BreakerState::HalfOpen as u8 => BreakerState::HalfOpen,
            _ => BreakerState::Closed,
        }
    }
}

impl HostCard {
    fn new(key: HostKey) -> Self {
        Self {
            key,
            slots_max: AtomicU32::new(0),
            running: AtomicU32::new(0),
            running_peak: AtomicU32::new(0),
            queued: Default::default(),
            attempts: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            hedges: AtomicU64::new(0),
            successes: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            coalesced: AtomicU64::new(0),
            p50_us: AtomicU64::new(0),
            p95_us: AtomicU64::new(0),
            tokens_milli: AtomicU64::new(0),
        }
    }

    /// Counts an attempt that goes out.
    pub(crate) fn started(&self, trial: &Trial) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        if trial.hedge {
            self.hedges.fetch_add(1, Ordering::Relaxed);
        } else if trial.resend > 0 {
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.running_peak.fetch_max(running, Ordering::Relaxed);
    }

    /// Counts an attempt that came back.
    pub(crate) fn ended(&self, outcome: Outcome) {
        self.running.fetch_sub(1, Ordering::Relaxed);
        match outcome {
            Outcome::Success => drop(self.successes.fetch_add(1, Ordering::Relaxed)),
            Outcome::Failure => drop(self.failures.fetch_add(1, Ordering::Relaxed)),
            Outcome::Neutral(_) => {}
        }
    }
}

impl Card for HostCard {
    fn name(&self) -> &str {
        &self.key
    }
}

impl Card for ScopeCard {
    fn name(&self) -> &str {
        &self.scope
    }
}

const ADMITS: u64 = 0;
const FOREVER: u64 = u64::MAX;
