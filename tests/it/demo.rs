//! `spillgate demo` as its users run it.

use std::io::{self, BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

#[test]
fn prints_one_json_object_whose_numbers_agree_and_exits_with_zero() {
    let output = demo(&["--seconds", "2", "--json"]).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let told: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(output.status.code(), Some(0), "{stderr}\n{told:#}");
    let number = |pointer: &str| {
        told.pointer(pointer)
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("{pointer}: {told:#}"))
    };
    assert!(number("/calls") > 0);
    assert_eq!(number("/calls"), number("/answers"));
    assert_eq!(number("/ok") + number("/errors") + number("/rejected"), number("/answers"));
    assert_eq!(number("/upstream_requests"), number("/drill/requests"));
    assert!(number("/coalesced") > 0 && number("/ok") > 0);
    assert_eq!(number("/cache_hits"), 0);
    assert!(number("/retries") >= number("/drill/retries"));
    for peak in ["/peak_in_flight", "/drill/peak_in_flight"] {
        assert!((1..=24).contains(&number(peak)), "{peak}: {told:#}");
    }
    for peak in ["/peak_in_flight_per_host", "/drill/peak_in_flight_per_host"] {
        assert!((1..=6).contains(&number(peak)), "{peak}: {told:#}");
    }
    let invariants = told["invariants"].as_object().expect("an object of invariants");
    assert!(!invariants.is_empty() && invariants.values().all(|held| *held == true), "{told:#}");
    let listeners: Vec<&str> = stderr.lines().collect();
    assert_eq!(listeners.len(), 5, "{stderr}");
    for (index, line) in listeners.iter().enumerate() {
        let url = line.strip_prefix(&format!("upstream-{}=http://127.0.0.1:", index + 1));
        assert!(url.is_some_and(|port| port.parse::<u16>().is_ok()), "{line}");
    }
}

#[test]
fn talks_in_plain_lines_when_nobody_watches() {
    let output = demo(&["--seconds", "1", "--hosts", "1"]).unwrap();
    let told = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.starts_with("upstream-1=http://127.0.0.1:"), "{told}");
    assert!(told.contains(" held    each_call_answered_once"), "{told}");
    assert!(!told.contains('\u{1b}') && !told.contains("BROKEN"), "{told}");
    assert!(told.contains("\nhint: "), "{told}");
}

#[test]
fn collector_that_cannot_be_one_is_a_usage_error() {
    let output = demo(&["--seconds", "1", "--otlp", "127.0.0.1:4318"]).unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.starts_with("error: ") && told.contains("expected the collector's URL"), "{told}");
    assert!(output.stdout.is_empty());
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_with_its_accounts() {
    for signal in ["-INT", "-TERM"] {
        let mut command = command(&["--seconds", "0", "--json", "--otlp", ""]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let mut talk = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut line = String::new();
        talk.read_line(&mut line).expect("it names its listeners");
        let pid = child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().expect("kill runs");
        assert!(sent.success());
        let output = child.wait_with_output().expect("it ends");
        let told: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        assert_eq!(output.status.code(), Some(0), "{told:#}");
        assert_eq!(told["calls"], told["answers"]);
    }
}

fn demo(arguments: &[&str]) -> io::Result<Output> {
    command(arguments).output()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spillgate"));
    command.arg("demo").args(arguments);
    for variable in std::env::vars().map(|(name, _)| name) {
        if variable.starts_with("SPILLGATE_") || variable.starts_with("OTEL_") {
            command.env_remove(variable);
        }
    }
    command
}
