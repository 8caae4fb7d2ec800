//! How many tunnels each host has: what stands is no request, and takes none of the host's slots.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The places that are taken, by host; hosts without any take no room.
#[derive(Default, Clone)]
pub(super) struct Places(Arc<Mutex<HashMap<String, u32>>>);

/// One of them, until it is dropped.
pub(super) struct Place {
    places: Places,
    host: String,
}

impl Places {
    /// Takes one, unless the host has `most` already.
    pub(super) fn take(&self, host: &str, most: u32) -> Option<Place> {
        let mut counts = self.counts();
        let count = counts.entry(host.to_owned()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Place { places: self.clone(), host: host.to_owned() })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.places.counts();
        if let Some(count) = counts.get_mut(&self.host) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.host);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_by_host_and_come_back() {
        let places = Places::default();
        let first = places.take("a", 1).unwrap();
        assert!(places.take("a", 1).is_none());
        assert!(places.take("b", 1).is_some());
        drop(first);
        assert!(places.counts().is_empty(), "nothing is kept of hosts without any");
        assert!(places.take("a", 1).is_some());
    }
}
