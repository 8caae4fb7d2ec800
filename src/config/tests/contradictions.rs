//! What a policy is refused for, shown at the key that says it.

use insta::assert_snapshot;

use super::*;

#[test]
fn words_and_numbers_of_a_policy_are_checked_at_their_place() {
    let cases = [
        ("breaker = { kind = \"hybrd\" }", "unknown value `hybrd`", "did you mean `hybrid`?"),
        ("breaker = { mode = \"shadw\" }", "unknown value `shadw`", "did you mean `shadow`?"),
        ("breaker = { mode = \"disabled\" }", "unknown value `disabled`", "kind = \"off\""),
        ("breaker = { half_open = \"wat\" }", "unknown value `wat`", "did you mean `wait`?"),
        ("breaker = { slow_call = 2 }", "the number 2 lacks its unit", "write \"2s\""),
        ("breaker = { window_calls = 10001 }", "out of range", "from 1 to 10000"),
        ("breaker = { window_calls = 0 }", "out of range", "from 1 to 10000"),
        ("breaker = { ramp = \"soon\" }", "is no duration", "\"30s\""),
        ("breaker = { probes = 0 }", "out of range", "from 1"),
        ("limits = { adaptive = \"vega\" }", "is no way to adapt", "did you mean `vegas`?"),
        ("limits = { floor = 0 }", "out of range", "from 1"),
        ("limits = { rate = \"fast\" }", "the text \"fast\" is no rate", "\"off\""),
        ("limits = { rate = true }", "cannot stand here", "a rate such as 10"),
        ("limits = { rate = { per_sec = 1 } }", "unknown key `per_sec`", "`per_second`?"),
        ("limits = { quota = \"mind\" }", "unknown value `mind`", "`obey`, `ignore`"),
        ("retry = { preset = \"aws\" }", "unknown value `aws`", "`aws-standard`"),
        ("retry = { retry_after = \"obay\" }", "is no use", "did you mean `obey`?"),
        ("retry = { budget = { refund = \"all\" } }", "unknown value `all`", "`ratio`, `price`"),
        ("breaker = { slow_counted = \"in_flight\", slow_call = \"1s\" }", "in_flight", "did you"),
    ];
    for (line, what, expected) in cases {
        check(line, what, expected);
    }
}

#[test]
fn numbers_that_cannot_work_are_refused() {
    let cases = [
        ("breaker = { slow_call = \"0s\" }", "breaker.slow_call: 0s", "more than zero"),
        ("breaker = { slow_call = \"1s\", slow_rate = 1.5 }", "slow_rate: 1.5", "above 0, to 1"),
        ("breaker = { slow_call = \"1s\", slow_rate = nan }", "slow_rate: NaN", "above 0, to 1"),
        ("breaker = { reset_growth = 0.5 }", "a growth of 0.5", ">= 1"),
        ("breaker = { reset_growth = inf }", "a growth of inf", ">= 1"),
        ("breaker = { reset_jitter = 2 }", "reset_jitter: 2 is no share", "0 to 1"),
        ("breaker = { probe_lease = \"0s\" }", "breaker.probe_lease: 0s", "more than zero"),
        ("limits = { rate = 0 }", "0 a second in bursts of 1", "per_second above 0"),
        ("limits = { rate = nan }", "NaN a second", "per_second above 0"),
        ("limits = { per_host = 3, floor = 5 }", "a floor of 5 is above the ceiling of 3", ""),
        ("retry = { budget = { price = -1 } }", "a price must not be negative", ""),
    ];
    for (line, what, expected) in cases {
        check(line, what, expected);
    }
}

