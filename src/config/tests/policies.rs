//! Each key of a policy reaches the number it is named after, from every layer.

use spillgate_core::allowance::QuotaUse;
use spillgate_core::backoff::HintUse;
use spillgate_core::breaker::options::{
    BreakerKind, BreakerOptions, HalfOpen, Ignored, SlowCalls, SlowCount,
};
use spillgate_core::budget::{BudgetOptions, Refund};
use spillgate_core::event::BreakerMode;
use spillgate_core::limit::{LimitKind, LimitOptions};
use spillgate_core::policy::RetryOptions;
use spillgate_core::rate::RateOptions;

use super::*;

/// A key, what is written, and what it makes of the standard policy.
type Case = (&'static str, &'static str, fn(&mut HostPolicy));

const CASES: [Case; 41] = [
    ("breaker.kind", "\"rate\"", |_| {}),
    ("breaker.kind", "\"off\"", |policy| policy.breaker = BreakerOptions::off()),
    ("breaker.kind", "\"consecutive\"", |policy| policy.breaker = BreakerOptions::consecutive(5)),
    ("breaker.kind", "\"hybrid\"", |policy| policy.breaker = BreakerOptions::hybrid(5, 0.5)),
    ("breaker.mode", "\"enforce\"", |_| {}),
    ("breaker.mode", "\"shadow\"", |policy| policy.breaker.mode = BreakerMode::Shadow),
    ("breaker.failure_threshold", "3", |policy| policy.breaker = BreakerOptions::consecutive(3)),
    ("breaker.failure_rate", "0.25", |policy| policy.breaker.failure_rate = 0.25),
    ("breaker.min_calls", "7", |policy| policy.breaker.min_calls = 7),
    ("breaker.window", "\"30s\"", |policy| policy.breaker.window = seconds(30)),
    ("breaker.window_calls", "50", |policy| policy.breaker.window_calls = Some(50)),
    ("breaker.slow_call", "\"2s\"", |policy| {
        let counted = SlowCount::AtItsEnd;
        policy.breaker.slow = Some(SlowCalls { limit: seconds(2), rate: 0.8, counted });
    }),
    ("breaker.slow_call", "\"off\"", |_| {}),
    ("breaker.reset_timeout", "\"7s\"", |policy| policy.breaker.reset_timeout = seconds(7)),
    ("breaker.reset_growth", "2", |policy| policy.breaker.reset_growth = 2.0),
    ("breaker.reset_timeout_max", "\"90s\"", |policy| {
        policy.breaker.reset_timeout_max = seconds(90);
    }),
    ("breaker.reset_jitter", "0.5", |policy| policy.breaker.reset_jitter = 0.5),
    ("breaker.ramp", "\"0s\"", |policy| policy.breaker.ramp = Duration::ZERO),
    ("breaker.probes", "3", |policy| policy.breaker.probes_max = 3),
    ("breaker.success_threshold", "2", |policy| policy.breaker.success_threshold = 2),
    ("breaker.probe_lease", "\"9s\"", |policy| policy.breaker.probe_lease = seconds(9)),
    ("breaker.half_open", "\"refuse\"", |_| {}),
    ("breaker.half_open", "\"wait\"", |policy| policy.breaker.half_open = HalfOpen::Queue),
    ("breaker.ignore", "[503]", |policy| policy.breaker.ignore = vec![Ignored::Status(503)]),
    ("limits.per_host", "9", |policy| policy.concurrency = 9),
    ("limits.adaptive", "true", |_| {}),
    ("limits.adaptive", "false", |policy| policy.limit = LimitOptions::fixed()),
    ("limits.adaptive", "\"vegas\"", |_| {}),
    ("limits.adaptive", "\"aimd\"", |policy| policy.limit.kind = LimitKind::Aimd),
    ("limits.floor", "2", |policy| policy.limit.floor = 2),
    ("limits.rate", "10", |policy| {
        policy.rate = Some(RateOptions { per_second: 10.0, burst: 1 });
    }),
    ("limits.rate", "{ per_second = 0.5, burst = 20 }", |policy| {
        policy.rate = Some(RateOptions { per_second: 0.5, burst: 20 });
    }),
    ("limits.rate", "\"off\"", |_| {}),
    ("limits.quota", "\"obey\"", |_| {}),
    ("limits.quota", "\"ignore\"", |policy| policy.quota = QuotaUse::Ignore),
    ("retry.preset", "\"standard\"", |_| {}),
    ("retry.preset", "\"aws-standard\"", |policy| policy.retry = RetryOptions::aws_standard()),
    ("retry.base_throttled", "\"3s\"", |policy| policy.retry.backoff.base_throttled = seconds(3)),
    ("retry.retry_after", "\"obey\"", |_| {}),
    ("retry.retry_after", "\"4s\"", |policy| {
        policy.retry.backoff.hint = HintUse::Clamp(seconds(4));
    }),
    ("retry.budget", "{ price = 2, price_throttled = 0.5, refund = \"price\" }", |policy| {
        let refund = Refund::Price;
        policy.retry.budget =
            BudgetOptions { price: 2.0, price_throttled: 0.5, refund, ..BudgetOptions::default() };
    }),
];

