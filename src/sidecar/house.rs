//! What all connections share: who is inside, and whether it closes.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What all connections share.
#[derive(Default)]
pub(super) struct House {
    /// Listeners and connections that have not ended.
    pub(super) connections: TaskTracker,
    /// Ends connections whatever they do.
    pub(super) cut: CancellationToken,
    leaving: AtomicBool,
}

impl House {
    /// Says that all is about to end.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Whether all is about to end.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }
}
