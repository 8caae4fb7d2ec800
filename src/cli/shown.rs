//! The configuration that is in effect, as a file that would say the same.
//!
//! Keys that do nothing beside the others are left out: a file that named them would be refused.

use std::fmt::Write as _;

use spillgate_actors::core::allowance::QuotaUse;
use spillgate_actors::core::backoff::{HintUse, Jitter};
use spillgate_actors::core::breaker::options::{
    BreakerKind, BreakerOptions, HalfOpen, Ignored, SlowCount,
};
use spillgate_actors::core::budget::{BudgetOptions, Refund};
use spillgate_actors::core::call::HedgeDelay;
use spillgate_actors::core::event::BreakerMode;
use spillgate_actors::core::limit::LimitKind;
use spillgate_actors::core::policy::{HostPolicy, RetryOptions};

use crate::cli::cached;
use crate::cli::written::{list, number, quoted, time};
use crate::config::Config;
use crate::config::settings::{Coalesce, ExportProtocol};

/// A table, a key of it, and the value as TOML writes it.
type Row = (&'static str, &'static str, String);

/// The whole configuration as TOML; with `origins`, who said what is behind each setting.
pub(crate) fn shown(config: &Config, origins: bool) -> String {
    let mut text = String::new();
    let (mut table, built_in) = ("", rows(&Config::default()));
    for row in rows(config) {
        let (of, key, value) = &row;
        if *of != table {
            let gap = if table.is_empty() { "" } else { "\n" };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{gap}[{of}]");
            table = of;
        }
        let _ = write!(text, "{key} = {value}");
        if origins {
            let said = config.origin(&format!("{of}.{key}"));
            let origin = said.unwrap_or_else(|| {
                let is_built_in = built_in.contains(&row);
                let words = if is_built_in { "built-in" } else { "follows from other settings" };
                words.to_owned()
            });
            let _ = write!(text, "  # {origin}");
        }
        text.push('\n');
    }
    if let Some(sections) = config.sections() {
        let _ = write!(text, "\n{sections}");
    }
    text
}

/// The same as JSON: the settings as tables, and who said each of them.
pub(crate) fn as_json(config: &Config) -> serde_json::Value {
    let settings: serde_json::Value = toml::from_str(&shown(config, false)).unwrap_or_default();
    let origins = rows(config).into_iter().map(|(table, key, _)| format!("{table}.{key}"));
    let said =
        origins.filter_map(|setting| Some((setting.clone(), config.origin(&setting)?.into())));
    let origins: serde_json::Map<String, serde_json::Value> = said.collect();
    serde_json::json!({ "settings": settings, "origins": origins })
}

fn rows(config: &Config) -> Vec<Row> {
    let (policy, calls) = (&config.defaults, &config.calls);
    let coalesce = match calls.coalesce {
        Coalesce::Identical => "identical",
        Coalesce::Off => "off",
    };
    let mut rows = vec![
        ("defaults", "deadline", time(policy.deadline)),
        ("defaults", "coalesce", quoted(coalesce)),
        ("defaults", "redirects", calls.redirects_max.to_string()),
        ("defaults", "body_max", calls.body_bytes_max.to_string()),
        ("defaults", "hedge", hedge(policy)),
        ("defaults.timeouts", "connect", time(policy.timeouts.connect)),
        ("defaults.timeouts", "attempt", time(policy.timeouts.attempt)),
        ("defaults.timeouts", "read_idle", time(policy.timeouts.read_idle)),
    ];
    let cache = cached::rows(&config.cache).into_iter();
    rows.extend(cache.map(|(key, value)| ("defaults.cache", key, value)));
    rows.extend(of_retry(&policy.retry));
    let methods = calls.methods_repeatable.iter().map(|method| quoted(method.as_str()));
    rows.push(("defaults.retry", "methods", list(methods)));
    rows.extend(of_breaker(&policy.breaker));
    rows.extend(of_limits(config));
    if let Some(ca) = &config.tls.ca_file {
        rows.push(("defaults.tls", "ca", quoted(&ca.display().to_string())));
    }
    rows.extend(of_telemetry(config));
    rows
}