#[test]
fn every_key_reaches_the_policy_from_the_defaults() {
    for (key, value, change) in CASES {
        let config = read(&format!("[defaults]\n{key} = {value}\n"));
        assert_eq!(config.defaults, changed(change), "{key} = {value}");
    }
}

#[test]
fn every_key_reaches_the_policy_of_a_host_alone() {
    for (key, value, change) in CASES {
        let config = read(&format!("[[host]]\nmatch = \"a\"\n{key} = {value}\n"));
        assert_eq!(config.host_policy(&host("a")), changed(change), "{key} = {value}");
        assert_eq!(config.host_policy(&host("b")), HostPolicy::default(), "{key} = {value}");
    }
}

#[test]
fn every_breaker_key_reaches_the_policy_of_a_route_alone() {
    for (key, value, change) in CASES.iter().filter(|(key, ..)| key.starts_with("breaker.")) {
        let text =
            format!("[[host]]\nmatch = \"a\"\n[[host.route]]\nmatch = \"/x\"\n{key} = {value}");
        let config = read(&text);
        let policy = |path| config.policy(&host("a"), &Method::GET, path, None);
        assert_eq!(policy("/x"), changed(*change), "{key} = {value}");
        assert_eq!(policy("/y"), HostPolicy::default(), "{key} = {value}");
    }
}

#[test]
fn every_key_has_a_variable() {
    for (key, value, change) in CASES {
        let name = format!("SPILLGATE_DEFAULTS__{}", key.to_ascii_uppercase().replace('.', "__"));
        let config = with(Config::default(), &[(&name, value)]).unwrap();
        assert_eq!(config.defaults, changed(change), "{name}={value}");
    }
    let unquoted = [
        ("SPILLGATE_DEFAULTS__BREAKER__HALF_OPEN", "wait"),
        ("SPILLGATE_DEFAULTS__BREAKER__SLOW_CALL", "3s"),
        ("SPILLGATE_DEFAULTS__BREAKER__SLOW_COUNTED", "in-flight"),
        ("SPILLGATE_DEFAULTS__LIMITS__ADAPTIVE", "aimd"),
        ("SPILLGATE_DEFAULTS__LIMITS__RATE__PER_SECOND", "5"),
        ("SPILLGATE_DEFAULTS__LIMITS__RATE__BURST", "8"),
        ("SPILLGATE_DEFAULTS__RETRY__RETRY_AFTER", "obey"),
    ];
    let policy = with(Config::default(), &unquoted).unwrap().defaults;
    let slow = SlowCalls { limit: seconds(3), rate: 0.8, counted: SlowCount::InFlight };
    assert_eq!((policy.breaker.half_open, policy.breaker.slow), (HalfOpen::Queue, Some(slow)));
    assert_eq!(policy.limit.kind, LimitKind::Aimd);
    assert_eq!(policy.rate, Some(RateOptions { per_second: 5.0, burst: 8 }));
}

