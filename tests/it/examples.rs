//! The examples run, say what they promise, and end by themselves.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use spillgate::Client;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A running example; it ends with this handle.
pub(crate) struct Example {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Example {
    /// Starts an example with these arguments and environment variables.
    pub(crate) fn start(name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(path_of(name));
        command.args(arguments).envs(variables.iter().copied());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits for the line that begins like this and returns the rest of it.
    pub(crate) async fn line(&mut self, beginning: &str) -> String {
        let mut seen = Vec::new();
        while let Some(line) = within(self.lines.next_line()).await.unwrap() {
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.to_owned();
            }
            seen.push(line);
        }
        panic!("no line begins with `{beginning}` in {seen:#?}\n{}", self.talk().await);
    }

    /// Waits for its end and returns how long that took; panics unless it is a good one.
    pub(crate) async fn end(mut self) -> Duration {
        let asked = Instant::now();
        let status = within(self.child.wait()).await.unwrap();
        let took = asked.elapsed();
        assert!(status.success(), "{status}\n{}", self.talk().await);
        took
    }

    async fn talk(&mut self) -> String {
        let mut talk = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        within(stderr.read_to_string(&mut talk)).await.unwrap();
        talk
    }
}

#[tokio::test]
async fn embed_axum_retries_for_its_caller_and_ends_in_time_for_it() {
    let mut example = Example::start("embed_axum", &[], &[]);
    assert!(example.line("200 OK ").await.contains(r#""attempts":2,"id":7"#));
    assert!(example.line("504 Gateway Timeout ").await.contains("deadline_exceeded"));
    example.end().await;
}

#[tokio::test]
async fn embed_actix_web_answers_by_facade_and_by_message() {
    let mut example = Example::start("embed_actix_web", &[], &[]);
    assert_eq!(example.line("/users/7: ").await, r#"200 OK {"ok":true}"#);
    assert_eq!(example.line("/message/7: ").await, r#"200 OK {"ok":true}"#);
    example.end().await;
}

#[cfg(unix)]
#[tokio::test]
async fn servers_serve_until_they_are_interrupted() {
    for name in ["embed_axum", "embed_actix_web"] {
        let mut example = Example::start(name, &["--serve"], &[]);
        let url = example.line("listening on ").await;
        let answer = Client::standard().get(format!("{url}/users/7")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{name}");
        let interrupt = format!("kill -INT {}", example.child.id().unwrap());
        assert!(Command::new("sh").args(["-c", &interrupt]).status().await.unwrap().success());
        example.end().await;
    }
}

#[tokio::test]
async fn messages_are_answered_cancelled_and_drained() {
    let mut example = Example::start("messages", &[], &[]);
    assert_eq!(example.line("Fetch: ").await, "200 OK after 2 attempts");
    assert_eq!(example.line("Cancel: ").await, "cancelled");
    assert_eq!(example.line("Inspect: ").await, "3 attempts, 1 retries, breaker closed");
    assert_eq!(example.line("Drain: ").await, "Whole");
    assert_eq!(example.line("Fetch: ").await, "shutting_down");
    example.end().await;
}

#[tokio::test]
async fn fallback_answers_while_the_breaker_opens() {
    let mut example = Example::start("fallback", &[], &[]);
    assert_eq!(example.line("call 4: ").await, "the list of yesterday, 3 requests so far");
    assert!(example.line("error.circuit_open (Retrying): ").await.contains("trouble"));
    assert_eq!(example.line("after the reset: ").await, "200 OK");
    example.end().await;

    // The callback has a thread of its own: its line may come anywhere.
    let mut example = Example::start("fallback", &[], &[]);
    assert!(example.line("opened: ").await.contains("3 consecutive failures"));
    while example.lines.next_line().await.unwrap().is_some() {}
    example.end().await;
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("the example goes on")
}

/// Where cargo puts an example, beside the directory of this test.
fn path_of(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|dependencies| dependencies.parent()).unwrap();
    let path = profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "no {}: `cargo test` or `cargo build --examples`", path.display());
    path
}

/// Far more than an example takes.
const PATIENCE: Duration = Duration::from_secs(30);