fn hedge(policy: &HostPolicy) -> String {
    let Some(hedge) = policy.hedge else { return "{ enabled = false }".to_owned() };
    let delay = match hedge.delay {
        HedgeDelay::LiveP95 => quoted("live"),
        HedgeDelay::Fixed(delay) => time(delay),
    };
    let (budget, busy_max) = (number(hedge.ratio), number(hedge.busy_max));
    format!("{{ enabled = true, delay = {delay}, budget = {budget}, busy_max = {busy_max} }}")
}

fn of_retry(retry: &RetryOptions) -> Vec<Row> {
    const TABLE: &str = "defaults.retry";
    let RetryOptions { attempts_max, backoff, budget } = retry;
    let jitter = match backoff.jitter {
        Jitter::Full => "full",
        Jitter::Equal => "equal",
        Jitter::None => "none",
    };
    let hint = match backoff.hint {
        HintUse::Obey => quoted("obey"),
        HintUse::Clamp(most) => time(most),
    };
    vec![
        (TABLE, "max_attempts", attempts_max.to_string()),
        (TABLE, "base", time(backoff.base)),
        (TABLE, "factor", number(backoff.factor)),
        (TABLE, "cap", time(backoff.cap)),
        (TABLE, "jitter", quoted(jitter)),
        (TABLE, "base_throttled", time(backoff.base_throttled)),
        (TABLE, "retry_after", hint),
        (TABLE, "budget", of_budget(budget)),
    ]
}

fn of_budget(budget: &BudgetOptions) -> String {
    let refund = match budget.refund {
        Refund::Ratio => "ratio",
        Refund::Price => "price",
    };
    let keys = [
        ("ratio", budget.ratio),
        ("initial", budget.initial),
        ("cap", budget.cap),
        ("price", budget.price),
        ("price_throttled", budget.price_throttled),
    ];
    let keys = keys.map(|(key, value)| format!("{key} = {}", number(value))).join(", ");
    format!("{{ {keys}, refund = {} }}", quoted(refund))
}

fn of_breaker(breaker: &BreakerOptions) -> Vec<Row> {
    let (kind, has_streak, has_rate) = match breaker.kind {
        BreakerKind::Rate => ("rate", false, true),
        BreakerKind::Consecutive => ("consecutive", true, false),
        BreakerKind::Hybrid => ("hybrid", true, true),
        BreakerKind::Off => ("off", false, false),
    };
    let mut rows = vec![("kind", quoted(kind))];
    if breaker.kind != BreakerKind::Off {
        if has_streak {
            rows.push(("failure_threshold", breaker.failure_threshold.to_string()));
        }
        if has_rate {
            rows.push(("failure_rate", number(breaker.failure_rate)));
        }
        if has_rate || breaker.slow.is_some() {
            rows.push(("min_calls", breaker.min_calls.to_string()));
            rows.push(breaker.window_calls.map_or_else(
                || ("window", time(breaker.window)),
                |calls| ("window_calls", calls.to_string()),
            ));
        }
        rows.extend(of_slow_and_reset(breaker));
    }
    rows.into_iter().map(|(key, value)| ("defaults.breaker", key, value)).collect()
}

