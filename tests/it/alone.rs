//! Tests that measure their process run in one of their own.

use std::process::Command;

/// Runs a test in a process of its own; `name` is its full name.
pub(crate) fn run(name: &str, test: impl AsyncFnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        return runtime.expect("a runtime starts").block_on(test());
    }
    let this = std::env::current_exe().expect("the test binary has a path");
    let output = Command::new(this).args(["--exact", name]).env(ALONE, "1").output();
    let output = output.expect("the test binary runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

/// The most memory this process ever had, in bytes.
pub(crate) fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it has a peak");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("it is a number");
    kibibytes * 1024
}

/// The names of this process's threads that are ours.
pub(crate) fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux tells");
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    // The kernel keeps fifteen characters.
    names.map(|name| name.trim().to_owned()).filter(|name| OURS.contains(&name.as_str())).collect()
}

const ALONE: &str = "TEST_RUNS_ALONE";
const OURS: [&str; 4] = ["spillgate", "spillgate-repor", "spillgate-expor", "spillgate-close"];
