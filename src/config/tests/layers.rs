//! Which value counts when several layers name it.

use http::header::HeaderName;
use spillgate_core::advice::ErrorKind;
use spillgate_core::backoff::Jitter;
use spillgate_core::breaker::options::{BreakerKind, BreakerOptions, Ignored};
use spillgate_core::budget::BudgetOptions;
use spillgate_core::limit::LimitOptions;
use spillgate_core::policy::{RetryOptions, Timeouts};

use super::*;
use crate::config::breaker::BreakerShape;
use crate::config::caching::CacheShape;
use crate::config::hedge::HedgeShape;
use crate::config::limiting::LimitsShape;
use crate::config::shape::{RetryShape, TimeoutsShape};

#[test]
fn empty_file_and_sample_are_the_defaults() {
    for text in ["", Config::sample()] {
        let (config, default) = (read(text), Config::default());
        assert_eq!(config.defaults, default.defaults);
        assert_eq!(config.limits, default.limits);
        assert_eq!(config.calls, default.calls);
        assert_eq!(config.tls, default.tls);
        assert_eq!(config.telemetry, default.telemetry);
        assert_eq!(config.host_policy(&host("a")), HostPolicy::default());
    }
}

#[test]
fn sample_names_every_key_and_its_disabled_lines_are_valid() {
    let lists = [
        explain::keys_of::<DefaultsShape>(),
        explain::keys_of::<TimeoutsShape>(),
        explain::keys_of::<RetryShape>(),
        explain::keys_of::<BreakerShape>(),
        explain::keys_of::<LimitsShape>(),
        explain::keys_of::<TelemetryShape>(),
        explain::keys_of::<HedgeShape>(),
        explain::keys_of::<CacheShape>(),
    ];
    for key in lists.iter().flatten() {
        assert!(Config::sample().contains(key), "{key}");
    }
    assert_eq!(lists.map(|list| list.len()), [11, 3, 10, 21, 9, 4, 4, 12]);
    let enable = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
        Some(_) | None => line.to_owned(),
    };
    let enabled: Vec<String> = Config::sample().lines().map(enable).collect();
    let config = read(&enabled.join("\n"));
    assert_eq!(config.host_policy(&host("eu.payments.example")).concurrency, 3);
    assert!(config.telemetry.otlp.is_some());
}

#[test]
fn contract_example_is_read() {
    let config = read(
        r#"
        [defaults]
        deadline = "20s"
        timeouts = { connect = "2s", attempt = "8s", read_idle = "12s" }
        retry = { max_attempts = 3, base = "100ms", factor = 3, cap = "5s", jitter = "equal", methods = ["GET", "PUT"], budget = 0.2 }
        breaker = { kind = "rate", failure_rate = 0.4, min_calls = 10, window = "20s", reset_timeout = "2s", ignore = ["http_response_timeout", 503] }
        limits = { per_host = 3, adaptive = false, global = 12, queue = 50, calls = 70, hosts = 80 }
        coalesce = "off"
        redirects = 0
        body_max = "1MiB"
        tls = { ca = "ca.pem" }
        [telemetry]
        otlp = "http://127.0.0.1:4318"
        service_name = "shop"
        protocol = "grpc"
        redact = { headers = ["X-Api-Key"], query = ["token"] }
        "#,
    );
    let HostPolicy { deadline, timeouts, retry, breaker, concurrency, limit, .. } = config.defaults;
    assert_eq!((deadline, concurrency, limit), (seconds(20), 3, LimitOptions::fixed()));
    assert_eq!(
        timeouts,
        Timeouts { connect: seconds(2), attempt: seconds(8), read_idle: seconds(12) }
    );
    assert_eq!((retry.attempts_max, retry.backoff.jitter), (3, Jitter::Equal));
    assert_eq!((retry.backoff.factor, retry.backoff.cap), (3.0, seconds(5)));
    assert_eq!(retry.budget, BudgetOptions { ratio: 0.2, ..BudgetOptions::default() });
    let ignore = vec![Ignored::Kind(ErrorKind::HttpResponseTimeout), Ignored::Status(503)];
    let expected = BreakerOptions {
        min_calls: 10,
        window: seconds(20),
        reset_timeout: seconds(2),
        ignore,
        ..BreakerOptions::rate(0.4)
    };
    assert_eq!(breaker, expected);
    let limits = Limits { global: 12, queue_max: 50, calls_max: 70, hosts_max: 80 };
    assert_eq!(config.limits, limits);
    let calls = CallDefaults {
        methods_repeatable: vec![Method::GET, Method::PUT],
        coalesce: Coalesce::Off,
        redirects_max: 0,
        body_bytes_max: 1 << 20,
    };
    assert_eq!(config.calls, calls);
    assert_eq!(config.tls.ca_file.as_deref(), Some(Path::new("ca.pem")));
    assert_eq!(config.telemetry.protocol, Some(ExportProtocol::Grpc));
    assert_eq!(config.telemetry.redact.headers, [HeaderName::from_static("x-api-key")]);
}