fn of_slow_and_reset(breaker: &BreakerOptions) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    match breaker.slow {
        None => rows.push(("slow_call", quoted("off"))),
        Some(slow) => {
            let counted = match slow.counted {
                SlowCount::AtItsEnd => "finished",
                SlowCount::InFlight => "in-flight",
            };
            rows.push(("slow_call", time(slow.limit)));
            rows.push(("slow_rate", number(slow.rate)));
            rows.push(("slow_counted", quoted(counted)));
        }
    }
    rows.push(("reset_timeout", time(breaker.reset_timeout)));
    if breaker.reset_growth > 1.0 && breaker.reset_timeout_max > breaker.reset_timeout {
        rows.push(("reset_timeout_max", time(breaker.reset_timeout_max)));
        rows.push(("reset_growth", number(breaker.reset_growth)));
    } else if breaker.reset_growth <= 1.0 {
        rows.push(("reset_growth", number(breaker.reset_growth)));
    }
    let half_open = match breaker.half_open {
        HalfOpen::FailFast => "refuse",
        HalfOpen::Queue => "wait",
    };
    let mode = match breaker.mode {
        BreakerMode::Enforcing => "enforce",
        BreakerMode::Shadow => "shadow",
    };
    let ignore = breaker.ignore.iter().map(|ignored| match ignored {
        Ignored::Kind(kind) => quoted(kind.name()),
        Ignored::Status(status) => status.to_string(),
    });
    rows.extend([
        ("reset_jitter", number(breaker.reset_jitter)),
        ("probes", breaker.probes_max.to_string()),
        ("success_threshold", breaker.success_threshold.to_string()),
        ("probe_lease", time(breaker.probe_lease)),
        ("half_open", quoted(half_open)),
        ("ramp", time(breaker.ramp)),
        ("mode", quoted(mode)),
        ("ignore", list(ignore)),
        ("learn", breaker.learn.to_string()),
    ]);
    rows
}

fn of_limits(config: &Config) -> Vec<Row> {
    let (policy, limits) = (&config.defaults, &config.limits);
    let adaptive = match policy.limit.kind {
        LimitKind::Fixed => "false".to_owned(),
        LimitKind::Vegas => "true".to_owned(),
        LimitKind::Aimd => quoted("aimd"),
    };
    let rate = policy.rate.map_or_else(
        || quoted("off"),
        |rate| format!("{{ per_second = {}, burst = {} }}", number(rate.per_second), rate.burst),
    );
    let quota = match policy.quota {
        QuotaUse::Obey => "obey",
        QuotaUse::Ignore => "ignore",
    };
    let mut rows = vec![("per_host", policy.concurrency.to_string()), ("adaptive", adaptive)];
    if policy.limit.kind != LimitKind::Fixed {
        rows.push(("floor", policy.limit.floor.to_string()));
    }
    rows.extend([
        ("rate", rate),
        ("quota", quoted(quota)),
        ("global", limits.global.to_string()),
        ("queue", limits.queue_max.to_string()),
        ("calls", limits.calls_max.to_string()),
        ("hosts", limits.hosts_max.to_string()),
    ]);
    rows.into_iter().map(|(key, value)| ("defaults.limits", key, value)).collect()
}

