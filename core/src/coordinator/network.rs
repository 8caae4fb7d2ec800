//! What the coordinator does while this machine has no network.

use std::time::Instant;

use crate::call::{AttemptId, FlightId, HostKey};
use crate::coordinator::Coordinator;
use crate::device::Sight;
use crate::verdict::Gate;

impl Coordinator {
    /// An attempt shows something of the network.
    pub(super) fn seen(&mut self, now: Instant, attempt: AttemptId, sight: Sight) {
        let Some(sent) = self.running.get(&attempt) else { return };
        let before = self.dark_lanes();
        self.device.learn(now, (attempt, &sent.target.lane), sight);
        self.hold_dark_lanes(now, &before);
    }

    /// An attempt has ended: if it was the probe, another may follow.
    pub(super) fn unprobe(&mut self, now: Instant, attempt: AttemptId) {
        if self.device.is_offline() {
            let before = self.dark_lanes();
            self.device.end(now, attempt);
            self.hold_dark_lanes(now, &before);
        }
    }

    /// Fails what waits in lanes that have been dark for long, but for one that is to probe.
    pub(super) fn give_up_offline(&mut self, now: Instant) {
        if !self.device.is_lasting(now) {
            return;
        }
        let until = self.device.refuses_until(now);
        let mut waiting: Vec<FlightId> =
            self.device.dark().flat_map(|lane| self.queue.waiting(lane)).collect();
        if until.is_none() && !waiting.is_empty() {
            waiting.remove(0);
        }
        waiting.into_iter().for_each(|id| self.fail(id, Gate::Device, until));
    }

    /// When who waits for the network is told that it lasts.
    pub(super) fn next_lasting(&self) -> Option<Instant> {
        let waits = self.device.dark().any(|lane| self.queue.waiting(lane).next().is_some());
        self.device.next_lasting().filter(|_| waits)
    }

    fn dark_lanes(&self) -> Vec<HostKey> {
        self.device.dark().cloned().collect()
    }

    /// Holds the lanes that are dark until the next probe, and lets go of those that were.
    fn hold_dark_lanes(&mut self, now: Instant, before: &[HostKey]) {
        before.iter().for_each(|lane| self.queue.unhold(lane));
        if let Some(until) = self.device.refuses_until(now) {
            self.device.dark().for_each(|lane| self.queue.hold(lane, until));
        }
    }
}
