//! Which answers are being renewed, so that each is renewed once however many ask for it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cache::key::Owner;

/// Where an answer is stored, whose it is, and which of those that are known there.
pub(crate) type Place = (([u8; 32], Owner), Vec<u8>);

/// The renewals that are under way.
#[derive(Default)]
pub(crate) struct Renewals(Arc<Mutex<HashSet<Place>>>);

/// The right to renew one answer; it ends when it is dropped.
pub(crate) struct Turn {
    place: Place,
    under_way: Arc<Mutex<HashSet<Place>>>,
}

impl Renewals {
    /// Begins a renewal; `None` if it is under way, or too many are.
    pub(crate) fn begin(&self, place: Place) -> Option<Turn> {
        let mut under_way = locked(&self.0);
        if under_way.len() >= RENEWALS_MAX || !under_way.insert(place.clone()) {
            return None;
        }
        Some(Turn { place, under_way: self.0.clone() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        locked(&self.under_way).remove(&self.place);
    }
}

fn locked(under_way: &Mutex<HashSet<Place>>) -> MutexGuard<'_, HashSet<Place>> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Renewals under way; beyond it what is stale is served without.
const RENEWALS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_renewed_once_at_a_time() {
        let renewals = Renewals::default();
        let place = |n: u8| (([n; 32], None), Vec::new());
        let turn = renewals.begin(place(1)).unwrap();
        assert!(renewals.begin(place(1)).is_none());
        assert!(renewals.begin(place(2)).is_some());
        drop(turn);
        assert!(renewals.begin(place(1)).is_some());
    }

    #[test]
    fn too_many_are_refused() {
        let renewals = Renewals::default();
        let place = |n: usize| (([0; 32], None), n.to_le_bytes().to_vec());
        let turns: Vec<_> = (0..RENEWALS_MAX).filter_map(|n| renewals.begin(place(n))).collect();
        assert_eq!(turns.len(), RENEWALS_MAX);
        assert!(renewals.begin(place(RENEWALS_MAX)).is_none());
    }
}
