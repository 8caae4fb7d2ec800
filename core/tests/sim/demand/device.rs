//! The oracle beside the device gate: while this machine has no network, one attempt at a time goes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use spillgate_core::call::{AttemptId, HostKey};
use spillgate_core::device::Sight;

use crate::reach::{Mark, Reach};

/// The books on the network.
#[derive(Debug, Default)]
pub(crate) struct Network {
    dark: BTreeSet<HostKey>,
    outage: Option<Outage>,
}

#[derive(Debug)]
struct Outage {
    pause: Duration,
    next: Instant,
    probe: Option<AttemptId>,
}

impl Network {
    /// An attempt that has ended shows something.
    pub(crate) fn seen(
        &mut self,
        now: Instant,
        (id, lane): (AttemptId, &HostKey),
        sight: Sight,
        reach: &mut Reach,
    ) {
        match (sight, &mut self.outage) {
            (Sight::Offline, None) => {
                self.dark.insert(lane.clone());
                self.outage = Some(Outage { pause: PAUSE, next: now + PAUSE, probe: None });
            }
            (Sight::Offline, Some(outage)) => {
                self.dark.insert(lane.clone());
                if outage.probe == Some(id) {
                    outage.pause = (outage.pause * 2).min(Duration::from_secs(5));
                    (outage.next, outage.probe) = (now + outage.pause, None);
                    reach.hit(Mark::OfflineProbeFailed);
                }
            }
            (Sight::Online, Some(_)) if self.dark.contains(lane) => {
                self.dark.clear();
                self.outage = None;
                reach.hit(Mark::BackOnline);
            }
            (Sight::Online | Sight::Unclear, _) => {}
        }
    }

    /// An attempt was reported; a probe that showed nothing is followed at once.
    pub(crate) fn end(&mut self, now: Instant, id: AttemptId) {
        if let Some(outage) = self.outage.as_mut().filter(|outage| outage.probe == Some(id)) {
            (outage.next, outage.probe) = (now, None);
        }
    }

    /// An attempt is sent: whether it may, if the network of its lane is gone.
    pub(crate) fn send(&mut self, now: Instant, id: AttemptId, lane: &HostKey, reach: &mut Reach) {
        if let Some(outage) = self.outage.as_mut().filter(|_| self.dark.contains(lane)) {
            assert_eq!(outage.probe, None, "one attempt at a time looks for the network");
            assert!(outage.next <= now, "{id:?} looks for the network too soon");
            outage.probe = Some(id);
            reach.hit(Mark::OfflineProbe);
        }
    }

    /// A lane is not needed any more.
    pub(crate) fn forget(&mut self, lane: &HostKey) {
        if self.dark.remove(lane) && self.dark.is_empty() {
            self.outage = None;
        }
    }
}

/// The time before the first look.
const PAUSE: Duration = Duration::from_millis(250);
