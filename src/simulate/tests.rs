//! The laboratory can fail: the same seed says the same, and a wrong constant is found out.

use std::time::Duration;

use spillgate_core::breaker::options::BreakerOptions;

use crate::simulate::bars::BARS;
use crate::simulate::compare::{Calls, Candidate, World, compare, worlds};
use crate::simulate::lab::Lab;
use crate::simulate::report::Report;
use crate::simulate::run::{run, scenarios};

#[test]
fn same_seed_gives_the_same_bytes() {
    let csv = |name| run(&Lab::default(), Some(name), 2).csv();
    for name in ["S1v", "S2c", "S7a", "S9d"] {
        assert_eq!(csv(name), csv(name));
    }
}

#[test]
fn every_row_has_a_scenario_and_every_scenario_rows() {
    for bar in BARS {
        assert!(scenarios().any(|(name, _)| name == bar.scenario()), "{}", bar.id);
    }
    for (name, _) in scenarios() {
        assert!(BARS.iter().any(|bar| bar.scenario() == name), "{name}");
    }
}

#[test]
fn standard_settings_meet_the_cheap_bars() {
    for name in ["S1v", "S1a", "S1c", "S2c", "S7a", "S9d", "X"] {
        let report = run(&Lab::default(), Some(name), 1);
        assert_eq!(failures(&report), Vec::<&str>::new(), "{name}");
    }
}

#[test]
fn budget_of_one_retry_for_each_success_is_found_out() {
    let mut lab = Lab::default();
    lab.policy.retry.budget.ratio = 1.0;
    assert!(failures(&run(&lab, Some("S1a"), 1)).contains(&"S1a/token_success/f=0.2"));
}

#[test]
fn credit_of_a_thousand_retries_is_found_out() {
    let mut lab = Lab::default();
    lab.policy.retry.budget.initial = 1_000.0;
    lab.policy.retry.budget.cap = 1_000.0;
    assert!(failures(&run(&lab, Some("S1a"), 1)).contains(&"S1a/token_success/f=1"));
}

#[test]
fn breaker_without_a_slow_start_is_found_out() {
    let mut lab = Lab::default();
    lab.policy.breaker.ramp = Duration::ZERO;
    assert_eq!(failures(&run(&lab, Some("X"), 1)), ["X/slow_start"]);
}

#[test]
fn breaker_that_never_opens_is_found_out() {
    let mut lab = Lab::default();
    lab.policy.breaker = BreakerOptions::off();
    let failures = failures(&run(&lab, Some("S1b"), 1));
    assert_eq!(failures, ["S1b/rate50_10s_min20_5s/rps=100/f=1"]);
}

#[test]
fn breaker_that_opens_after_a_streak_is_found_out() {
    let mut lab = Lab::default();
    lab.policy.breaker = BreakerOptions::consecutive(5);
    let failures = failures(&run(&lab, Some("S1b"), 1));
    assert!(failures.contains(&"S1b/rate50_10s_min20_5s/rps=1000/f=0.3"), "{failures:?}");
}

#[test]
fn breaker_that_opens_at_a_fifth_is_found_out() {
    let mut lab = Lab::default();
    lab.policy.breaker.failure_rate = 0.2;
    let failures = failures(&run(&lab, Some("S1b"), 1));
    assert!(failures.contains(&"S1b/rate50_10s_min20_5s/rps=100/f=0.2"), "{failures:?}");
}

#[test]
fn scenario_without_a_reading_fails() {
    let report = run(&Lab::default(), Some("S0"), 1);
    assert!(!report.passes());
}

#[test]
fn policy_that_never_retries_answers_fewer_calls() {
    let mut patient = Lab::default();
    patient.policy.retry.attempts_max = 1;
    let policies = [Candidate::new("standard", Lab::default()), Candidate::new("once", patient)];
    let Some(partial) = worlds().into_iter().next() else { panic!("there is a world") };
    let calls = Calls::Steady { rps: 50.0, lasting: std::time::Duration::from_secs(20) };
    let compared = compare(&policies, &[World { calls, ..partial }], 1);
    let success = &compared.rows.iter().find(|row| row.metric == "success_pct");
    let values = success.map(|row| row.values.clone()).unwrap_or_default();
    assert!(matches!(values.as_slice(), [standard, once] if *standard > once + 5.0), "{values:?}");
}

#[test]
fn policy_of_the_worlds_host_is_the_one_that_runs() {
    let mut once = Lab::default().policy;
    once.retry.attempts_max = 1;
    let section = "[[host]] match = \"*.example\"";
    let policies = [
        Candidate::new("standard", Lab::default()),
        Candidate::new("file", Lab::default()).host("api.example", section, once),
    ];
    let Some(partial) = worlds().into_iter().next() else { panic!("there is a world") };
    let calls = Calls::Steady { rps: 50.0, lasting: std::time::Duration::from_secs(20) };
    let at = |host: &str| {
        let world = World { calls, host: host.to_owned(), ..partial.clone() };
        let compared = compare(&policies, &[world], 1);
        let row = compared.rows.iter().find(|row| row.metric == "load_x").cloned();
        (row.map(|row| row.values).unwrap_or_default(), compared.table())
    };
    let (load, table) = at("api.example");
    assert!(matches!(load.as_slice(), [both, once] if *both > 1.05 && *once <= 1.0), "{load:?}");
    assert!(
        table.contains("file for host `api.example`: [[host]] match = \"*.example\""),
        "{table}"
    );
    let (load, table) = at("other.example");
    assert!(matches!(load.as_slice(), [left, right] if left.total_cmp(right).is_eq()), "{load:?}");
    assert!(!table.contains("other.example"), "{table}");
}

fn failures(report: &Report) -> Vec<&'static str> {
    report.failures().map(|row| row.bar.id).collect()
}
