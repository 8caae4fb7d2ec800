//! The other commands, and what all of them say about bad input.

use std::net::TcpListener;

use serde_json::Value;
use spillgate::testing::Drill;

use crate::command::{Running, rows, run, spillgate, talk};

#[test]
fn bad_input_names_its_place_and_what_was_expected() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("unknown.toml"), "[defaults]\nretries = 3\n").unwrap();
    std::fs::write(path("attempt.toml"), "[defaults]\ntimeouts = { attempt = \"40s\" }\n").unwrap();
    std::fs::write(path("file"), "").unwrap();
    let (unknown, attempt, file) = (path("unknown.toml"), path("attempt.toml"), path("file"));
    let (absent, below) = (path("absent"), format!("{}/below", path("file")));
    let url = "http://127.0.0.1:1/";
    for (args, code, said) in [
        (vec![], 2, vec!["nothing to fetch", "hint: "]),
        (vec![url, "-H", "X-Key: canary\nY: canary"], 2, vec!["--header", "x-key", "line break"]),
        (vec![url, "-H", "canary"], 2, vec!["--header", "`Name: value`"]),
        (vec![url, "--per-host", "0"], 2, vec!["--per-host", "at least 1"]),
        (vec![url, "--global", "0"], 2, vec!["--global", "at least 1"]),
        (vec![url, "-j", "0"], 2, vec!["--jobs", "at least 1"]),
        (vec![url, "--deadline", "0s"], 2, vec!["--deadline", "more than zero"]),
        (vec![url, "--deadline", "5"], 2, vec!["--deadline", "unit"]),
        (vec![url, "--timeout", "3s", "--deadline", "2s"], 2, vec!["--timeout 3s", "2s", "hint: "]),
        (vec![url, "--per-host", "9", "--global", "3"], 2, vec!["--per-host 9", "--global 3"]),
        (vec![url, "-X", "A B"], 2, vec!["--method", "GET or POST"]),
        (vec![url, "--priority", "high"], 2, vec!["--priority", "foreground"]),
        (vec![url, "--otlp", "ftp://canary@h"], 2, vec!["--otlp", "http or https"]),
        (vec!["-i", &absent], 2, vec!["absent", "No such file", "hint: "]),
        (vec!["-i", directory.path().to_str().unwrap()], 2, vec!["directory", "hint: "]),
        (vec![url, "--out-dir", &below], 2, vec!["--out-dir", "file/below", "hint: "]),
        (vec![url, "-o", &below], 2, vec!["--output", "no directory", "hint: "]),
        (vec![url, "-o", "-"], 2, vec!["standard output", "hint: "]),
        (vec![url, url, "-o", &file], 2, vec!["one URL", "--out-dir"]),
        (vec![url, "-d", "@/absent"], 2, vec!["--data", "/absent"]),
        (vec![url, "--name", "{what}", "--out-dir", &absent], 2, vec!["{what}", "{index}"]),
        (vec![url, "--config", &absent], 3, vec!["absent", "No such file"]),
        (vec![url, "--config", &unknown], 3, vec!["unknown.toml:2:1", "retries", "^", "`retry`"]),
        (vec![url, "--config", &attempt], 3, vec!["attempt.toml:2:", "40s", "30s"]),
        (vec![url, "--ca", &absent], 3, vec!["absent", "PEM"]),
    ] {
        let output = run(&[&["fetch"][..], &args].concat());
        let told = talk(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
        assert!(output.stdout.is_empty(), "{args:?}");
        for text in said {
            assert!(told.contains(text), "{args:?}: expected `{text}` in\n{told}");
        }
        assert!(!told.contains("panicked"), "{told}");
        assert!(!told.contains("canary"), "a secret: {told}");
    }
}

#[test]
fn malformed_urls_are_rows_without_their_secrets() {
    let urls = ["gopher://u:canary@h/?token=canary", "http://a b/?q=canary", "canary@", ""];
    let output = run(&[&["fetch"][..], &urls].concat());
    let rows = rows(&output);
    assert_eq!(rows.len(), 4);
    for row in &rows {
        let told =
            [&row["outcome"], &row["error_kind"], &row["class"]].map(|v| v.as_str().unwrap());
        assert_eq!(told, ["error", "invalid_request", "permanent"]);
        assert_eq!(row["attempts"], 0);
        assert!(row["error"].as_str().unwrap().contains("expected http"), "{row}");
    }
    assert_eq!(output.status.code(), Some(4));
    let told = talk(&output);
    assert!(told.contains("argument 1: ") && told.contains("argument 4: "), "{told}");
    let all = format!("{rows:?}{told}");
    assert!(!all.contains("canary"), "{all}");
}

