//! The oracle beside the hosts: what may be on the wire, what a retry costs, what a server asked.

mod hedges;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use spillgate_core::advice::ErrorKind;
use spillgate_core::call::{AttemptId, BreakerUse, FlightId, HostKey, Repeat, ScopeKey};
use spillgate_core::event::{BreakerEvent, BreakerState};
use spillgate_core::host::{Host, Input};
use spillgate_core::outcome::{Evidence, Exposure, Outcome};
use spillgate_core::policy::HostPolicy;
use spillgate_core::verdict::{AbortCause, Cost, Finality, Gate, Offer, Refusal, Verdict};

use crate::breakers::{Breakers, Heard};
use crate::demand::Demand;
use crate::pacing::Pacing;
use crate::reach::{Mark, Reach};
use crate::upstream::Attempt;

/// The books on supply.
#[derive(Debug)]
pub(crate) struct Supply {
    keepers: Vec<Keeper>,
    hops: BTreeMap<FlightId, Hop>,
}

#[derive(Debug)]
struct Keeper {
    key: HostKey,
    policy: HostPolicy,
    /// Its slots, below the ceiling of its policy.
    limit: u32,
    breakers: Breakers,
    pacing: Pacing,
    offers: BTreeMap<AttemptId, Offer>,
    /// Started and not yet settled, with what the host knows of why they were called back.
    running: BTreeMap<AttemptId, Option<AbortCause>>,
    /// Settled or refused: what is still to be reported is removed as it is.
    judged: BTreeMap<AttemptId, (Evidence, Option<AbortCause>)>,
    aborted: BTreeSet<AttemptId>,
    /// What settled in this turn says of this machine, not of the host.
    is_device_class: bool,
    tokens: f64,
    successes: u32,
    paid: u32,
    /// First attempts, and what ran beside some of them.
    firsts: u32,
    hedges: u32,
}

/// What is known of a flight's attempts since its last redirect.
#[derive(Debug, Default)]
struct Hop {
    hops: u32,
    starts: u32,
    last: Option<Exposure>,
    not_before: Option<Instant>,
}

impl Supply {
    pub(crate) fn new(keepers: &[HostKey], policy: &HostPolicy) -> Self {
        let keepers = keepers.iter().map(|key| Keeper::new(key.clone(), policy.clone()));
        Self { keepers: keepers.collect(), hops: BTreeMap::new() }
    }

    /// A host is about to hear something.
    pub(crate) fn hear(
        &mut self,
        now: Instant,
        host: usize,
        input: &Input,
        attempts: &BTreeMap<AttemptId, Attempt>,
        reach: &mut Reach,
    ) {
        let keeper = &mut self.keepers[host];
        match input {
            Input::Offer(offer) => {
                keeper.offers.entry(offer.attempt).or_insert_with(|| offer.clone());
            }
            Input::Settled { attempt, evidence } => {
                let Some(cause) = keeper.running.remove(attempt) else { return };
                let evidence = keeper.settle(now, &attempts[attempt], (cause, evidence), reach);
                keeper.judged.insert(*attempt, (evidence, cause));
                keeper.breakers.hear(Heard::Settled(*attempt, evidence));
                let hop = self.hops.entry(attempt.flight).or_default();
                if hop.hops == attempts[attempt].hop {
                    hop.last = Some(evidence.exposure);
                    hop.not_before = hop.not_before.max(evidence.hint);
                }
            }
            Input::Abort { attempt, cause } => {
                keeper.aborted.insert(*attempt);
                if let Some(known) = keeper.running.get_mut(attempt) {
                    *known = known.or(Some(*cause));
                }
                reach.hit_if(Mark::AbortInTransit, !keeper.running.contains_key(attempt));
            }
            Input::Command(command) => {
                let order = command.order.clone();
                keeper.breakers.hear(Heard::Ordered(command.scope.clone(), order));
            }
            Input::Reload(policy) => {
                keeper.policy = HostPolicy::clone(policy);
                keeper.breakers.hear(Heard::Reloaded(policy.breaker.clone()));
            }
            Input::Wake => keeper.breakers.hear(Heard::Wake),
            // No world forgets a host.
            Input::Resume(..) => {}
        }
    }

    pub(crate) fn offer(&self, host: usize, id: AttemptId) -> Offer {
        self.keepers[host].offers.get(&id).expect("what starts was offered").clone()
    }

