//! Says that a connection carries something else than HTTP from here on.
//!
//! Each request over HTTP/1.1 brings the handle of its connection in its extensions. Whoever accepts
//! an upgrade sets it before the 101 is written; what the client sends after that is not checked.
//! `CONNECT` needs no such word: what follows its head is never read as a request, and the connection
//! of a refused one is closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether what comes is passed on unchecked.
#[derive(Clone, Default)]
pub(super) struct Opaque(Arc<AtomicBool>);

impl Opaque {
    /// Ends the checks of the connection, for good.
    #[cfg_attr(not(test), expect(dead_code, reason = "upgrades are to set it"))]
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was set.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_holder_sets_is_set_for_all() {
        let (one, other) = {
            let one = Opaque::default();
            (one.clone(), one)
        };
        assert!(!other.is_set());
        one.set();
        assert!(other.is_set());
    }
}
