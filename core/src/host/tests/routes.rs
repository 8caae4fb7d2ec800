//! Routes that fail alone get a breaker of their own; routes that fail together do not.

use super::*;
use crate::breaker::options::{SlowCalls, SlowCount};

/// PITFALLS A22: one of three routes is dead.
#[test]
fn dead_route_is_refused_and_the_other_two_never_are() {
    let mut bench = Bench::new(learning());
    let mut dead = 0;
    for n in 0..3_000 {
        bench.now += Duration::from_millis(10);
        let passed = bench.route(["/dead", "/b", "/c"][n % 3], n % 3 != 0);
        assert!(passed || n % 3 == 0, "call {n} of a healthy route was refused");
        dead += u32::from(passed && n % 3 == 0);
    }
    assert!(dead <= 20 + 8, "{dead} calls of the dead route went out in 30 s");
    assert_eq!(bench.state_of("a /dead"), BreakerState::Open);
    assert_eq!(bench.state_of("a"), BreakerState::Closed);
    assert!(bench.host.scopes().breaker("a /b").is_none());
    let told: Vec<&str> = bench.events.iter().map(|event| &*event.scope).collect();
    assert!(told.iter().all(|scope| *scope == "a /dead"), "{told:?}");
}

#[test]
fn dead_route_with_half_of_the_calls_does_not_open_the_host() {
    let mut bench = Bench::new(learning());
    for n in 0..400 {
        bench.now += Duration::from_millis(20);
        bench.route(["/dead", "/b"][n % 2], true);
    }
    for n in 0..400 {
        bench.now += Duration::from_millis(20);
        let passed = bench.route(["/dead", "/b"][n % 2], n % 2 == 1);
        assert!(passed || n % 2 == 0, "call {n}");
    }
    assert_eq!(bench.state_of("a"), BreakerState::Closed);
    assert_eq!(bench.state_of("a /dead"), BreakerState::Open);
}

#[test]
fn host_whose_routes_all_fail_opens_as_one() {
    let mut bench = Bench::new(learning());
    for n in 0..60 {
        bench.now += Duration::from_millis(10);
        bench.route(["/a", "/b", "/c"][n % 3], false);
    }
    assert_eq!(bench.state_of("a"), BreakerState::Open);
    assert_eq!(bench.host.scopes().iter().count(), 1);
}

#[test]
fn nothing_is_learned_unless_it_is_told_to() {
    let mut policy = learning();
    policy.breaker.learn = false;
    let mut bench = Bench::new(policy);
    for n in 0..300 {
        bench.now += Duration::from_millis(10);
        bench.route(["/dead", "/b", "/c"][n % 3], n % 3 != 0);
    }
    assert_eq!(bench.host.scopes().iter().count(), 1);
}

#[test]
fn route_that_recovered_shares_its_hosts_breaker_again_after_minutes() {
    let mut bench = Bench::dead();
    let mut merged = None;
    let began = bench.now;
    for n in 0..9_000 {
        bench.now += Duration::from_millis(100);
        bench.route(["/dead", "/b", "/c"][n % 3], true);
        if merged.is_none() && bench.host.scopes().breaker("a /dead").is_none() {
            merged = Some(bench.now - began);
        }
    }
    let merged = merged.expect("it joins again");
    assert!(merged > Duration::from_secs(300) && merged < Duration::from_secs(400), "{merged:?}");
}

#[test]
fn idle_route_joins_again_when_its_time_comes() {
    let mut bench = Bench::dead();
    bench.now += Duration::from_secs(61);
    assert!(bench.route("/dead", true), "the probe");
    let mut merged = false;
    while let Some(due) = bench.host.next_wake() {
        bench.now = due.max(bench.now + Duration::from_millis(1));
        let actions = bench.handle(Input::Wake);
        merged |= actions.contains(&Action::Merged("a /dead".into()));
    }
    assert!(merged && bench.host.is_idle(bench.now));
}