#[test]
fn input_that_breaks_off_loses_no_row() {
    let drill = Drill::start().unwrap();
    let mut running = Running::start(spillgate(&["fetch", "-i", "-"]));
    running.feed(&["# a comment".to_owned(), String::new(), format!("  {}\r", drill.url("/ok"))]);
    running.close_input();
    let row: Value = serde_json::from_str(&running.line()).unwrap();
    assert_eq!((&row["index"], &row["outcome"]), (&2.into(), &"ok".into()));
    assert!(running.next_line().is_none());
    assert!(running.wait().0.success());
}

#[test]
fn drill_says_where_it_listens_and_ends_well() {
    for signal in ["INT", "TERM"] {
        let mut running = Running::start(spillgate(&["drill", "--seed", "7"]));
        let line = running.line();
        let base = line.strip_prefix("listening on ").unwrap().to_owned();
        assert!(base.starts_with("http://127.0.0.1:"), "{line}");
        assert_eq!(run(&["fetch", &format!("{base}/ok")]).status.code(), Some(0));
        running.signal(signal);
        let (status, talk) = running.wait();
        assert_eq!(status.code(), Some(0), "{talk}");
        assert!(talk.contains("1 requests over 1 connections"), "{talk}");
    }
}

#[test]
fn drill_speaks_tls_that_fetch_can_trust() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    let ca = ca.to_str().unwrap();
    let mut running = Running::start(spillgate(&["drill", "--tls", "--ca-out", ca]));
    let base = running.line().strip_prefix("listening on ").unwrap().to_owned();
    assert!(base.starts_with("https://"), "{base}");
    let trusted = rows(&run(&["fetch", &format!("{base}/ok"), "--ca", ca]));
    assert_eq!(trusted[0]["outcome"], "ok", "{}", trusted[0]);
    assert!(trusted[0]["ms"]["tls"].is_f64(), "{}", trusted[0]);
    let output = run(&["fetch", &format!("{base}/ok")]);
    assert_eq!(rows(&output)[0]["error_kind"], "tls_certificate_error");
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn drill_names_the_address_that_is_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["drill", "--listen", &address]);
    assert_eq!(output.status.code(), Some(2));
    let told = talk(&output);
    assert!(
        told.contains(&address) && told.contains("in use") && told.contains("hint: "),
        "{told}"
    );
}

