//! How fast the slots of each lane come free.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::call::HostKey;
use crate::turnover::Turnover;

/// The service rates of all lanes.
#[derive(Debug, Default)]
pub(super) struct Foresight {
    of: BTreeMap<HostKey, Turnover>,
}

impl Foresight {
    /// A slot of a lane was taken for this long.
    pub(super) fn record(&mut self, lane: &HostKey, taken: Duration) {
        self.of.entry(lane.clone()).or_default().record(taken);
    }

    /// A lane is not needed any more.
    pub(super) fn forget(&mut self, lane: &HostKey) {
        self.of.remove(lane);
    }

    /// The service rate of a lane, if any of its slots came free yet.
    pub(super) fn of(&self, lane: &HostKey) -> Option<&Turnover> {
        self.of.get(lane)
    }
}