#[test]
fn route_whose_host_was_forgotten_while_it_was_open_joins_again_too() {
    let dead = Bench::dead();
    let left: Vec<_> = dead.host.scopes().remnants().collect();
    assert_eq!(left.len(), 1, "that of the route");
    let mut bench = Bench { now: dead.now, ..Bench::new(learning()) };
    for (scope, remnant) in left {
        bench.handle(Input::Resume(scope, remnant));
    }
    assert!(!bench.route("/dead", true), "it is open still");
    for _ in 0..90 {
        bench.now += Duration::from_secs(5);
        bench.route("/dead", true);
        bench.route("/b", true);
    }
    assert!(bench.host.scopes().breaker("a /dead").is_none(), "it was well for minutes");
    assert!(bench.host.is_idle(bench.now));
}

#[test]
fn breaker_that_somebody_configured_for_a_route_stays() {
    let mut bench = Bench::new(learning());
    let order = Order::Configure(BreakerOptions::standard());
    bench.handle(Input::Command(Command { scope: "a /x".into(), order }));
    for _ in 0..90 {
        bench.now += Duration::from_secs(5);
        bench.route("/x", true);
    }
    assert!(bench.host.scopes().breaker("a /x").is_some());
}

#[test]
fn attempt_that_was_under_way_at_the_split_moves_neither_breaker() {
    let mut bench = Bench::new(HostPolicy { concurrency: 50, ..learning() });
    (0..30).for_each(|_| assert!(bench.route("/b", true)));
    let late: Vec<AttemptId> = (0..30).map(|_| begin(&mut bench, "/dead")).collect();
    for attempt in late {
        bench.settle(attempt, status(503));
    }
    assert_eq!(bench.state_of("a"), BreakerState::Closed);
    assert_eq!(bench.state_of("a /dead"), BreakerState::Open);
    assert_eq!(bench.host.slots().taken(), 0);
}

#[test]
fn breaker_of_a_route_knows_what_was_known_of_the_route() {
    let mut bench = Bench::new(learning());
    (0..10).for_each(|_| assert!(bench.route("/b", true)));
    let sent = (0..100).filter(|_| bench.route("/dead", false)).count();
    assert_eq!(sent, 20, "those from before the split count");
}

#[test]
fn attempt_of_a_route_that_was_split_off_meanwhile_is_under_way_at_the_host_no_more() {
    let mut policy = HostPolicy { concurrency: 50, ..learning() };
    let limit = Duration::from_secs(1);
    policy.breaker.slow = Some(SlowCalls { limit, rate: 0.5, counted: SlowCount::InFlight });
    let mut bench = Bench::new(policy);
    (0..5).for_each(|_| assert!(bench.route("/b", true)));
    let attempts: Vec<AttemptId> = (0..40).map(|_| begin(&mut bench, "/dead")).collect();
    for attempt in attempts {
        bench.settle(attempt, status(503));
    }
    bench.advance(Duration::from_secs(2));
    assert_eq!(bench.state_of("a"), BreakerState::Closed, "nothing hangs there");
}

impl Bench {
    /// Sends a call that names no route, and says whether it passed.
    fn route(&mut self, path: &str, succeeds: bool) -> bool {
        let offer = self.unnamed(path);
        let attempt = offer.attempt;
        if self.send(offer).is_err() {
            return false;
        }
        self.settle(attempt, status(if succeeds { 200 } else { 503 }));
        true
    }

    fn unnamed(&mut self, path: &str) -> Offer {
        let class = Some(format!("a {path}").into());
        Offer { class, attempts_max: Some(1), ..self.offer() }
    }

    /// A host one of whose routes has been split off and is open.
    fn dead() -> Self {
        let mut bench = Self::new(learning());
        for n in 0..300 {
            bench.now += Duration::from_millis(10);
            bench.route(["/dead", "/b", "/c"][n % 3], n % 3 != 0);
        }
        assert_eq!(bench.state_of("a /dead"), BreakerState::Open);
        bench
    }

    fn state_of(&self, scope: &str) -> BreakerState {
        self.host
            .scopes()
            .breaker(scope)
            .map_or(BreakerState::Closed, crate::breaker::Breaker::state)
    }
}

fn learning() -> HostPolicy {
    HostPolicy { breaker: BreakerOptions::standard(), ..super::policy() }
}

/// Sends a call that names no route, and leaves it under way.
fn begin(bench: &mut Bench, path: &str) -> AttemptId {
    let offer = bench.unnamed(path);
    let attempt = offer.attempt;
    bench.send(offer).expect("it passes");
    attempt
}
