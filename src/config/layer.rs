//! How one layer lies over another: what it names replaces, what it does not name gives way.

use std::time::Duration;

/// A setting that cannot mean what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slip {
    pub(super) setting: &'static str,
    pub(super) message: String,
    pub(super) hint: &'static str,
}

impl Slip {
    pub(super) fn new(setting: &'static str, message: String, hint: &'static str) -> Self {
        Self { setting, message, hint }
    }
}

/// Changes `field` if there is something to change it to.
pub(super) fn put<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// Lowers an inherited bound; never to zero, which would blame it for the other's fault.
pub(super) fn give_way(bound: &mut Duration, most: Duration) {
    if !most.is_zero() {
        *bound = (*bound).min(most);
    }
}

/// The first key of a list that is set.
pub(super) fn first_set(keys: &[(&'static str, bool)]) -> Option<&'static str> {
    keys.iter().find_map(|(key, is_set)| is_set.then_some(*key))
}
