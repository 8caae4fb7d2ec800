//! `spillgate fetch` over lists of URLs: rows, counts, exit codes.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use spillgate::testing::Drill;

use crate::command::{Running, fetch, rows, run, spillgate, talk};

#[test]
fn thousand_mixed_urls_get_one_row_each() {
    let drill = Drill::builder().hosts(KINDS.len()).start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("mixed.toml");
    let stalling =
        drill.addrs()[KINDS.iter().position(|kind| kind.path.contains("stall")).unwrap()];
    let impatient = format!(
        "[[host]]\nmatch = \"{stalling}\"\ntimeouts = {{ connect = \"500ms\", attempt = \"500ms\" }}\n"
    );
    std::fs::write(&config, format!("{MIXED_CONFIG}{impatient}")).unwrap();
    let urls: Vec<String> = (0..1000).map(|number| url(&drill, number)).collect();
    let output = fetch(&urls, &["--config", config.to_str().unwrap(), "-j", "1000"]);
    let rows = rows(&output);

    assert_eq!(rows.len(), 1000, "{}", talk(&output));
    let by_index: HashMap<u64, &Value> =
        rows.iter().map(|row| (row["index"].as_u64().unwrap(), row)).collect();
    assert_eq!(by_index.len(), 1000, "each index once");
    let sent = sent(&drill);
    for (number, url) in urls.iter().enumerate() {
        let row = by_index[&(number as u64)];
        let kind = kind_of(number);
        assert_complete(row);
        assert_eq!(row["url"], **url);
        let outcome = [&row["outcome"], &row["error_kind"], &row["class"]].map(Value::as_str);
        assert_eq!(outcome, kind.expected, "{row}");
        let attempts = row["attempts"].as_u64().unwrap();
        assert!(attempts <= 4, "{row}");
        let arrivals = sent.get(&(number % KINDS.len(), kind.target(number)));
        let arrivals = arrivals.map(Vec::as_slice).unwrap_or_default();
        let arrived = arrivals.len() as u64;
        assert!(arrived <= attempts, "the upstream counted {arrived}: {row}");
        if kind.expected[0] == Some("ok") {
            assert_eq!(arrived, attempts, "{row}");
        }
        if kind.path.contains("retry_after=1") {
            assert_eq!(attempts, 2, "{row}");
            let gap = arrivals[1] - arrivals[0];
            assert!(gap >= Duration::from_secs(1), "asked again after {gap:?}");
        }
    }
    assert_eq!(output.status.code(), Some(4), "a malformed URL is the worst of these");
    assert!(drill.peak_per_host() <= 32);
}

