//! What the documents say of the code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use spillgate::{
    BreakerOptions, Config, ErrorKind, HedgeOptions, TelemetryOptions, TransportOptions,
};

use crate::numbers::Value;
use crate::source::{self, Source};

/// The rows of all tables of a Markdown text, each as its cells without code marks.
pub(crate) fn rows(text: &str) -> Vec<Vec<String>> {
    let is_row = |line: &&str| line.starts_with('|') && !line.starts_with("|-");
    let cells = |line: &str| {
        let line = line.trim().trim_matches('|').to_owned();
        line.split('|').map(|cell| cell.trim().replace('`', "")).collect()
    };
    text.lines().filter(is_row).map(cells).collect()
}

/// A cell of a row, empty where there is none.
pub(crate) fn cell(row: &[String], index: usize) -> &str {
    row.get(index).map_or("", String::as_str)
}

/// Every message has a heading, and every heading is a message.
pub(crate) fn messages() -> Vec<String> {
    let code = source::read("actors/src/messages.rs");
    let mut wanted = BTreeSet::from(["Fetch".to_owned()]);
    let mut derives = false;
    for line in code.lines() {
        derives |= line.starts_with("#[derive(") && line.contains("Message");
        let declared = ["struct ", "enum "].iter().find_map(|kind| line.split(kind).nth(1));
        let declared = declared.filter(|_| derives && !line.starts_with("//"));
        if let Some(declared) = declared {
            let name = declared.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            wanted.insert(name.to_owned());
            derives = false;
        }
    }
    let document = source::read("docs/messages.md");
    let headings = document.lines().filter_map(|line| line.strip_prefix("### "));
    let told: BTreeSet<String> = headings.map(|name| name.trim().replace('`', "")).collect();
    let missing = wanted.difference(&told).map(|name| format!("docs/messages.md lacks {name}"));
    let stale = told.difference(&wanted).map(|name| format!("docs/messages.md tells of {name}"));
    missing.chain(stale).collect()
}

/// The table of errors has a row for each kind, in order, with its class.
pub(crate) fn errors() -> Vec<String> {
    let text = source::read("docs/errors.md");
    let told: Vec<(String, String)> = rows(&text)
        .iter()
        .filter(|row| row.len() == 5 && cell(row, 0) != "kind")
        .map(|row| (cell(row, 0).to_owned(), cell(row, 1).to_owned()))
        .collect();
    let name = |kind: &ErrorKind| (kind.name().to_owned(), kind.class().name().to_owned());
    let wanted: Vec<(String, String)> = ErrorKind::ALL.iter().map(name).collect();
    if told == wanted {
        return Vec::new();
    }
    let differs = wanted.iter().zip(&told).find(|(wanted, told)| wanted != told);
    vec![format!("docs/errors.md has {} rows, the code {}: {differs:?}", told.len(), wanted.len())]
}

/// Every default in `documents` is the code's, and none of the code's is left out of the first.
pub(crate) fn defaults(sources: &[Source]) -> Vec<String> {
    let (settings, constants) = (settings(), constants(sources));
    let mut problems = Vec::new();
    let mut told = BTreeSet::new();
    for document in ["docs/defaults.md", "README.md"] {
        for row in rows(&source::read(document)).iter().filter(|row| row.len() >= 3) {
            let key = match (settings.contains_key(cell(row, 0)), cell(row, 2)) {
                (true, _) => cell(row, 0).to_owned(),
                (false, place) => format!("{place} {}", cell(row, 0)),
            };
            let real = settings.get(cell(row, 0)).or_else(|| constants.get(&key));
            let Some(real) = real else {
                if Value::of_text(cell(row, 1)).is_some() {
                    problems.push(format!("{document}: the code has no {key}"));
                }
                continue;
            };
            if Value::of_text(cell(row, 1)).as_ref() != Some(real) {
                problems.push(format!("{document}: {key} is {real}, not {}", cell(row, 1)));
            }
            if document == "docs/defaults.md" {
                told.insert(key);
            }
        }
    }
    let all = settings.keys().map(|key| (*key).to_owned()).chain(constants.into_keys());
    let missing = all.filter(|key| !told.contains(key) && !NO_DEFAULTS.contains(&key.as_str()));
    problems.extend(missing.map(|key| format!("docs/defaults.md lacks {key}")));
    problems
}

