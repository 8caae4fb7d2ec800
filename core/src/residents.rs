//! Which hosts are remembered, and which of them is forgotten first.
//!
//! A host that a flight or an attempt is bound for stays. Of the others the one goes that has been
//! unused for longest, and of those that know something worth keeping none goes before the rest.

use std::collections::BTreeMap;

use crate::call::{HostKey, Target};

/// The hosts that are remembered.
#[derive(Debug, Default)]
pub struct Residents {
    of: BTreeMap<HostKey, Resident>,
    /// Those that nothing uses, by how long.
    unused: BTreeMap<u64, HostKey>,
    /// The same of those that were found to know something.
    kept: BTreeMap<u64, HostKey>,
    turns: u64,
}

#[derive(Debug, Clone, Copy)]
struct Resident {
    uses: u32,
    /// Its place among the unused.
    turn: u64,
}

impl Residents {
    /// Remembers a host that nothing uses yet; a known one stays as it is.
    pub fn settle(&mut self, key: &HostKey) {
        if !self.of.contains_key(key) {
            self.turns += 1;
            self.of.insert(key.clone(), Resident { uses: 0, turn: self.turns });
            self.unused.insert(self.turns, key.clone());
        }
    }

    /// A flight or an attempt is bound for this target.
    pub fn hold(&mut self, target: &Target) {
        self.hold_one(&target.lane);
        if target.keeper != target.lane {
            self.hold_one(&target.keeper);
        }
    }

    /// One that was bound for it is so no more.
    pub fn release(&mut self, target: &Target) {
        self.release_one(&target.lane);
        if target.keeper != target.lane {
            self.release_one(&target.keeper);
        }
    }

    /// The host to be forgotten next, if there is one that nothing uses.
    ///
    /// O(log n), and once for each host that is found not to be plain since it was last used.
    pub fn next(&mut self, is_plain: impl Fn(&HostKey) -> bool) -> Option<HostKey> {
        while let Some((turn, key)) = self.unused.pop_first() {
            if is_plain(&key) {
                self.unused.insert(turn, key.clone());
                return Some(key);
            }
            self.kept.insert(turn, key);
        }
        self.kept.values().next().cloned()
    }

    /// Forgets a host; one that is used stays.
    pub fn forget(&mut self, key: &HostKey) {
        if self.is_used(key) {
            return;
        }
        if let Some(resident) = self.of.remove(key) {
            self.unused.remove(&resident.turn);
            self.kept.remove(&resident.turn);
        }
    }

    /// Whether a flight or an attempt is bound for a host.
    pub fn is_used(&self, key: &HostKey) -> bool {
        self.of.get(key).is_some_and(|resident| resident.uses > 0)
    }

    /// How many hosts are remembered.
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// Whether no host is remembered.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    fn hold_one(&mut self, key: &HostKey) {
        let Some(resident) = self.of.get_mut(key) else { return };
        resident.uses += 1;
        if resident.uses == 1 {
            let turn = resident.turn;
            self.unused.remove(&turn);
            self.kept.remove(&turn);
        }
    }

    fn release_one(&mut self, key: &HostKey) {
        let Some(resident) = self.of.get_mut(key).filter(|resident| resident.uses > 0) else {
            return;
        };
        resident.uses -= 1;
        if resident.uses == 0 {
            self.turns += 1;
            resident.turn = self.turns;
            self.unused.insert(self.turns, key.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_unused_goes_first_and_what_is_used_never() {
        let mut residents = settled(&["a", "b", "c"]);
        residents.hold(&target("a", "a"));
        residents.hold(&target("b", "b"));
        residents.release(&target("b", "b"));
        assert_eq!(order(&mut residents, &[]), ["c", "b"]);
        residents.release(&target("a", "a"));
        assert_eq!(order(&mut residents, &[]), ["a"]);
        assert!(residents.is_empty());
    }

    #[test]
    fn hosts_that_know_something_go_after_all_that_do_not() {
        let mut residents = settled(&["a", "b", "c", "d"]);
        assert_eq!(order(&mut residents, &["a", "b"]), ["c", "d", "a", "b"]);
    }

    #[test]
    fn host_that_is_used_again_is_asked_again() {
        let mut residents = settled(&["a", "b"]);
        assert_eq!(residents.next(|key| **key != *"a").as_deref(), Some("b"));
        residents.hold(&target("a", "a"));
        residents.release(&target("a", "a"));
        assert_eq!(order(&mut residents, &[]), ["b", "a"]);
    }

    #[test]
    fn keeper_is_used_with_its_lane() {
        let mut residents = settled(&["a", "payments"]);
        residents.hold(&target("a", "payments"));
        residents.hold(&target("a", "a"));
        residents.release(&target("a", "payments"));
        assert_eq!(residents.next(|_| true).as_deref(), Some("payments"));
        residents.forget(&"a".into());
        assert_eq!(residents.len(), 2, "it is used");
        residents.forget(&"payments".into());
        assert_eq!(residents.next(|_| true), None);
    }

    fn settled(keys: &[&str]) -> Residents {
        let mut residents = Residents::default();
        keys.iter().for_each(|key| residents.settle(&HostKey::from(*key)));
        residents
    }

    fn order(residents: &mut Residents, know: &[&str]) -> Vec<String> {
        let next = || {
            let key = residents.next(|key| !know.contains(&&**key))?;
            residents.forget(&key);
            Some(key.to_string())
        };
        std::iter::from_fn(next).collect()
    }

    fn target(lane: &str, keeper: &str) -> Target {
        Target { lane: lane.into(), keeper: keeper.into(), scope: keeper.into(), class: None }
    }
}
