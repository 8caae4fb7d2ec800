//! What `/metrics` says, as a scraper reads it.

use std::collections::{BTreeMap, BTreeSet};

use super::process::{Serving, ask, listener};
use crate::bench::drill;

/// Reads Prometheus' text format, and takes nothing that the format does not allow.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let (mut kinds, mut helps) = (BTreeMap::new(), BTreeSet::new());
    let mut samples = BTreeMap::new();
    let mut closed: BTreeSet<String> = BTreeSet::new();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty() && helps.insert(name.to_owned()), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            assert!(helps.contains(name), "{line}: without help");
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{line}: twice");
            closed.insert(std::mem::replace(&mut family, name.to_owned()));
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let is_part = |suffix: &str| name.strip_suffix(suffix) == Some(&family);
            let of_histogram = kinds[&family] == "histogram"
                && ["_bucket", "_sum", "_count"].into_iter().any(is_part);
            assert!(name == family || of_histogram, "{line} stands in {family}");
            assert!(!closed.contains(&family), "{line}: the family is torn");
            labels(series);
            let value: f64 = value.parse().unwrap();
            assert!(samples.insert(series.to_owned(), value).is_none(), "{line}: twice");
        }
    }
    assert!(text.ends_with('\n'));
    samples
}

/// Labels are `name="value"`, with quotes, backslashes and line ends escaped.
fn labels(series: &str) {
    let Some((name, rest)) = series.split_once('{') else { return };
    assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    for pair in rest.strip_suffix('}').unwrap().split("\",") {
        let (label, value) = pair.split_once("=\"").unwrap();
        assert!(label.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{series}");
        assert!(!value.trim_end_matches('"').contains('"'), "{series}");
    }
}

fn body(answer: &str) -> &str {
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_follow_what_happens_and_only_grow() {
    let drill = drill();
    let serving = Serving::start(&listener(&drill.url("")), &[]);
    let addr = serving.listeners[0];
    let before = parse(body(&serving.ask("GET /metrics").await));
    for path in ["/etag?max_age=600", "/etag?max_age=600", "/ok", "/status/404"] {
        ask(addr, &format!("GET {path}"), "Host: a\r\n").await;
    }
    ask(addr, "POST /ok", "Host: a\r\nContent-Length: 0\r\n").await;
    let flawed = ask(addr, "GET /ok", "Host: a\r\nHost: b\r\n").await;
    assert!(flawed.starts_with("HTTP/1.1 400"), "{flawed}");
    let attempts = "http_client_request_duration_seconds_count";
    let seen =
        serving.until("GET /metrics", |told| told.contains(&format!("{attempts} 4\n"))).await;
    let after = parse(body(&seen));
    let host = drill.url("").trim_end_matches('/').to_owned();
    let requests = |outcome: &str, code: &str| {
        format!(
            "spillgate_sidecar_requests_total{{listener=\"{addr}\",outcome=\"{outcome}\",\
             code=\"{code}\"}}"
        )
    };
    for (series, expected) in [
        (requests("hit", "2xx"), 1.0),
        (requests("miss", "2xx"), 2.0),
        (requests("miss", "4xx"), 1.0),
        (requests("bypass", "2xx"), 1.0),
        (requests("refused", "4xx"), 1.0),
        ("spillgate_cache_lookups_total{outcome=\"hit\"}".to_owned(), 1.0),
        ("spillgate_cache_entries{preset=\"cautious\"}".to_owned(), 1.0),
        ("spillgate_cache_stored_total{preset=\"cautious\"}".to_owned(), 1.0),
        (format!("spillgate_attempts_total{{preset=\"cautious\",host=\"{host}\"}}"), 4.0),
        (format!("spillgate_breaker_state{{preset=\"cautious\",scope=\"{host}\"}}"), 0.0),
        (format!("spillgate_sidecar_connections_total{{listener=\"{addr}\"}}"), 6.0),
        (attempts.to_owned(), 4.0),
        ("http_client_request_duration_seconds_bucket{le=\"+Inf\"}".to_owned(), 4.0),
        ("spillgate_up".to_owned(), 1.0),
        ("spillgate_draining".to_owned(), 0.0),
    ] {
        assert_eq!(after.get(&series), Some(&expected), "{series}\n{seen}");
    }
    for (series, value) in before.iter().filter(|(series, _)| series.contains("_total")) {
        assert!(after[series] >= *value, "{series}");
    }
    let buckets = after
        .iter()
        .filter(|(series, _)| series.contains("request_duration") && series.contains("_bucket"));
    assert_eq!(buckets.count(), 15);
}
