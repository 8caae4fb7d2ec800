//! What is left of breakers whose hosts were forgotten, until the hosts come again.
//!
//! A few words for each breaker that was not closed. When there are too many, the one goes whose time
//! is up first, for it would have been the first to let a call pass; what only an operator may end
//! goes last.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::breaker::remnant::Remnant;
use crate::call::{HostKey, ScopeKey};

/// The remnants of forgotten hosts.
#[derive(Debug, Default)]
pub struct Remnants {
    of: BTreeMap<Owned, Remnant>,
    ends: BTreeSet<(End, Owned)>,
}

/// A scope and who keeps it.
type Owned = (HostKey, ScopeKey);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    At(Instant),
    Never,
}

impl Remnants {
    /// Remembers what is left of a scope of a forgotten host; the scope that had to go for it, if
    /// there would be more than `remnants_max`.
    pub fn keep(
        &mut self,
        keeper: &HostKey,
        scope: &ScopeKey,
        remnant: Remnant,
        remnants_max: usize,
    ) -> Option<ScopeKey> {
        let owned = (keeper.clone(), scope.clone());
        if let Some(before) = self.of.insert(owned.clone(), remnant) {
            self.ends.remove(&(End::of(&before), owned.clone()));
        }
        self.ends.insert((End::of(&remnant), owned));
        if self.of.len() <= remnants_max {
            return None;
        }
        let (_, first) = self.ends.pop_first()?;
        self.of.remove(&first);
        Some(first.1)
    }

    /// Hands over what is left of a host that has come again. O(log n + what is left).
    pub fn take(&mut self, keeper: &HostKey) -> Vec<(ScopeKey, Remnant)> {
        let from = (keeper.clone(), ScopeKey::from(""));
        let own = self.of.range(from..).take_while(|((host, _), _)| host == keeper);
        let own: Vec<(Owned, Remnant)> = own.map(|(owned, left)| (owned.clone(), *left)).collect();
        let taken = own.into_iter().map(|(owned, remnant)| {
            self.of.remove(&owned);
            self.ends.remove(&(End::of(&remnant), owned.clone()));
            (owned.1, remnant)
        });
        taken.collect()
    }

    /// How many scopes are remembered.
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty() && self.ends.is_empty()
    }
}

impl End {
    fn of(remnant: &Remnant) -> Self {
        remnant.until().map_or(Self::Never, Self::At)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::breaker::Breaker;
    use crate::breaker::options::BreakerOptions;

    #[test]
    fn host_that_comes_again_gets_its_own_and_only_once() {
        let (mut remnants, now) = (Remnants::default(), Instant::now());
        for (keeper, scope) in [("a", "a"), ("a", "a /x"), ("ab", "ab"), ("b", "b")] {
            assert_eq!(keep(&mut remnants, keeper, scope, Some(now), 9), None);
        }
        let scopes = |taken: Vec<(ScopeKey, Remnant)>| {
            taken.into_iter().map(|(scope, _)| scope.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(scopes(remnants.take(&"a".into())), ["a", "a /x"]);
        assert!(remnants.take(&"a".into()).is_empty());
        assert_eq!(scopes(remnants.take(&"b".into())), ["b"]);
        assert_eq!(scopes(remnants.take(&"ab".into())), ["ab"]);
        assert!(remnants.is_empty());
    }

    #[test]
    fn first_to_end_goes_first_and_what_an_operator_holds_last() {
        let (mut remnants, now) = (Remnants::default(), Instant::now());
        let at = |seconds| Some(now + Duration::from_secs(seconds));
        keep(&mut remnants, "forced", "forced", None, 3);
        keep(&mut remnants, "long", "long", at(60), 3);
        keep(&mut remnants, "short", "short", at(5), 3);
        let check = |remnants: &mut Remnants, key, until, gone: &str| {
            assert_eq!(keep(remnants, key, key, until, 3).as_deref(), Some(gone));
            assert_eq!(remnants.len(), 3);
        };
        check(&mut remnants, "longer", at(70), "short");
        check(&mut remnants, "soon", at(1), "soon");
        check(&mut remnants, "other", None, "long");
        check(&mut remnants, "third", None, "longer");
    }

    #[test]
    fn scope_that_is_kept_again_is_kept_once() {
        let (mut remnants, now) = (Remnants::default(), Instant::now());
        for seconds in 0..100 {
            let until = Some(now + Duration::from_secs(seconds));
            assert_eq!(keep(&mut remnants, "a", "a", until, 1), None);
        }
        assert_eq!((remnants.len(), remnants.ends.len()), (1, 1));
    }

    fn keep(
        remnants: &mut Remnants,
        keeper: &str,
        scope: &str,
        until: Option<Instant>,
        remnants_max: usize,
    ) -> Option<String> {
        let mut breaker = Breaker::new(scope.into(), BreakerOptions::default());
        breaker.force_open(until.unwrap_or_else(Instant::now), until);
        let remnant = breaker.remnant().expect("it is open");
        let gone = remnants.keep(&keeper.into(), &scope.into(), remnant, remnants_max);
        gone.map(|scope| scope.to_string())
    }
}