#[test]
fn what_goes_with_any_kind_survives_a_change_of_kind() {
    let text = "[defaults.breaker]\nmode = \"shadow\"\nhalf_open = \"wait\"\nslow_call = \"2s\"\n\
                slow_rate = 0.9\nslow_counted = \"in-flight\"\n\
                [[host]]\nmatch = \"a\"\nbreaker = { kind = \"consecutive\" }\n\
                [[host]]\nmatch = \"b\"\nbreaker = { slow_call = \"off\", mode = \"enforce\" }\n\
                [[host]]\nmatch = \"c\"\nbreaker = { kind = \"consecutive\", min_calls = 5 }\n\
                [[host]]\nmatch = \"d\"\nbreaker = { slow_call = \"5s\" }\n";
    let config = read(text);
    let breaker = |name: &str| config.host_policy(&host(name)).breaker;
    let slow = SlowCalls { limit: seconds(2), rate: 0.9, counted: SlowCount::InFlight };
    let (mode, half_open) = (BreakerMode::Shadow, HalfOpen::Queue);
    let streak = BreakerOptions { mode, half_open, slow: Some(slow), ..BreakerOptions::default() };
    assert_eq!(breaker("a"), streak);
    assert_eq!((breaker("b").mode, breaker("b").slow), (BreakerMode::Enforcing, None));
    assert_eq!(breaker("c"), BreakerOptions { min_calls: 5, ..streak });
    assert_eq!(breaker("d").slow, Some(SlowCalls { limit: seconds(5), ..slow }));
}

#[test]
fn hybrid_stays_whichever_of_its_keys_is_named() {
    let text = "[defaults]\nbreaker.kind = \"hybrid\"\n\
                [[host]]\nmatch = \"a\"\nbreaker = { failure_threshold = 3, failure_rate = 0.3 }\n\
                [[host]]\nmatch = \"b\"\nbreaker.window = \"20s\"\n";
    let config = read(text);
    let breaker = |name: &str| config.host_policy(&host(name)).breaker;
    assert_eq!(breaker("a"), BreakerOptions::hybrid(3, 0.3));
    assert_eq!((breaker("b").kind, breaker("b").window), (BreakerKind::Hybrid, seconds(20)));
}

#[test]
fn window_in_seconds_replaces_one_in_calls_and_small_ones_lower_min_calls() {
    let text = "[defaults]\nbreaker.window_calls = 10\n\
                [[host]]\nmatch = \"a\"\nbreaker.window = \"20s\"\n";
    let config = read(text);
    assert_eq!(config.defaults.breaker.min_calls, 10);
    let breaker = config.host_policy(&host("a")).breaker;
    assert_eq!((breaker.window, breaker.window_calls), (seconds(20), None));
}

#[test]
fn rates_and_floors_are_inherited_part_by_part_and_lifted() {
    let text = "[defaults]\nlimits = { floor = 4, rate = { per_second = 10, burst = 20 } }\n\
                [[host]]\nmatch = \"a\"\nlimits.rate = { burst = 5 }\n\
                [[host]]\nmatch = \"b\"\nlimits.rate = 3\n\
                [[host]]\nmatch = \"c\"\nlimits = { rate = \"off\", per_host = 2 }\n";
    let config = read(text);
    let rate = |name: &str| config.host_policy(&host(name)).rate;
    assert_eq!(rate("a"), Some(RateOptions { per_second: 10.0, burst: 5 }));
    assert_eq!(rate("b"), Some(RateOptions { per_second: 3.0, burst: 20 }));
    assert_eq!(rate("c"), None);
    assert_eq!(config.host_policy(&host("c")).limit.floor, 2);
}

#[test]
fn keys_beside_a_preset_change_the_preset() {
    let retry = read("[defaults]\nretry = { preset = \"aws-standard\", max_attempts = 5 }\n");
    let expected = RetryOptions { attempts_max: 5, ..RetryOptions::aws_standard() };
    assert_eq!(retry.defaults.retry, expected);
}

#[test]
fn program_sets_limit_rate_and_quota() {
    let mut config = Config::default();
    let rate = RateOptions { per_second: 10.0, burst: 20 };
    let limit = LimitOptions { kind: LimitKind::Aimd, floor: 2 };
    let hosts = HostOverrides::default;
    config.add_host("a", hosts().limit(limit).rate(rate).quota(QuotaUse::Ignore)).unwrap();
    config.add_host("b", hosts().adaptive(false)).unwrap();
    let (a, b) = (config.host_policy(&host("a")), config.host_policy(&host("b")));
    assert_eq!((a.limit, a.rate, a.quota), (limit, Some(rate), QuotaUse::Ignore));
    assert_eq!((b.limit, b.rate, b.quota), (LimitOptions::fixed(), None, QuotaUse::Obey));
    let none = RateOptions { per_second: 0.0, burst: 1 };
    let error = config.add_host("c", hosts().rate(none)).unwrap_err().to_string();
    assert!(error.starts_with("host `c` set in code: limits.rate: 0 a second"), "{error}");
}