#[test]
fn trace_shows_phases_attempts_and_decisions() {
    let drill = Drill::start().unwrap();
    let url = drill.url("/status/503?times=1&key=a&token=canary");
    let output = run(&["trace", &url]);
    let shown = String::from_utf8(output.stdout.clone()).unwrap();
    for text in [
        "200 OK",
        "2 attempts",
        "trace ",
        "attempt 1",
        "503",
        "back-off",
        "attempt 2",
        "wait_for_connection",
        "socket connect",
        "response wait",
        "retry in",
        "began flight 1 as normal",
        "attempt 2  sent: passed deadline, pace, rate, slot, budget, breaker",
        "paid as a retry, 9 tokens left",
        "reused connection",
    ] {
        assert!(shown.contains(text), "expected `{text}` in\n{shown}");
    }
    assert!(!shown.contains("canary"), "{shown}");
    assert_eq!(output.status.code(), Some(0));

    let output = run(&["trace", &drill.url("/status/404"), "--json"]);
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(record["status"], 404);
    assert_eq!(record["attempts"][0]["connection"]["origin"], "fresh");
    assert_eq!(record["trace_id"].as_str().unwrap().len(), 32);
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn pages_completions_and_samples_are_printed() {
    for (args, text) in [
        (vec!["completions", "bash"], "_spillgate"),
        (vec!["completions", "fish"], "spillgate"),
        (vec!["man"], ".TH spillgate 1"),
        (vec!["man", "fetch"], "Exit codes"),
        (vec!["config", "init"], "[defaults]"),
        (vec!["config", "show"], "failure_rate = 0.5"),
        (vec!["config", "show", "--origin"], "# built-in"),
        (vec!["check-config"], "fine"),
        (vec!["check-config", "--explain", "https://h/"], "retry.max_attempts     4"),
    ] {
        let output = run(&args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", talk(&output));
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains(text), "{args:?}: {shown}");
    }
    assert_eq!(run(&["man", "nope"]).status.code(), Some(2));
    assert_eq!(run(&["check-config", "/absent.toml"]).status.code(), Some(3));
}

#[test]
fn every_setting_of_a_call_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("spillgate.toml");
    let text = "[[host]]\nmatch = \"*.example\"\nlimits = { adaptive = \"aimd\", rate = 5 }\n\
                retry = { preset = \"aws-standard\" }\n[host.breaker]\nkind = \"hybrid\"\n\
                window_calls = 50\nslow_call = \"2s\"\nslow_counted = \"in-flight\"\n\
                half_open = \"wait\"\nmode = \"shadow\"\nramp = \"0s\"\n\
                ignore = [503, \"cancelled\"]\n\
                [host.cache]\nnegative = \"0s\"\nfailures = \"2s\"\n\
                [defaults.cache]\npartitions = \"private-rules\"\n";
    std::fs::write(&path, text).unwrap();
    let output = run(&["check-config", path.to_str().unwrap(), "--explain", "https://a.example/"]);
    assert_eq!(output.status.code(), Some(0), "{}", talk(&output));
    let shown = String::from_utf8(output.stdout).unwrap();
    for row in [
        "section                *.example",
        "retry.backoff          50ms times 2, to 20s; from 1s after a 429",
        "retry.retry_after      at most 5s above the delay, for one retry",
        "at most; a retry costs 14, 5 after a 429, given back when it succeeds",
        "breaker.opens          after 5 failures in a row, or at 50 % failures of at least 20 \
         calls in 50 calls",
        "breaker.slow_call      opens it when 80 % take 2s or more, counted while in flight",
        "breaker.reset_timeout  5s, times 1.5 to 1m, up to 20 % more",
        "breaker.half_open      wait",
        "breaker.ramp           0s",
        "breaker.ignore         503, cancelled",
        "breaker.mode           shadow: it refuses nothing",
        "limits.adaptive        aimd, down to 1",
        "limits.rate            5 a second, 1 at once",
        "limits.quota           obey",
        "cache.mode             shared",
        "cache.store            memory, up to 67108864 bytes",
        "cache.stale_if_error   1h unless it says",
        "cache.negative         only if the answer says",
        "cache.failures         remembered for 2s, and up to half of it more",
        "cache.identity         credentials, private-rules",
    ] {
        assert!(shown.contains(row), "expected `{row}` in\n{shown}");
    }
}

#[test]
fn simulation_says_which_section_applied() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let policy = "[[host]]\nmatch = \"*.example\"\nretry = { max_attempts = 1 }\n";
    std::fs::write(path("policy.toml"), policy).unwrap();
    let world = "host = \"api.example\"\nrps = 50\nseconds = 5\nfailing = 0.3\n";
    std::fs::write(path("world.toml"), world).unwrap();
    let (world, policy) = (path("world.toml"), path("policy.toml"));
    let simulated = |more: &[&str]| {
        let args = ["simulate", &world, "--policy", &policy, "--seeds", "1"];
        let output = run(&[&args, more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", talk(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let load = |shown: &str| -> Vec<String> {
        let row = shown.lines().find(|line| line.contains("load_x")).unwrap_or_default();
        row.split_whitespace().rev().take(2).map(str::to_owned).collect()
    };
    let shown = simulated(&[]);
    let told = "policy.toml for host `api.example`: [[host]] match = \"*.example\"";
    assert!(shown.contains(told), "{shown}");
    assert_eq!(load(&shown).first().map(String::as_str), Some("1.0000"), "{shown}");
    let shown = simulated(&["--host", "other"]);
    assert!(shown.contains("policy.toml for host `other`: [defaults]"), "{shown}");
    let [one, other] = load(&shown).try_into().unwrap();
    assert_eq!(one, other);
    let output = run(&["simulate", &world, "--policy", &policy, "--host", "a/b"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(talk(&output).contains("`a/b` is no host"), "{}", talk(&output));
}
