//! Who makes room when there are too many hosts.

use crate::call::{HostKey, Target};
use crate::coordinator::Coordinator;

impl Coordinator {
    /// The host to be forgotten next: the longest unused, one that is plain before all others, and
    /// never one that `target` names. Forgotten it is with [`Input::DropLane`].
    ///
    /// [`Input::DropLane`]: crate::coordinator::port::Input::DropLane
    pub fn dispensable(
        &mut self,
        target: &Target,
        is_plain: impl Fn(&HostKey) -> bool,
    ) -> Option<HostKey> {
        self.residents.hold(target);
        let next = self.residents.next(is_plain);
        self.residents.release(target);
        next
    }

    pub(super) fn drop_lane(&mut self, lane: &HostKey) {
        if self.residents.is_used(lane) {
            return;
        }
        self.queue.drop_lane(lane);
        self.foresight.forget(lane);
        self.device.forget(lane);
        self.residents.forget(lane);
    }
}
