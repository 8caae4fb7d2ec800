//! `spillgate fetch` into files, interrupted and resumed.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use spillgate::testing::Drill;

use crate::command::{Running, fetch, rows, run, spillgate, talk};

#[test]
fn large_body_goes_to_a_file_in_little_memory_before_the_input_ends() {
    let drill = Drill::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let mut running = Running::start(spillgate(&["fetch", "-i", "-", "--out-dir", out]));
    running.feed(&[drill.url("/ok?bytes=200000000")]);
    let row: Value = serde_json::from_str(&running.line()).unwrap();
    let peak_kb = running.memory_peak_kb();
    let (status, told) = running.wait();
    assert!(status.success(), "{told}");
    assert_eq!(row["bytes"], 200_000_000);
    let file = fs::metadata(row["file"].as_str().unwrap()).unwrap();
    assert_eq!(file.len(), 200_000_000);
    assert!(peak_kb < 80 * 1024, "{peak_kb} kB");
}

#[test]
fn broken_download_is_begun_anew_and_leaves_no_part() {
    let script = "[scenario.breaks]\n\
                  steps = [{ path = \"/truncate?bytes=5000\", times = 2 }, { path = \"/ok?bytes=5000\" }]";
    let drill = Drill::builder().script(script).start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let urls = [
        drill.url("/scenario/breaks"),
        drill.url("/truncate?bytes=5000"),
        drill.url("/status/404"),
    ];
    let output = fetch(&urls, &["--out-dir", out]);
    let mut rows = rows(&output);
    rows.sort_by_key(|row| row["index"].as_u64());
    assert_eq!(
        (&rows[0]["outcome"], &rows[0]["attempts"]),
        (&"ok".into(), &3.into()),
        "{}",
        rows[0]
    );
    assert_eq!(fs::metadata(rows[0]["file"].as_str().unwrap()).unwrap().len(), 5000);
    assert_eq!(rows[1]["error_kind"], "http_response_incomplete");
    assert_eq!((&rows[1]["attempts"], drill.hits_at("/truncate")), (&4.into(), 4));
    assert!(rows[1]["file"].is_null() && rows[2]["file"].is_null());
    assert_eq!(files(directory.path()), ["breaks"]);
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn post_whose_answer_breaks_is_sent_once_without_a_key() {
    let drill = Drill::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("answer");
    let file = file.to_str().unwrap();
    let url = drill.url("/truncate?bytes=5000");
    run(&["fetch", &url, "-d", "order", "-o", file]);
    assert_eq!(drill.hits(), 1);
    let output = run(&["fetch", &url, "-d", "order", "-o", file, "--idempotency-key", "auto"]);
    assert_eq!(drill.hits(), 5, "{}", talk(&output));
    let keys: HashSet<String> = drill
        .requests()
        .iter()
        .filter_map(|request| request.header("idempotency-key").map(str::to_owned))
        .collect();
    assert_eq!(keys.len(), 1, "all attempts carry the same key");
    assert!(files(directory.path()).is_empty());
}

#[test]
fn names_are_numbered_and_templates_are_filled() {
    let drill = Drill::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("new/directory");
    let urls: Vec<String> = (0..3).map(|n| drill.url(&format!("/ok?bytes={n}"))).collect();
    let output = fetch(&urls, &["--out-dir", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", talk(&output));
    assert_eq!(files(&out), ["ok", "ok-2", "ok-3"]);
    assert_eq!(fs::metadata(out.join("ok-3")).unwrap().len(), 2);
    let template = ["--out-dir", out.to_str().unwrap(), "--name", "{index}.{stem}.txt"];
    fetch(&urls, &template);
    assert_eq!(files(&out), ["0.ok.txt", "1.ok.txt", "2.ok.txt", "ok", "ok-2", "ok-3"]);
}

#[test]
fn interrupted_run_says_what_is_left_and_resume_does_only_that() {
    for signal in ["INT", "TERM", "KILL"] {
        let drill = Drill::start().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("out");
        let urls: Vec<String> =
            (0..60).map(|n| drill.url(&format!("/delay/100?key={n}"))).collect();
        let list = directory.path().join("urls.txt");
        fs::write(&list, urls.join("\n")).unwrap();
        let args =
            ["fetch", "-i", list.to_str().unwrap(), "--out-dir", out.to_str().unwrap(), "-j", "8"];
        let mut running = Running::start(spillgate(&args));
        let mut first: Vec<String> = (0..15).map(|_| running.line()).collect();
        running.signal(signal);
        first.extend(std::iter::from_fn(|| running.next_line()));
        let (status, told) = running.wait();
        if signal != "KILL" {
            assert_eq!(status.code(), Some(130), "{told}");
            assert!(told.contains(" unfinished") && told.contains("hint: "), "{told}");
            let left = format!("{} unfinished", 60 - first.len());
            assert!(told.contains(&left), "expected `{left}` in {told}");
        }
        let first: Vec<u64> = first.iter().filter_map(|line| index(line)).collect();
        assert!(first.len() < 60, "{signal} came too late");

        let output = run(&[&args[..], &["--resume"]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", talk(&output));
        let second: Vec<u64> =
            rows(&output).iter().map(|row| row["index"].as_u64().unwrap()).collect();
        let all: HashSet<u64> = first.iter().chain(&second).copied().collect();
        assert_eq!(all.len(), 60, "{signal}");
        // A killed process may have written a row and not yet noted it.
        let twice = first.len() + second.len() - 60;
        assert!(twice <= usize::from(signal == "KILL"), "{twice} rows twice after {signal}");
        let again = first.iter().filter(|n| drill.hits_of(&n.to_string()) > 1).count();
        assert_eq!(again, twice, "{signal}");
        let files = files(&out);
        assert!(files.len() >= 60 && files.iter().all(|name| !name.contains(".part")), "{files:?}");

        let output = run(&[&args[..], &["--resume"]].concat());
        assert!(rows(&output).is_empty(), "nothing is left");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn resume_repeats_what_failed_in_passing_and_what_has_changed() {
    let drill = Drill::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().join("state");
    let args = ["--state", state.to_str().unwrap(), "--retries", "0", "--resume"];
    let mut urls = vec![
        drill.url("/ok?key=a"),
        drill.url("/status/503?times=1&key=b"),
        drill.url("/status/404?key=c"),
        "not a URL".to_owned(),
    ];
    assert_eq!(rows(&fetch(&urls, &args)).len(), 4);
    let output = fetch(&urls, &args);
    let again = rows(&output);
    assert_eq!(again.len(), 1, "{again:?}");
    assert_eq!((&again[0]["index"], &again[0]["outcome"]), (&1.into(), &"ok".into()));
    urls[0] = drill.url("/ok?key=d");
    let changed = rows(&fetch(&urls, &args));
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(["a", "b", "c", "d"].map(|key| drill.hits_of(key)), [1, 2, 1, 1]);
}

#[test]
fn nothing_is_sent_after_a_signal_and_what_is_on_the_wire_arrives() {
    let drill = Drill::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("urls.txt");
    let urls: Vec<String> = (0..60).map(|n| drill.url(&format!("/delay/400?n={n}"))).collect();
    fs::write(&list, urls.join("\n")).unwrap();
    let args = ["fetch", "-i", list.to_str().unwrap(), "--state", "/dev/null"];
    let mut running = Running::start(spillgate(&args));
    let mut told: Vec<String> = (0..8).map(|_| running.line()).collect();
    running.signal("INT");
    told.extend(std::iter::from_fn(|| running.next_line()));
    let (status, talk) = running.wait();
    assert_eq!(status.code(), Some(130), "{talk}");
    assert_eq!(told.len() as u64, drill.hits(), "all that was sent has its row: {talk}");
    assert!(told.len() < 30, "{talk}");
    assert_eq!(drill.aborted("/delay/400"), 0);
}

#[test]
fn signal_ends_a_run_whose_input_is_open() {
    let drill = Drill::start().unwrap();
    let mut running = Running::start(spillgate(&["fetch", "-i", "-", "--state", "/dev/null"]));
    running.feed(&[drill.url("/ok"), drill.url("/delay/60000")]);
    running.line();
    drill
        .wait_for_blocking(|ledger| ledger.in_flight() == 1, std::time::Duration::from_secs(30))
        .unwrap();
    running.signal("INT");
    let (status, told) = running.wait_with_open_input();
    assert_eq!(status.code(), Some(130), "{told}");
    assert!(told.contains("1 unfinished, and what is left of the input"), "{told}");
}

fn index(line: &str) -> Option<u64> {
    serde_json::from_str::<Value>(line).ok()?["index"].as_u64()
}

/// The names in a directory, sorted, without the hidden ones.
fn files(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}
