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
    /// table is full and the name is new.
    pub(super) fn hit(&mut self, name: &str) -> Option<(Arc<str>, u64)> {
        if let Some((name, _)) = self.table.get_key_value(name) {
            let name = Arc::clone(name);
            let tally = self.table.entry(Arc::clone(&name)).or_default();
            tally.hits += 1;
            return Some((name, tally.hits - 1));
        }
        if self.table.len() >= self.names_max {
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

    /// Hits that were not counted by name because the table was full.
    pub(super) fn overflowed(&self) -> u64 {
        self.overflowed
    }
}
