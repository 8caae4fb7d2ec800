//! Which routes of a host get a breaker of their own, found by how they fail.
//!
//! Calls that name no route share their host's breaker. One dead route among healthy ones would then
//! either stay below the host's threshold, and be asked for ever, or open the host for all. A table of
//! route classes is kept instead: one that fails while the rest of the host is well is split off, and
//! joins again once it has been well for minutes. Where all fail, or too little is known, the host's
//! own breaker decides.
//!
//! A class is an opaque name; whoever makes it keeps it of low cardinality. Costs: O(classes) to take
//! in a new class, to judge one that fails, and while one is split off.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::call::ScopeKey;
use crate::window::{Tally, Window};

/// The route classes of one host, at most 32.
#[derive(Debug, Default)]
pub struct Learning {
    /// Boxed: a tree's smallest node has room for eleven, and most hosts have one.
    classes: BTreeMap<ScopeKey, Box<Class>>,
    /// How many of them are split off.
    apart: usize,
}

/// When a class has failed enough, as the host's breaker would have it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// The share of failures from which a class counts as failing.
    pub failure_rate: f64,
    /// The time over which it is counted.
    pub window: Duration,
}

#[derive(Debug)]
struct Class {
    window: Window,
    used: Instant,
    apart: Option<Apart>,
}

/// A class that is split off.
#[derive(Debug, Default)]
struct Apart {
    /// Since when it has been well.
    well_since: Option<Instant>,
}

impl Learning {
    /// Counts a call of a class; the answer is what is known of the class if it is to be split off,
    /// which it counts as from here on.
    pub fn record(
        &mut self,
        now: Instant,
        class: &ScopeKey,
        learned: Tally,
        rule: Rule,
    ) -> Option<Tally> {
        let entry = self.class(now, class, rule);
        entry.used = now;
        entry.window.record(now, learned);
        if learned.failures == 0 || entry.apart.is_some() {
            return None;
        }
        let tally = entry.window.tally(now);
        let fails = tally.failures >= CLASS_FAILURES_MIN && share(tally) >= rule.failure_rate;
        if !fails || self.apart + 1 >= CLASSES_MAX || !self.rest_is_well(now, class) {
            return None;
        }
        self.classes.get_mut(class)?.apart = Some(Apart::default());
        self.apart += 1;
        Some(tally)
    }

    /// Counts a class as split off that has a breaker of its own from before, so that it joins again
    /// like any other; without room it is left as it is.
    pub fn adopt(&mut self, now: Instant, class: &ScopeKey, rule: Rule) {
        if self.apart + 1 >= CLASSES_MAX {
            return;
        }
        let entry = self.class(now, class, rule);
        if entry.apart.is_none() {
            entry.apart = Some(Apart::default());
            self.apart += 1;
        }
    }

    /// Takes back all classes that have been well for long enough; `is_closed` tells whether nothing
    /// holds a class's own breaker.
    pub fn rejoin(&mut self, now: Instant, is_closed: impl Fn(&ScopeKey) -> bool) -> Vec<ScopeKey> {
        let mut joined = Vec::new();
        if self.apart == 0 {
            return joined;
        }
        for (name, class) in &mut self.classes {
            let Some(apart) = &mut class.apart else { continue };
            let is_well = is_closed(name) && share(class.window.tally(now)) <= WELL_SHARE_MAX;
            apart.well_since = apart.well_since.or(Some(now)).filter(|_| is_well);
            let well_for = apart.well_since.map(|since| now.saturating_duration_since(since));
            if well_for.is_some_and(|well_for| well_for >= REJOIN_AFTER) {
                class.apart = None;
                joined.push(name.clone());
            }
        }
        self.apart -= joined.len();
        joined
    }

    /// When the next class may join again, as things stand.
    pub fn next_rejoin(&self) -> Option<Instant> {
        let since = self.classes.values().filter_map(|class| class.apart.as_ref()?.well_since);
        since.min()?.checked_add(REJOIN_AFTER)
    }

    /// Whether a class is split off.
    pub fn is_apart(&self, class: &ScopeKey) -> bool {
        self.classes.get(class).is_some_and(|class| class.apart.is_some())
    }

    /// How many classes are kept.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    fn class(&mut self, now: Instant, class: &ScopeKey, rule: Rule) -> &mut Class {
        if !self.classes.contains_key(class) {
            self.make_room();
        }
        let fresh = || Class { window: Window::new(rule.window), used: now, apart: None };
        self.classes.entry(class.clone()).or_insert_with(|| Box::new(fresh()))
    }

    /// Forgets the class that was called longest ago, if there is no room; never one that is split
    /// off, of which there is at most all but one.
    fn make_room(&mut self) {
        if self.classes.len() < CLASSES_MAX {
            return;
        }
        let shared = self.classes.iter().filter(|(_, class)| class.apart.is_none());
        let stale = shared.min_by_key(|(_, class)| class.used).map(|(name, _)| name.clone());
        if let Some(stale) = stale {
            self.classes.remove(&stale);
        }
    }

    /// Whether all that share the host's breaker with a class are well together, as far as is known.
    fn rest_is_well(&mut self, now: Instant, class: &ScopeKey) -> bool {
        let mut rest = Tally::default();
        for (name, other) in &mut self.classes {
            if name != class && other.apart.is_none() {
                rest.add(other.window.tally(now));
            }
        }
        rest.calls >= REST_CALLS_MIN && share(rest) <= WELL_SHARE_MAX
    }
}

/// The share of failures; of nothing, none.
fn share(tally: Tally) -> f64 {
    f64::from(tally.failures) / f64::from(tally.calls.max(1))
}

