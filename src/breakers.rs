//! The breakers of a client, for operators and for code that guards more than HTTP.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spillgate_actors::core::advice::ErrorKind;
use spillgate_actors::core::breaker::Stance;
use spillgate_actors::core::breaker::options::BreakerOptions;
use spillgate_actors::core::event::{BreakerEvent, BreakerMode, BreakerState, OpenReason};
use spillgate_actors::core::host::Order;
use spillgate_actors::core::outcome::{Evidence, Exposure};
use spillgate_actors::door::Door;
use spillgate_actors::record::JournalEntry;
use tokio::sync::broadcast;

use crate::engine::Engine;

/// Presets of breakers.
#[derive(Debug, Clone, Copy)]
pub enum Breaker {}

impl Breaker {
    /// Opens after `failures` in a row, for 60 s, and closes on one successful probe.
    pub fn consecutive(failures: u32) -> BreakerOptions {
        BreakerOptions::consecutive(failures)
    }

    /// Opens when at least this share of at least 20 calls in 10 s failed; 5 s growing to 60 s.
    pub fn rate(failure_rate: f64) -> BreakerOptions {
        BreakerOptions::rate(failure_rate)
    }

    /// Opens after `failures` in a row or at this failure rate, whichever comes first.
    pub fn hybrid(failures: u32, failure_rate: f64) -> BreakerOptions {
        BreakerOptions::hybrid(failures, failure_rate)
    }

    /// The breaker of the standard pipeline: a failure rate of one half.
    pub fn standard() -> BreakerOptions {
        BreakerOptions::standard()
    }

    /// Never opens.
    pub fn off() -> BreakerOptions {
        BreakerOptions::off()
    }
}

/// The registry of a client's breakers.
///
/// A scope is a host such as `https://api.example.com` (the scheme may be left out once the host is
/// known), a host and a route with a blank between, or a name of the service's own. Changes are
/// made by the actor that owns the breaker; each method returns when it is made.
#[derive(Clone)]
pub struct Breakers {
    engine: Arc<Engine>,
}

/// One breaker of a registry.
#[derive(Clone)]
pub struct BreakerHandle {
    door: Door,
    scope: String,
}

/// What a callback for openings is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerOpened {
    /// What shares the breaker.
    pub scope: String,
    /// When it opened.
    pub opened_at: Instant,
    /// Why.
    pub reason: OpenReason,
    /// When the next probe may pass; `None` when it stays open until told.
    pub retry_at: Option<Instant>,
}

impl Breakers {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    /// The breaker of a scope; one that is not known yet begins with these options.
    pub fn get_or_create(&self, scope: impl AsRef<str>, options: BreakerOptions) -> BreakerHandle {
        let handle = self.handle(scope.as_ref());
        let published = handle.door.registry().scope(&handle.scope);
        if published.is_none() {
            handle.door.operate(&handle.scope, Order::Configure(options));
        }
        handle
    }

    /// The breaker of a scope that is known: a host that was called, or one that was created.
    pub fn get(&self, scope: impl AsRef<str>) -> Option<BreakerHandle> {
        let handle = self.handle(scope.as_ref());
        let registry = handle.door.registry();
        let known =
            registry.scope(&handle.scope).is_some() || registry.host(&handle.scope).is_some();
        known.then_some(handle)
    }

    /// Whether the breaker of a scope would let a request pass; an unknown one is closed.
    pub fn allow_request(&self, scope: impl AsRef<str>) -> bool {
        self.handle(scope.as_ref()).allow_request()
    }

    /// The state of a scope's breaker; an unknown one is closed.
    pub fn state(&self, scope: impl AsRef<str>) -> BreakerState {
        self.handle(scope.as_ref()).state()
    }

    /// Closes a breaker and forgets its counts.
    pub fn reset(&self, scope: impl AsRef<str>) {
        self.handle(scope.as_ref()).reset();
    }

    /// Opens a breaker, for a time or until it is reset; that of a host refuses its routes with it,
    /// but no scope that it shares with other hosts.
    pub fn force_open(&self, scope: impl AsRef<str>, duration: Option<Duration>) {
        self.handle(scope.as_ref()).force_open(duration);
    }

    /// Holds a breaker closed, whatever fails, until it is reset.
    pub fn force_closed(&self, scope: impl AsRef<str>) {
        self.handle(scope.as_ref()).force_closed();
    }

    /// Calls back whenever a breaker opens, on the reporter thread; a panic ends only the callback.
    pub fn on_open(&self, mut callback: impl FnMut(&BreakerOpened) + Send + 'static) {
        self.engine.observe(Box::new(move |entry| {
            if let JournalEntry::Breaker(event) = entry
                && let Some(opened) = BreakerOpened::of(event)
            {
                callback(&opened);
            }
        }));
    }

    /// A stream of all changes from here on; a slow reader loses the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<BreakerEvent> {
        let (sender, receiver) = broadcast::channel(EVENTS_MAX);
        self.engine.observe(Box::new(move |entry| {
            if let JournalEntry::Breaker(event) = entry {
                let _ = sender.send(event.clone());
            }
        }));
        receiver
    }

    fn handle(&self, scope: &str) -> BreakerHandle {
        let door = self.engine.door().clone();
        let scope = door.scope_named(scope);
        BreakerHandle { door, scope }
    }
}

impl BreakerHandle {
    /// What shares the breaker.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// Whether it would let a request pass; half-open, the probe itself decides that.
    pub fn allow_request(&self) -> bool {
        match self.door.registry().stance(&self.scope) {
            Stance::Admitting => true,
            Stance::Refusing { until } => until.is_some_and(|until| until <= Instant::now()),
        }
    }

    /// Its state; an open one whose time is up is half-open.
    pub fn state(&self) -> BreakerState {
        let card = self.door.registry().scope(&self.scope);
        card.map_or(BreakerState::Closed, |card| card.state(Instant::now()))
    }

    /// Counts a success that happened outside of the client.
    pub fn record_success(&self) {
        self.door.operate(&self.scope, Order::Record(Evidence::of_status(200, None)));
    }

    /// Counts a failure that happened outside of the client.
    pub fn record_failure(&self) {
        let evidence = Evidence::of_error(ErrorKind::ConnectionTerminated, Exposure::MaybeSent);
        self.door.operate(&self.scope, Order::Record(evidence));
    }

    /// Closes it and forgets its counts.
    pub fn reset(&self) {
        self.door.operate(&self.scope, Order::Reset);
    }

    /// Opens it, for a time or until it is reset.
    pub fn force_open(&self, duration: Option<Duration>) {
        let until = duration.and_then(|duration| Instant::now().checked_add(duration));
        self.door.operate(&self.scope, Order::ForceOpen(until));
    }

    /// Holds it closed, whatever fails, until it is reset.
    pub fn force_closed(&self) {
        self.door.operate(&self.scope, Order::ForceClosed);
    }
}

impl BreakerOpened {
    fn of(event: &BreakerEvent) -> Option<Self> {
        if event.to != BreakerState::Open || event.mode == BreakerMode::Shadow {
            return None;
        }
        Some(Self {
            scope: event.scope.to_string(),
            opened_at: event.opened_at?,
            reason: event.reason?,
            retry_at: event.retry_at,
        })
    }
}

impl fmt::Debug for Breakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breakers").finish_non_exhaustive()
    }
}

impl fmt::Debug for BreakerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerHandle").field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// Changes that a slow reader may lag behind.
const EVENTS_MAX: usize = 1_024;
