//! The table of routes beside a list of all that ever happened.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use spillgate_core::call::ScopeKey;
use spillgate_core::learning::{Learning, Rule};
use spillgate_core::window::Tally;

use crate::{HISTORIES, cases};

/// A call of a route.
#[derive(Debug, Clone, Copy)]
struct Call {
    at: Instant,
    route: usize,
    failures: u32,
}

proptest! {
    #![proptest_config(cases(HISTORIES))]

    /// A route is split off exactly when it fails and the rest of what shares the host's breaker is
    /// well; it joins again only once it has been well for five minutes; the table stays bounded.
    #[test]
    fn route_is_split_off_exactly_when_it_fails_alone(
        health in prop::collection::vec(prop_oneof![Just(0), 0_u32..12, 40_u32..=100], 1..5),
        steps in prop::collection::vec((0_usize..5, 0_u32..100, 0_u64..100, any::<bool>()), 1..400),
    ) {
        let names: Vec<ScopeKey> = (0..5).map(|n| format!("a GET /{n}").into()).collect();
        let (mut learning, mut now) = (Learning::default(), Instant::now());
        let (mut calls, mut apart): (Vec<Call>, BTreeSet<usize>) = (Vec::new(), BTreeSet::new());
        for (route, draw, pause_ms, is_closed) in steps {
            // Nine in ten pauses are short, so that windows fill; the others end them, or a health.
            now += Duration::from_millis(if pause_ms < 95 { pause_ms } else { pause_ms * 2_000 });
            let route = route % health.len();
            let failures = u32::from(draw < health[route]);
            calls.push(Call { at: now, route, failures });
            let learned = Tally { calls: 1, failures, slow: 0 };
            let split = learning.record(now, &names[route], learned, RULE).is_some();
            // The window forgets a tenth at a time: what is neither surely in it nor surely out is
            // left undecided.
            if let Some(fails_alone) = verdict(&calls, &apart, route, now) {
                let expected = fails_alone && failures == 1 && !apart.contains(&route);
                prop_assert_eq!(split, expected, "{} after {} calls", route, calls.len());
            }
            if split {
                apart.insert(route);
            }
            for joined in learning.rejoin(now, |_| is_closed) {
                let joined = names.iter().position(|name| *name == joined).expect("it is known");
                prop_assert!(apart.remove(&joined), "only what is apart joins");
                prop_assert!(is_closed, "its breaker is closed");
            }
            for (n, name) in names.iter().enumerate() {
                prop_assert_eq!(learning.is_apart(name), apart.contains(&n));
            }
            prop_assert!(learning.len() <= 32 && learning.next_rejoin().is_none_or(|at| at > now));
        }
    }
}

/// Whether a route fails alone by its latest calls; `None` if the edge of the window matters.
fn verdict(calls: &[Call], apart: &BTreeSet<usize>, route: usize, now: Instant) -> Option<bool> {
    let recent = calls.iter().filter(|call| now - call.at <= TEN);
    let (mut own, mut rest) = (Tally::default(), Tally::default());
    for call in recent {
        let learned = Tally { calls: 1, failures: call.failures, slow: 0 };
        if call.route == route {
            own.add(learned);
        } else if !apart.contains(&call.route) {
            rest.add(learned);
        }
    }
    let at_edge = calls.iter().any(|call| now - call.at > NINE && now - call.at <= TEN);
    let share = |tally: Tally| f64::from(tally.failures) / f64::from(tally.calls.max(1));
    let fails = own.failures >= 5 && share(own) >= 0.5;
    (!at_edge).then_some(fails && rest.calls >= 5 && share(rest) <= 0.1)
}

const RULE: Rule = Rule { failure_rate: 0.5, window: TEN };
const TEN: Duration = Duration::from_secs(10);
/// What is this old may be forgotten already.
const NINE: Duration = Duration::from_secs(9);