#[test]
fn change_of_kind_starts_from_that_kinds_preset() {
    let breaker = |text: &str| read(&format!("[defaults]\nbreaker = {text}\n")).defaults.breaker;
    assert_eq!(breaker("{ kind = \"consecutive\" }"), BreakerOptions::default());
    assert_eq!(breaker("{ failure_threshold = 3 }"), BreakerOptions::consecutive(3));
    assert_eq!(breaker("{ failure_rate = 0.3 }"), BreakerOptions::rate(0.3));
    assert_eq!(breaker("{ kind = \"off\" }").kind, BreakerKind::Off);
    let text = "[defaults]\nbreaker = { kind = \"consecutive\", ignore = [503] }\n\
                [[host]]\nmatch = \"a\"\nbreaker = { kind = \"rate\" }\n\
                [[host]]\nmatch = \"b\"\nbreaker = { reset_timeout = \"15s\" }\n";
    let config = read(text);
    let ignore = vec![Ignored::Status(503)];
    let rate = BreakerOptions { ignore: ignore.clone(), ..BreakerOptions::standard() };
    assert_eq!(config.host_policy(&host("a")).breaker, rate);
    let reset = BreakerOptions { reset_timeout: seconds(15), ignore, ..BreakerOptions::default() };
    assert_eq!(config.host_policy(&host("b")).breaker, reset);
}

#[test]
fn reset_times_grow_only_to_what_was_asked() {
    let breaker = |text: &str| read(&format!("[defaults]\nbreaker = {text}\n")).defaults.breaker;
    let longer = breaker("{ reset_timeout = \"2m\" }");
    assert_eq!((longer.reset_timeout, longer.reset_timeout_max), (seconds(120), seconds(120)));
    let growing = breaker("{ failure_threshold = 5, reset_timeout_max = \"5m\" }");
    assert_eq!((growing.reset_growth, growing.reset_timeout_max), (1.5, seconds(300)));
}

#[test]
fn each_host_may_fix_its_limit_or_free_it() {
    let text = "[defaults]\nlimits = { adaptive = false }\n\
                [[host]]\nmatch = \"a\"\nlimits = { adaptive = true }\n\
                [[host]]\nmatch = \"b\"\nlimits = { per_host = 2 }\n";
    let limit = |name: &str| read(text).host_policy(&host(name)).limit;
    assert_eq!(limit("a"), LimitOptions::default());
    assert_eq!(limit("b"), LimitOptions::fixed());
    assert_eq!(limit("c"), LimitOptions::fixed());
}

#[test]
fn inherited_bounds_give_way_to_lower_ones() {
    let policy = |text: &str| read(text).host_policy(&host("a"));
    let short = policy("[defaults]\ndeadline = \"2s\"\n");
    assert_eq!((short.timeouts.attempt, short.timeouts.connect), (seconds(2), seconds(2)));
    let explicit = "[defaults]\ntimeouts = { attempt = \"9s\" }\n\
                    [[host]]\nmatch = \"a\"\ndeadline = \"5s\"\n";
    assert_eq!(policy(explicit).timeouts.attempt, seconds(5));
    let capped = policy("[defaults]\nretry = { cap = \"100ms\" }\n").retry.backoff;
    assert_eq!(capped.base, capped.cap);
    let longer = policy("[defaults]\ndeadline = \"2m\"\n");
    assert_eq!(longer.timeouts, Timeouts::default());
}