    /// A host starts an attempt: whether it may.
    pub(crate) fn start(
        &mut self,
        now: Instant,
        host: usize,
        offer: &Offer,
        probe: bool,
        reach: &mut Reach,
    ) {
        let keeper = &mut self.keepers[host];
        let id = offer.attempt;
        assert!(!keeper.aborted.contains(&id), "{id:?} starts after its cancellation");
        assert!(now < offer.deadline, "{id:?} starts after its deadline");
        assert!(now + offer.useful_min <= offer.deadline, "{id:?} starts too late to be of use");
        keeper.pacing.start(now, &offer.scope, keeper.policy.rate);
        assert!(keeper.running.insert(id, None).is_none(), "{id:?} starts once");
        let slots = keeper.own_slots();
        let lends = offer.lane == keeper.key;
        assert!(!lends || slots <= keeper.limit as usize, "{slots} slots of the host");
        let hop = self.hops.entry(id.flight).or_default();
        hop.starts += 1;
        let attempts_max = offer.attempts_max.unwrap_or(keeper.policy.retry.attempts_max);
        assert!(hop.starts <= attempts_max.max(1), "{id:?} is one attempt too many");
        assert!(hop.not_before.is_none_or(|at| at <= now), "{id:?} starts before Retry-After");
        match (hop.last, offer.repeat) {
            _ if offer.beside.is_some() => keeper.start_hedge(offer, probe, reach),
            (None, _) => {
                assert_eq!((offer.cost, hop.starts), (Cost::Free, 1));
                keeper.firsts += 1;
            }
            (Some(Exposure::MaybeSent), Repeat::Always) => {
                keeper.paid += 1;
                reach.hit(Mark::Retry);
            }
            (Some(Exposure::NeverSent), Repeat::Always | Repeat::IfNeverSent) => {
                reach.hit(Mark::FreeRetry);
            }
            (Some(last), repeat) => panic!("{id:?} repeats {repeat:?} after {last:?}"),
        }
        keeper.check_budget();
        match offer.breaker {
            BreakerUse::Bypassed => {
                reach.hit(Mark::Bypassed);
                assert!(!probe, "who bypasses does not probe");
            }
            BreakerUse::Guarded => keeper.breakers.start(now, (id, &offer.scope), probe, reach),
        }
    }

    /// A host has decided about an attempt.
    pub(crate) fn report(
        &mut self,
        now: Instant,
        host: usize,
        id: AttemptId,
        verdict: Verdict,
        (tokens, reach): (f64, &mut Reach),
    ) {
        let keeper = &mut self.keepers[host];
        let offer = keeper.offers[&id].clone();
        let evidence = keeper.judged.remove(&id);
        match verdict {
            Verdict::Refused(refusal) => {
                assert!(evidence.is_none() && !keeper.running.contains_key(&id), "{id:?} was sent");
                keeper.refusal(now, &offer, refusal, reach);
            }
            Verdict::RetryAt(retry) => {
                let (evidence, cause) = evidence.expect("it is judged by what it brought");
                assert_eq!(cause, None, "what was called back is not repeated");
                assert!(retry.at >= now && evidence.is_retryable());
                assert!(evidence.hint.is_none_or(|hint| retry.at >= hint), "never sooner");
                let costs = evidence.exposure == Exposure::MaybeSent;
                assert_eq!(retry.cost != Cost::Free, costs);
            }
            Verdict::Done(finality) => {
                let (evidence, _) = evidence.expect("it is judged by what it brought");
                let broke = finality == Finality::BudgetSpent;
                assert!(!broke || (tokens < 1.0 && evidence.exposure == Exposure::MaybeSent));
            }
        }
    }

    /// A flight is sent on.
    pub(crate) fn hop(&mut self, flight: FlightId) {
        let hops = self.hops(flight) + 1;
        self.hops.insert(flight, Hop { hops, ..Hop::default() });
    }

    pub(crate) fn hops(&self, flight: FlightId) -> u32 {
        self.hops.get(&flight).map_or(0, |hop| hop.hops)
    }

    /// A breaker says that it changed.
    pub(crate) fn event(&mut self, host: usize, event: &BreakerEvent, reach: &mut Reach) {
        let keeper = &mut self.keepers[host];
        let trips = event.to == BreakerState::Open;
        assert!(!(trips && keeper.is_device_class), "no host is to blame for this machine");
        keeper.breakers.event(event, reach);
    }

    /// A host moves its limit.
    pub(crate) fn limit(&mut self, host: usize, slots_max: u32, reach: &mut Reach) {
        let keeper = &mut self.keepers[host];
        let ceiling = keeper.policy.concurrency;
        let floor = keeper.policy.limit.floor.clamp(1, ceiling);
        assert!((floor..=ceiling).contains(&slots_max), "{slots_max} slots");
        reach.hit_if(Mark::LimitLowered, slots_max < keeper.limit);
        reach.hit_if(Mark::LimitRaised, slots_max > keeper.limit);
        keeper.limit = slots_max;
    }

