//! What is left of the quotas that servers tell of, by scope.
//!
//! Each answer says what its server has counted; what was sent since and what is still on its way is
//! taken off, so that nobody is sent to fetch a 429. Nothing is slowed down before the quota is
//! used up: a server that wants its quota spread says so with a shorter window.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::call::ScopeKey;
use crate::quota::Quota;
use crate::rng::Rng;

/// Whether a host minds what its server tells of quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum QuotaUse {
    /// Nothing is sent beyond it.
    #[default]
    Obey,
    /// It is not looked at.
    Ignore,
}

/// The quotas of one host's scopes.
#[derive(Debug, Clone, Default)]
pub struct Allowances {
    of: BTreeMap<ScopeKey, Allowance>,
}

#[derive(Debug, Clone, Copy)]
struct Allowance {
    left: u64,
    until: Instant,
    spread: Duration,
}

impl Allowances {
    /// Learns from an answer that came while `in_flight` others were on their way.
    pub fn learn(&mut self, now: Instant, scope: &ScopeKey, quota: Quota, in_flight: u64) {
        let reset = quota.reset.min(QUOTA_HOLD_MAX);
        let Some(until) = now.checked_add(reset) else { return };
        if self.of.len() >= SCOPES_MAX && !self.of.contains_key(scope) {
            self.of.retain(|_, allowance| allowance.until > now);
        }
        if self.of.len() < SCOPES_MAX || self.of.contains_key(scope) {
            let left = quota.remaining.saturating_sub(in_flight);
            let spread = (reset / 2).min(SPREAD_MAX);
            self.of.insert(scope.clone(), Allowance { left, until, spread });
        }
    }

    /// One attempt is sent.
    pub fn spend(&mut self, scope: &ScopeKey) {
        if let Some(allowance) = self.of.get_mut(scope) {
            allowance.left = allowance.left.saturating_sub(1);
        }
    }

    /// When one call may go: `None` is at once; each call gets its own time.
    pub fn wait_until(&mut self, now: Instant, scope: &ScopeKey, rng: &mut Rng) -> Option<Instant> {
        let allowance = *self.of.get(scope)?;
        if allowance.until <= now {
            self.of.remove(scope);
            return None;
        }
        if allowance.left > 0 {
            return None;
        }
        let spread = rng.up_to(allowance.spread);
        Some(allowance.until.checked_add(spread).unwrap_or(allowance.until))
    }

    /// Until when some scope has nothing left. O(scopes).
    pub fn held_until(&self, now: Instant) -> Option<Instant> {
        let held = self.of.values().filter(|allowance| allowance.left == 0);
        held.map(|allowance| allowance.until).filter(|until| *until > now).max()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.of.clear();
    }
}

/// The longest that a quota alone holds calls back; then one learns again. A server that means it
/// answers 429 with `Retry-After`, which is obeyed for longer.
pub const QUOTA_HOLD_MAX: Duration = Duration::from_secs(60);
/// Servers tell whole seconds: calls come back within one after the renewal.
const SPREAD_MAX: Duration = Duration::from_secs(1);
/// Scopes whose quotas are remembered.
const SCOPES_MAX: usize = 1_000;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_is_left_goes_and_the_rest_waits_for_the_renewal() {
        let (now, mut rng) = (Instant::now(), Rng::new(1));
        let (mut allowances, scope) = (Allowances::default(), ScopeKey::from("a"));
        allowances.learn(now, &scope, quota(5, 4), 2);
        let sent = (0..100).take_while(|_| {
            let goes = allowances.wait_until(now, &scope, &mut rng).is_none();
            allowances.spend(&scope);
            goes
        });
        assert_eq!(sent.count(), 3, "two of five were on their way already");
        assert_eq!(allowances.held_until(now), Some(now + 4 * SECOND));
        for _ in 0..100 {
            let until = allowances.wait_until(now, &scope, &mut rng).expect("nothing is left");
            assert!(until >= now + 4 * SECOND && until <= now + 5 * SECOND);
        }
        assert_eq!(allowances.wait_until(now, &"b".into(), &mut rng), None, "another scope");
        assert_eq!(allowances.held_until(now + 4 * SECOND), None);
        assert_eq!(allowances.wait_until(now + 4 * SECOND, &scope, &mut rng), None);
    }

    #[test]
    fn newest_answer_counts_and_absurd_times_are_clamped() {
        let (now, mut rng) = (Instant::now(), Rng::new(1));
        let (mut allowances, scope) = (Allowances::default(), ScopeKey::from("a"));
        allowances.learn(now, &scope, quota(0, u64::MAX), 0);
        assert_eq!(allowances.held_until(now), Some(now + QUOTA_HOLD_MAX));
        allowances.learn(now, &scope, quota(9, 1), 0);
        assert_eq!(allowances.wait_until(now, &scope, &mut rng), None);
    }

    #[test]
    fn table_is_bounded() {
        let now = Instant::now();
        let mut allowances = Allowances::default();
        for n in 0..4_500 {
            allowances.learn(now, &format!("{n}").into(), quota(0, 9), 0);
        }
        assert_eq!(allowances.of.len(), SCOPES_MAX);
        assert!(allowances.of.contains_key("0") && !allowances.of.contains_key("4499"));
        allowances.learn(now, &"0".into(), quota(0, 20), 0);
        allowances.learn(now + 9 * SECOND, &"late".into(), quota(0, 9), 0);
        let left: Vec<&str> = allowances.of.keys().map(|scope| &**scope).collect();
        assert_eq!(left, ["0", "late"], "what is over makes room");
    }

    fn quota(remaining: u64, seconds: u64) -> Quota {
        Quota { remaining, reset: Duration::from_secs(seconds) }
    }
}