fn changed(change: fn(&mut HostPolicy)) -> HostPolicy {
    let mut policy = HostPolicy::default();
    change(&mut policy);
    policy
}

#[test]
fn cache_differs_by_host_and_route() {
    let config = read(
        "[defaults]\ncache = { max_bytes = \"1MiB\", targeted = [\"CDN-Cache-Control\"], failures = \"2s\" }\n\
         [[host]]\nmatch = \"a.example\"\ncache = { stale_if_error = \"30s\" }\n\
         [[host.route]]\nmatch = \"/cart\"\ncache = { mode = \"off\" }\n",
    );
    assert!(config.differs_in_cache());
    let of = |name: &str, path: &str| config.cache_of(&host(name), &Method::GET, path, None);
    assert_eq!(of("b.example", "/cart"), config.cache);
    assert_eq!((config.cache.max_bytes, config.cache.failures), (1 << 20, Some(seconds(2))));
    assert_eq!(config.cache.targeted, ["cdn-cache-control"]);
    assert_eq!(of("a.example", "/").stale_if_error, seconds(30));
    assert_eq!(of("a.example", "/cart").mode, settings::CacheKind::Off);
    assert!(!Config::default().differs_in_cache());
}

#[test]
fn cache_says_what_it_expected() {
    for (text, expected) in [
        ("cache = { mode = \"of\" }", "shared"),
        ("cache = { failures = \"20s\" }", "expected \"off\" or \"1s\" to \"10s\""),
        ("cache = { failures = 2 }", "expected \"off\" or a text"),
        ("cache = { max_byte = \"1MiB\" }", "max_bytes"),
        ("cache = { stale_if_error = 30 }", "write \"30s\""),
        ("cache = { store = \"disc\", path = \"a\" }", "disk"),
        ("cache = { path = \"a\" }", "write store = \"disk\""),
        ("cache = { store = \"disk\" }", "write path ="),
        ("cache = { partitions = \"private\" }", "private-rules"),
    ] {
        let told = Config::from_toml(&format!("[defaults]\n{text}\n"), "a.toml").unwrap_err();
        let told = told.to_string();
        assert!(told.contains(expected) && told.contains('^'), "{told}");
    }
    let of_host = "[[host]]\nmatch = \"a\"\ncache = { max_bytes = \"1MiB\" }\n";
    assert!(Config::from_toml(of_host, "a.toml").is_err());
}

#[test]
fn cache_is_kept_where_file_and_environment_say() {
    use settings::CacheStorage;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.toml");
    let text = "[defaults.cache]\nstore = \"disk\"\npath = \"below/cache\"\n";
    std::fs::write(&file, text).unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(config.cache.store, CacheStorage::Disk);
    assert_eq!(config.cache.path, Some(directory.path().join("below/cache")));
    let variable = |name: &str, value: &str| {
        (format!("SPILLGATE_DEFAULTS__CACHE__{name}").into(), value.into())
    };
    let moved = config.clone().with_variables([variable("PATH", "/elsewhere")]).unwrap();
    assert_eq!(moved.cache.path, Some("/elsewhere".into()));
    let memory = config.with_variables([variable("STORE", "memory")]).unwrap();
    assert_eq!(memory.cache.store, CacheStorage::Memory);
}

#[test]
fn code_says_of_a_hosts_cache_what_a_file_can() {
    let mut config = read("[defaults]\ncache = { failures = \"2s\" }");
    let hosts = HostOverrides::default;
    config.add_host("a", hosts().negative(seconds(9)).failures(None)).unwrap();
    config.add_host("b", hosts().failures(seconds(3))).unwrap();
    let of = |name: &str| config.cache_of(&host(name), &Method::GET, "/", None);
    assert_eq!((of("a").negative, of("a").failures), (seconds(9), None));
    assert_eq!((of("b").negative, of("b").failures), (seconds(2), Some(seconds(3))));
    assert!(config.differs_in_cache());
}