#[test]
fn identical_urls_share_one_request() {
    let drill = Drill::start().unwrap();
    let urls = vec![drill.url("/delay/400"); 40];
    let output = fetch(&urls, &["--progress", "none"]);
    let coalesced = rows(&output).iter().filter(|row| row["coalesced"] == true).count();
    assert_eq!((drill.hits(), coalesced), (1, 39), "{}", talk(&output));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn exit_code_tells_the_worst_row() {
    let drill = Drill::start().unwrap();
    let check = |paths: &[&str], args: &[&str], code: i32, kind: Option<&str>| {
        let urls: Vec<String> = paths.iter().map(|path| drill.url(path)).collect();
        let output = fetch(&urls, args);
        let rows = rows(&output);
        assert_eq!(rows.len(), paths.len());
        assert_eq!(output.status.code(), Some(code), "{paths:?} {rows:?}");
        assert!(kind.is_none_or(|kind| rows.iter().any(|row| row["error_kind"] == kind)));
    };
    check(&["/ok", "/redirect/1"], &[], 0, None);
    check(&["/ok", "/status/404"], &[], 4, Some("http_status"));
    check(&["/status/404", "/close"], &["--retries", "0"], 4, Some("connection_terminated"));
    check(&["/ok", "/status/503"], &["--retries", "0"], 5, Some("http_status"));
    check(&["/ok", "/delay/5000"], &["--deadline", "300ms"], 6, Some("deadline_exceeded"));
}

#[test]
fn full_queue_rejects_without_sending() {
    let drill = Drill::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("narrow.toml");
    std::fs::write(&config, "[defaults]\nlimits = { per_host = 1, queue = 1 }\n").unwrap();
    let urls: Vec<String> = (0..20).map(|n| drill.url(&format!("/delay/300?n={n}"))).collect();
    let output = fetch(&urls, &["--config", config.to_str().unwrap()]);
    let rows = rows(&output);
    let rejected: Vec<&Value> = rows.iter().filter(|row| row["outcome"] == "rejected").collect();
    assert!(!rejected.is_empty());
    assert!(rejected.iter().all(|row| row["error_kind"] == "queue_full" && row["attempts"] == 0));
    assert_eq!(output.status.code(), Some(7), "{}", talk(&output));
    assert_eq!(drill.hits(), 20 - rejected.len() as u64);
}

#[test]
fn open_circuit_is_waited_for_within_the_deadline() {
    let drill = Drill::builder()
        .script("[scenario.outage]\nsteps = [{ path = \"/status/500\", times = 3 }, { path = \"/ok\" }]")
        .start()
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("breaker.toml");
    let text = "[defaults]\nretry = { max_attempts = 1 }\nlimits = { per_host = 1 }\n\
                breaker = { kind = \"consecutive\", failure_threshold = 3, reset_timeout = \"300ms\" }\n";
    std::fs::write(&config, text).unwrap();
    let urls: Vec<String> =
        (0..20).map(|n| drill.url(&format!("/scenario/outage?n={n}&key=k"))).collect();
    let run = |how: &str| {
        let output = fetch(&urls, &["--config", config.to_str().unwrap(), "--on-open", how]);
        let rows = rows(&output);
        rows.iter().filter(|row| row["outcome"] == "ok").count()
    };
    assert_eq!(run("wait"), 17, "all but those that the outage itself answered");
    assert_eq!(drill.hits(), 20);
}

#[test]
fn too_many_failures_stop_the_run() {
    let drill = Drill::start().unwrap();
    let urls: Vec<String> = (0..50).map(|n| drill.url(&format!("/status/404?n={n}"))).collect();
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let state = ["--state", state.to_str().unwrap(), "--max-failures", "3", "-j", "1"];
    let output = fetch(&urls, &state);
    assert_eq!(rows(&output).len(), 3);
    assert!(talk(&output).contains("stopped after 3 failures"), "{}", talk(&output));
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn progress_is_plain_lines_in_a_pipe_and_silent_on_demand() {
    let drill = Drill::start().unwrap();
    let output = run(&["fetch", &drill.url("/delay/2400"), "--explain"]);
    let talk_of = talk(&output);
    assert!(talk_of.contains("0/1 done: 0 ok"), "{talk_of}");
    assert!(talk_of.contains("1 URL in"), "{talk_of}");
    assert!(talk_of.contains("attempt 1: answered 200"), "{talk_of}");
    let told = rows(&output)[0]["decisions"].as_array().unwrap().clone();
    let kinds: Vec<_> = told.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["entered", "passed", "ended", "answered"], "{told:?}");
    assert!(!talk_of.contains('\u{1b}'), "no control codes in a pipe: {talk_of:?}");
    let output = run(&["fetch", &drill.url("/ok"), "--progress", "none"]);
    assert_eq!(talk(&output), "");
    assert!(rows(&output)[0].get("decisions").is_none(), "explain was off");
}

#[test]
fn file_that_cannot_be_written_is_a_row_too() {
    let drill = Drill::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let state = state.to_str().unwrap();
    let url = drill.url("/ok?bytes=100000");
    let output = run(&["fetch", &url, "-o", "/dev/full", "--state", state]);
    let rows = rows(&output);
    assert_eq!(rows.len(), 1, "{}", talk(&output));
    let row = &rows[0];
    assert_eq!((&row["outcome"], &row["error_kind"]), (&"error".into(), &"file_unwritable".into()));
    assert_eq!((&row["class"], &row["status"]), (&"device".into(), &200.into()));
    assert!(row["error"].as_str().unwrap().contains("/dev/full: cannot be written"), "{row}");
    assert_eq!(output.status.code(), Some(2));
    assert!(talk(&output).contains("/dev/full"), "{}", talk(&output));
}

#[test]
fn interrupted_run_names_what_is_unfinished() {
    let drill = Drill::start().unwrap();
    let urls = [drill.url("/ok"), drill.url("/delay/60000?token=canary")];
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let args = ["fetch", &urls[0], &urls[1], "--state", state.to_str().unwrap()];
    let mut running = Running::start(spillgate(&args));
    running.line();
    running.signal("INT");
    let (status, talk) = running.wait();
    assert_eq!(status.code(), Some(130), "{talk}");
    assert!(talk.contains("unfinished: 1 http://127.0.0.1:"), "{talk}");
    assert!(talk.contains("/delay/60000?token=REDACTED"), "{talk}");
    assert!(!talk.contains("canary") && !talk.contains("unfinished: 0"), "{talk}");
}

#[test]
fn flags_come_from_the_environment_too() {
    let drill = Drill::start().unwrap();
    let mut command = spillgate(&["fetch", &drill.url("/echo")]);
    command.env("SPILLGATE_METHOD", "put").env("SPILLGATE_EXPLAIN", "0");
    command.env("SPILLGATE_HEADER", "X-Canary: from-the-environment");
    let output = command.output().unwrap();
    assert_eq!(rows(&output)[0]["method"], "PUT");
    let header = drill.read(|ledger| {
        ledger.requests().next().and_then(|request| request.header("x-canary").map(str::to_owned))
    });
    assert_eq!(header.as_deref(), Some("from-the-environment"));
    assert!(!talk(&output).contains("attempt"), "explain was off");
}

#[test]
fn closed_output_ends_the_run() {
    let drill = Drill::start().unwrap();
    let mut running = Running::start(spillgate(&["fetch", "-i", "-", "-j", "1"]));
    running.feed(&[drill.url("/ok?n=0")]);
    running.line();
    let (status, talk) = running.without_reader(|running| {
        running.feed(&[drill.url("/ok?n=1"), drill.url("/ok?n=2")]);
    });
    assert_eq!(status.code(), Some(130), "{talk}");
    assert!(talk.contains("nobody reads the rows"), "{talk}");
}

#[derive(Clone, Copy)]
struct Kind {
    path: &'static str,
    /// Outcome, kind, class.
    expected: [Option<&'static str>; 3],
    is_drilled: bool,
}

impl Kind {
    const fn fine(path: &'static str) -> Self {
        Self { path, expected: [Some("ok"), None, None], is_drilled: true }
    }

    const fn failing(path: &'static str, kind: &'static str, class: &'static str) -> Self {
        Self { path, expected: [Some("error"), Some(kind), Some(class)], is_drilled: true }
    }

    const fn elsewhere(url: &'static str, kind: &'static str, class: &'static str) -> Self {
        Self { path: url, expected: [Some("error"), Some(kind), Some(class)], is_drilled: false }
    }

    fn target(&self, number: usize) -> String {
        format!("{}{number}", self.path)
    }
}

/// Kinds by turns; no more URLs ask to be left alone than are sent before the first answer.
fn kind_of(number: usize) -> Kind {
    match KINDS[number % KINDS.len()] {
        kind if kind.path.contains("retry_after") && number >= 300 => KINDS[0],
        kind => kind,
    }
}

fn url(drill: &Drill, number: usize) -> String {
    let (kind, target) = (kind_of(number), kind_of(number).target(number));
    if kind.is_drilled { drill.url_on(number % KINDS.len(), &target) } else { target }
}

/// When each target of each host was asked for.
fn sent(drill: &Drill) -> HashMap<(usize, String), Vec<std::time::Instant>> {
    let mut sent: HashMap<_, Vec<_>> = HashMap::new();
    for request in drill.requests() {
        sent.entry((request.host(), request.target())).or_default().push(request.at());
    }
    sent
}

fn assert_complete(row: &Value) {
    let keys = "index url method status outcome error_kind class attempts cache coalesced bytes file \
                trace_id ms";
    for key in keys.split_whitespace() {
        assert!(row.get(key).is_some(), "{key} is missing in {row}");
    }
    for phase in "queue dns connect tls write wait read total".split(' ') {
        let value =
            row["ms"].get(phase).unwrap_or_else(|| panic!("ms.{phase} is missing in {row}"));
        assert!(value.is_null() || value.as_f64().is_some_and(|ms| ms >= 0.0), "{row}");
    }
    assert!(row["ms"]["total"].is_f64(), "{row}");
}

const KINDS: [Kind; 11] = [
    Kind::fine("/ok?n="),
    Kind::fine("/flap?ok=1&fail=1&n="),
    Kind::fine("/status/503?times=2&n="),
    Kind::fine("/status/429?retry_after=1&times=1&n="),
    Kind::failing("/reset?n=", "connection_terminated", "transient"),
    Kind::failing("/truncate?n=", "http_response_incomplete", "transient"),
    Kind::fine("/slow?bytes=256&chunk=64&every=20&n="),
    Kind::failing("/stall?n=", "http_response_timeout", "transient"),
    Kind::elsewhere("http://nowhere.invalid/", "dns_error", "permanent"),
    Kind::elsewhere("http://127.0.0.1:1/", "connection_refused", "transient"),
    Kind::elsewhere("gopher://h/", "invalid_request", "permanent"),
];

/// Every retry is tried, quickly, so that each outcome follows from its URL alone.
const MIXED_CONFIG: &str = r#"
[defaults]
breaker = { kind = "off" }
# An adaptive limit rightly leaves the stalling host too few slots for all of its calls.
limits = { per_host = 32, adaptive = false, global = 300 }
[defaults.retry]
base = "10ms"
budget = { ratio = 1.0, initial = 1000, cap = 1000 }
[[host]]
match = "nowhere.invalid"
# Some resolvers take their time.
timeouts = { connect = "10s", attempt = "10s" }
"#;