#[test]
fn contradictions_of_a_policy_name_both_numbers() {
    let cases = [
        ("breaker = { window = \"10s\", window_calls = 100 }", "10s and one of 100 calls", "leave"),
        ("breaker = { window_calls = 10, min_calls = 20 }", "20 calls are more than", "10 calls"),
        ("breaker = { slow_rate = 0.5 }", "does nothing without `slow_call`", "beside it"),
        ("breaker = { slow_counted = \"finished\" }", "without `slow_call`", "beside it"),
        ("breaker = { kind = \"off\", slow_call = \"1s\" }", "kind \"off\"", "another kind"),
        (
            "breaker = { kind = \"consecutive\", window_calls = 9 }",
            "`window_calls` does",
            "slow_call",
        ),
        (
            "breaker = { kind = \"consecutive\", reset_growth = 2 }",
            "60s is at its highest",
            "raise",
        ),
        ("breaker = { failure_threshold = 3, failure_rate = 0.5 }", "`failure_rate`", "hybrid"),
        ("limits = { adaptive = false, floor = 2 }", "`floor` does nothing", "adaptive = true"),
        ("limits = { rate = { burst = 5 } }", "a burst without `per_second`", "per_second = 10"),
        ("limits = { per_host = 30 }", "30 slots of one host are more than the 24", "global"),
        ("limits = { per_host = 3, global = 2 }", "3 slots of one host", "2 of all"),
        ("retry = { budget = { initial = 20, cap = 10 } }", "20 tokens at first", "cap of 10"),
        ("retry = { budget = { price = 14 } }", "14 tokens can never be paid from 10", "<= cap"),
    ];
    for (line, what, expected) in cases {
        check(line, what, expected);
    }
}

#[test]
fn host_with_more_slots_than_all_hosts_is_refused_where_it_says_so() {
    let text = "[[host]]\nmatch = \"a\"\nlimits = { per_host = 32 }\n";
    assert_snapshot!(refusal(text), @r"
    spillgate.toml:3:12: 32 slots of one host are more than the 24 of all hosts
      |
    3 | limits = { per_host = 32 }
      |            ^^^^^^^^
    hint: raise `global` in `[defaults.limits]`, or lower this
    ");
    let raised = format!("[defaults]\nlimits = {{ global = 40 }}\n{text}");
    assert_eq!(read(&raised).host_policy(&host("a")).concurrency, 32);
    assert_eq!(read("[defaults]\nlimits = { global = 4 }\n").limits.global, 4);
    let variable = [("SPILLGATE_DEFAULTS__LIMITS__PER_HOST", "25")];
    let error = with(Config::default(), &variable).unwrap_err().to_string();
    assert!(error.starts_with("SPILLGATE_DEFAULTS__LIMITS__PER_HOST: 25 slots"), "{error}");
}

#[test]
fn route_is_refused_what_its_host_shares() {
    let keys = ["base", "cap", "base_throttled", "retry_after"].map(|key| (key, "\"1s\""));
    let more = [("factor", "2"), ("jitter", "\"full\""), ("preset", "\"standard\"")];
    for (key, value) in keys.into_iter().chain(more) {
        let text = format!(
            "[[host]]\nmatch = \"a\"\n[[host.route]]\nmatch = \"/\"\nretry = {{ {key} = {value} }}\n"
        );
        let error = refusal(&text);
        let told = format!("spillgate.toml:5:11: retry.{key} belongs to a host, not to a route");
        assert!(error.starts_with(&told) && error.contains("[[host]]"), "{error}");
    }
}

#[test]
fn contradiction_over_what_is_inherited_points_at_the_host() {
    let text = "[defaults]\nlimits.adaptive = false\n\
                [[host]]\nmatch = \"a\"\nlimits = { floor = 2 }\n";
    assert_snapshot!(refusal(text), @r"
    spillgate.toml:5:12: `floor` does nothing for a limit that does not move
      |
    5 | limits = { floor = 2 }
      |            ^^^^^
    hint: leave it out, or choose adaptive = true
    ");
}

/// One line of `[defaults]` is refused on that line, with a caret and these words.
fn check(line: &str, what: &str, expected: &str) {
    let error = Config::from_toml(&format!("[defaults]\n{line}\n"), "f.toml").unwrap_err();
    let text = error.to_string();
    assert_eq!(error.line(), Some(2), "{line}\n{text}");
    assert!(text.starts_with("f.toml:2:") && text.contains('^'), "{line}\n{text}");
    assert!(text.contains(what) && text.contains(expected), "{line}\n{text}");
}

fn refusal(text: &str) -> String {
    Config::from_toml(text, "spillgate.toml").unwrap_err().to_string()
}
