//! What may be read of a coordinator from outside.

use crate::coordinator::Coordinator;
use crate::flights::Flights;
use crate::queue::Queue;
use crate::residents::Residents;
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

    /// The hosts that are remembered.
    pub fn residents(&self) -> &Residents {
        &self.residents
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
