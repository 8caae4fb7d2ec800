//! What must hold between two inputs of the coordinator.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use spillgate_core::call::{BreakerUse, HostKey};
use spillgate_core::coordinator::Coordinator;
use spillgate_core::flights::Stage;

use crate::demand::Demand;
use crate::reach::{Mark, Reach};

impl Demand {
    /// The coordinator has done all it wanted for now.
    pub(crate) fn rest(&mut self, now: Instant, machine: &Coordinator, reach: &mut Reach) {
        if let Some((deadline, ticket)) = self.open.first() {
            assert!(*deadline > now, "{ticket:?} is past its deadline without an answer");
            let wake = machine.next_wake();
            assert!(wake.is_some_and(|wake| wake <= *deadline), "no wake for {ticket:?}");
        }
        assert_eq!(machine.flights().len(), self.live.len(), "flights");
        assert_eq!(machine.flights().waiting(), self.open.len(), "tickets that wait");
        assert_eq!(machine.global().taken() as usize, self.outstanding.len(), "global slots");
        let empty = self.live.is_empty() && self.outstanding.is_empty() && self.open.is_empty();
        assert_eq!(machine.is_idle(), empty, "idle is idle");
        let is_full = !machine.global().has_free();
        let mut full_lane = false;
        for (lane, ceiling) in &self.ceilings {
            let (running, waiting) = (self.running(lane), machine.queue().depth(lane));
            assert_eq!(machine.queue().running(lane), running, "slots of {lane}");
            let waits = waiting.iter().sum::<usize>() > 0;
            let held = machine.queue().held_until(lane).is_some_and(|until| until > now);
            let blocked = is_full || held || running >= *ceiling;
            assert!(!waits || blocked, "{lane} waits for nothing");
            full_lane |= waits && running >= *ceiling;
        }
        let others = self.outstanding.values().any(|o| self.running(&o.target.lane) < o.lane_max);
        reach.hit_if(Mark::LaneFullOthersRun, full_lane && others);
        reach.hit_if(Mark::GlobalFull, is_full && !machine.queue().is_empty());
        if let Some(scope) = self.told.take() {
            check_told(machine, &scope);
        }
        self.follow(now, machine);
    }

    /// Notes what each flight does, and whose wait for a turn begins.
    fn follow(&mut self, now: Instant, machine: &Coordinator) {
        let mut depths: BTreeMap<HostKey, [usize; 4]> = BTreeMap::new();
        for id in &self.live {
            let Some(flight) = self.flights.get_mut(id) else { continue };
            flight.stage = machine.flights().of(*id).expect("it lives").stage;
            let waits = machine.queue().contains(*id);
            assert_eq!(waits, flight.stage == Stage::Queued);
            if waits && flight.turns.is_none() {
                let before: usize = machine.queue().depth(&flight.target.lane).iter().sum();
                // One turn in ten is shared, and each older flight may take one of those.
                flight.turns = Some((10 * (before as u64 + 1), 0));
            }
            let ranks = flight.waiters.iter().map(|t| self.tickets[t].spec.priority);
            let rank = ranks.max().expect("somebody waits");
            if waits {
                depths.entry(flight.target.lane.clone()).or_default()[rank.index()] += 1;
            } else {
                flight.turns = None;
            }
            if let Stage::Sleeping(at) = flight.stage {
                assert!(machine.next_wake().is_some_and(|wake| wake <= at), "{id:?} oversleeps");
                let latest = flight.waiters.iter().map(|t| self.tickets[t].spec.deadline).max();
                // A pause for a slot is no promise; a retry or a hold is.
                let paused = at <= now + Duration::from_millis(5);
                // Nobody knows when a verdict falls, and who waits for it may be in time.
                let is_fine = paused || self.awaiting.contains(id) || !flight.has_result;
                assert!(is_fine || Some(at) < latest, "{id:?} sleeps in vain");
            }
        }
        for (lane, depth) in depths {
            assert_eq!(machine.queue().depth(&lane), depth, "ranks in {lane}");
        }
    }
}

/// Nobody whom a scope guards waits once its opening was told.
fn check_told(machine: &Coordinator, scope: &str) {
    for (id, flight) in machine.flights().iter() {
        let guarded = flight.breaker == BreakerUse::Guarded && &*flight.target.scope == scope;
        let waits = flight.stage != Stage::Running;
        assert!(!(guarded && waits), "{id:?} waits for a circuit that is open");
    }
}
