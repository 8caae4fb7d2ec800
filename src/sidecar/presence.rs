//! How many requests of a connection are being answered, so that it is known whether it is idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The requests of one connection.
#[derive(Clone, Default)]
pub(super) struct Presence(Arc<AtomicUsize>);

/// One of them, until it is dropped.
pub(super) struct Present(Arc<AtomicUsize>);

impl Presence {
    /// One more, which is answered as long as this lives.
    pub(super) fn enter(&self) -> Present {
        self.0.fetch_add(1, Ordering::AcqRel);
        Present(self.0.clone())
    }

    /// Whether there is none.
    pub(super) fn is_idle(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
