//! A map that one thread writes and anybody reads without waiting.
//!
//! Replaced in parts: a change copies the one part that its key falls in, so that a thousand hosts
//! make a change no dearer than one does.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arc_swap::ArcSwapOption;

/// What a table holds.
pub(crate) trait Card {
    /// The name that it is found by.
    fn name(&self) -> &str;
}

/// Cards by name; changes are for the thread that owns it.
#[derive(Debug)]
pub(crate) struct Table<C> {
    parts: Box<[ArcSwapOption<Vec<Arc<C>>>]>,
    hasher: RandomState,
}

impl<C: Card> Table<C> {
    /// An empty table, of 8 KiB.
    pub(crate) fn new() -> Self {
        let parts = (0..PARTS).map(|_| ArcSwapOption::empty()).collect();
        Self { parts, hasher: RandomState::new() }
    }

    /// Adds a card; one of its name is replaced. O(cards / `PARTS`).
    pub(crate) fn insert(&self, card: &Arc<C>) {
        self.change(card.name(), Some(card));
    }

    /// Takes a card away. O(cards / `PARTS`).
    pub(crate) fn remove(&self, name: &str) {
        if self.look(name, |_| ()).is_some() {
            self.change(name, None);
        }
    }

    /// Looks at a card.
    pub(crate) fn look<R>(&self, name: &str, read: impl FnOnce(&Arc<C>) -> R) -> Option<R> {
        let part = self.part(name)?.load();
        part.as_ref()?.iter().find(|card| card.name() == name).map(read)
    }

    /// A card.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<C>> {
        self.look(name, Arc::clone)
    }

    /// All cards, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<C>> {
        let parts = self.parts.iter().filter_map(ArcSwapOption::load_full);
        parts.flat_map(|part| part.to_vec()).collect()
    }

    fn change(&self, name: &str, with: Option<&Arc<C>>) {
        let Some(part) = self.part(name) else { return };
        let before = part.load();
        let others = before.iter().flat_map(|cards| cards.iter());
        let others = others.filter(|card| card.name() != name);
        let cards: Vec<Arc<C>> = others.chain(with).cloned().collect();
        part.store((!cards.is_empty()).then(|| Arc::new(cards)));
    }

    fn part(&self, name: &str) -> Option<&ArcSwapOption<Vec<Arc<C>>>> {
        let hash = self.hasher.hash_one(name);
        self.parts.get(usize::try_from(hash % PARTS).unwrap_or(0))
    }
}

/// Parts of a table: of 10,000 cards a change copies ten.
const PARTS: u64 = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    struct Named(String, u32);

    impl Card for Named {
        fn name(&self) -> &str {
            &self.0
        }
    }

    #[test]
    fn cards_are_found_replaced_and_taken_away() {
        let table = Table::new();
        for n in 0..5_000 {
            table.insert(&Arc::new(Named(format!("host {n}"), n)));
        }
        table.insert(&Arc::new(Named("host 7".to_owned(), 70)));
        assert_eq!(table.look("host 7", |card| card.1), Some(70));
        assert_eq!(table.all().len(), 5_000);
        for n in 0..4_999 {
            table.remove(&format!("host {n}"));
        }
        table.remove("unknown");
        assert!(table.get("host 7").is_none());
        assert_eq!(table.all().iter().map(|card| card.1).collect::<Vec<_>>(), [4_999]);
    }
}
