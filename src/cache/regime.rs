//! By which rules an answer is stored and used, and for whom these hold.
//!
//! What was stored under one regime is never used under another: what a single user's cache may
//! hold would leak once many users share it.

use std::sync::Arc;

use spillgate_actors::core::cache::rules::{Mode, Rules, SetCookie};

use crate::cache::key::Owner;

/// By which rules answers are stored inside the partition of one set of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PartitionRules {
    /// By those of a cache that many share: nothing that is meant for one.
    #[default]
    Shared,
    /// By those of a single user's cache, but without cookies: what is meant for the one who holds
    /// the credentials is stored for that one, and used for no other.
    Private,
}

/// The rules of one call, or of one cache: for what nobody owns, and inside a partition.
#[derive(Debug, Clone)]
pub struct RuleBook {
    for_all: Arc<Rules>,
    inside: Option<Arc<Rules>>,
}

impl RuleBook {
    /// The same rules for all, but as told inside a partition.
    pub fn new(rules: Rules, partitions: PartitionRules) -> Self {
        let inside = match (partitions, rules.mode) {
            (PartitionRules::Private, Mode::Shared) => {
                Some(Arc::new(Rules { mode: Mode::Partition, ..rules.clone() }))
            }
            (PartitionRules::Private, Mode::Private | Mode::Partition)
            | (PartitionRules::Shared, _) => None,
        };
        Self { for_all: Arc::new(rules), inside }
    }

    /// The rules for requests of this owner.
    pub(super) fn of(&self, owner: Owner) -> &Arc<Rules> {
        self.inside.as_ref().filter(|_| owner.is_some()).unwrap_or(&self.for_all)
    }
}

/// What tells regimes apart, as a part of keys.
pub(super) fn regime_of(rules: &Rules) -> u8 {
    let mode = match rules.mode {
        Mode::Shared => 0,
        Mode::Private => 1,
        Mode::Partition => 2,
    };
    let cookies = match rules.set_cookie {
        SetCookie::Decline => 0,
        SetCookie::Store => 1,
    };
    (mode << 1) | cookies
}

/// All regimes that one cache can know.
pub(super) const REGIMES: std::ops::RangeInclusive<u8> = 0..=5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_rules_hold_inside_a_partition_alone() {
        let book =
            |mode| RuleBook::new(Rules { mode, ..Rules::default() }, PartitionRules::Private);
        let shared = book(Mode::Shared);
        assert_eq!(shared.of(None).mode, Mode::Shared);
        assert_eq!(shared.of(Some([1; 32])).mode, Mode::Partition);
        assert_eq!(book(Mode::Private).of(Some([1; 32])).mode, Mode::Private);
        let plain = RuleBook::new(Rules::default(), PartitionRules::Shared);
        assert_eq!(plain.of(Some([1; 32])).mode, Mode::Shared);
    }

    #[test]
    fn every_regime_has_a_number_of_its_own() {
        let mut seen = Vec::new();
        for mode in [Mode::Shared, Mode::Private, Mode::Partition] {
            for set_cookie in [SetCookie::Decline, SetCookie::Store] {
                seen.push(regime_of(&Rules { mode, set_cookie, ..Rules::default() }));
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, REGIMES.collect::<Vec<_>>());
    }
}
