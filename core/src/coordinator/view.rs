//! What may be read of a coordinator from outside.

use crate::call::Target;
use crate::coordinator::Coordinator;
use crate::flights::Flights;
use crate::queue::Queue;
use crate::slots::Slots;

impl Coordinator {
    /// The queue.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The flights.
    pub fn flights(&self) -> &Flights {
        &self.flights
    }

    /// Where flights and attempts are bound for, some more than once. O(flights).
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        let waiting = self.flights.iter().map(|(_, flight)| &flight.target);
        waiting.chain(self.running.values().map(|sent| &sent.target))
    }

    /// The slots over all hosts.
    pub fn global(&self) -> &Slots {
        &self.global
    }

    /// Whether lanes are held because this machine has no network.
    pub fn is_offline(&self) -> bool {
        self.device.is_offline()
    }

    /// Whether nothing waits, runs or sleeps.
    pub fn is_idle(&self) -> bool {
        self.flights.is_empty()
            && self.queue.is_empty()
            && self.running.is_empty()
            && self.sleepers.is_empty()
            && self.awaiting.is_empty()
            && self.patience.is_empty()
            && self.global.taken() == 0
    }
}
