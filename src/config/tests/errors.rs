//! What a person reads when a configuration is wrong, word for word.

use insta::assert_snapshot;

use super::*;

#[test]
fn unknown_key_lists_the_keys_and_the_near_miss() {
    assert_snapshot!(refusal("[defaults]\nbreaker = { failure_treshold = 5 }\n"), @r"
    spillgate.toml:2:13: unknown key `failure_treshold`
      |
    2 | breaker = { failure_treshold = 5 }
      |             ^^^^^^^^^^^^^^^^
    expected one of `kind`, `mode`, `failure_threshold`, `failure_rate`, `min_calls`, `window`, `window_calls`, `slow_call`, `slow_rate`, `slow_counted`, `reset_timeout`, `reset_growth`, `reset_timeout_max`, `reset_jitter`, `ramp`, `probes`, `success_threshold`, `probe_lease`, `half_open`, `ignore`, `learn`
    hint: did you mean `failure_threshold`?
    ");
    assert_snapshot!(refusal("[cache]\nmode = \"shared\"\n"), @r"
    spillgate.toml:1:2: unknown key `cache`
      |
    1 | [cache]
      |  ^^^^^
    expected one of `defaults`, `host`, `chaos`, `telemetry`, `listener`, `admin`
    hint: `cache` belongs in `[defaults]`
    ");
    assert_snapshot!(refusal("deadline = \"30s\"\n"), @r#"
    spillgate.toml:1:1: unknown key `deadline`
      |
    1 | deadline = "30s"
      | ^^^^^^^^
    expected one of `defaults`, `host`, `chaos`, `telemetry`, `listener`, `admin`
    hint: `deadline` belongs in `[defaults]`
    "#);
    assert_snapshot!(refusal("[[host]]\nmatch = \"a\"\nlimits = { global = 3 }\n"), @r"
    spillgate.toml:3:12: unknown key `global`
      |
    3 | limits = { global = 3 }
      |            ^^^^^^
    expected one of `per_host`, `adaptive`, `floor`, `rate`, `quota`
    ");
    assert_snapshot!(refusal("[defaults]\nlimits = { adaptive = 1 }\n"), @r#"
    spillgate.toml:2:23: the number 1 is no way to adapt
      |
    2 | limits = { adaptive = 1 }
      |                       ^
    expected true, false, "vegas" or "aimd"
    "#);
}

#[test]
fn bad_duration_shows_how_one_is_written() {
    assert_snapshot!(refusal("[defaults]\ndeadline = 30\n"), @r#"
    spillgate.toml:2:12: the number 30 lacks its unit
      |
    2 | deadline = 30
      |            ^^
    expected a text such as "30s", "250ms" or "1m30s"
    hint: write "30s"
    "#);
    for bad in ["\"soon\"", "\"-5s\"", "-5", "1.5", "true", "[]", "{}", "\"\""] {
        let text = refusal(&format!("[defaults]\ndeadline = {bad}\n"));
        assert!(text.starts_with("spillgate.toml:2:12: ") && text.contains("1m30s"), "{text}");
    }
}

#[test]
fn bad_numbers_show_their_range() {
    assert_snapshot!(refusal("[defaults]\nretry = { max_attempts = -1 }\n"), @r"
    spillgate.toml:2:26: the number -1 is out of range
      |
    2 | retry = { max_attempts = -1 }
      |                          ^^
    expected a whole number from 0 to 4294967295
    ");
    for bad in [
        "retry = { max_attempts = \"4\" }",
        "retry = { factor = \"2\" }",
        "retry = { factor = 0.5 }",
        "retry = { factor = nan }",
        "retry = { budget = nan }",
        "retry = { budget = { cap = -1 } }",
        "breaker = { probes = 0 }",
        "breaker = { min_calls = 0 }",
        "breaker = { failure_rate = 0 }",
        "breaker = { success_threshold = 0 }",
        "breaker = { ignore = [200] }",
        "body_max = 0",
        "body_max = \"10 apples\"",
        "redirects = 21",
        "limits = { queue = 1.5 }",
        "timeouts = { read_idle = \"0s\" }",
    ] {
        let error = Config::from_toml(&format!("[defaults]\n{bad}\n"), "f").unwrap_err();
        assert_eq!(error.line(), Some(2), "{bad}\n{error}");
        assert!(error.to_string().contains("\nexpected ") || error.count() == 1, "{error}");
    }
}

#[test]
fn wrong_types_are_named_without_repeating_texts() {
    assert_snapshot!(refusal("[defaults]\nretry = 4\n"), @r"
    spillgate.toml:2:9: integer 4 cannot stand here
      |
    2 | retry = 4
      |         ^
    expected a table
    ");
    assert_snapshot!(refusal("[defaults]\nretry = { methods = \"GET\" }\n"), @r#"
    spillgate.toml:2:21: a text cannot stand here
      |
    2 | retry = { methods = "GET" }
      |                     ^^^^^
    expected a list
    "#);
    assert_snapshot!(refusal("[host]\nmatch = \"a\"\n"), @r"
    spillgate.toml:1:1: a table cannot stand here
      |
    1 | [host]
      | ^^^^^^
    expected a list
    hint: a list of tables is written `[[host]]`, `[[host.route]]`
    ");
}

#[test]
fn unknown_words_list_the_known_ones() {
    assert_snapshot!(refusal("[defaults]\nretry = { jitter = \"ful\" }\n"), @r#"
    spillgate.toml:2:20: unknown value `ful`
      |
    2 | retry = { jitter = "ful" }
      |                    ^^^^^
    expected one of `full`, `equal`, `none`
    hint: did you mean `full`?
    "#);
    assert_snapshot!(refusal("[defaults]\nbreaker = { ignore = [\"http_response_timout\"] }\n"), @r#"
    spillgate.toml:2:22: the text "http_response_timout" is no error kind
      |
    2 | breaker = { ignore = ["http_response_timout"] }
      |                      ^^^^^^^^^^^^^^^^^^^^^^^^
    expected an error kind such as "http_response_timeout" or a status from 400 to 599
    hint: did you mean `http_response_timeout`?
    "#);
    assert_snapshot!(refusal("[defaults]\nretry = { methods = [\"get\"] }\n"), @r#"
    spillgate.toml:2:21: "get" is no method
      |
    2 | retry = { methods = ["get"] }
      |                     ^^^^^^^
    expected a method such as GET or POST
    hint: write `GET`
    "#);
}

#[test]
fn contradiction_shows_both_numbers_at_the_key() {
    let text = "[defaults]\ndeadline = \"5s\"\ntimeouts = { attempt = \"10s\" }\n";
    assert_snapshot!(refusal(text), @r#"
    spillgate.toml:3:14: timeouts.attempt: an attempt of 10s can never fit a deadline of 5s
      |
    3 | timeouts = { attempt = "10s" }
      |              ^^^^^^^
    expected timeouts.attempt <= deadline
    "#);
    let text = "[[host]]\nmatch = \"a\"\n[[host.route]]\nmatch = \"/slow\"\n\
                timeouts.attempt = \"40s\"\n";
    assert_snapshot!(refusal(text), @r#"
    spillgate.toml:5:10: timeouts.attempt: an attempt of 40s can never fit a deadline of 30s
      |
    5 | timeouts.attempt = "40s"
      |          ^^^^^^^
    expected timeouts.attempt <= deadline
    "#);
}

#[test]
fn every_zero_limit_is_reported_at_once() {
    let text = "[defaults]\nlimits = { per_host = 0, global = 0 }\n";
    assert_snapshot!(refusal(text), @r"
    spillgate.toml:2:12: limits.per_host: 0 slots let no call pass
      |
    2 | limits = { per_host = 0, global = 0 }
      |            ^^^^^^^^
    expected at least 1

    spillgate.toml:2:26: limits.global: 0 slots let no call pass
      |
    2 | limits = { per_host = 0, global = 0 }
      |                          ^^^^^^
    expected at least 1
    ");
    let error = Config::from_toml(text, "f").unwrap_err();
    assert_eq!((error.count(), error.line(), error.column()), (2, Some(2), Some(12)));
    assert_eq!(error.message(), "limits.per_host: 0 slots let no call pass");
}

#[test]
fn breaker_settings_that_do_nothing_are_refused() {
    let text = "[defaults]\nbreaker = { kind = \"rate\", failure_threshold = 5 }\n";
    assert_snapshot!(refusal(text), @r#"
    spillgate.toml:2:28: `failure_threshold` does nothing for a breaker of kind "rate"
      |
    2 | breaker = { kind = "rate", failure_threshold = 5 }
      |                            ^^^^^^^^^^^^^^^^^
    hint: leave it out, or choose kind = "consecutive" or "hybrid"
    "#);
    for bad in [
        "{ kind = \"consecutive\", min_calls = 5 }",
        "{ failure_threshold = 5, failure_rate = 0.5 }",
        "{ reset_timeout = \"2m\", reset_timeout_max = \"1m\" }",
        "{ reset_timeout = \"0s\" }",
    ] {
        let error = Config::from_toml(&format!("[defaults]\nbreaker = {bad}\n"), "f").unwrap_err();
        assert_eq!(error.line(), Some(2), "{error}");
    }
}

#[test]
fn ties_name_both_patterns() {
    assert_snapshot!(refusal("[[host]]\nmatch = \"a*\"\n[[host]]\nmatch = \"*a\"\n"), @r#"
    spillgate.toml:4:1: a tie: `*a` and `a*` of line 2 match the same hosts, neither is narrower
      |
    4 | match = "*a"
      | ^^^^^
    hint: make one of them narrower, or merge them
    "#);
    assert_snapshot!(refusal("[[host]]\nmatch = \"a\"\n\n[[host]]\nmatch = \"A.\"\n"), @r#"
    spillgate.toml:5:1: a tie: `a` is declared twice, first in line 2
      |
    5 | match = "A."
      | ^^^^^
    hint: make one of them narrower, or merge them
    "#);
    let routes = "[[host]]\nmatch = \"a\"\n[[host.route]]\nmatch = \"/x/{id}\"\n\
                  retry = { budget = 0.1 }\n[[host.route]]\nmatch = \"/{x}/y\"\n";
    assert_snapshot!(refusal(routes), @r#"
    spillgate.toml:5:11: retry.budget belongs to a host, not to a route
      |
    5 | retry = { budget = 0.1 }
      |           ^^^^^^
    hint: move it to the `[[host]]` above

    spillgate.toml:7:1: a tie: `/{x}/y` and `/x/{id}` of line 4 match the same calls, neither is narrower
      |
    7 | match = "/{x}/y"
      | ^^^^^
    hint: make one of them narrower, or merge them
    "#);
}

#[test]
fn bad_patterns_are_shown_together() {
    let text = "[[host]]\nmatch = \"a:99999\"\n[[host.route]]\nmatch = \"post /x\"\n";
    assert_snapshot!(refusal(text), @r#"
    spillgate.toml:2:1: bad port in host pattern
      |
    2 | match = "a:99999"
      | ^^^^^
    expected a host name such as `api.example.com`, `*.example.com` or `localhost:8080`

    spillgate.toml:4:1: "post" is no method
      |
    4 | match = "post /x"
      | ^^^^^
    expected a method such as GET or POST
    hint: write `POST`
    "#);
    assert_snapshot!(refusal("[[host]]\ndeadline = \"1s\"\n"), @r#"
    spillgate.toml:1:1: missing key `match`
      |
    1 | [[host]]
      | ^^^^^^^^
    expected the hosts that it is about, such as match = "api.example.com" or "*.example.com"
    "#);
    let route = "[[host]]\nmatch = \"a\"\n[[host.route]]\ndeadline = \"1s\"\n";
    assert_snapshot!(refusal(route), @r#"
    spillgate.toml:3:1: missing key `match`
      |
    3 | [[host.route]]
      | ^^^^^^^^^^^^^^
    expected the calls that it is about, such as match = "/v1/**" or "POST /v1/charges"
    "#);
}

#[test]
fn broken_toml_is_shown_where_it_breaks() {
    assert_snapshot!(refusal("[defaults\n"), @r"
    spillgate.toml:1:10: unclosed table
      |
    1 | [defaults
      |          ^
    expected `]`
    ");
    assert_snapshot!(refusal("[defaults]\ndeadline =\n"), @r"
    spillgate.toml:2:11: the value is missing
      |
    2 | deadline =
      |           ^
    ");
    assert_snapshot!(refusal("[defaults]\ndeadline = \"1s\"\ndeadline = \"2s\"\n"), @r#"
    spillgate.toml:3:1: duplicate key
      |
    3 | deadline = "2s"
      | ^^^^^^^^
    "#);
}

#[test]
fn every_cut_of_the_sample_is_read_or_refused_with_a_place() {
    let sample = Config::sample();
    let lines = sample.lines().count();
    let cuts = (0..sample.len()).flat_map(|at| {
        let (head, tail) = sample.split_at(at);
        [head.to_owned(), format!("{head}\tä{}", tail.get(1..).unwrap_or_default())]
    });
    let errors = cuts.filter_map(|text| Config::from_toml(&text, "f").err());
    let places: Vec<Option<usize>> = errors.map(|error| error.line()).collect();
    assert!(places.len() > 1_000, "{}", places.len());
    assert!(places.iter().all(|line| line.is_some_and(|line| line <= lines)));
}

#[test]
fn secrets_stay_out_of_errors_and_debug() {
    let bad = "[telemetry]\notlp = \"http://user:hunter2@[bad?key=hunter2\"\n";
    assert_snapshot!(refusal(bad), @r#"
    spillgate.toml:2:8: this is no URL: invalid IPv6 address
      |
    2 | otlp = "http://************@[bad?***********"
      |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    expected a base URL such as "http://127.0.0.1:4318"
    "#);
    let config = read("[telemetry]\notlp = \"http://user:hunter2@c:4318/hunter2?key=hunter2\"\n");
    assert!(config.telemetry.otlp.is_some());
    assert!(!format!("{config:?}").contains("hunter2"));
    for (name, value) in [("OTLP", "hunter2@x"), ("REDACT", "hunter2")] {
        let name = format!("SPILLGATE_TELEMETRY__{name}");
        let error = with(Config::default(), &[(&name, value)]).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    let error = Config::default().add_host("u:hunter2@a", HostOverrides::default()).unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn unreadable_files_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spillgate.toml");
    let missing = Config::load(&path).unwrap_err();
    let shown = path.display();
    assert!(missing.to_string().starts_with(&format!("{shown}: cannot be read: ")), "{missing}");
    assert_eq!((missing.line(), missing.column()), (None, None));
    assert!(Config::load(directory.path()).unwrap_err().message().contains("cannot be read"));

    std::fs::write(&path, b"[defaults]\ndeadline = \"\xff\"\n").unwrap();
    let error = Config::load(&path).unwrap_err();
    assert_eq!((error.line(), error.column()), (Some(2), Some(13)));
    assert_eq!(error.message(), "this is not UTF-8");

    std::fs::write(&path, "#".repeat(2 << 20)).unwrap();
    assert!(Config::load(&path).unwrap_err().message().contains("larger than"));
}

#[test]
fn variables_are_named_and_their_near_misses_too() {
    let refusal = |name, value| with(Config::default(), &[(name, value)]).unwrap_err().to_string();
    assert_snapshot!(refusal("SPILLGATE_DEFAULTS__DEADLNE", "1s"), @r"
    SPILLGATE_DEFAULTS__DEADLNE: unknown key `deadlne`
    expected one of `deadline`, `timeouts`, `retry`, `breaker`, `limits`, `hedge`, `cache`, `coalesce`, `redirects`, `body_max`, `tls`
    hint: did you mean `SPILLGATE_DEFAULTS__DEADLINE`?
    ");
    assert_snapshot!(refusal("SPILLGATE_DEFAULTS__DEADLINE", "10"), @r#"
    SPILLGATE_DEFAULTS__DEADLINE: the number 10 lacks its unit
    expected a text such as "30s", "250ms" or "1m30s"
    hint: write "10s"
    "#);
    assert_snapshot!(refusal("SPILLGATE_DEFAULTS__BREAKER__KIND", "of"), @r"
    SPILLGATE_DEFAULTS__BREAKER__KIND: unknown value `of`
    expected one of `rate`, `consecutive`, `hybrid`, `off`
    hint: did you mean `off`?
    ");
    assert_snapshot!(refusal("SPILLGATE_DEFAULTS__TIMEOUTS__ATTEMPT", "1m"), @r"
    SPILLGATE_DEFAULTS__TIMEOUTS__ATTEMPT: timeouts.attempt: an attempt of 60s can never fit a deadline of 30s
    expected timeouts.attempt <= deadline
    ");
    assert_snapshot!(refusal("SPILLGATE_CACHE__MODE", "off"), @r"
    SPILLGATE_CACHE__MODE: unknown key `cache`
    expected one of `defaults`, `telemetry`
    ");
    let both = [
        ("SPILLGATE_DEFAULTS__RETRY__BUDGET", "0.2"),
        ("SPILLGATE_DEFAULTS__RETRY__BUDGET__CAP", "5"),
    ];
    let error = with(Config::default(), &both).unwrap_err().to_string();
    assert!(error.starts_with("SPILLGATE_DEFAULTS__RETRY__BUDGET__CAP: another"), "{error}");
}

fn refusal(text: &str) -> String {
    Config::from_toml(text, "spillgate.toml").unwrap_err().to_string()
}
