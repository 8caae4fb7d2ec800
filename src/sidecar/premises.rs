//! Which listeners there are and what they stand on, as it is published to whoever looks.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::sidecar::exchange::Exchanges;
use crate::sidecar::house::House;
use crate::sidecar::listener::Listening;

/// What there is, and what of it all connections share.
#[derive(Default)]
pub(super) struct Premises {
    pub(super) house: Arc<House>,
    rooms: ArcSwap<Rooms>,
}

/// What there is at one moment.
#[derive(Default, Clone)]
pub(super) struct Rooms {
    pub(super) listeners: Vec<Arc<Listening>>,
    pub(super) parts: Vec<Part>,
}

/// A client, its cache, and the name of both.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) name: Arc<str>,
    pub(super) exchanges: Arc<Exchanges>,
}

impl Premises {
    /// Publishes what there is.
    pub(super) fn furnish(&self, rooms: Rooms) {
        self.rooms.store(Arc::new(rooms));
    }

    /// What there is.
    pub(super) fn rooms(&self) -> Arc<Rooms> {
        self.rooms.load_full()
    }

    /// Requests that are being answered.
    pub(super) fn in_flight(&self) -> u64 {
        self.rooms().listeners.iter().map(|listening| listening.counts.requests.present()).sum()
    }
}