    /// A host has done all it wanted for now.
    pub(crate) fn rest(&mut self, now: Instant, index: usize, host: &Host, reach: &mut Reach) {
        let keeper = &mut self.keepers[index];
        assert_eq!(host.slots().taken() as usize, keeper.own_slots(), "slots of the host");
        assert!(keeper.judged.is_empty(), "what settles is judged in the same turn");
        let tokens = std::mem::replace(&mut keeper.tokens, host.tokens()).to_bits();
        let is_unpaid = tokens == host.tokens().to_bits();
        assert!(is_unpaid || !keeper.is_device_class, "the device's failures cost nothing");
        keeper.is_device_class = false;
        keeper.breakers.rest(now, host.scopes(), reach);
    }

    /// Scopes that an operator held at some time.
    pub(crate) fn held(&self) -> Vec<(usize, ScopeKey)> {
        let all = self.keepers.iter().enumerate();
        all.flat_map(|(n, keeper)| keeper.breakers.held().map(move |scope| (n, scope.clone())))
            .collect()
    }
}

impl Keeper {
    fn new(key: HostKey, policy: HostPolicy) -> Self {
        Self {
            limit: policy.concurrency,
            breakers: Breakers::new(key.clone(), policy.breaker.clone()),
            key,
            pacing: Pacing::default(),
            is_device_class: false,
            tokens: policy.retry.budget.initial.min(policy.retry.budget.cap),
            policy,
            offers: BTreeMap::new(),
            running: BTreeMap::new(),
            judged: BTreeMap::new(),
            aborted: BTreeSet::new(),
            successes: 0,
            paid: 0,
            firsts: 0,
            hedges: 0,
        }
    }

    fn own_slots(&self) -> usize {
        self.running.keys().filter(|id| self.offers[id].lane == self.key).count()
    }

    /// What an attempt says, given why it was called back; also for the books.
    fn settle(
        &mut self,
        now: Instant,
        attempt: &Attempt,
        (cause, evidence): (Option<AbortCause>, &Evidence),
        reach: &mut Reach,
    ) -> Evidence {
        let mut evidence = *evidence;
        let cancelled = evidence.kind == Some(ErrorKind::Cancelled);
        if cancelled && cause == Some(AbortCause::Deadline) {
            let late = Evidence::of_error(ErrorKind::DeadlineExceeded, evidence.exposure);
            evidence = Evidence { took: evidence.took, ..late };
        }
        if evidence.outcome == Outcome::Success {
            self.successes += 1;
        }
        let of_scope = |id: &&AttemptId| self.offers[*id].scope == attempt.scope;
        let others = self.running.keys().filter(of_scope).count();
        self.pacing.learn(now, &attempt.scope, &evidence, others);
        self.is_device_class = evidence.kind == Some(ErrorKind::DeviceOffline);
        reach.hit_if(Mark::NeverSent, evidence.exposure == Exposure::NeverSent);
        evidence
    }

    fn check_budget(&self) {
        let budget = &self.policy.retry.budget;
        let bound = budget.initial + budget.ratio * f64::from(self.successes);
        assert!(f64::from(self.paid) <= bound + 1e-6, "{} retries, bound {bound}", self.paid);
    }

    fn refusal(&mut self, now: Instant, offer: &Offer, refusal: Refusal, reach: &mut Reach) {
        match refusal.gate {
            Gate::Deadline => {
                let useful = offer.useful_min.max(offer.useful_max);
                assert!(now + useful >= offer.deadline, "it was in time");
            }
            Gate::Pace => self.pacing.paced(now, &offer.scope, reach),
            Gate::Slot => {
                assert!(self.own_slots() >= self.limit as usize, "a slot was free");
                reach.hit(Mark::SlotGate);
            }
            Gate::Rate => {
                self.pacing.rated(now, self.policy.rate);
                reach.hit(Mark::RateGate);
            }
            Gate::Device => panic!("no host knows of the network"),
            Gate::Hedge => {
                assert!(offer.beside.is_some(), "only a hedge is refused as one");
                reach.hit(Mark::HedgeRefused);
            }
            Gate::Budget => reach.hit(Mark::BudgetGate),
            Gate::Breaker | Gate::Probe => {
                self.breakers.refusal(now, &offer.scope, refusal, reach);
            }
        }
    }
}

/// In flight as the world counts, under the ceilings of the time each was dispatched.
pub(crate) fn check_wire(attempts: &BTreeMap<AttemptId, Attempt>, demand: &Demand, id: AttemptId) {
    let lane = &attempts[&id].target.lane;
    let on_wire = attempts.iter().filter(|(_, attempt)| !attempt.settled);
    let (mut here, mut lane_max, mut all, mut global_max) = (0, 0, 0, 0);
    for (id, attempt) in on_wire {
        let (of_lane, of_all) = demand.ceilings(*id);
        (all, global_max) = (all + 1, of_all.max(global_max));
        if attempt.target.lane == *lane {
            (here, lane_max) = (here + 1, of_lane.max(lane_max));
        }
    }
    assert!(here <= lane_max, "{here} on the wire to {lane}");
    assert!(all <= global_max, "{all} on the wire");
}
