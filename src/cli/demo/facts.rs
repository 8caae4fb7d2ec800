//! What was measured, by four parties that do not know of each other, and what has to be true of it.

use spillgate_actors::core::event::BreakerState;
use spillgate_actors::core::policy::{HostPolicy, Limits};
use spillgate_actors::messages::Drained;
use spillgate_actors::snapshot::Snapshot;

use super::audit::Audit;
use super::chronicle::Story;
use super::tally::Callers;

/// Everything that is known when all is over.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// How long the callers called.
    pub(super) seconds: f64,
    /// What the callers counted.
    pub(super) callers: Callers,
    /// What the client's actors published, at rest.
    pub(super) client: Snapshot,
    /// How the client's end went.
    pub(super) drained: Drained,
    /// What the metered transport counted.
    pub(super) wire: WireCount,
    /// Attempts that chaos failed before they could be sent.
    pub(super) unsent_by_chaos: u64,
    /// What the breakers told.
    pub(super) story: Story,
    /// What the upstreams counted.
    pub(super) audit: Audit,
}

/// What the metered transport counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct WireCount {
    /// Exchanges that the actors began.
    pub(super) begun: u64,
    /// Exchanges whose request was picked up by a connection.
    pub(super) written: u64,
}

/// Something that has to be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Invariant {
    /// Its name in the JSON object.
    pub(super) name: &'static str,
    /// Whether it is.
    pub(super) held: bool,
    /// The numbers that say so.
    pub(super) numbers: String,
}

impl Facts {
    /// Retries that the actors sent.
    pub(super) fn retries(&self) -> u64 {
        self.client.hosts.iter().map(|host| host.retries).sum()
    }

    /// The most attempts that any one host ever had on the wire.
    pub(super) fn peak_per_host(&self) -> u32 {
        self.client.hosts.iter().map(|host| host.running_peak).max().unwrap_or(0)
    }

    /// All that has to be true, and whether it is.
    pub(super) fn invariants(&self) -> Vec<Invariant> {
        [self.of_calls(), self.of_load(), self.of_manners(), self.of_rest()].concat()
    }

    /// Nothing lost, nothing doubled, nothing counted otherwise at the other end.
    fn of_calls(&self) -> Vec<Invariant> {
        let Self { callers, client, audit, .. } = self;
        let (calls, answers, left) = (callers.calls, callers.answers, client.answers);
        let sum = callers.ok + callers.errors + callers.rejected;
        let (written, received) = (self.wire.written, audit.requests);
        let (seen, made) = (callers.coalesced, client.coalesced);
        let most = calls.saturating_sub(made) + self.retries();
        vec![
            Invariant::new(
                "each_call_answered_once",
                calls == answers && calls == left,
                format!("{calls} calls, {answers} answers, {left} left"),
            ),
            Invariant::new(
                "answers_add_up",
                sum == answers,
                format!("{sum} of {answers} ok, errors or rejected"),
            ),
            Invariant::new(
                "upstream_requests_agree",
                written == received,
                format!("{written} requests written, {received} received"),
            ),
            Invariant::new(
                "coalesced_calls_agree",
                seen == made,
                format!("{seen} told to callers, {made} by the actors"),
            ),
            Invariant::new(
                "no_request_without_a_call",
                received <= most,
                format!("{received} requests, {most} flights and retries"),
            ),
        ]
    }

    /// Limits on what an upstream has to bear.
    fn of_load(&self) -> Vec<Invariant> {
        let (policy, limits) = (HostPolicy::default(), Limits::default());
        let (peak, peak_per_host) = (self.client.running_peak, self.peak_per_host());
        let (seen, seen_per_host) = (self.audit.peak_in_flight, self.audit.peak_in_flight_per_host);
        let (most, per_host) = (limits.global, policy.concurrency);
        let attempts = self.audit.log.attempts_most;
        let attempts_max = policy.retry.attempts_max;
        vec![
            Invariant::new(
                "slots_per_host_respected",
                peak_per_host <= per_host && seen_per_host <= peak_per_host as usize,
                format!("{peak_per_host} at most, {seen_per_host} seen, {per_host} allowed"),
            ),
            Invariant::new(
                "slots_in_all_respected",
                peak <= most && seen <= peak as usize,
                format!("{peak} at most, {seen} seen, {most} allowed"),
            ),
            self.of_budget(&policy),
            Invariant::new(
                "attempts_within_maximum",
                attempts <= u64::from(attempts_max),
                format!("{attempts} at most, {attempts_max} allowed"),
            ),
        ]
    }

    /// A retry costs a token; one of an attempt that was proven never sent costs none.
    fn of_budget(&self, policy: &HostPolicy) -> Invariant {
        let budget = policy.retry.budget;
        let hosts = number(self.client.hosts.len() as u64);
        let successes = self.client.hosts.iter().map(|host| host.successes).sum();
        let tokens = budget.initial * hosts + budget.ratio * number(successes);
        let never_sent = self.wire.begun.saturating_sub(self.wire.written) + self.unsent_by_chaos;
        let (sent, received) = (self.retries(), self.audit.retries());
        let held = number(sent) <= tokens + number(never_sent)
            && received.is_none_or(|received| received <= sent && number(received) <= tokens);
        let received = received.map_or_else(|| "unknown".to_owned(), |retries| retries.to_string());
        let numbers = format!("{sent} retries, {received} received, {tokens:.1} tokens");
        Invariant::new("retries_within_budget", held, numbers)
    }

    /// What a client must not do however much it wants an answer.
    fn of_manners(&self) -> Vec<Invariant> {
        let log = &self.audit.log;
        let (repeated, changed) = (log.unsafe_most, log.keys_changed);
        let too_soon = self.callers.retried_too_soon;
        vec![
            Invariant::new(
                "unsafe_requests_sent_once",
                repeated <= 1,
                format!("{repeated} at most of a POST without a key"),
            ),
            Invariant::new(
                "idempotency_keys_kept",
                changed == 0,
                format!("{changed} retries with another key than before"),
            ),
            Invariant::new(
                "retry_after_respected",
                too_soon == 0,
                format!("{too_soon} retries before the time asked for"),
            ),
        ]
    }

    /// What is left when all is over: nothing.
    fn of_rest(&self) -> Vec<Invariant> {
        let Self { client, audit, story, .. } = self;
        let (calls, running, queued) = (client.calls, client.running, client.queued);
        let (there, whole) = (audit.in_flight, self.drained == Drained::Whole);
        let of_hosts = client.hosts.iter().filter(|host| host.breaker != BreakerState::Closed);
        let of_scopes = client.breakers.iter().filter(|one| one.state != BreakerState::Closed);
        let stuck = of_hosts.count().max(of_scopes.count());
        let astray = if client.records_dropped == 0 { story.out_of_order } else { 0 };
        vec![
            Invariant::new(
                "nothing_in_flight_at_rest",
                calls == 0 && running == 0 && queued == 0 && there == 0 && whole,
                format!("{calls} calls, {running} attempts, {queued} queued, {there} upstream"),
            ),
            Invariant::new(
                "breakers_in_order",
                astray == 0,
                format!("{astray} of {} changes out of order", story.transitions),
            ),
            Invariant::new(
                "no_breaker_stuck",
                stuck == 0,
                format!("{stuck} not closed at the end"),
            ),
        ]
    }
}

impl Invariant {
    fn new(name: &'static str, held: bool, numbers: String) -> Self {
        Self { name, held, numbers }
    }
}

/// A count as a double: exact far beyond what a demo counts.
fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