#[test]
fn variables_override_the_file_and_others_are_ignored() {
    let file = read("[defaults]\ndeadline = \"20s\"\nretry = { max_attempts = 3, cap = \"5s\" }\n");
    let variables = [
        ("SPILLGATE_DEFAULTS__DEADLINE", "12s"),
        ("SPILLGATE_DEFAULTS__RETRY__MAX_ATTEMPTS", "2"),
        ("SPILLGATE_DEFAULTS__RETRY__METHODS", "GET, PUT"),
        ("SPILLGATE_DEFAULTS__RETRY__BUDGET__CAP", "5"),
        ("SPILLGATE_DEFAULTS__BREAKER", "{ kind = \"consecutive\" }"),
        ("SPILLGATE_DEFAULTS__BREAKER__IGNORE", ""),
        ("SPILLGATE_DEFAULTS__TLS__CA", "ca.pem"),
        ("SPILLGATE_TELEMETRY__SERVICE_NAME", "2024-01-01"),
        ("SPILLGATE_TELEMETRY__REDACT__QUERY", "token,7"),
        ("SPILLGATE_DEADLINE", "junk"),
        ("SPILLGATE_SEED", "7"),
        ("OTHER__DEADLINE", "junk"),
    ];
    let error = with(file.clone(), &variables).unwrap_err();
    assert!(error.message().contains("the number 7 is no text"), "{error}");
    let variables: Vec<(&str, &str)> = variables
        .into_iter()
        .map(|(name, value)| (name, if value == "token,7" { "token" } else { value }))
        .collect();
    let config = with(file, &variables).unwrap();
    assert_eq!(config.defaults.deadline, seconds(12));
    assert_eq!(config.defaults.retry.attempts_max, 2);
    assert_eq!(config.defaults.retry.backoff.cap, seconds(5));
    assert_eq!(
        config.defaults.retry.budget,
        BudgetOptions { cap: 5.0, ..BudgetOptions::default() }
    );
    assert_eq!(config.defaults.breaker, BreakerOptions::default());
    assert_eq!(config.calls.methods_repeatable, [Method::GET, Method::PUT]);
    assert_eq!(config.telemetry.service_name.as_deref(), Some("2024-01-01"));
    assert_eq!(config.telemetry.redact.query, ["token"]);
}

#[test]
fn later_contradiction_points_at_the_layer_that_made_it() {
    let file = read("[defaults]\ndeadline = \"20s\"\ntimeouts = { attempt = \"9s\" }\n");
    let shorter = [("SPILLGATE_DEFAULTS__DEADLINE", "5s")];
    assert_eq!(with(file.clone(), &shorter).unwrap().defaults.timeouts.attempt, seconds(5));
    let longer = [("SPILLGATE_DEFAULTS__TIMEOUTS__ATTEMPT", "25s")];
    let error = with(file, &longer).unwrap_err().to_string();
    assert!(error.starts_with("SPILLGATE_DEFAULTS__TIMEOUTS__ATTEMPT: "), "{error}");
    assert!(error.contains("25s") && error.contains("20s"), "{error}");
}

#[test]
fn program_overrides_the_file_for_the_same_host() {
    let mut config =
        read("[[host]]\nmatch = \"*.a.example\"\ndeadline = \"20s\"\nlimits = { per_host = 2 }\n");
    let overrides = HostOverrides::default()
        .concurrency(9)
        .breaker(BreakerOptions::consecutive(5))
        .retry(RetryOptions { attempts_max: 9, ..RetryOptions::default() })
        .attempts(1)
        .deadline(seconds(4));
    config.add_host("*.example", overrides).unwrap();
    let policy = config.host_policy(&host("x.a.example"));
    assert_eq!((policy.concurrency, policy.deadline), (9, seconds(4)));
    assert_eq!((policy.retry.attempts_max, policy.timeouts.attempt), (1, seconds(4)));
    assert_eq!(policy.breaker, BreakerOptions::consecutive(5));
    assert_eq!(config.host_policy(&host("other")), HostPolicy::default());
    assert_eq!(config.check(), Ok(()));
}

#[test]
fn program_is_refused_what_cannot_work() {
    let mut config = Config::default();
    let mut refusal =
        |pattern, overrides| config.add_host(pattern, overrides).unwrap_err().to_string();
    let hosts = HostOverrides::default;
    assert_eq!(
        refusal("*.a", hosts().concurrency(0)),
        "host `*.a` set in code: limits.per_host: 0 slots let no call pass\nexpected at least 1"
    );
    let timeouts = Timeouts { attempt: seconds(9), ..Timeouts::default() };
    let both = refusal("b", hosts().timeouts(timeouts).deadline(seconds(5)));
    assert!(both.contains("9s") && both.contains("5s"), "{both}");
    assert!(refusal("http://c", hosts()).contains("no URL"));
    config.add_host("d*", hosts()).unwrap();
    let tie = config.add_host("*d", hosts()).unwrap_err().to_string();
    assert!(tie.contains("`*d` and `d*` match the same hosts"), "{tie}");
}

#[test]
fn changed_fields_are_checked_again() {
    let mut config = Config::default();
    config.limits.global = 0;
    let error = config.check().unwrap_err().to_string();
    assert!(error.starts_with("configuration: limits.global: 0 slots"), "{error}");
}

#[test]
fn paths_of_a_file_are_relative_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spillgate.toml");
    std::fs::write(&path, "[defaults]\r\ntls = { ca = \"certs/ca.pem\" }\r\n").unwrap();
    let config = Config::load(&path).unwrap();
    assert_eq!(config.tls.ca_file, Some(directory.path().join("certs/ca.pem")));
}
