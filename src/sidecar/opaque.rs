//! Says that a connection carries something else than HTTP from here on.
//!
//! Each request over HTTP/1.1 brings the handle of its connection in its extensions. Whoever accepts
//! an upgrade sets it before the 101 is written; what the client sends after that is not checked.
//! `CONNECT` needs no such word: what follows its head is never read as a request, and the connection
//! of a refused one is closed.

use std::sync::{Arc, OnceLock};

/// Whether what comes is passed on unchecked.
#[derive(Clone, Default)]
pub(super) struct Opaque(Arc<OnceLock<Turn>>);

/// How the checks of a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// What comes is no HTTP.
    Opaque,
    /// They found a flaw, and nothing comes any more.
    Flawed,
}

impl Opaque {
    /// Ends the checks of the connection, for good; `false` if they have ended the connection.
    pub(super) fn set(&self) -> bool {
        *self.0.get_or_init(|| Turn::Opaque) == Turn::Opaque
    }

    /// Says that a check has ended the connection.
    pub(super) fn end(&self) {
        self.0.get_or_init(|| Turn::Flawed);
    }

    /// Whether it was set.
    pub(super) fn is_set(&self) -> bool {
        self.0.get() == Some(&Turn::Opaque)
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
        assert!(one.set() && one.set());
        one.end();
        assert!(other.is_set());
    }

    #[test]
    fn what_a_check_has_ended_is_not_set() {
        let opaque = Opaque::default();
        opaque.end();
        assert!(!opaque.set() && !opaque.is_set());
    }
}