/// What can be set, under the names that the configuration and the options use.
fn settings() -> BTreeMap<&'static str, Value> {
    let Config { defaults, limits, calls, .. } = Config::default();
    let (retry, breaker) = (&defaults.retry, &defaults.breaker);
    let preset = BreakerOptions::default();
    let (transport, telemetry) = (TransportOptions::default(), TelemetryOptions::default());
    BTreeMap::from([
        ("deadline", defaults.deadline.into()),
        ("redirects", calls.redirects_max.into()),
        ("body_max", calls.body_bytes_max.into()),
        ("timeouts.connect", defaults.timeouts.connect.into()),
        ("timeouts.attempt", defaults.timeouts.attempt.into()),
        ("timeouts.read_idle", defaults.timeouts.read_idle.into()),
        ("retry.max_attempts", retry.attempts_max.into()),
        ("retry.base", retry.backoff.base.into()),
        ("retry.factor", retry.backoff.factor.into()),
        ("retry.cap", retry.backoff.cap.into()),
        ("retry.base_throttled", retry.backoff.base_throttled.into()),
        ("retry.budget.ratio", retry.budget.ratio.into()),
        ("retry.budget.initial", retry.budget.initial.into()),
        ("retry.budget.cap", retry.budget.cap.into()),
        ("breaker.failure_rate", breaker.failure_rate.into()),
        ("breaker.min_calls", breaker.min_calls.into()),
        ("breaker.window", breaker.window.into()),
        ("breaker.reset_timeout", breaker.reset_timeout.into()),
        ("breaker.reset_growth", breaker.reset_growth.into()),
        ("breaker.reset_timeout_max", breaker.reset_timeout_max.into()),
        ("breaker.reset_jitter", breaker.reset_jitter.into()),
        ("breaker.probes", breaker.probes_max.into()),
        ("breaker.probe_lease", breaker.probe_lease.into()),
        ("breaker.success_threshold", breaker.success_threshold.into()),
        ("breaker.ramp", breaker.ramp.into()),
        ("consecutive.failure_threshold", preset.failure_threshold.into()),
        ("consecutive.reset_timeout", preset.reset_timeout.into()),
        ("consecutive.reset_growth", preset.reset_growth.into()),
        ("consecutive.reset_jitter", preset.reset_jitter.into()),
        ("consecutive.success_threshold", preset.success_threshold.into()),
        ("consecutive.ramp", preset.ramp.into()),
        ("limits.floor", defaults.limit.floor.into()),
        ("limits.per_host", defaults.concurrency.into()),
        ("limits.global", limits.global.into()),
        ("limits.queue", limits.queue_max.into()),
        ("limits.calls", limits.calls_max.into()),
        ("limits.hosts", limits.hosts_max.into()),
        ("transport.idle_connections_max", transport.idle_connections_max.into()),
        ("transport.idle_connections_total_max", transport.idle_connections_total_max.into()),
        ("transport.idle_timeout", transport.idle_timeout.into()),
        ("transport.header_bytes_max", transport.header_bytes_max.into()),
        ("transport.header_fields_max", transport.header_fields_max.into()),
        ("transport.decoded_ratio_max", transport.decoded_ratio_max.into()),
        ("transport.decoded_bytes_free", transport.decoded_bytes_free.into()),
        ("telemetry.export_queue_max", telemetry.export_queue_max.into()),
        ("telemetry.shutdown_timeout", telemetry.shutdown_timeout.into()),
    ])
    .into_iter()
    .chain(of_cache_and_hedge())
    .collect()
}

fn of_cache_and_hedge() -> [(&'static str, Value); 7] {
    let (cache, hedge) = (Config::default().cache, HedgeOptions::default());
    [
        ("cache.max_bytes", cache.max_bytes.into()),
        ("cache.stale_if_error", cache.stale_if_error.into()),
        ("cache.stale_while_revalidate", cache.stale_while_revalidate.into()),
        ("cache.negative", cache.negative.into()),
        ("hedge.budget", hedge.ratio.into()),
        ("hedge.busy_max", hedge.busy_max.into()),
        ("hedge.cap", hedge.cap.into()),
    ]
}

/// The numbers that are fixed in the code, as `file NAME`.
fn constants(sources: &[Source]) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for source in sources.iter().filter(|source| is_library(&source.path)) {
        for (_, line) in source.shipped() {
            let declared = line.split_once("const ").and_then(|(_, rest)| rest.split_once(": "));
            let Some((name, rest)) = declared else { continue };
            let value = rest.split_once(" = ").and_then(|(_, value)| value.strip_suffix(';'));
            if let Some(value) = value.and_then(Value::of_code) {
                found.insert(format!("{} {name}", source.path), value);
            }
        }
    }
    found
}

/// The command has numbers of its own, for people's eyes; those are in its `--help`. And what the
/// laboratory fixes describes a modelled world, such as how long an outage there lasts: nothing that
/// a service ever runs with.
fn is_library(path: &str) -> bool {
    let shipped = ["core/src/", "actors/src/", "src/"].iter().any(|root| path.starts_with(root));
    let elsewhere = ["src/cli/", "src/simulate/"].iter().any(|root| path.starts_with(root));
    shipped && !elsewhere
}

/// Every relative link leads to a file.
pub(crate) fn links() -> Vec<String> {
    let mut problems = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in source::texts().iter().filter(|file| file.has_ending("md")) {
        let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
        for link in file.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let is_path = !target.is_empty() && !target.contains("://");
            if is_path && !root.join(folder).join(target).exists() {
                problems.push(format!("{}: {link} leads nowhere", file.path));
            }
        }
    }
    problems
}

/// Numbers that say how something is built, not how it behaves.
const NO_DEFAULTS: [&str; 9] = [
    "core/src/window.rs BUCKETS_U32",
    "actors/src/registry.rs ADMITS",
    "src/testing/chance.rs FNV_OFFSET",
    "src/testing/chance.rs FNV_PRIME",
    "src/testing/fault.rs JSON_BYTES_MIN",
    "src/testing/answer.rs MODIFIED_SECONDS",
    "src/testing/answer.rs DAY_SECONDS",
    "src/testing/server.rs SETTLING_TURNS",
    "src/transport/head.rs FIELD_OVERHEAD",
];