fn of_telemetry(config: &Config) -> Vec<Row> {
    let telemetry = &config.telemetry;
    let mut rows = Vec::new();
    if let Some(otlp) = &telemetry.otlp {
        // A collector's credentials are nobody's to read.
        let shown = format!("{}{}", otlp.origin().ascii_serialization(), otlp.path());
        rows.push(("telemetry", "otlp", quoted(&shown)));
    }
    if let Some(name) = &telemetry.service_name {
        rows.push(("telemetry", "service_name", quoted(name)));
    }
    if let Some(protocol) = telemetry.protocol {
        let name = match protocol {
            ExportProtocol::HttpProtobuf => "http/protobuf",
            ExportProtocol::Grpc => "grpc",
        };
        rows.push(("telemetry", "protocol", quoted(name)));
    }
    let headers = telemetry.redact.headers.iter().map(|name| quoted(name.as_str()));
    rows.push(("telemetry.redact", "headers", list(headers)));
    let query = telemetry.redact.query.iter().map(|key| quoted(key));
    rows.push(("telemetry.redact", "query", list(query)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_says_the_same_when_it_is_read_again() {
        for text in [
            "",
            "[defaults]\nbreaker = { kind = \"consecutive\" }",
            "[defaults]\nbreaker = { kind = \"consecutive\", slow_call = \"2s\" }",
            "[defaults]\nbreaker = { kind = \"hybrid\", window_calls = 50, ignore = [503] }",
            "[defaults]\nbreaker = { kind = \"off\" }",
            "[defaults]\nbreaker = { reset_timeout = \"90s\", mode = \"shadow\", ramp = \"0s\" }",
            "[defaults]\nbreaker = { reset_growth = 1.0, half_open = \"wait\", learn = false }",
            "[defaults]\nretry = { preset = \"aws-standard\", jitter = \"equal\" }",
            "[defaults]\ndeadline = \"2500ms\"\ncoalesce = \"off\"\nredirects = 0",
            "[defaults]\nhedge = { delay = \"80ms\" }\ntls = { ca = \"a\\\"b.pem\" }",
            "[defaults]\nlimits = { adaptive = false, rate = 10, quota = \"ignore\", hosts = 5 }",
            "[telemetry]\nservice_name = \"x\"\nprotocol = \"grpc\"\nredact = { query = [\"q\"] }",
            "[[host]]\nmatch = \"a.test\"\ndeadline = \"3s\"\n[[host.route]]\nmatch = \"GET /x\"",
            "[defaults.cache]\nmode = \"private\"\nnegative = \"0s\"\nfailures = \"2s\"",
            "[defaults.cache]\nstore = \"disk\"\npath = \"a\"\npartitions = \"private-rules\"",
            "[defaults.cache]\ntargeted = [\"cdn-cache-control\"]\nset_cookie = \"store\"",
            "[[chaos]]\nfault = \"hang\"\nshare = 0.1",
        ] {
            let config = Config::from_toml(text, "first").expect("it is valid");
            let once = shown(&config, true);
            let again = Config::from_toml(&once, "again").unwrap_or_else(|e| panic!("{e}\n{once}"));
            assert_eq!(format!("{:?}", again.defaults), format!("{:?}", config.defaults));
            assert_eq!(format!("{:?}", again.limits), format!("{:?}", config.limits));
            assert_eq!((&again.calls, &again.tls), (&config.calls, &config.tls));
            assert_eq!(again.cache, config.cache);
            assert_eq!((&again.telemetry, &again.chaos), (&config.telemetry, &config.chaos));
            assert_eq!(shown(&again, false), shown(&config, false));
        }
    }

    #[test]
    fn origin_is_the_line_the_variable_or_another_setting() {
        let text = "[defaults]\ndeadline = \"2s\"\nretry.max_attempts = 3";
        let variables = [
            ("SPILLGATE_DEFAULTS__RETRY__MAX_ATTEMPTS".into(), "2".into()),
            ("SPILLGATE_DEFAULTS__RETRY__BUDGET__RATIO".into(), "0.2".into()),
        ];
        let config = Config::from_toml(text, "a.toml").expect("it is valid");
        let shown = shown(&config.with_variables(variables).expect("it is valid"), true);
        for line in [
            "deadline = \"2s\"  # a.toml:2",
            "attempt = \"2s\"  # follows from other settings",
            "max_attempts = 2  # SPILLGATE_DEFAULTS__RETRY__MAX_ATTEMPTS",
            "factor = 2.0  # built-in",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
        }
        assert!(shown.contains("# SPILLGATE_DEFAULTS__RETRY__BUDGET__RATIO"), "{shown}");
    }

    #[test]
    fn credentials_of_a_collector_are_not_shown() {
        let text = "[telemetry]\notlp = \"https://me:secret@collector.test/v1\"";
        let config = Config::from_toml(text, "a.toml").expect("it is valid");
        let shown = shown(&config, true);
        assert!(shown.contains("otlp = \"https://collector.test/v1\""), "{shown}");
    }
}
