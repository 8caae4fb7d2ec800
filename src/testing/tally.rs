//! Counters by name with a limit on the names, since clients choose the names.

use std::collections::HashMap;
use std::sync::Arc;

/// A bounded table of counters.
#[derive(Debug)]
pub(super) struct Tallies {
    table: HashMap<Arc<str>, Tally>,
    names_max: usize,
    overflowed: u64,
}

/// What is counted for one name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) hits: u64,
    pub(super) aborted: u64,
}

impl Tallies {
    pub(super) fn new(names_max: usize) -> Self {
        Self { table: HashMap::new(), names_max, overflowed: 0 }
    }

    /// Counts a hit; answers the shared name and the hits before this one, or nothing when the
    /// name is new and the table is full or the name is longer than a kilobyte.
    pub(super) fn hit(&mut self, name: &str) -> Option<(Arc<str>, u64)> {
        if let Some((name, _)) = self.table.get_key_value(name) {
            let name = Arc::clone(name);
            let tally = self.table.entry(Arc::clone(&name)).or_default();
            tally.hits += 1;
            return Some((name, tally.hits - 1));
        }
        if self.table.len() >= self.names_max || name.len() > NAME_BYTES_MAX {
            self.overflowed += 1;
            return None;
        }
        let name: Arc<str> = name.into();
        self.table.insert(Arc::clone(&name), Tally { hits: 1, aborted: 0 });
        Some((name, 0))
    }

    pub(super) fn abort(&mut self, name: &str) {
        if let Some(tally) = self.table.get_mut(name) {
            tally.aborted += 1;
        }
    }

    pub(super) fn of(&self, name: &str) -> Tally {
        self.table.get(name).copied().unwrap_or_default()
    }

    /// Hits that were not counted by name.
    pub(super) fn overflowed(&self) -> u64 {
        self.overflowed
    }
}

const NAME_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_still_counts_the_names_it_has() {
        let mut tallies = Tallies::new(1);
        assert_eq!(tallies.hit("a"), Some(("a".into(), 0)));
        assert_eq!(tallies.hit("b"), None);
        assert_eq!(tallies.hit("a"), Some(("a".into(), 1)));
        assert_eq!((tallies.of("a").hits, tallies.of("b").hits), (2, 0));
        assert_eq!(tallies.overflowed(), 1);
    }

    #[test]
    fn a_name_too_long_is_not_kept() {
        let mut tallies = Tallies::new(10);
        assert!(tallies.hit(&"x".repeat(NAME_BYTES_MAX)).is_some());
        assert_eq!(tallies.hit(&"x".repeat(NAME_BYTES_MAX + 1)), None);
    }
}