/// Classes of one host that are told apart; the others are the host's.
const CLASSES_MAX: usize = 32;
/// Failures of a class before its share of them is trusted.
const CLASS_FAILURES_MIN: u32 = 5;
/// Calls of all other classes before they are trusted to be well.
const REST_CALLS_MIN: u32 = 5;
/// The largest share of failures of what is well.
const WELL_SHARE_MAX: f64 = 0.1;
/// How long a class is well before it joins again.
const REJOIN_AFTER: Duration = Duration::from_secs(300);

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant has no other constructor")]
mod tests {
    use super::*;

    #[test]
    fn route_that_fails_among_healthy_ones_is_split_off() {
        let mut bench = Bench::new();
        bench.calls(10, "well", 0);
        (0..4).for_each(|_| assert_eq!(bench.record("dead", 1), None));
        assert_eq!(bench.record("dead", 1), Some(Tally { calls: 5, failures: 5, slow: 0 }));
        assert!(bench.learning.is_apart(&"dead".into()));
        assert_eq!(bench.record("dead", 1), None, "once");
    }

    #[test]
    fn nothing_is_split_off_where_all_fail_or_little_is_known() {
        let check = |well: u32, failing: u32, dead: u32, splits: bool| {
            let mut bench = Bench::new();
            bench.calls(well, "rest", 0);
            bench.calls(failing, "other", 1);
            let found = (0..dead).filter_map(|_| bench.record("dead", 1)).count();
            assert_eq!(found > 0, splits, "{well} well, {failing} failing, {dead} dead");
        };
        check(10, 0, 5, true);
        check(10, 0, 4, false);
        check(5, 0, 5, true);
        check(4, 0, 50, false);
        check(0, 0, 50, false);
        check(18, 2, 5, true);
        check(18, 3, 50, false);
        check(0, 50, 50, false);
    }

    #[test]
    fn route_that_mostly_succeeds_is_left_alone() {
        let mut bench = Bench::new();
        bench.calls(100, "rest", 0);
        for n in 0..100 {
            assert_eq!(bench.record("flaky", u32::from(n % 3 == 0)), None);
        }
    }

    #[test]
    fn second_dead_route_is_judged_without_the_first() {
        let mut bench = Bench::new();
        bench.calls(10, "well", 0);
        assert!((0..50).any(|_| bench.record("first", 1).is_some()));
        assert!((0..5).any(|_| bench.record("second", 1).is_some()));
    }

    #[test]
    fn old_failures_are_forgotten() {
        let mut bench = Bench::new();
        bench.calls(4, "a", 1);
        bench.now += Duration::from_secs(11);
        bench.calls(10, "rest", 0);
        assert_eq!(bench.record("a", 1), None);
    }

    #[test]
    fn split_route_joins_again_after_five_minutes_of_health_and_no_sooner() {
        let mut bench = Bench::split();
        assert!(bench.rejoin(true).is_empty(), "it failed a moment ago");
        assert_eq!(bench.learning.next_rejoin(), None);
        bench.now += Duration::from_secs(20);
        assert!(bench.rejoin(false).is_empty());
        assert_eq!(bench.learning.next_rejoin(), None, "its breaker is open");
        assert!(bench.rejoin(true).is_empty());
        let due = bench.learning.next_rejoin().expect("it is well");
        bench.now = due.checked_sub(Duration::from_secs(1)).unwrap();
        assert!(bench.rejoin(true).is_empty());
        bench.now = due;
        assert_eq!(bench.rejoin(true), ["dead".into()]);
        assert_eq!((bench.rejoin(true), bench.learning.next_rejoin()), (vec![], None));
    }

    #[test]
    fn relapse_begins_the_five_minutes_anew() {
        let mut bench = Bench::split();
        bench.now += Duration::from_secs(20);
        bench.rejoin(true);
        bench.now += Duration::from_secs(299);
        bench.record("dead", 1);
        assert!(bench.rejoin(true).is_empty());
        bench.now += Duration::from_secs(100);
        assert!(bench.rejoin(true).is_empty());
        assert!(bench.learning.is_apart(&"dead".into()));
    }

    #[test]
    fn table_is_bounded_and_keeps_what_is_split_off() {
        let mut bench = Bench::split();
        for n in 0..10_000 {
            bench.now += Duration::from_millis(1);
            bench.record(&format!("/{n}"), 0);
        }
        assert_eq!(bench.learning.len(), CLASSES_MAX);
        assert!(bench.learning.is_apart(&"dead".into()));
        assert!(bench.learning.classes.contains_key("/9999"), "the newest is known");
    }

    struct Bench {
        learning: Learning,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self { learning: Learning::default(), now: Instant::now() }
        }

        fn split() -> Self {
            let mut bench = Self::new();
            bench.calls(10, "well", 0);
            assert!((0..5).any(|_| bench.record("dead", 1).is_some()));
            bench
        }

        fn record(&mut self, class: &str, failures: u32) -> Option<Tally> {
            let rule = Rule { failure_rate: 0.5, window: Duration::from_secs(10) };
            let learned = Tally { calls: 1, failures, slow: 0 };
            self.learning.record(self.now, &class.into(), learned, rule)
        }

        fn calls(&mut self, count: u32, class: &str, failures: u32) {
            for _ in 0..count {
                self.record(class, failures);
            }
        }

        fn rejoin(&mut self, is_closed: bool) -> Vec<ScopeKey> {
            self.learning.rejoin(self.now, |_| is_closed)
        }
    }
}
