//! The policy of a call, one setting a line, under the names that a configuration uses.

use std::fmt::Write as _;
use std::time::Duration;

use http::Method;
use spillgate_actors::core::allowance::QuotaUse;
use spillgate_actors::core::backoff::HintUse;
use spillgate_actors::core::breaker::options::{
    BreakerKind, BreakerOptions, HalfOpen, Ignored, SlowCalls, SlowCount,
};
use spillgate_actors::core::budget::Refund;
use spillgate_actors::core::call::HedgeDelay;
use spillgate_actors::core::event::BreakerMode;
use spillgate_actors::core::hedge::HedgeOptions;
use spillgate_actors::core::limit::LimitKind;
use spillgate_actors::core::policy::{HostPolicy, RetryOptions};
use spillgate_actors::core::rate::RateOptions;
use url::Url;

use crate::cli::cached;
use crate::config::Config;
use crate::config::pattern::HostName;

/// A setting and what it is.
type Row = (&'static str, String);

/// What applies to a call of this method to this URL.
pub(crate) fn explained(config: &Config, method: &Method, url: &Url, host: &HostName) -> String {
    let path = url.path();
    let policy = config.policy(host, method, path, None);
    let route = config.matching_route(host, method, path, None).unwrap_or("none");
    let repeats = config.is_repeatable(host, method, path, None);
    let retried = if repeats { "unasked" } else { "only with an idempotency key or by permission" };
    let mut rows = vec![
        ("host", host.to_string()),
        ("section", config.matching_host(host).unwrap_or_else(|| "none".to_owned())),
        ("route", route.to_owned()),
        ("deadline", time(policy.deadline)),
        ("timeouts.connect", time(policy.timeouts.connect)),
        ("timeouts.attempt", time(policy.timeouts.attempt)),
        ("timeouts.read_idle", time(policy.timeouts.read_idle)),
    ];
    rows.extend(of_retry(&policy.retry));
    rows.push(("retried", retried.to_owned()));
    rows.extend(of_breaker(&policy.breaker));
    rows.extend(of_limits(&policy));
    rows.push(("hedge", policy.hedge.map_or_else(|| "never".to_owned(), hedged)));
    rows.push(("limits.global", config.limits.global.to_string()));
    rows.extend(cached::explained(&config.cache_of(host, method, path, None)));
    let mut text = String::new();
    for (name, value) in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<22} {value}");
    }
    text
}

fn hedged(hedge: HedgeOptions) -> String {
    let delay = match hedge.delay {
        HedgeDelay::LiveP95 => "as long as 95 of 100 take".to_owned(),
        HedgeDelay::Fixed(delay) => time(delay),
    };
    let (ratio, busy_max) = (hedge.ratio * 100.0, hedge.busy_max * 100.0);
    format!("after {delay}, for {ratio} % of calls, up to {busy_max} % of the slots in use")
}

fn of_retry(retry: &RetryOptions) -> Vec<Row> {
    let RetryOptions { attempts_max, backoff, budget } = retry;
    let delays = format!(
        "{} times {}, to {}; from {} after a 429",
        time(backoff.base),
        backoff.factor,
        time(backoff.cap),
        time(backoff.base_throttled)
    );
    let hint = match backoff.hint {
        HintUse::Obey => "obeyed by the whole host".to_owned(),
        HintUse::Clamp(most) => format!("at most {} above the delay, for one retry", time(most)),
    };
    let refund = match budget.refund {
        Refund::Ratio => "",
        Refund::Price => ", given back when it succeeds",
    };
    let budget = format!(
        "{} a success, {} at first, {} at most; a retry costs {}, {} after a 429{refund}",
        budget.ratio, budget.initial, budget.cap, budget.price, budget.price_throttled
    );
    vec![
        ("retry.max_attempts", attempts_max.to_string()),
        ("retry.backoff", delays),
        ("retry.retry_after", hint),
        ("retry.budget", budget),
    ]
}

fn of_breaker(breaker: &BreakerOptions) -> Vec<Row> {
    let mut rows = vec![("breaker.opens", opens(breaker))];
    if breaker.kind == BreakerKind::Off {
        return rows;
    }
    if let Some(SlowCalls { limit, rate, counted }) = breaker.slow {
        let counted = match counted {
            SlowCount::AtItsEnd => "counted at their end",
            SlowCount::InFlight => "counted while in flight",
        };
        let (percent, limit) = (rate * 100.0, time(limit));
        let share = format!("opens it when {percent} % take {limit} or more, {counted}");
        rows.push(("breaker.slow_call", share));
    }
    let probes = format!(
        "{} at a time, {} to close, each given up after {}",
        breaker.probes_max,
        breaker.success_threshold,
        time(breaker.probe_lease)
    );
    let half_open = match breaker.half_open {
        HalfOpen::FailFast => "refuse",
        HalfOpen::Queue => "wait",
    };
    let mode = match breaker.mode {
        BreakerMode::Enforcing => "enforce",
        BreakerMode::Shadow => "shadow: it refuses nothing",
    };
    rows.extend([
        ("breaker.reset_timeout", resets(breaker)),
        ("breaker.probes", probes),
        ("breaker.half_open", half_open.to_owned()),
        ("breaker.ramp", time(breaker.ramp)),
        ("breaker.mode", mode.to_owned()),
        ("breaker.ignore", ignored(&breaker.ignore)),
        ("breaker.learn", breaker.learn.to_string()),
    ]);
    rows
}

fn ignored(list: &[Ignored]) -> String {
    let names = list.iter().map(|ignored| match ignored {
        Ignored::Kind(kind) => kind.name().to_owned(),
        Ignored::Status(status) => status.to_string(),
    });
    let names: Vec<String> = names.collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn opens(breaker: &BreakerOptions) -> String {
    let streak = format!("after {} failures in a row", breaker.failure_threshold);
    let share = format!(
        "at {} % failures of at least {} calls in {}",
        breaker.failure_rate * 100.0,
        breaker.min_calls,
        breaker.window_calls.map_or_else(|| time(breaker.window), |calls| format!("{calls} calls"))
    );
    match breaker.kind {
        BreakerKind::Consecutive => streak,
        BreakerKind::Rate => share,
        BreakerKind::Hybrid => format!("{streak}, or {share}"),
        BreakerKind::Off => "never".to_owned(),
    }
}

fn resets(breaker: &BreakerOptions) -> String {
    let first = time(breaker.reset_timeout);
    let jitter = breaker.reset_jitter * 100.0;
    if breaker.reset_growth > 1.0 {
        let most = time(breaker.reset_timeout_max);
        return format!("{first}, times {} to {most}, up to {jitter} % more", breaker.reset_growth);
    }
    format!("{first}, up to {jitter} % more")
}

fn of_limits(policy: &HostPolicy) -> Vec<Row> {
    let limit = policy.limit;
    let adaptive = match limit.kind {
        LimitKind::Fixed => "false".to_owned(),
        LimitKind::Vegas => format!("vegas, down to {}", limit.floor),
        LimitKind::Aimd => format!("aimd, down to {}", limit.floor),
    };
    let rate = match policy.rate {
        Some(RateOptions { per_second, burst }) => {
            format!("{per_second} a second, {burst} at once")
        }
        None => "off".to_owned(),
    };
    let quota = match policy.quota {
        QuotaUse::Obey => "obey",
        QuotaUse::Ignore => "ignore",
    };
    vec![
        ("limits.per_host", policy.concurrency.to_string()),
        ("limits.adaptive", adaptive),
        ("limits.rate", rate),
        ("limits.quota", quota.to_owned()),
    ]
}

fn time(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
